"""Benchmarks: five servers with one fake provider, measured side by side. `python -m benchmarks`."""

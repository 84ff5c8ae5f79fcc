"""What proves the speed: five servers over one fake provider, measured side by side. `python -m benchmarks`."""

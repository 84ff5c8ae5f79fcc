"""What proves the speed: four servers over one fake provider, measured side by side. `python -m benchmarks`."""

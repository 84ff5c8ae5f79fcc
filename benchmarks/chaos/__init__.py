"""`python -m benchmarks.chaos`: runs while workers, web nodes, Redis and the embedded server are killed."""

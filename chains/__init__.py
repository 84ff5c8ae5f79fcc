"""What we ask models, and in what order. Knows nothing of HTTP servers, environment or storage."""

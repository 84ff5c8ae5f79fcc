"""Settings, server, page, command line, and the stand-in for the models."""

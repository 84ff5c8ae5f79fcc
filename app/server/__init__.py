"""Middleware and other code for all requests, and for the process."""

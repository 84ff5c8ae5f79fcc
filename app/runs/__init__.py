"""Runs and what becomes of them; no HTTP."""

"""Runs: how they start, are written, resumed and rewritten. Knows no HTTP."""

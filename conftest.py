"""Keeps the developer's own keys, settings and proxies out of tests and notebooks."""

import os


def pytest_configure() -> None:
    for name in list(os.environ):
        if name.upper().startswith(("SIZZLE_", "OPENAI_")) or name.upper().endswith(("_API_KEY", "_PROXY")):
            del os.environ[name]

"""For tests and notebooks alike: no key, setting or proxy of the developer's own reaches them."""

import os


def pytest_configure() -> None:
    for name in list(os.environ):
        if name.upper().startswith(("SIZZLE_", "OPENAI_")) or name.upper().endswith(("_API_KEY", "_PROXY")):
            del os.environ[name]

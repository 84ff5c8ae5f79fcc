"""Keeps the developer's own keys, settings, proxies and runs out of tests, and says how many tests run at once."""

import os


def pytest_configure() -> None:
    for name in list(os.environ):
        if name.upper().startswith(("SIZZLE_", "OPENAI_")) or name.upper().endswith(("_API_KEY", "_PROXY")):
            del os.environ[name]
    os.environ["SIZZLE_STORE"] = "memory://"  # of the commands that tests run, too


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, because tests wait for servers a quarter of the time."""
    return int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or len(os.sched_getaffinity(0)) + 1)

"""Keeps the developer's own keys, settings, proxies and runs out of tests, and says how many tests run at once."""

import os
from pathlib import Path

CERTIFICATE = Path(__file__).parent / "tests" / "trusted.pem"  # nothing has its key


def pytest_configure() -> None:
    for name in os.environ.keys() - {"SIZZLE_FAST"}:  # which `make check-plain` sets
        if name.upper().startswith(("SIZZLE_", "OPENAI_")) or name.upper().endswith(("_API_KEY", "_PROXY")):
            del os.environ[name]
    os.environ["SIZZLE_STORE"] = "memory://"  # of the commands that tests run, too
    os.environ["SSL_CERT_FILE"] = str(CERTIFICATE)  # loading those of the system for each client takes 50 ms


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, because tests wait for servers a quarter of the time."""
    return int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or len(os.sched_getaffinity(0)) + 1)

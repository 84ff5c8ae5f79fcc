"""Keeps the developer's own keys, settings, proxies and runs out of tests, and says how many tests run at once."""

import gc
import os
from pathlib import Path

gc.disable()  # until everything is imported

CERTIFICATE = Path(__file__).parent / "tests" / "trusted.pem"  # nothing has its key


def pytest_configure() -> None:
    for name in os.environ.keys() - {"SIZZLE_FAST"}:  # which `make check-plain` sets
        if name.upper().startswith(("SIZZLE_", "OPENAI_")) or name.upper().endswith(("_API_KEY", "_PROXY")):
            del os.environ[name]
    os.environ["SIZZLE_STORE"] = "memory://"  # of the commands that tests run, too
    os.environ["SSL_CERT_FILE"] = str(CERTIFICATE)  # loading those of the system for each client takes 50 ms


def pytest_collection_finish() -> None:
    """Lets the garbage collector skip what was imported and run less often: it took a sixth of the tests' CPU time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 5, 2)
    gc.enable()


def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are cores, because tests wait for servers and timeouts a quarter of the time."""
    return int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or len(os.sched_getaffinity(0)) + 2)

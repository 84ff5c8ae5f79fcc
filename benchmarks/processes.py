"""The processes of a run: the provider and the servers, each on a port that the system picks."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
SERVERS = ("ours", "plain", "idiomatic", "handwritten", "floor", "limit")
FOREIGN = re.compile(r"^(SIZZLE|OPENAI|LANGCHAIN|LANGSMITH)_|_API_KEY$|_PROXY$", re.IGNORECASE)
_URL = re.compile(r"http://127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Process:
    """A process that serves HTTP on loopback."""

    name: str
    pid: int
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu_s(self) -> float:
        """CPU seconds of all its threads, user and system, in nanosecond resolution (psutil's is 10 ms)."""
        # the kernel's number of another process's CPU clock: clock_getcpuclockid(3), CPUCLOCK_SCHED
        return time.clock_gettime((~self.pid << 3) | 2)

    def last_words(self) -> str:
        return self.log.read_text()[-2000:]

    def rss_mb(self) -> float:
        return psutil.Process(self.pid).memory_info().rss / 2**20


@contextmanager
def all_processes(names: Sequence[str] = SERVERS) -> Iterator[tuple[Process, dict[str, Process]]]:
    """Runs the provider and the servers within the block."""
    with ExitStack() as stack:
        provider = stack.enter_context(running("provider", ["-m", "benchmarks.provider"]))
        yield provider, {name: stack.enter_context(serving(name, f"{provider.url}/v1")) for name in names}


def serving(name: str, base_url: str) -> AbstractContextManager[Process]:
    if name in ("ours", "plain"):
        settings = our_settings(base_url) | ({"SIZZLE_FAST": "false"} if name == "plain" else {})
        return running(name, ["-m", "app", "serve", "--port", "0"], settings)
    return running(name, ["-m", f"benchmarks.{name}", base_url])


def our_settings(base_url: str) -> dict[str, str]:
    """Returns the environment in which our server uses the fake provider."""
    return {
        "GROQ_API_KEY": "none",
        "FIREWORKS_API_KEY": "none",
        "SIZZLE_GROQ_BASE_URL": base_url,
        "SIZZLE_FIREWORKS_BASE_URL": base_url,
        "SIZZLE_STORE": "memory://",
        "SIZZLE_REGISTRY": str(ROOT / "benchmarks" / "registry.toml"),
    }


@contextmanager
def running(name: str, arguments: list[str], settings: dict[str, str] | None = None) -> Iterator[Process]:
    """Runs Python with these arguments, yields once it has printed its port, and interrupts it afterwards."""
    environment = {key: value for key, value in os.environ.items() if not FOREIGN.search(key)}
    environment |= {"PYTHONPATH": str(ROOT), **(settings or {})}
    # its own directory, without a .env
    with tempfile.TemporaryDirectory() as place, open(Path(place, "log"), "w+") as log:
        child = subprocess.Popen([sys.executable, *arguments], cwd=place, env=environment, stdout=log, stderr=log)  # noqa: S603
        path = Path(place, "log")
        try:
            yield Process(name, child.pid, _port(name, child, path), path)
        finally:
            child.send_signal(2)
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _port(name: str, child: subprocess.Popen[bytes], log: Path, timeout_s: float = 60) -> int:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and child.poll() is None:
        if found := _URL.search(log.read_text()):
            return int(found[1])
        time.sleep(0.05)
    raise RuntimeError(f"{name} did not start:\n{log.read_text()[-2000:]}")

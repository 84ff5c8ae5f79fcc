"""Runs ours under py-spy and adds its samples up by library and by function."""

import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.cells import Cell, at, measure
from benchmarks.matrix import warm_up
from benchmarks.processes import Process, serving

CELL = Cell(*at(500, 8))
TIMES = 12
RATE = 200  # samples a second; a token then costs what it costs without
LOOP = "event loop, sockets, HTTP parser"


@dataclass(frozen=True)
class Profile:
    """Shares of the server's CPU time, the largest first; `kernel` is the system's share."""

    libraries: list[tuple[str, float]]
    functions: list[tuple[str, float]]
    kernel: float


async def profile(provider: Process) -> Profile:
    """Ours at 500 tokens a second and 8 recipes, after a warm-up. Raises `RuntimeError` where py-spy is not let in."""
    with serving("ours", f"{provider.url}/v1") as ours, tempfile.TemporaryDirectory() as place:
        await warm_up({"ours": ours}, provider)
        before = psutil.Process(ours.pid).cpu_times()
        with _sampled(ours.pid, file := Path(place, "samples")):
            for _ in range(TIMES):
                await measure(CELL, ours, provider)
        after = psutil.Process(ours.pid).cpu_times()
        kernel, user = after.system - before.system, after.user - before.user
        return _shares(file, kernel / (kernel + user))


@contextmanager
def _sampled(pid: int, file: Path) -> Iterator[None]:
    """The process's samples, of threads that are at work, are in the file behind the block."""
    spy = [str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(pid), "--rate", str(RATE)]
    # a pause for each sample would count for whatever calls the system, behind which it takes effect
    options = ["--nonblocking", "--format", "raw", "--nolineno", "--output", str(file)]
    with subprocess.Popen([*spy, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as sampler:  # noqa: S603
        try:
            assert sampler.stdout  # noqa: S101  it is a pipe
            if "Sampling" not in (told := sampler.stdout.readline()):
                raise RuntimeError(f"py-spy can't look into the server (on Linux root can, or ptrace_scope 0): {told}")
            yield
            sampler.send_signal(signal.SIGINT)
            told, _ = sampler.communicate(timeout=30)
            if sampler.returncode:
                raise RuntimeError(f"py-spy failed: {told}")
        finally:
            sampler.kill()


def _shares(file: Path, kernel: float) -> Profile:
    libraries: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for sample in file.read_text().splitlines():
        stack, _, count = sample.rpartition(" ")
        library, function = _place(stack.rpartition(";")[2])
        libraries[library] += int(count)
        functions[function] += int(count)
    total = libraries.total()
    largest = [[(name, count / total) for name, count in each.most_common(15)] for each in (libraries, functions)]
    return Profile(*largest, kernel)


def _place(frame: str) -> tuple[str, str]:
    """The library and the function of `function (package/module.py)`. None is there where py-spy was too late."""
    if not frame:
        return "unread", "unread"
    function, _, file = frame.removesuffix(")").rpartition(" (")
    if file == "app/loop.py":  # nothing of Python runs below the loop
        return "uvloop", LOOP
    module = file.removesuffix(".py").replace("/", ".")
    return module.partition(".")[0], f"{module}.{function}"

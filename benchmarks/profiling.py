"""Runs our server under py-spy and sums the samples by library and function."""

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
RATE = 200  # samples per second, which does not change the cost of a token


@dataclass(frozen=True)
class Profile:
    """Shares of the server's CPU time, the largest first. `kernel` is the kernel's share."""

    libraries: list[tuple[str, float]]
    functions: list[tuple[str, float]]
    kernel: float


async def profile(provider: Process) -> Profile:
    """Profiles our server at 500 tokens/s and 8 recipes, after a warm-up. Raises `RuntimeError` without permission."""
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
    """Records samples of active threads; they are in the file after the block."""
    spy = [str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(pid), "--rate", str(RATE)]
    # pausing the process for samples would distort the shares of functions that make system calls
    options = ["--nonblocking", "--format", "raw", "--nolineno", "--output", str(file)]
    with subprocess.Popen([*spy, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as sampler:  # noqa: S603
        try:
            assert sampler.stdout  # noqa: S101  it is a pipe
            if "Sampling" not in (output := sampler.stdout.readline()):
                raise RuntimeError(
                    f"py-spy can't look into the server (on Linux root can, or ptrace_scope 0): {output}"
                )
            yield
            sampler.send_signal(signal.SIGINT)
            output, _ = sampler.communicate(timeout=30)
            if sampler.returncode:
                raise RuntimeError(f"py-spy failed: {output}")
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

    def largest(counts: Counter[str]) -> list[tuple[str, float]]:
        return [(name, count / total) for name, count in counts.most_common(15)]

    return Profile(largest(libraries), largest(functions), kernel)


def _place(frame: str) -> tuple[str, str]:
    """Returns library and function of `function (package/module.py)`, or None if py-spy was too late."""
    if not frame:
        return "unread", "unread"
    function, _, file = frame.removesuffix(")").rpartition(" (")
    module = file.removesuffix(".py").replace("/", ".")
    return module.partition(".")[0], f"{module}.{function}"

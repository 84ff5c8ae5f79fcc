"""Runs ours under the sampler and adds its samples up by library and by function."""

import json
import os
import signal
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cells import Cell, at, measure
from benchmarks.matrix import warm_up
from benchmarks.processes import Process, our_settings, running

CELL = Cell(*at(500, 8))
TIMES = 3


@dataclass(frozen=True)
class Profile:
    """Shares of the main thread's CPU time, the largest first."""

    libraries: list[tuple[str, float]]
    functions: list[tuple[str, float]]


async def profile(provider: Process) -> Profile:
    """Ours at 500 tokens a second and 8 recipes, after a warm-up."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "samples.json")
        arguments = ["-m", "benchmarks.profiled", str(file), "serve", "--port", "0"]
        with running("ours, profiled", arguments, our_settings(f"{provider.url}/v1")) as ours:
            await warm_up({"ours": ours}, provider)
            os.kill(ours.pid, signal.SIGUSR1)
            for _ in range(TIMES):
                await measure(CELL, ours, provider)
        return _shares(file)


def _shares(file: Path) -> Profile:
    libraries: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for library, function, seconds in json.loads(file.read_text()):
        libraries[library] += seconds
        functions[function] += seconds
    total = sum(libraries.values())
    return Profile(*([(name, s / total) for name, s in counted.most_common(15)] for counted in (libraries, functions)))

"""The schedules side by side: one recipe at an otherwise idle server, ours and the hand-written one in turn.

Realistic lengths. Each round has ours pick another of the three recipes, so that the mean is that of a random pick.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from benchmarks.asks import FAST, LARGE, MODELS
from benchmarks.cells import Cell, measure
from benchmarks.client import STEPS_BY_CODE, Reading
from benchmarks.processes import Process
from benchmarks.provider import Pace
from benchmarks.tokens import REALISTIC

BOTH = "800 and 80"  # tokens a second: the fastest model's for proposal and ingredients, the large one's for the others
PACES = {
    **{f"{rate:g}": Pace(tokens_per_s=rate, lengths=REALISTIC) for rate in (80, 300, 1000)},
    BOTH: Pace(by_model={FAST: 800, LARGE: 80}, lengths=REALISTIC),
}
PLACES = (0, 1, 2)


@dataclass(frozen=True)
class Timeline:
    """One recipe: what the client read, and the calls that the provider had."""

    pace: Pace
    reading: Reading
    calls: list[dict[str, Any]]

    @property
    def started(self) -> float:
        return self.reading.started

    def first_s(self) -> dict[str, float]:
        """By the part's code, from the request."""
        return {code: times[0] - self.started for code, times in self.reading.times.items()}

    def ages_s(self) -> list[float]:
        """Of each fragment when it came: since the provider was due to send the first token in it."""
        asked = {call["step"]: call["asked"] for call in self.calls}
        ages: list[float] = []
        for code, step in STEPS_BY_CODE.items():
            interval, token = self.pace.interval_s(MODELS[step]), 0
            for arrived, text in zip(self.reading.times[code], self.reading.texts[code], strict=True):
                ages.append(arrived - (asked[step] + self.pace.ttft_s + token * interval))
                token += text.count(b" ")  # each token begins with one
        return ages


Timelines = dict[tuple[str, str], list[Timeline]]  # by pace and server, one for each place of the pick


async def run_timelines(servers: Mapping[str, Process], provider: Process) -> AsyncIterator[tuple[str, str, Timeline]]:
    """The pace, the server and what it did."""
    seeds = await _seeds(servers["ours"], provider)
    for place in PLACES:
        for name, pace in PACES.items():
            for server in ("handwritten", "ours"):
                measured = await measure(Cell(name, pace, 1), servers[server], provider, seeds[place])
                if measured.failure:
                    raise RuntimeError(f"{server} at {name} tokens/s: {measured.failure}")
                yield name, server, Timeline(pace, measured.readings[0], measured.calls)


async def _seeds(ours: Process, provider: Process) -> list[int]:
    """A seed for each place of the pick."""
    cell = Cell("seeds", replace(PACES["80"], ttft_s=0, tokens_per_s=0), 1)
    found: dict[int, int] = {}
    for seed in count():
        measured = await measure(cell, ours, provider, seed)
        found.setdefault(measured.readings[0].picked, seed)
        if len(found) == len(PLACES):
            return [found[place] for place in PLACES]
        if seed == 100:
            raise RuntimeError("the seed does not change the pick")
    raise AssertionError

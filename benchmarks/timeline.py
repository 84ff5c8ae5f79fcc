"""Compares the schedules: one recipe on an idle server, ours and the hand-written one in turn.

Uses realistic lengths. Every round picks another of the three recipes, so that the mean equals that of random picks.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from benchmarks.cells import Cell, measure
from benchmarks.client import PARTS_BY_CODE, Reading
from benchmarks.processes import Process
from benchmarks.prompts import FAST, LARGE, MODELS
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
    """One recipe as read by the client, and its calls to the provider."""

    pace: Pace
    reading: Reading
    calls: list[dict[str, Any]]

    @property
    def started(self) -> float:
        return self.reading.started

    def first_s(self) -> dict[str, float]:
        """Seconds from the request to the first fragment, by code of the part."""
        return {code: times[0] - self.started for code, times in self.reading.times.items()}

    def ages_s(self) -> list[float]:
        """The age of each fragment on arrival, since its first token was due at the provider."""
        requested = {call["part"]: call["requested"] for call in self.calls}
        ages: list[float] = []
        for code, part in PARTS_BY_CODE.items():
            interval, token = self.pace.interval_s(MODELS[part]), 0
            for arrived, text in zip(self.reading.times[code], self.reading.texts[code], strict=True):
                ages.append(arrived - (requested[part] + self.pace.ttft_s + token * interval))
                token += text.count(b" ")  # every token starts with a space
        return ages


Timelines = dict[tuple[str, str], list[Timeline]]  # by pace and server, one for each position of the pick


async def run_timelines(servers: Mapping[str, Process], provider: Process) -> AsyncIterator[tuple[str, str, Timeline]]:
    """Yields the pace, the server and its timeline."""
    seeds = await _seeds(servers["ours"], provider)
    for place in PLACES:
        for name, pace in PACES.items():
            for server in ("handwritten", "ours"):
                measured = await measure(Cell(name, pace, 1), servers[server], provider, seeds[place])
                if measured.failure:
                    raise RuntimeError(f"{server} at {name} tokens/s: {measured.failure}")
                yield name, server, Timeline(pace, measured.readings[0], measured.calls)


async def _seeds(ours: Process, provider: Process) -> list[int]:
    """Returns a seed for each position of the pick."""
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

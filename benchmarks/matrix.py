"""The cells, and the rounds that measure every cell on every server."""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from benchmarks.cells import Cell, Measured, at, measure
from benchmarks.processes import Process
from benchmarks.provider import Pace
from benchmarks.tokens import EVEN

TARGETS = [Cell(*at(0, 8)), Cell(*at(500, 8)), Cell(*at(500, 32)), Cell(*at(80, 8))]

WITHOUT_IDIOMATIC = ("ours", "handwritten", "floor")  # the idiomatic server takes the longest
QUICK = ("ours", "floor")  # the others take a minute and more for 200 recipes
SATURATED = Cell("saturated", Pace(ttft_s=0), 16)  # what one worker carries
CROWD = Cell(*at(80, 200), QUICK, deadline_s=60)
OTHERS = [
    *(Cell(*at(rate, 1), WITHOUT_IDIOMATIC) for rate in (0, 800, 300, 80)),
    *(Cell(*at(rate, 8), WITHOUT_IDIOMATIC) for rate in (800, 300)),
    *(Cell(*at(rate, 32), WITHOUT_IDIOMATIC) for rate in (0, 800, 300, 80)),
    *(Cell(*at(rate, 200), QUICK) for rate in (0, 800, 300)),
    SATURATED,
    CROWD,
]

Results = Mapping[str, Mapping[str, Sequence[Measured]]]  # by cell and server, a figure for each round


async def warm_up(servers: Mapping[str, Process], provider: Process) -> dict[str, float]:
    """Requests two recipes from every server and returns their memory in MB. Raises `RuntimeError`."""
    cell = Cell("warm-up", Pace(ttft_s=0, lengths=dict.fromkeys(EVEN, 20)), 2)
    for server in servers.values():
        if failure := (await measure(cell, server, provider)).failure:
            raise RuntimeError(f"{server.name}: {failure}\n{server.last_words()}")
    return {name: server.rss_mb() for name, server in servers.items()}


async def run_rounds(
    cells: Sequence[Cell], servers: Mapping[str, Process], provider: Process
) -> AsyncIterator[tuple[int, Cell, str, Measured]]:
    """Rotates the order of the servers with the rounds."""
    for turn in range(max(cell.rounds for cell in cells)):
        for cell in (cell for cell in cells if turn < cell.rounds):
            names = [name for name in cell.servers if name in servers]
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                measured = await measure(cell, servers[name], provider)
                yield turn, cell, name, replace(measured, readings=[], calls=[])


def gathered(rows: Sequence[tuple[int, Cell, str, Measured]]) -> Results:
    results: dict[str, dict[str, list[Measured]]] = defaultdict(lambda: defaultdict(list))
    for _, cell, name, measured in rows:
        results[cell.name][name].append(measured)
    return results

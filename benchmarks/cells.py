"""A cell is a number of concurrent recipes from one server at one pace of the provider."""

import asyncio
import gc
import time
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Any

import orjson

from benchmarks.client import Parser, Reading, RunParser, parse, read_recipes, read_runs
from benchmarks.processes import SERVERS, Process
from benchmarks.provider import Pace
from benchmarks.schedule import end, our_plan


@dataclass(frozen=True)
class Cell:
    """The settings of a cell. Recipes that take longer than `deadline_s` have failed.

    Each run has some `followers`. If there are more recipes than `runs_at_a_time`, a run begins when another one ends.
    """

    name: str
    pace: Pace
    recipes: int
    servers: Sequence[str] = SERVERS
    rounds: int = 5
    deadline_s: float = 120
    followers: int = 1
    runs_at_a_time: int | None = None


@dataclass(frozen=True)
class Measured:
    """The results of one server in one cell in one round."""

    cpu_us: float  # of the server, per token of the provider; likewise the next two
    provider_us: float
    client_us: float
    tokens_per_s: float
    first_ms: float  # first fragment over the provider's time to first token, median
    over_critical: float  # total over the critical path of our schedule, median
    gap_p99_ms: float  # between fragments of one part
    largest: int  # tokens in the largest fragment
    peak_mb: float  # resident
    failed: int  # recipes, which only count for the CPU
    failure: str | None  # message of the first one
    readings: list[Reading]
    calls: list[dict[str, Any]]


def at(rate: float, recipes: int) -> tuple[str, Pace, int]:
    """Returns a cell with parts of 200 tokens and a TTFT of 250 ms."""
    return f"{f'{rate:g}' if rate else 'unlimited'}x{recipes}", Pace(tokens_per_s=rate), recipes


async def measure(
    cell: Cell, server: Process, provider: Process, seed: int | None = None, *, by_runs: bool = False
) -> Measured:
    """Measures one round of `POST /generate`, or of runs. Counts failed recipes and raises `LostTextError`."""
    set_pace(provider, cell.pace)
    gc.collect()
    gc.disable()
    cpu, provider_cpu, client_cpu = server.cpu_s(), provider.cpu_s(), time.process_time()
    started, peak = time.perf_counter(), asyncio.create_task(_peak_mb(server))
    runs = partial(read_runs, followers=cell.followers, at_a_time=cell.runs_at_a_time)
    read, parser = (runs, RunParser) if by_runs else (read_recipes, Parser)
    readers = await read(server.port, cell.recipes, cell.deadline_s, seed)
    wall = time.perf_counter() - started
    spent = {"client_us": time.process_time() - client_cpu, "provider_us": provider.cpu_s() - provider_cpu}
    peak.cancel()
    calls = await _calls_ended(provider)
    spent["cpu_us"] = server.cpu_s() - cpu
    gc.enable()
    readings = [parse(reader, cell.pace.lengths, parser) for reader in readers]
    return _figures(cell, readings, wall, spent, peak_mb=await peak, calls=calls)


def _figures(cell: Cell, readings: list[Reading], wall: float, spent: dict[str, float], **rest: Any) -> Measured:
    whole = [reading for reading in readings if not reading.failure]
    tokens = sum(cell.pace.lengths.values()) * len(whole) or float("nan")
    gaps = sorted(gap for reading in whole for gap in reading.gaps_s())
    return Measured(
        **{who: seconds / tokens * 1e6 for who, seconds in spent.items()},
        tokens_per_s=tokens / wall,
        first_ms=_median((reading.first_s - cell.pace.ttft_s) * 1e3 for reading in whole),
        over_critical=_median(_over_critical(reading, cell.pace) for reading in whole),
        gap_p99_ms=gaps[len(gaps) * 99 // 100] * 1e3 if gaps else float("nan"),
        largest=max((reading.largest() for reading in whole), default=0),
        failed=len(readings) - len(whole),
        failure=next((reading.failure for reading in readings if reading.failure), None),
        readings=whole,
        **rest,
    )


def _over_critical(reading: Reading, pace: Pace) -> float:
    critical = end(our_plan(pace, reading.picked))
    return reading.total_s / critical if critical else float("nan")


def _median(figures: Iterable[float]) -> float:
    listed = list(figures)
    return median(listed) if listed else float("nan")


async def _peak_mb(server: Process) -> float:
    """Records the server's peak memory until cancelled."""
    peak = server.rss_mb()
    try:
        while True:
            await asyncio.sleep(0.2)
            peak = max(peak, server.rss_mb())
    except asyncio.CancelledError:
        return peak


async def _calls_ended(provider: Process) -> list[dict[str, Any]]:
    """Returns the calls after all have ended and the server is idle."""
    calls = _calls(provider)
    while any(call["ended"] is None for call in calls):
        await asyncio.sleep(0.02)
        calls = _calls(provider)
    await asyncio.sleep(0.05)
    return calls


def _calls(provider: Process) -> list[dict[str, Any]]:
    return orjson.loads(_fetch(f"{provider.url}/calls"))


def set_pace(provider: Process, pace: Pace) -> None:
    _fetch(f"{provider.url}/pace", orjson.dumps(asdict(pace)))


def _fetch(url: str, body: bytes | None = None) -> bytes:
    with urllib.request.urlopen(url, body, timeout=10) as answer:  # noqa: S310  loopback
        return answer.read()

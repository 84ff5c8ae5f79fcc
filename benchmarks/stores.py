"""`python -m benchmarks.stores`: what the stores cost, and what they delay. Writes STORES.md.

The same server with each store, interleaved: in memory, in an SQLite file, in Redis as one process, as a web node with
a worker, and as a web node with two workers.
"""

import argparse
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import uvloop
from typing_extensions import override

from benchmarks.cells import Cell, Measured, at, measure
from benchmarks.figures import of, ratio, spread
from benchmarks.matrix import Results, gathered, warm_up
from benchmarks.processes import Process, our_settings, running
from benchmarks.provider import Pace
from benchmarks.report import machine, table
from benchmarks.timeline import Timeline
from tests.redis_servers import RedisServer, binary

REPORT = Path(__file__).parent / "STORES.md"
STORES = ("memory", "SQLite", "Redis, one process", "Redis, web + worker", "Redis, web + 2 workers")
CELLS = [
    Cell(*at(rate, recipes), STORES, rounds=4) for rate, recipes in ((80, 1), (80, 8), (80, 32), (500, 8), (500, 32))
]
FOLLOWED = [
    Cell(f"{runs} runs, {each} each", Pace(tokens_per_s=80), runs, STORES, followers=each)
    for runs, each in ((8, 40), (32, 10))
]
FOLLOWED_ROUNDS = 2
CARRIED = Cell("carried", Pace(ttft_s=0, burst=16), 288, STORES, rounds=4, runs_at_a_time=16)
TEXT = """# What the stores cost

Written by `python -m benchmarks.stores`, as [RESULTS.md](RESULTS.md) is: a run is six calls of 200 tokens, read by
its events; a cell is named *tokens/s per call* x *concurrent recipes*, and every text was compared with what the
provider sent. The CPU is that of all Sizzle's processes together, over the memory store's in the same round: median
of the rounds, minimum and maximum in parentheses. Client, provider and Redis share the machine's two cores with
them.

## CPU over the memory store

{cpu}
## CPU of Redis itself, µs per token

{redis}
## Age of fragments at the reader, p50 / p99 in ms

{ages}
## Age of fragments for 320 followers of one web process, p50 / p99 in ms

Runs at 80 tokens/s per call. The client that reads 320 connections takes part of the two cores.

{followed}
## Tokens per second at unlimited pace, 16 recipes at a time

288 recipes, of which one begins when another one ends. The provider writes 16 tokens at a time, so that it leaves the
two cores to the program; a server that lags reads more at once, and then a token costs less. The rate includes the
client, the provider and Redis, whose CPU per token is in the last two columns. With these elsewhere, *n* cores carry
*n* million over the CPU of a token, if no process needs more than one core.

{carried}
{machine}
"""


@dataclass(frozen=True)
class Group(Process):
    """A web node and the workers that write its runs, measured together."""

    workers: tuple[Process, ...] = ()
    redis: Process | None = None

    @override
    def cpu_s(self) -> float:
        return super().cpu_s() + sum(worker.cpu_s() for worker in self.workers)

    @override
    def rss_mb(self) -> float:
        return super().rss_mb() + sum(worker.rss_mb() for worker in self.workers)


@contextmanager
def servers(base_url: str) -> Iterator[dict[str, Process]]:
    """Runs the server with each store within the block."""
    program = binary("redis")
    if not program:
        raise SystemExit("The benchmark of stores needs Debian's package redis-server.")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(RedisServer(program, folder))
        redis = Process("redis", _pid(server.process), server.port, folder / "log")

        def run(name: str, store: str, *arguments: str) -> Process:
            settings = our_settings(base_url) | {"SIZZLE_STORE": store}
            return stack.enter_context(running(name, ["-m", "app", *arguments, "--port", "0"], settings))

        def group(name: str, workers: int) -> Process:
            url = server.url
            web = run(name, url, "serve", "--no-worker" if workers else "--worker")
            written_by = tuple(run(f"{name} {number}", url, "worker") for number in range(workers))
            return Group(name, web.pid, web.port, web.log, written_by, redis)

        memory, sqlite, one, split, two = STORES
        yield {
            memory: run(memory, "memory://", "serve"),
            sqlite: run(sqlite, f"sqlite:///{folder}/runs.db", "serve"),
            one: group(one, 0),
            split: group(split, 1),
            two: group(two, 2),
        }


def _pid(process: "subprocess.Popen[bytes] | None") -> int:
    assert process  # noqa: S101  it runs
    return process.pid


@dataclass(frozen=True)
class Round:
    """One round of one cell with one store."""

    measured: Measured
    redis_us: float  # CPU of Redis per token of the provider
    ages_ms: list[float]


async def measure_round(cell: Cell, server: Process, provider: Process) -> Round:
    redis = server.redis if isinstance(server, Group) else None
    before = redis.cpu_s() if redis else 0
    measured = await measure(cell, server, provider, by_runs=True)  # those of POST /generate are never stored
    if measured.failure:
        raise RuntimeError(f"{server.name}, {cell.name}: {measured.failure}\n{server.last_words()}")
    tokens = sum(cell.pace.lengths.values()) * cell.recipes
    redis_us = (redis.cpu_s() - before) / tokens * 1e6 if redis else 0.0
    return Round(replace(measured, readings=[], calls=[]), redis_us, _ages_ms(cell, measured))


def _ages_ms(cell: Cell, measured: Measured) -> list[float]:
    """The age of each fragment on arrival, since its first token was due at the provider."""
    ages: list[float] = []
    for reading in measured.readings:
        calls = [call for call in measured.calls if call["recipe"] == reading.number]
        ages += Timeline(cell.pace, reading, calls).ages_s()
    return [age * 1e3 for age in ages]


async def measure_all(rounds: int) -> str:
    rows: list[tuple[int, Cell, str, Round]] = []
    with running("provider", ["-m", "benchmarks.provider"]) as provider, servers(f"{provider.url}/v1") as by_store:
        await warm_up(by_store, provider)
        for turn in range(rounds):
            followed = FOLLOWED if turn < FOLLOWED_ROUNDS else []
            for cell in (*CELLS, *followed, CARRIED):
                first = turn % len(STORES)
                for name in STORES[first:] + STORES[:first]:
                    rows.append((turn, cell, name, await measure_round(cell, by_store[name], provider)))
                    show(rows[-1])
    return report(rows)


def show(row: tuple[int, Cell, str, Round]) -> None:
    turn, cell, name, one = row
    middle, most = _percentiles(one.ages_ms)
    print(  # noqa: T201
        f"{turn + 1}  {cell.name:10} {name:24} {one.measured.cpu_us:7.1f} µs/token  "
        f"{one.measured.tokens_per_s:7.0f} tokens/s  age {middle:6.1f} / {most:6.1f} ms"
        f"  Redis {one.redis_us:5.1f} µs/token",
        flush=True,
    )


def report(rows: Sequence[tuple[int, Cell, str, Round]]) -> str:
    results = gathered([(turn, cell, name, one.measured) for turn, cell, name, one in rows])
    rounds: dict[tuple[str, str], list[Round]] = {}
    for _, cell, name, one in rows:
        rounds.setdefault((cell.name, name), []).append(one)
    names, shared = [cell.name for cell in CELLS], STORES[2:]
    rates = results[CARRIED.name]
    return TEXT.format(
        cpu=table(["cell", *STORES[1:]], ([cell, *_over_memory(results, cell)] for cell in names)),
        redis=table(["cell", *shared], ([cell, *(_redis(rounds[cell, name]) for name in shared)] for cell in names)),
        ages=_age_table(names, rounds),
        followed=_age_table([cell.name for cell in FOLLOWED], rounds),
        carried=table(
            ["store", "tokens/s", "over memory", f"over {STORES[2]}", "CPU, µs per token", "Redis", "client, provider"],
            ([*_carried(rates, name), _redis(rounds[CARRIED.name, name]), _tools(rates[name])] for name in STORES),
        ),
        machine=machine(),
    )


def _age_table(cells: Sequence[str], rounds: Mapping[tuple[str, str], Sequence[Round]]) -> str:
    return table(["cell", *STORES], ([cell, *(_ages(rounds[cell, name]) for name in STORES)] for cell in cells))


def _over_memory(results: Results, cell: str) -> list[str]:
    return [spread(ratio(results[cell][name], results[cell]["memory"], "cpu_us")).text() for name in STORES[1:]]


def _carried(rates: Mapping[str, Sequence[Measured]], name: str) -> list[str]:
    over = [spread(ratio(rates[name], rates[base], "tokens_per_s")).text() for base in (STORES[0], STORES[2])]
    return [name, of(rates[name], "tokens_per_s").text(0), *over, of(rates[name], "cpu_us").text(1)]


def _tools(rounds: Sequence[Measured]) -> str:
    return spread(one.client_us + one.provider_us for one in rounds).text(1)


def _redis(rounds: Sequence[Round]) -> str:
    return spread(one.redis_us for one in rounds).text(1)


def _ages(rounds: Sequence[Round]) -> str:
    middle, most = _percentiles([age for one in rounds for age in one.ages_ms])
    return f"{middle:.1f} / {most:.1f}"


def _percentiles(ages_ms: list[float]) -> tuple[float, float]:
    ordered = sorted(ages_ms)
    return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stores", description=__doc__)
    parser.add_argument("--rounds", type=int, help="writes no file")
    rounds = parser.parse_args().rounds
    text = uvloop.run(measure_all(rounds or CELLS[0].rounds))
    if rounds:
        print(text)  # noqa: T201
    else:
        REPORT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

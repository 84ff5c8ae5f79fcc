"""`python -m benchmarks.soak`: 100 concurrent runs for five minutes, whose readers disconnect and resume.

The provider aborts some of its calls and rejects others; readers disconnect and resume; some cancel their runs.
Runs expire within seconds, so memory has to stay flat. It fails if anything was lost, repeated, cut short or left
over. Without options it writes SOAK.md and its plot.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import mean, median

import psutil
import uvloop

from benchmarks.cooks import Cook, Tally, ask
from benchmarks.processes import Process, our_settings, running
from benchmarks.provider import Pace
from benchmarks.tokens import REALISTIC

HERE = Path(__file__).parent
SECONDS, RUNS = 300, 100
PACE = Pace(ttft_s=0.25, tokens_per_s=15, lengths=REALISTIC)  # a recipe takes about 40 s, 100 half a core
KEEP_S = 5
SAMPLE_S = 2
WARM_UP = 0.2  # of the time; memory may grow
GROWTH = 1.05  # allowed ratio of the second half's memory to the first's
SETTLE_S = 150  # until everything is closed: connections to providers are kept for 60 s and checked every 60 s


REPORT = """# A soak

Written by `python -m benchmarks.soak`: {seconds:.0f} seconds with {runs} concurrent runs, at {pace:g} tokens/s
per call. 4 % of the provider's calls are aborted half-way and 4 % rejected; readers are disconnected after 2 to 60
kB and resume; 10 % of the runs are cancelled, 10 % have two readers; finished runs are kept for {keep_s} s. The texts
of all parts were compared with what the provider sent and with the final state on the server.

| what | found | as expected |
| --- | --- | --- |
{rows}

![Memory, tasks and sockets over time](soak.png)
"""


@dataclass(frozen=True)
class Sample:
    """The server at a time in seconds from the start, with sockets of its clients and to the provider.

    `health_ms` is what it took to answer `GET /healthz`: how late everything is, the load in this process included.
    """

    at_s: float
    rss_mb: float
    clients: int
    upstream: int
    tasks: int
    health_ms: float
    cpu_s: float


@dataclass(frozen=True)
class Finding:
    """A result, and whether it is as expected."""

    what: str
    found: str
    is_fine: bool


class Watch:
    """Takes samples of the server, which writes its tasks on a signal."""

    def __init__(self, server: Process, file: Path) -> None:
        self._server, self._file, self._process = server, file, psutil.Process(server.pid)
        self._began = time.monotonic()
        self.samples: list[Sample] = []

    async def sample(self) -> Sample:
        tasks = await self.tasks()
        sockets = [socket for socket in self._process.net_connections("tcp") if socket.raddr]
        clients = sum(socket.laddr.port == self._server.port for socket in sockets)
        at_s, rss_mb = time.monotonic() - self._began, self._server.rss_mb()
        upstream, count, health_ms = len(sockets) - clients, sum(tasks.values()), await self._health_ms()
        self.samples.append(Sample(at_s, rss_mb, clients, upstream, count, health_ms, self._server.cpu_s()))
        return self.samples[-1]

    async def _health_ms(self) -> float:
        began = time.perf_counter()
        await ask(self._server.port, "GET", "/healthz")
        return (time.perf_counter() - began) * 1000

    async def tasks(self) -> dict[str, int]:
        self._file.unlink(missing_ok=True)
        os.kill(self._server.pid, signal.SIGUSR1)
        async with asyncio.timeout(20):
            while not self._file.exists():  # noqa: ASYNC110  another process writes it
                await asyncio.sleep(0.02)
        return json.loads(self._file.read_text())

    async def until(self, moment: float) -> AsyncIterator[Sample]:
        while time.monotonic() < moment:
            yield await self.sample()
            await asyncio.sleep(SAMPLE_S)


@contextmanager
def sizzle(base_url: str) -> Iterator[tuple[Process, Path]]:
    """Runs the server. Yields it and the file with its tasks."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "tasks")
        arguments = ["-m", "benchmarks.watched", str(file), "serve", "--port", "0"]
        settings = our_settings(base_url) | {"SIZZLE_KEEP_RUNS_S": str(KEEP_S)}
        with running("ours", arguments, settings) as server:
            yield server, file


async def soak(seconds: float, runs: int) -> tuple[Tally, list[Sample], dict[str, int], Sample]:
    """The tally, the samples until the last run's end, the tasks before all and the sample when all was gone."""
    with running("provider", ["-m", "benchmarks.flaky"]) as provider, sizzle(f"{provider.url}/v1") as (server, file):
        await ask(provider.port, "POST", "/pace", asdict(PACE))
        tally, chance, watch = Tally(), Random(1), Watch(server, file)  # noqa: S311
        idle = await watch.tasks()
        ends = time.monotonic() + seconds
        cooks = [Cook(server.port, Random(chance.random()), tally, KEEP_S) for _ in range(runs)]  # noqa: S311
        cooking = asyncio.gather(*(cook.cook_until(ends) for cook in cooks))
        while not cooking.done():
            show(await watch.sample(), tally)
            await asyncio.wait([cooking], timeout=SAMPLE_S)
        await cooking
        busy = list(watch.samples)
        return tally, busy, idle, await settled(watch, sum(idle.values()))


async def settled(watch: Watch, tasks: int) -> Sample:
    """Returns a sample once all sockets are closed and the tasks are as before, or after a timeout."""
    async for sample in watch.until(time.monotonic() + SETTLE_S):
        if sample.clients + sample.upstream == 0 and sample.tasks <= tasks:
            return sample
    return await watch.sample()


def findings(tally: Tally, busy: Sequence[Sample], idle: dict[str, int], last: Sample) -> list[Finding]:
    first, second = halves(busy)
    late = [sample.health_ms for sample in busy]
    deleted = sorted(tally.delete_ms) or [0.0]
    tasks, sockets = sum(idle.values()), last.clients + last.upstream
    return [
        Finding("runs", f"{tally.runs.total():,}: {counts_text(tally.runs)}", tally.runs.total() > 0),
        Finding("parts", f"{tally.parts.total():,}: {counts_text(tally.parts)}", tally.parts["ok"] > 0),
        Finding("retries", f"{tally.attempts:,}", tally.attempts > 0),
        Finding("connections aborted and resumed", f"{tally.cuts:,}", tally.cuts > 0),
        Finding("events read", f"{tally.events:,}", True),
        Finding("events lost", str(tally.lost), tally.lost == 0),
        Finding("events repeated", str(tally.doubled), tally.doubled == 0),
        Finding("runs with other problems", str(len(tally.wrong)), not tally.wrong),
        Finding("expired runs that answered 410", f"{tally.expired:,}", tally.expired > 0),
        Finding(
            "DELETE to 204, median and maximum",
            f"{median(deleted):.0f} and {deleted[-1]:.0f} ms",
            median(deleted) < 500,
        ),
        Finding("GET /healthz, median and maximum", f"{median(late):.0f} and {max(late):.0f} ms", True),
        Finding("CPU of the server", f"{cpu(busy):.0%} of a core", True),
        Finding("MB resident, first and second half", f"{first:.0f} and {second:.0f}", second <= first * GROWTH),
        Finding("maximum of tasks and client sockets", f"{peak(busy, 'tasks')} and {peak(busy, 'clients')}", True),
        Finding("tasks before and after", f"{tasks} and {last.tasks}", last.tasks <= tasks),
        Finding("open sockets at the end", f"{last.clients} of clients, {last.upstream} upstream", sockets == 0),
    ]


def halves(busy: Sequence[Sample]) -> tuple[float, float]:
    """Returns the mean memory in MB, in the first half after the warm-up and in the second."""
    end = busy[-1].at_s
    first = [sample.rss_mb for sample in busy if end * WARM_UP <= sample.at_s < end / 2]
    return mean(first), mean(sample.rss_mb for sample in busy if sample.at_s >= end / 2)


def cpu(busy: Sequence[Sample]) -> float:
    return (busy[-1].cpu_s - busy[0].cpu_s) / (busy[-1].at_s - busy[0].at_s)


def peak(samples: Sequence[Sample], name: str) -> int:
    return max(getattr(sample, name) for sample in samples)


def counts_text(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def report(found: Sequence[Finding], seconds: float, runs: int) -> str:
    rows = "\n".join(f"| {one.what} | {one.found} | {'yes' if one.is_fine else '**no**'} |" for one in found)
    return REPORT.format(seconds=seconds, runs=runs, pace=PACE.tokens_per_s, keep_s=KEEP_S, rows=rows)


def draw(samples: Sequence[Sample], file: Path) -> None:
    from benchmarks.plots import pyplot

    figure, panels = pyplot.subplots(2, sharex=True, figsize=(8, 4), layout="constrained")
    at = [sample.at_s for sample in samples]
    panels[0].plot(at, [sample.rss_mb for sample in samples], color="#d9480f")
    panels[0].set_ylabel("MB resident")
    panels[0].set_ylim(bottom=0)
    for name, colour in (("tasks", "#868e96"), ("upstream", "#6f9bd1"), ("clients", "#2b8a3e")):
        panels[1].plot(at, [getattr(sample, name) for sample in samples], color=colour, label=name)
    panels[1].legend(frameon=False, fontsize=8)
    panels[1].set_xlabel("seconds")
    figure.savefig(file, dpi=110)


def show(sample: Sample, tally: Tally) -> None:
    print(  # noqa: T201
        f"{sample.at_s:5.0f} s  {sample.rss_mb:5.0f} MB  {sample.clients:4} clients  {sample.upstream:4} upstream  "
        f"{sample.tasks:5} tasks  {tally.runs.total():5} runs  {tally.cuts:6} cuts  {len(tally.wrong)} wrong  "
        f"{sample.health_ms:5.0f} ms",
        flush=True,
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for how long runs are started")
    parser.add_argument("--runs", type=int, default=RUNS, help="at a time")
    return parser.parse_args()


def main(seconds: float, runs: int) -> int:
    tally, busy, idle, last = uvloop.run(soak(seconds, runs))
    found = findings(tally, busy, idle, last)
    text = report(found, seconds, runs)
    print(text, *tally.wrong[:20], sep="\n")  # noqa: T201
    if (seconds, runs) == (SECONDS, RUNS):
        (HERE / "SOAK.md").write_text(text, encoding="utf-8")
        draw(busy, HERE / "soak.png")
    return 0 if all(one.is_fine for one in found) else 1


if __name__ == "__main__":
    options = arguments()
    sys.exit(main(options.seconds, options.runs))

"""What is done to the processes while runs go on, one phase after another."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import orjson

from app.stores.redis.log import RedisEventLog
from app.stores.redis.scripts import GROUP
from benchmarks.chaos.nodes import Node
from benchmarks.chaos.readers import LENGTH, Read, Run
from benchmarks.cooks import ask
from benchmarks.processes import ROOT, Process, our_settings
from benchmarks.provider import Pace
from benchmarks.tokens import REALISTIC
from tests.redis_servers import RedisServer

LEASE_S = 2
EVERY_S = 0.4  # a run begins
PACE = Pace(tokens_per_s=80, lengths=dict.fromkeys(REALISTIC, LENGTH))
WEB_NODES, WORKERS = 2, 4


@dataclass
class Phase:
    """A phase, how often its fault happened, and its runs. `deaths` have the time, and the runs that the worker had."""

    name: str
    faults: int = 0
    deaths: list[tuple[float, Collection[str]]] = field(default_factory=list[tuple[float, Collection[str]]])
    runs: list[Run] = field(default_factory=list[Run])
    figures: dict[str, str] = field(default_factory=dict[str, str])

    def silences(self, epochs: Mapping[str, Sequence[str]]) -> list[tuple[int, float]]:
        """Seconds without an event, of readers who stayed connected, until another process went on.

        Each comes after the number of processes that took the run over meanwhile; all but the last one died, too,
        possibly before they began an epoch. `epochs` are those of each run.
        """
        return sorted(
            (
                max(
                    epochs[run.run_id].index(after.epoch) - epochs[run.run_id].index(before.epoch),
                    sum(before.at < at < after.at and run.run_id in leased for at, leased in self.deaths),
                ),
                after.at - before.at,
            )
            for run in self.runs
            for before, after in pairwise(run.events)
            if before.epoch != after.epoch and before.connection == after.connection
        )

    def longest_wait_after(self, outages: Sequence[tuple[float, float]]) -> float:
        """Seconds from the end of an outage to the next event of a reader, at most."""
        return max(
            after.at - end
            for run in self.runs
            for before, after in pairwise(run.events)
            for began, end in outages
            if before.at < end and began < after.at
        )

    def repeated_parts(self) -> int:
        return sum(is_repeated(event) for run in self.runs for event in run.events)


def is_repeated(event: Read) -> bool:
    return event.name == "part_start" and event.fields["attempt"] > 1


@dataclass
class Stage:
    """The provider, the folder of the logs, and the seeded chance."""

    provider: Process
    folder: Path
    chance: Random
    serial: int = 0

    async def node(self, *arguments: str, port: int = 0, tree: Path = ROOT) -> Node:
        self.serial += 1
        settings = our_settings(f"{self.provider.url}/v1")
        settings |= {"SIZZLE_LEASE_S": str(LEASE_S), "SIZZLE_DRAIN_S": "0", "SIZZLE_MAX_RUNS": "5000"}
        node = Node(self.folder, f"{arguments[0]}-{self.serial}", arguments, settings, port, tree)
        return await node.ready()

    @asynccontextmanager
    async def load(self, phase: Phase, ports: Callable[[], Sequence[int]]) -> AsyncIterator[None]:
        """Begins a run every `EVERY_S` seconds within the block, and waits for all of them."""
        tasks: list[asyncio.Task[None]] = []

        async def begin() -> None:
            while True:
                phase.runs.append(run := Run(ports, Random(self.chance.random())))  # noqa: S311
                tasks.append(asyncio.create_task(run.live()))
                await asyncio.sleep(EVERY_S)

        beginning = asyncio.create_task(begin())
        try:
            await asyncio.sleep(1)
            yield
        finally:
            beginning.cancel()
            await asyncio.gather(*tasks)


async def embedded_kills(stage: Stage, kills: int) -> Phase:
    """Kills the only process, which keeps its runs in an SQLite file, and starts it again."""
    phase = Phase("embedded server killed, SQLite")
    arguments = ("serve", "--store", f"sqlite:///{stage.folder}/runs.db")
    node = await stage.node(*arguments)
    async with stage.load(phase, lambda: [node.port]):
        for _ in range(kills):
            await asyncio.sleep(stage.chance.uniform(0.8, 1.8))
            node.kill()
            await node.gone()
            node = await stage.node(*arguments, port=node.port)
            phase.faults += 1
    node.terminate()
    await node.gone()
    return phase


class Cluster:
    """Web nodes and workers on one Redis. New ones are of the release in `tree`."""

    def __init__(self, stage: Stage, redis: RedisServer, tree: Path = ROOT) -> None:
        self.stage, self.redis, self.url, self.tree = stage, redis, redis.url, tree
        self.web: list[Node] = []
        self.workers: list[Node] = []

    async def __aenter__(self) -> "Cluster":
        await asyncio.gather(*(self.add_web() for _ in range(WEB_NODES)), *(self.add_worker() for _ in range(WORKERS)))
        return self

    async def __aexit__(self, *_: object) -> None:
        nodes = [*self.web, *self.workers]
        for node in nodes:
            node.kill()
        await asyncio.gather(*(node.gone() for node in nodes))

    async def add_web(self) -> None:
        self.web.append(await self.stage.node("serve", "--no-worker", "--store", self.url, tree=self.tree))

    async def add_worker(self) -> None:
        self.workers.append(await self.stage.node("worker", "--store", self.url, tree=self.tree))

    def ports(self) -> list[int]:
        return [node.port for node in self.web]

    async def epochs(self, runs: Sequence[Run]) -> Mapping[str, Sequence[str]]:
        """Returns the epochs of each run, one for each process that took it over."""
        async with aclosing(RedisEventLog(self.url, {})) as log:
            return {run.run_id: (await log.meta(run.run_id)).epochs for run in runs}

    async def leased(self, worker: Node) -> Collection[str]:
        """Returns the runs that the worker has leased."""
        async with aclosing(RedisEventLog(self.url, {})) as log:
            queue = f"{log.address.prefix}:queue"
            pending: Any = await log.redis.xpending_range(queue, GROUP, "-", "+", 1000)
            leased = [each["message_id"] for each in pending if f"-{worker.pid}-" in each["consumer"].decode()]
            jobs: Any = await log.redis.xrange(queue)
            return [fields[b"run"].decode() for job, fields in jobs if job in leased]

    def take_worker(self) -> Node:
        return self.workers.pop(self.stage.chance.randrange(len(self.workers)))


async def worker_kills(cluster: Cluster, kills: int) -> Phase:
    """Kills workers, and starts another in the place of each."""
    return await _replaced_workers(cluster, kills, Phase("worker killed"), Node.kill)


async def hand_overs(cluster: Cluster, stops: int) -> Phase:
    """Ends workers with SIGTERM, which hand their runs over."""
    return await _replaced_workers(cluster, stops, Phase("worker ended by SIGTERM"), Node.terminate)


async def _replaced_workers(cluster: Cluster, count: int, phase: Phase, end: Callable[[Node], None]) -> Phase:
    async with cluster.stage.load(phase, cluster.ports):
        for _ in range(count):
            await asyncio.sleep(cluster.stage.chance.uniform(0.6, 1.4))
            worker = cluster.take_worker()
            end(worker)
            await worker.gone()
            phase.deaths.append((time.monotonic(), await cluster.leased(worker)))
            await cluster.add_worker()
            phase.faults += 1
    phase.figures |= _takeover(phase, await cluster.epochs(phase.runs))
    return phase


async def rolling_restart(cluster: Cluster, tree: Path) -> Phase:
    """Replaces each node by one of the release in `tree`, one at a time."""
    phase = Phase(f"each node replaced by one of {'this release' if tree == ROOT else tree.name}")
    cluster.tree = tree
    async with cluster.stage.load(phase, cluster.ports):
        for _ in range(WORKERS):
            await cluster.add_worker()
            await _end(cluster.workers.pop(0))
            phase.faults += 1
        for _ in range(WEB_NODES):
            await cluster.add_web()
            await _end(cluster.web.pop(0))
            phase.faults += 1
    phase.figures |= _takeover(phase, await cluster.epochs(phase.runs))
    return phase


async def _end(node: Node) -> None:
    node.terminate()
    await node.gone()


async def stopped_writers(cluster: Cluster, stops: int) -> Phase:
    """Stops a worker beyond its lease, wakes it, and kills another, which may be its heir."""
    phase = Phase("worker stopped beyond its lease, woken, then an heir killed")
    async with cluster.stage.load(phase, cluster.ports):
        for _ in range(stops):
            stopped = cluster.take_worker()
            stopped.pause()
            await asyncio.sleep(LEASE_S + cluster.stage.chance.uniform(0.4, 0.9))
            stopped.resume()
            await asyncio.sleep(0.1)
            heir = cluster.take_worker()
            heir.kill()
            await heir.gone()
            cluster.workers.append(stopped)
            await cluster.add_worker()
            phase.faults += 1
    return phase


async def web_kills(cluster: Cluster, kills: int) -> Phase:
    """Kills web nodes with their readers."""
    phase = Phase("web node killed with its readers")
    async with cluster.stage.load(phase, cluster.ports):
        for _ in range(kills):
            await asyncio.sleep(cluster.stage.chance.uniform(0.6, 1.4))
            node = cluster.web.pop(0)
            node.kill()
            await node.gone()
            await cluster.add_web()
            phase.faults += 1
    return phase


async def redis_kills(cluster: Cluster, kills: int) -> Phase:
    """Kills Redis and starts it again on its append-only file."""
    phase, outages = Phase("Redis killed"), list[tuple[float, float]]()
    async with cluster.stage.load(phase, cluster.ports):
        for _ in range(kills):
            await asyncio.sleep(cluster.stage.chance.uniform(1.5, 2.5))
            outages.append(await _redis_outage(cluster, 0.5))
            phase.faults += 1
    phase.figures |= _silence(phase, outages)
    return phase


async def long_outage(cluster: Cluster, seconds: float) -> Phase:
    """Kills Redis for so long, while runs go on and a web node and a worker start."""
    phase = Phase(f"Redis away for {seconds:g} s, also for nodes that start")
    async with cluster.stage.load(phase, cluster.ports):
        outage = asyncio.create_task(_redis_outage(cluster, seconds))
        await asyncio.sleep(seconds / 10)
        await asyncio.gather(cluster.add_web(), cluster.add_worker())
        phase.figures |= _silence(phase, [await outage])
        phase.faults += 1
    return phase


async def _redis_outage(cluster: Cluster, seconds: float) -> tuple[float, float]:
    """Returns when it began and when it was over.

    It begins between two fsyncs: what the server acknowledges during one is lost with it, see docs/operations.md.
    """
    async with aclosing(RedisEventLog(cluster.url, {})) as log:
        while (await log.redis.info("persistence"))["aof_pending_bio_fsync"]:
            await asyncio.sleep(0.001)
        began = time.monotonic()
        cluster.redis.kill()
    await asyncio.sleep(seconds)
    await asyncio.to_thread(cluster.redis.start)
    return began, time.monotonic()


def _silence(phase: Phase, outages: Sequence[tuple[float, float]]) -> dict[str, str]:
    return {
        "longest outage": f"{max(end - began for began, end in outages):.2f} s",
        "longest silence after the end of an outage": f"{phase.longest_wait_after(outages):.2f} s",
        "parts begun again": str(phase.repeated_parts()),
    }


async def cancels(cluster: Cluster, count: int) -> Phase:
    """Cancels one run at a time, through another node than that which is read."""
    phase = Phase("run cancelled through another node")
    end_ms, closed_ms = list[float](), list[float]()
    reading, other = cluster.ports()[:2]
    for _ in range(count):
        run = Run(lambda: [reading], Random(cluster.stage.chance.random()))  # noqa: S311
        phase.runs.append(run)
        await run.start()
        following = asyncio.create_task(run.read())
        while not any(event.name == "fragment" for event in run.events):
            await asyncio.sleep(0.005)
        run.ports = lambda: [other]
        await run.cancel()
        await following
        await run.judge()
        began = run.cancelled_at or 0
        end_ms.append((run.events[-1].at - began) * 1000)
        closed_ms.append((await _closed_at(cluster.stage.provider, began) - began) * 1000)
        phase.faults += 1
    phase.figures |= {"from DELETE to the end event": _median(end_ms), "to the last closed call": _median(closed_ms)}
    return phase


async def _closed_at(provider: Process, began: float) -> float:
    """Returns when the last call that was open at `began` was closed, by the clock of this machine."""
    while True:
        calls = orjson.loads((await ask(provider.port, "GET", "/calls")).body)
        if all(call["ended"] for call in calls):
            return max((call["ended"] for call in calls if call["ended"] > began), default=began)
        await asyncio.sleep(0.005)


def _median(values_ms: list[float]) -> str:
    ordered = sorted(values_ms)
    return f"p50 {ordered[len(ordered) // 2]:.0f} ms, max {ordered[-1]:.0f} ms"


def _takeover(phase: Phase, epochs: Mapping[str, Sequence[str]]) -> dict[str, str]:
    silences = phase.silences(epochs)
    once = [seconds for takes, seconds in silences if takes == 1]
    more = [seconds for takes, seconds in silences if takes > 1]
    figures = dict[str, str]()
    if once:
        figures["silence until another worker went on"] = (
            f"p50 {once[len(once) // 2]:.2f} s, max {once[-1]:.2f} s, of {len(once)}"
        )
    if more:
        figures["silence if that worker was killed, too"] = f"max {max(more):.2f} s, of {len(more)}"
    return figures

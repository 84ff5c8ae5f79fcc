"""A Redis server that restarts without the last events that it has acknowledged, and those who have read them."""

import asyncio
import shutil
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, closing
from math import inf
from pathlib import Path

import pytest
from redis import Redis

from app.stores import EventId, LogEntry, RunEvent, RunStart
from app.stores.redis.log import RedisEventLog
from tests.nodes import REQUESTS, Node, Pace, served_at
from tests.redis_servers import Proxy, RedisServer, binary
from tests.servers import run
from tests.stores.logs import END, events_in, fragments, rest

START = RunStart("run", "lecture", REQUESTS["lecture"].model_validate({"topic": "tea"}), ("talk",))


@asynccontextmanager
async def losing(server: RedisServer) -> AsyncGenerator[None]:
    """Kills the server after the block, and starts it again without what was written there."""
    files, earlier = server.folder / "appendonlydir", server.folder / "earlier"
    shutil.copytree(files, earlier)
    yield
    await asyncio.to_thread(server.kill)
    shutil.rmtree(files)
    shutil.move(earlier, files)
    await asyncio.to_thread(server.start)


async def write(log: RedisEventLog, *events: RunEvent) -> None:
    """Returns when the server has acknowledged the events."""
    for event in events:
        await log.append("run", event)
    await log.read("run")


@pytest.mark.parametrize("count", [1, 8])
def test_what_follows_a_loss_is_never_taken_for_the_rest(tmp_path: Path, count: int) -> None:
    """Other events are written before the process of a reader learns that the server was away."""
    seen = list[LogEntry]()

    async def read(log: RedisEventLog, last: EventId | None = None) -> None:
        async for batch in log.follow("run", last):
            seen.extend(batch)

    async def scenario(server: RedisServer, node: Node, url: str) -> list[LogEntry]:
        async with aclosing(RedisEventLog(url, REQUESTS)) as log:
            await log.begin("run", START)
            await write(log, *fragments(1))
            async with losing(server):
                reading = node.start(read(node.log))
                await write(log, *fragments(3, 1))
                while len(seen) < 5:  # noqa: ASYNC110  it is filled by another loop
                    await asyncio.sleep(0.005)
                node.stop()
            await log.take_over("run")
            await write(log, *fragments(count, 100), END)
            node.wake()
            await asyncio.wrap_future(reading)
            return await rest(log, seen[-1].id)

    options = ("--appendonly", "yes", "--appendfsync", "always")
    with (
        RedisServer(binary("redis"), tmp_path, options) as server,
        closing(Node(url := server.url, {}, worker=False)) as node,
    ):
        after = run(scenario(server, node, url))
    assert events_in(seen) == [START, *fragments(4)]
    assert events_in(after) == [*fragments(count, 100), END]


def test_a_reader_that_comes_back_just_before_a_loss_reads_all_that_follows(tmp_path: Path) -> None:
    """Its process has found the run, but has read nothing when the server is killed."""

    async def scenario(server: RedisServer) -> tuple[list[LogEntry], list[LogEntry]]:
        proxy = Proxy(server, url=server.url, late=b"XREAD", late_s=60)
        async with (
            proxy as far,
            aclosing(RedisEventLog(proxy.url, REQUESTS)) as log,
            aclosing(RedisEventLog(far, REQUESTS)) as other,
        ):
            await log.begin("run", START)
            await write(log, *fragments(1))
            async with losing(server):
                await write(log, *fragments(3, 1))
                last = (await log.read("run"))[-1].id
                await log.redis.config_resetstat()
                reading = asyncio.create_task(rest(other, last))
                while "cmdstat_client|id" not in await log.redis.info("commandstats"):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)  # then it is about to read
            proxy.late = b"none"
            await log.take_over("run")
            await write(log, *fragments(8, 100), END)
            return await reading, await rest(log, last)

    options = ("--appendonly", "yes", "--appendfsync", "always")
    with RedisServer(binary("redis"), tmp_path, options) as server:
        seen, after = run(scenario(server))
    assert events_in(seen) == []
    assert events_in(after) == [*fragments(8, 100), END]


def test_workers_go_on_with_a_server_that_has_lost_everything(redis_server: RedisServer) -> None:
    """They take the runs that are begun then."""
    url = redis_server.url
    request = REQUESTS["lecture"].model_validate({"topic": "tea"})

    async def status(node: Node) -> str:
        run_id = await node.runs.start("lecture", request)
        async for _ in node.runs.follow(run_id):
            pass
        return (await node.runs.state(run_id)).status

    with closing(Node(url, served_at(Pace(inf)), worker=True)) as node:
        assert node.call(status(node)) == "ok"
        with Redis.from_url(url.partition("?")[0]) as client:
            for key in client.scan_iter(f"{node.log.address.prefix}:*"):
                client.unlink(key)
        assert node.call(status(node)) == "ok"

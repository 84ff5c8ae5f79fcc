"""The stores of event logs, all of which must pass the contract."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from itertools import count
from typing import Any

import pytest

from app.stores import EventId, EventLog, LogEntry, RunEvent, RunStart
from app.stores.memory import MemoryEventLog
from app.stores.redis.log import RedisEventLog
from app.stores.sqlite import SqliteEventLog
from tests.conftest import StartRedis
from tests.redis_servers import Kind
from tests.stores.logs import REQUESTS
from tests.stores.shared_logs import MakeLogs, shared_logs

MakeLog = Callable[..., EventLog]


class Awaiting(MemoryEventLog):
    """A store whose every call lets other tasks run, like one on a network."""

    async def begin(self, run_id: str, start: RunStart, *, ephemeral: bool = False) -> None:
        await asyncio.sleep(0)
        await super().begin(run_id, start, ephemeral=ephemeral)
        await asyncio.sleep(0)

    async def append(self, run_id: str, event: RunEvent) -> None:
        await asyncio.sleep(0)
        await super().append(run_id, event)
        await asyncio.sleep(0)

    async def reopen(self, run_id: str) -> None:
        await asyncio.sleep(0)
        await super().reopen(run_id)
        await asyncio.sleep(0)

    async def read(self, run_id: str, after: int = 0) -> list[LogEntry]:
        await asyncio.sleep(0)
        return await super().read(run_id, after)

    async def is_complete(self, run_id: str, last: EventId) -> bool:
        await asyncio.sleep(0)
        return await super().is_complete(run_id, last)

    async def follow(self, run_id: str, last: EventId | None = None) -> AsyncGenerator[list[LogEntry]]:
        await asyncio.sleep(0)
        async for events in super().follow(run_id, last):
            await asyncio.sleep(0)
            yield events


@pytest.fixture(scope="session", params=["memory", "awaiting", "sqlite", "redis", "valkey"])
def make_log(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, start_redis: StartRedis
) -> MakeLog:
    """Makes an empty store with these limits: `keep_s`, `max_bytes`, `all_bytes`, `limit`, `expired_limit`."""
    numbers = count()
    folder = tmp_path_factory.mktemp("stores")

    def sqlite(**bounds: Any) -> EventLog:
        return SqliteEventLog(folder / f"{next(numbers)}.db", REQUESTS, **bounds)

    def shared(kind: Kind) -> MakeLog:
        return lambda **bounds: RedisEventLog(start_redis(kind).url, REQUESTS, **bounds)

    makers: dict[str, MakeLog] = {"memory": MemoryEventLog, "awaiting": Awaiting, "sqlite": sqlite}
    return makers.get(request.param) or shared(request.param)


@pytest.fixture(scope="session", params=["redis", "valkey"])
def make_logs(request: pytest.FixtureRequest, start_redis: StartRedis) -> MakeLogs:
    """Makes stores that share an empty database."""
    server = start_redis(request.param)
    return lambda count: shared_logs(server.url, count)

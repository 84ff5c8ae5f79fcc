"""Stores that share a database: each instance stands for a process."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager

from app.stores import (
    EventLog,
    Rewrite,
    RunEnd,
    RunEvent,
)
from app.stores.redis.log import RedisEventLog
from app.stores.redis.queue import Job, RunQueue
from tests.stores.logs import REQUESTS, rest

INTRO = Rewrite(("intro",), 1)

MakeLogs = Callable[[int], AbstractAsyncContextManager[list[RedisEventLog]]]


@asynccontextmanager
async def shared_logs(url: str, count: int) -> AsyncGenerator[list[RedisEventLog]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(aclosing(RedisEventLog(url, REQUESTS))) for _ in range(count)]


@asynccontextmanager
async def queue_of(log: RedisEventLog, worker: str, lease_s: float = 60) -> AsyncGenerator[RunQueue]:
    async with aclosing(RunQueue(log, worker, lease_s)) as queue:
        await queue.open()
        yield queue


async def expired_job(queue: RunQueue) -> Job:
    """The next job whose lease has expired."""
    while not (jobs := await queue.expired_jobs(1)):  # noqa: ASYNC110  only the server's clock knows
        await asyncio.sleep(0.01)
    return jobs[0]


async def status(log: EventLog) -> str:
    """How the run ended."""
    (*_, last) = await rest(log)
    assert isinstance(last.event, RunEnd)
    return last.event.status


async def followed(log: EventLog, run_id: str) -> list[RunEvent]:
    """What a reader of the run receives until its stream ends."""
    return [entry.event async for batch in log.follow(run_id) for entry in batch]

"""The queue of runs that have not ended, with a consumer group: a pending entry is the lease of a worker."""

# pyright: reportUnknownMemberType=false
# (redis-py leaves some keyword arguments untyped)

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any, Literal, NamedTuple

from redis.exceptions import RedisError, ResponseError

from app.stores.redis.connection import subscription
from app.stores.redis.log import RedisEventLog
from app.stores.redis.scripts import GROUP

logger = logging.getLogger(__name__)

VERSION = 1  # of jobs; a newer one is left to a newer worker
BLOCK_MS = 1000

# A claim that now belongs to another worker is left alone. KEYS: the queue. ARGV: worker, ms, jobs
HAND_BACK = f"""#!lua
for at = 3, #ARGV do
  if #redis.call('XPENDING', KEYS[1], '{GROUP}', ARGV[at], ARGV[at], 1, ARGV[1]) == 1 then
    redis.call('XCLAIM', KEYS[1], '{GROUP}', ARGV[1], 0, ARGV[at], 'IDLE', ARGV[2], 'JUSTID')
  end
end"""

Entries = Iterable[tuple[bytes, Mapping[bytes, bytes] | None]]


class Job(NamedTuple):
    """A run to write, and its entry in the queue."""

    id: str
    run_id: str


class Hint(NamedTuple):
    """What somebody did with a run. A worker that misses it learns it when it renews its leases."""

    kind: Literal["stop", "rewrite"]
    run_id: str


class RunQueue:
    """The jobs of one worker, whose name is unique."""

    def __init__(self, log: RedisEventLog, worker: str, lease_s: float) -> None:
        self._redis, self._blocking = log.redis, log.address.blocking_client()
        self._scripts, self._clock = log.scripts, log.clock
        self._queue, self._hints = f"{log.address.prefix}:queue", f"{log.address.prefix}:hints"
        self._worker, self._lease_ms = worker, round(lease_s * 1000)
        self._hand_back = log.redis.register_script(HAND_BACK)
        self._cursor: bytes | str = "0-0"  # of the expired jobs
        self._connection_id: int | None = None
        self._unblocking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Creates the queue if there is none."""
        with suppress(ResponseError):  # there is one
            await self._redis.xgroup_create(self._queue, GROUP, "0", mkstream=True)

    async def next_jobs(self, count: int) -> list[Job]:
        """Waits for new jobs, for at most a second."""
        try:
            if self._connection_id is None:
                self._connection_id = await self._blocking.client_id()
            streams: Any = await self._blocking.xreadgroup(
                GROUP, self._worker, {self._queue: ">"}, count=count, block=BLOCK_MS
            )
        except RedisError as error:
            self._connection_id = None  # the next connection has another one
            if isinstance(error, ResponseError):  # the server has come back without its data
                await self.open()
            raise
        return [job for pages in streams.values() for page in pages for job in await self._jobs(page)]

    async def pending_jobs(self) -> list[Job]:
        """Returns the jobs that this worker has claimed, including those whose delivery it missed."""
        streams: Any = await self._redis.xreadgroup(GROUP, self._worker, {self._queue: "0"})
        return [job for pages in streams.values() for page in pages for job in await self._jobs(page)]

    async def expired_jobs(self, count: int) -> list[Job]:
        """Claims jobs whose lease has not been renewed, or none if the server's clock has jumped."""
        asked_at = perf_counter()
        bounds = count, self._clock.latest_ms(asked_at)
        answer = await self._scripts.call("claim", self._worker, self._lease_ms, self._cursor, *bounds)
        now_ms, self._cursor, jobs = answer  # jobs that are handed back do not block those that follow
        self._clock.compare(now_ms / 1000, asked_at, perf_counter())
        return await self._jobs((job_id, dict(zip(fields[::2], fields[1::2], strict=True))) for job_id, fields in jobs)

    async def hand_back(self, job_ids: Sequence[str | bytes]) -> None:
        """Lets the leases expire at once, because other workers have to write these runs."""
        await self._hand_back(keys=[self._queue], args=[self._worker, self._lease_ms, *job_ids])

    async def hints(self) -> AsyncGenerator[Hint]:
        """Yields what others do with runs, from now on."""
        async with subscription(self._redis, self._hints) as messages:
            async for message in messages:
                kind, _, run_id = message.decode().partition(" ")
                yield Hint("stop" if kind == "stop" else "rewrite", run_id)

    def close(self) -> None:
        """Ends a wait for new jobs at once."""
        if self._connection_id is not None:
            self._unblocking = asyncio.create_task(self._unblock(self._connection_id))

    async def aclose(self) -> None:
        """Leaves the group, unless jobs are pending that others have to claim."""
        with suppress(RedisError):
            if not await self._redis.xpending_range(self._queue, GROUP, "-", "+", 1, self._worker):
                await self._redis.xgroup_delconsumer(self._queue, GROUP, self._worker)
        await self._blocking.aclose()

    async def _jobs(self, entries: Entries) -> list[Job]:
        """Hands back jobs of a newer version, and drops entries that are no jobs. Deleted entries have no fields."""
        jobs = list[Job]()
        for job_id, fields in entries:
            version, run_id = (fields or {}).get(b"v", b"1"), (fields or {}).get(b"run")
            if version.isdigit() and int(version) > VERSION:
                await self.hand_back([job_id])
            elif run_id and version.isdigit():
                jobs.append(Job(job_id.decode(), run_id.decode()))
            elif fields:
                await self._drop(job_id)
        return jobs

    async def _drop(self, job_id: bytes) -> None:
        logger.warning("Entry %s of the queue is dropped: it is no job.", job_id.decode())
        await self._redis.xack(self._queue, GROUP, job_id)
        await self._redis.xdel(self._queue, job_id)

    async def _unblock(self, connection_id: int) -> None:
        with suppress(RedisError):
            await self._redis.client_unblock(connection_id)

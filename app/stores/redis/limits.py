"""What all processes share in their calls to providers: requests per minute, and which provider is in its cooldown."""

# pyright: reportUnknownMemberType=false
# (redis-py leaves some keyword arguments untyped)

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress

import orjson
from langchain_core.rate_limiters import BaseRateLimiter
from pyrate_limiter import GCRA, AbstractClock, Limiter, Rate, RedisStateStore, SingleBucketFactory, StateBucket
from redis.asyncio import Redis
from redis.exceptions import RedisError
from typing_extensions import override

from app.stores.redis.connection import subscription
from chains.models.health import BURST, Health

logger = logging.getLogger(__name__)

MINUTE_S = 61.0  # a second more, because not all requests take equally long to arrive
RETRY_S = 0.2


class ServerClock(AbstractClock):
    """The clock of the Redis server, because those of several machines differ."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @override
    async def now(self) -> int:
        seconds, microseconds = await self._redis.time()
        return seconds * 1000 + microseconds // 1000


class SharedRequestsPerMinute(BaseRateLimiter):
    """Never more than `limit` requests, at least 2, of all processes in any minute: a burst, then an even rate.

    While the server does not answer, requests wait.
    """

    def __init__(self, redis: Redis, key: str, limit: int, minute_s: float = MINUTE_S) -> None:
        burst = max(1, int(limit * BURST))
        rate = Rate(limit - burst, round(minute_s * 1000), burst)
        bucket = StateBucket([rate], GCRA(), RedisStateStore(redis, key), ServerClock(redis))
        self._limiter = Limiter(SingleBucketFactory(bucket, schedule_leak=False), buffer_ms=1)

    @override
    async def aacquire(self, *, blocking: bool = True) -> bool:
        while True:
            try:
                return await self._limiter.try_acquire_async(blocking=blocking)
            except RedisError as error:
                logger.warning("Requests to providers wait for the store: %s.", type(error).__name__)
                await asyncio.sleep(RETRY_S)

    @override
    def acquire(self, *, blocking: bool = True) -> bool:
        return True  # synchronous calls come from notebooks, one at a time


class SharedHealth:
    """Tells all processes of cooldowns that one of them begins or ends."""

    def __init__(self, redis: Redis, prefix: str, health: Mapping[str, Health]) -> None:
        self._redis, self._prefix, self._health = redis, prefix, health
        self._tasks = set[asyncio.Task[None]]()

    @asynccontextmanager
    async def sharing(self) -> AsyncGenerator[None]:
        """Shares cooldowns within the block."""
        for name, health in self._health.items():
            health.on_change = lambda name=name: self._announce_soon(name)
        listening = asyncio.create_task(self._listen(), name="health of providers")
        try:
            yield
        finally:
            for health in self._health.values():
                health.on_change = None
            listening.cancel()
            await asyncio.gather(listening, *self._tasks, return_exceptions=True)

    def _announce_soon(self, provider: str) -> None:
        task = asyncio.create_task(self._announce(provider))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _announce(self, provider: str) -> None:
        """Also stores the cooldown, for processes that start later."""
        open_for_s = self._health[provider].open_for_s
        news = orjson.dumps({"provider": provider, "open_for_s": open_for_s})
        with suppress(RedisError):  # the others find out by themselves
            if open_for_s:
                await self._redis.set(self._key(provider), b"open", px=max(1, round(open_for_s * 1000)))
            else:
                await self._redis.delete(self._key(provider))
            await self._redis.publish(f"{self._prefix}:health", news)

    async def _listen(self) -> None:
        while True:
            with suppress(RedisError):
                async with subscription(self._redis, f"{self._prefix}:health") as messages:
                    await self._read_all()
                    async for message in messages:
                        self._apply(**orjson.loads(message))
            await asyncio.sleep(RETRY_S)

    async def _read_all(self) -> None:
        for provider in self._health:
            open_for_ms = await self._redis.pttl(self._key(provider))
            if open_for_ms > 0:
                self._apply(provider, open_for_ms / 1000)

    def _apply(self, provider: str, open_for_s: float, **_: object) -> None:
        if health := self._health.get(provider):
            health.set_cooldown(open_for_s)

    def _key(self, provider: str) -> str:
        return f"{self._prefix}:health:{provider}"

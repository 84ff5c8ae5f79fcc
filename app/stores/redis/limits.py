"""What all processes share in their calls to providers: requests per minute, and which provider is in its cooldown."""

# pyright: reportUnknownMemberType=false
# (redis-py leaves some keyword arguments untyped)

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import cast

import orjson
from pyrate_limiter import GCRA, AbstractClock, Decision, Rate, RedisStateStore
from redis.asyncio import Redis
from redis.exceptions import RedisError
from typing_extensions import override

from app.admission import OwnQuotas, Quota, quota_of
from app.clients import Client
from app.stores.redis.connection import subscription
from chains.models.health import Health
from chains.models.lines import BURST, room

logger = logging.getLogger(__name__)

MINUTE_S = 61.0  # a second more, because not all requests take equally long to arrive
MINUTE_MS = 60_000
RETRY_S = 0.2


class ServerClock(AbstractClock):
    """The clock of the Redis server, because those of several machines differ."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @override
    async def now(self) -> int:
        seconds, microseconds = await self._redis.time()
        return seconds * 1000 + microseconds // 1000


class SharedBucket:
    """Allows `burst` at once, then `limit` in each `interval_ms`, to all processes together."""

    def __init__(self, redis: Redis, key: str, limit: int, interval_ms: int, burst: int) -> None:
        self._limit, self._interval_ms, self._burst = limit, interval_ms, burst
        self._store = RedisStateStore(redis, key, ttl_ms=2 * burst * interval_ms // limit + 1)
        self._clock = ServerClock(redis)

    async def take(self, amount: int = 1, *, leave: int = 0) -> float:
        """Takes the amount and returns 0 if `leave` remain after it, or returns the seconds until then.

        Raises `RedisError`.
        """
        rate = Rate(self._limit, self._interval_ms, self._burst - leave)
        now = await self._clock.now()
        decision = await cast(Awaitable[Decision], self._store.check(GCRA(), [rate], now, amount))
        return (decision.retry_after_ms or 0) / 1000

    async def reset_s(self) -> float:
        """Returns the seconds until all of the burst is available. Raises `RedisError`."""
        rate = Rate(self._limit, self._interval_ms, self._burst)
        state = await cast(Awaitable[tuple[float, ...]], self._store.read(GCRA(), [rate]))
        return max(0.0, state[0] / 1_000_000 - await self._clock.now() / 1000)


class SharedRequestsPerMinute:
    """Never more than `limit` requests, at least 2, of all processes in any minute: a burst, then an even rate.

    While the server does not answer, requests wait.
    """

    def __init__(self, redis: Redis, key: str, limit: int, minute_s: float = MINUTE_S) -> None:
        self._burst = max(1, int(limit * BURST))
        self._bucket = SharedBucket(redis, key, limit - self._burst, round(minute_s * 1000), self._burst)

    async def take(self, *, leaves_room: bool = False) -> float:
        try:
            return await self._bucket.take(leave=int(room(self._burst)) if leaves_room else 0)
        except RedisError as error:
            logger.warning("Requests to providers wait for the store: %s.", type(error).__name__)
            return RETRY_S


class SharedQuotas:
    """The calls of each client to all processes. While the server does not answer, each process counts its own."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis, self._prefix, self._own = redis, prefix, OwnQuotas()

    async def take(self, client: Client, calls: int, limit: int) -> tuple[float, Quota]:
        key = f"{self._prefix}:calls:{client.name}"
        bucket = SharedBucket(self._redis, key, limit, MINUTE_MS, limit)
        try:
            wait_s = await bucket.take(min(calls, limit))
            return wait_s, quota_of(limit, await bucket.reset_s())
        except RedisError as error:
            logger.warning("The limits of clients are those of this process: %s.", type(error).__name__)
            return await self._own.take(client, calls, limit)


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

"""Limits that all processes share: each instance here stands for a process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic

import pytest
from redis.asyncio import Redis

from app.stores.redis.connection import Address
from app.stores.redis.limits import SharedHealth, SharedRequestsPerMinute
from chains.models.health import FAILURES, Health
from chains.models.lines import CallLine
from tests.conftest import StartRedis
from tests.redis_servers import Kind, RedisServer
from tests.servers import run


@asynccontextmanager
async def clients(address: Address, count: int) -> AsyncGenerator[list[Redis]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(address.client()) for _ in range(count)]


@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_four_processes_together_make_no_more_requests_than_the_limit(start_redis: StartRedis, kind: Kind) -> None:
    """This holds in any window of a minute, which is short here, and no process waits forever."""
    minute_s, limit = 1.0, 20

    async def scenario() -> list[float]:
        times: list[float] = []
        address = Address.parse(start_redis(kind).url)

        async def call(line: CallLine) -> None:
            async with line.place(0):
                times.append(monotonic())

        async with clients(address, 4) as redis:
            paces = [SharedRequestsPerMinute(each, f"{address.prefix}:pace", limit, minute_s) for each in redis]
            lines = [CallLine(lambda: None, pace=pace) for pace in paces]
            await asyncio.gather(*(call(line) for line in lines for _ in range(15)))
            one, other = (SharedRequestsPerMinute(each, f"{address.prefix}:few", 2, 60) for each in redis[:2])
            assert await one.take() == 0
            assert await other.take() > 0
        return times

    times = run(scenario())
    assert len(times) == 60
    margin = 0.06  # until an admitted process runs again
    assert all(later - earlier > minute_s - margin for earlier, later in zip(times, times[limit:], strict=False))


def test_every_process_knows_of_a_cooldown(redis_server: RedisServer) -> None:
    """Running processes learn when it begins and ends; one that starts later finds it."""

    async def until(health: Health, is_open: bool) -> None:
        while (health.open_for_s > 0) != is_open:  # noqa: ASYNC110  the message comes from the server
            await asyncio.sleep(0.005)

    async def scenario() -> list[float]:
        address = Address.parse(redis_server.url)
        one, other, late = Health("One"), Health("One"), Health("One")
        async with (
            clients(address, 3) as (a, b, c),
            asyncio.timeout(10),
            SharedHealth(a, address.prefix, {"one": one}).sharing(),
            SharedHealth(b, address.prefix, {"one": other}).sharing(),
        ):
            for _ in range(FAILURES):
                one.record_failure()
            await until(other, True)
            cooldowns = [one.open_for_s, other.open_for_s]
            async with SharedHealth(c, address.prefix, {"one": late}).sharing():
                await until(late, True)
                cooldowns.append(late.open_for_s)
                other.record_success(monotonic())
                for health in (one, late):
                    await until(health, False)
        return cooldowns

    assert [round(seconds) for seconds in run(scenario())] == pytest.approx([30, 30, 30], abs=1)

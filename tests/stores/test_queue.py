"""The queue of a shared store: its leases, and who may write."""

import asyncio

import pytest

from app.stores import (
    FencedError,
    LogEntry,
    LogFullError,
    UnknownRunError,
)
from app.stores.redis.log import Claim
from app.stores.redis.queue import Job
from chains.parts.events import Fragment
from tests.conftest import StartRedis
from tests.redis_servers import RedisServer
from tests.servers import run
from tests.stores.logs import END, START, events_in, fragments, rest
from tests.stores.shared_logs import MakeLogs, expired_job, queue_of, shared_logs


def test_a_waiting_run_goes_to_one_worker_and_is_acknowledged_by_its_end(make_logs: MakeLogs) -> None:
    """At most as many runs as the limit wait or are written; the next one is refused."""

    async def scenario() -> list[str]:
        async with make_logs(2) as (web, log), queue_of(log, "a") as one, queue_of(log, "b") as other:
            await web.submit("run", START, 2)
            await web.submit("second", START, 2)
            with pytest.raises(LogFullError):
                await web.submit("third", START, 2)
            (job,) = await one.next_jobs(1)
            (others,) = await other.next_jobs(5)
            await log.take(job.run_id, job.id, "a")
            await log.append("run", END)
            await web.submit("third", START, 2)
            (third,) = await one.next_jobs(5)
            assert await one.expired_jobs(5) == []
            return [job.run_id, others.run_id, third.run_id]

    assert run(scenario()) == ["run", "second", "third"]


def test_a_lease_that_is_not_renewed_goes_to_another_worker(make_logs: MakeLogs) -> None:
    """The first worker can neither take nor renew it any more; a renewed lease is not given to others."""

    async def scenario() -> list[Claim]:
        async with make_logs(2) as (a, b), queue_of(a, "a", 0.2) as queue_a, queue_of(b, "b", 0.2) as queue_b:
            await a.submit("run", START, 9)
            (job,) = await queue_a.next_jobs(1)
            await a.take("run", job.id, "a")
            renewed = [(await a.renew("a", ["run"]))["run"] for _ in range(3)]
            assert await expired_job(queue_b) == job
            with pytest.raises(FencedError):
                await a.take("run", job.id, "a")
            await b.take("run", job.id, "b")
            return [*renewed, (await a.renew("a", ["run"]))["run"], (await b.renew("b", ["run"]))["run"]]

    assert run(scenario()) == [*3 * [Claim.RENEWED], Claim.LOST, Claim.RENEWED]


def test_a_stopped_writer_that_wakes_does_not_acknowledge_its_heirs_run(make_logs: MakeLogs) -> None:
    """If its successor then dies, a third worker takes over, because a fenced end acknowledges nothing."""

    async def scenario() -> list[LogEntry]:
        async with make_logs(3) as (a, b, c), queue_of(a, "a", 0.05) as first, queue_of(b, "b", 0.05) as second:
            await a.submit("run", START, 9)
            (job,) = await first.next_jobs(1)
            await a.take("run", job.id, "a")
            await b.take("run", (await expired_job(second)).id, "b")
            with pytest.raises(FencedError):
                await a.append("run", END)
            async with queue_of(c, "c", 0.05) as third:
                await c.take("run", (await expired_job(third)).id, "c")
            await c.append("run", END)
            return await rest(b)

    assert events_in(run(scenario())) == [START, END]


def test_a_released_run_goes_to_another_worker_at_once(make_logs: MakeLogs) -> None:
    """It has all appended events, and nobody waits for the lease to expire."""

    async def scenario() -> list[LogEntry]:
        async with make_logs(2) as (a, b), queue_of(a, "a") as queue_a, queue_of(b, "b") as queue_b:
            await a.submit("run", START, 9)
            (job,) = await queue_a.next_jobs(1)
            await a.take("run", job.id, "a")
            await a.append("run", Fragment("intro", "0 "))
            await a.release("run")
            (job,) = await queue_b.next_jobs(1)
            await b.take("run", job.id, "b")
            await b.append("run", END)
            return await rest(a)

    assert events_in(run(scenario())) == [START, *fragments(1), END]


def test_a_job_that_is_handed_back_goes_to_another_worker_at_once(make_logs: MakeLogs) -> None:
    """Its first worker cannot take it from the second one again by handing it back once more."""

    async def scenario() -> tuple[list[Job], list[Job]]:
        async with make_logs(2) as (a, b), queue_of(a, "a") as queue_a, queue_of(b, "b") as queue_b:
            await a.submit("run", START, 9)
            jobs = await queue_a.next_jobs(1)
            await queue_a.hand_back([jobs[0].id])
            claimed = await queue_b.expired_jobs(1)
            await queue_a.hand_back([jobs[0].id])
            await b.take("run", claimed[0].id, "b")
            return jobs, claimed

    jobs, claimed = run(scenario())
    assert jobs == claimed


def test_an_unneeded_job_is_removed(make_logs: MakeLogs) -> None:
    """Its run was cancelled or forgotten before a worker took it. A job of a newer version stays for a newer worker."""

    async def scenario() -> tuple[list[Job], int]:
        async with make_logs(2) as (web, log), queue_of(log, "a", 0) as queue:
            for run_id in ("cancelled", "forgotten"):
                await web.submit(run_id, START, 9)
            jobs = await queue.next_jobs(9)
            await web.end("cancelled", "cancelled")
            await web.forget("forgotten")
            for job in jobs:
                with pytest.raises((ValueError, UnknownRunError)):
                    await log.take(job.run_id, job.id, "a")
            newer = f"{log.address.prefix}:queue"
            await log.redis.xadd(newer, {"v": 2, "run": "newer", "more": "fields"})
            return await queue.next_jobs(9) + await queue.expired_jobs(9), await log.redis.xlen(newer)

    assert run(scenario()) == ([], 1)


def test_a_lease_is_renewed_while_its_run_is_being_taken(make_logs: MakeLogs) -> None:
    """Not if another worker has claimed it since."""

    async def scenario() -> None:
        async with make_logs(2) as (a, b), queue_of(a, "a") as one, queue_of(b, "b") as other:
            await a.submit("run", START, 9)
            (job,) = await one.next_jobs(1)
            await one.hand_back([job.id])  # its lease has expired
            await a.renew("a", [], ["run"])
            assert await other.expired_jobs(1) == []
            await one.hand_back([job.id])
            assert await other.expired_jobs(1) == [job]
            await a.renew("a", [], ["run"])
            with pytest.raises(FencedError):
                await a.take("run", job.id, "a")

    run(scenario())


def test_a_lease_that_could_not_be_renewed_is_not_given_to_another_worker(start_redis: StartRedis) -> None:
    """While the server stands still, all leases expire. One that is not renewed when it goes on is given away later."""

    async def scenario(server: RedisServer) -> tuple[list[Job], Job]:
        async with shared_logs(server.url, 1) as (log,), queue_of(log, "a", 0.4) as one, queue_of(log, "b", 0.4) as two:
            await log.submit("run", START, 9)
            (job,) = await one.next_jobs(1)
            assert await two.expired_jobs(1) == []
            server.pause()
            looking = asyncio.create_task(two.expired_jobs(1))
            await asyncio.sleep(1)  # longer than a lease
            server.resume()
            assert await looking == []
            return await two.expired_jobs(1), job

    claimed, job = run(scenario(start_redis("redis")))
    assert claimed == [job]

"""Runs over Redis while the workers that write them are killed, stopped and replaced."""

import asyncio
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack, aclosing
from itertools import islice, pairwise
from statistics import median
from typing import Any

import pytest
from redis import Redis

from app.runs.worker import MAX_TAKES
from app.stores.redis.connection import Address
from app.stores.redis.log import RedisEventLog
from app.stores.redis.queue import Job, RunQueue
from app.stores.redis.scripts import GROUP
from tests.client import ask, wait_until
from tests.conftest import Serve, ServeScripts
from tests.redis_servers import RedisServer, flaky
from tests.servers import Gate, run
from tests.shared_runs import (
    LEASE_S,
    PARTS,
    TEXTS,
    Reader,
    StartWorker,
    assert_exact,
    attempts,
    elsewhere,
    has,
    is_in_the_middle,
    rewrite,
    start_run,
    texts,
    waiting_script,
)
from tests.stores.logs import REQUESTS
from tests.stores.shared_logs import queue_of


def test_a_web_process_and_a_worker_write_a_run_together(
    redis_server: RedisServer, serve_scripts: ServeScripts, start_worker: StartWorker
) -> None:
    """The worker reports that it is ready, and two web processes show the same events under the same ids."""
    store = redis_server.url
    web, provider = serve_scripts(store=store, worker=False)
    other, _ = serve_scripts(store=store, worker=False)
    run, _ = start_run(web)
    worker = start_worker(store, provider)
    readers = [Reader(run), Reader(elsewhere(run, other))]
    events = [reader.to_the_end() for reader in readers]
    assert_exact(events[0])
    assert [event.id for event in events[0]] == [event.id for event in events[1]]
    assert [ask("GET", f"{worker.url}/{name}").json()["status"] for name in ("livez", "readyz")] == ["ok", "ready"]
    health = ask("GET", f"{worker.url}/healthz").json()
    assert [health["store"], health["store_answers"], store in str(health)] == ["redis", True, False]
    worker.send(signal.SIGTERM)
    assert worker.wait() == -signal.SIGTERM


def test_a_run_survives_its_worker(
    redis_server: RedisServer, serve_scripts: ServeScripts, start_worker: StartWorker
) -> None:
    """After kill -9 another worker keeps the parts that have ended and starts the others again."""
    store, gate = redis_server.url, Gate()
    web, provider = serve_scripts({"steps": waiting_script(gate, "steps")}, store=store, worker=False)
    worker = start_worker(store, provider)
    reader = Reader(start_run(web)[0])
    before = reader.wait_for(is_in_the_middle)
    worker.kill()
    start_worker(store, provider)
    reader.wait_for(has("part_start", part="steps", attempt=2))
    gate.open()
    events = reader.to_the_end()
    assert_exact(events)
    assert attempts(events) == {**dict.fromkeys(PARTS, 1), "steps": 2}
    assert events[: len(before)] == before
    assert len({event.id.partition("-")[0] for event in events}) == 2


def test_a_stopped_worker_wakes_and_its_heir_dies(
    redis_server: RedisServer, serve_scripts: ServeScripts, start_worker: StartWorker
) -> None:
    """It closes its calls and writes nothing; the successor's lease expires, and the run continues."""
    store, gate = redis_server.url, Gate()
    web, provider = serve_scripts({"steps": waiting_script(gate, "steps")}, store=store, worker=False)
    stopped = start_worker(store, provider)
    reader = Reader(start_run(web)[0])
    reader.wait_for(is_in_the_middle)
    stopped.send(signal.SIGSTOP)
    heir = start_worker(store, provider)
    reader.wait_for(has("part_start", part="steps", attempt=2))
    stopped.send(signal.SIGCONT)
    while not provider.closed:
        threading.Event().wait(0.01)
    heir.kill()
    reader.wait_for(has("part_start", part="steps", attempt=3))
    gate.open()
    events = reader.to_the_end()
    assert_exact(events)
    assert attempts(events) == {**dict.fromkeys(PARTS, 1), "steps": 3}


def test_a_worker_that_is_stopped_hands_over_at_once(
    redis_server: RedisServer, serve_scripts: ServeScripts, start_worker: StartWorker
) -> None:
    """The successor does not wait for the lease, which is a minute here."""
    store, gate = redis_server.url, Gate()
    web, provider = serve_scripts({"steps": waiting_script(gate, "steps")}, store=store, worker=False)
    stopped = start_worker(store, provider, SIZZLE_LEASE_S="60", SIZZLE_DRAIN_S="0")
    reader = Reader(start_run(web)[0])
    reader.wait_for(is_in_the_middle)
    start_worker(store, provider, SIZZLE_LEASE_S="60")
    stopped.send(signal.SIGTERM)
    reader.wait_for(has("part_start", part="steps", attempt=2))
    gate.open()
    events = reader.to_the_end()
    assert_exact(events)
    assert stopped.wait() == -signal.SIGTERM


def test_a_worker_that_is_stopped_finishes_what_ends_in_time(
    redis_server: RedisServer, serve_scripts: ServeScripts, start_worker: StartWorker
) -> None:
    store, gate = redis_server.url, Gate()
    web, provider = serve_scripts({"steps": waiting_script(gate, "steps")}, store=store, worker=False)
    worker = start_worker(store, provider, SIZZLE_DRAIN_S="20")
    reader = Reader(start_run(web)[0])
    reader.wait_for(is_in_the_middle)
    worker.send(signal.SIGTERM)
    waiting = Reader(start_run(web)[0])  # a stopped worker does not take it
    gate.open()
    events = reader.to_the_end()
    assert_exact(events)
    assert set(attempts(events).values()) == {1}
    assert worker.wait() == -signal.SIGTERM
    assert [event.name for event in waiting.events] == ["run"]
    start_worker(store, provider)
    assert_exact(waiting.to_the_end())


def test_a_run_whose_worker_is_dead_is_cancelled(
    redis_server: RedisServer, serve_scripts: ServeScripts, start_worker: StartWorker
) -> None:
    store = redis_server.url
    web, provider = serve_scripts({"steps": waiting_script(Gate(), "steps")}, store=store, worker=False)
    worker = start_worker(store, provider)
    run, key = start_run(web)
    reader = Reader(run)
    reader.wait_for(is_in_the_middle)
    worker.kill()
    assert ask("DELETE", run, headers={"Sizzle-Run-Key": key}).status_code == 204
    assert reader.to_the_end()[-1].data["status"] == "cancelled"


def test_a_rewrite_survives_its_worker(
    redis_server: RedisServer, serve_scripts: ServeScripts, start_worker: StartWorker
) -> None:
    """Of a cancelled run only the rewrite is written, also by a worker that takes it over."""
    store, gate = redis_server.url, Gate()
    scripts = {
        "steps": [waiting_script(gate, "steps")],
        "nutrition": [["nutrition."], waiting_script(gate, "nutrition")],
    }
    web, provider = serve_scripts(scripts, store=store, worker=False)  # type: ignore[arg-type]
    worker = start_worker(store, provider)
    run, key = start_run(web)
    Reader(run).wait_for(is_in_the_middle)
    ask("DELETE", run, headers={"Sizzle-Run-Key": key})
    assert rewrite(run, key, "nutrition").status_code == 202
    reader = Reader(run)
    reader.wait_for(lambda events: attempts(events).get("nutrition") == 2)
    worker.kill()
    start_worker(store, provider)
    reader.wait_for(lambda events: attempts(events).get("nutrition") == 3)
    gate.open()
    events = reader.to_the_end()
    assert events[-1].data["status"] == "partial"
    assert attempts(events) == {**dict.fromkeys(PARTS, 1), "nutrition": 3}
    assert texts(events)["nutrition"] == TEXTS["nutrition"]


def test_a_run_that_its_workers_die_of_is_given_up(redis_server: RedisServer, serve: Serve) -> None:
    """Its reader gets a message."""
    store = redis_server.url
    web = serve(store=store, worker=False)
    reader = Reader(start_run(web)[0])

    async def take_and_die() -> None:
        async with (
            aclosing(RedisEventLog(store, REQUESTS)) as log,
            aclosing(RunQueue(log, "dying", 0)) as queue,
        ):
            await queue.open()
            jobs = await queue.next_jobs(1)
            for _ in range(10):
                await log.take(jobs[0].run_id, jobs[0].id, "dying")
                jobs = await queue.expired_jobs(1)

    run(take_and_die())
    serve(store=store, lease_s=LEASE_S)
    events = reader.to_the_end()
    assert [event.name for event in events] == ["run", "end"]
    assert events[-1].data["status"] == "failed"
    assert "try again" in events[-1].data["message"]


def damage_start(admin: Redis, log: str) -> None:
    admin.delete(log)
    admin.xadd(log, {"epoch": "0", "lines": "r{"}, "1-0")


def damage_end(admin: Redis, log: str) -> None:
    """Nothing can be appended any more."""
    admin.xadd(log, {"epoch": "0", "lines": "f{}"}, "9999-0")


@pytest.mark.parametrize(("damage", "status"), [(damage_start, 200), (damage_end, 410)])
def test_a_damaged_run_is_given_up(
    redis_server: RedisServer, serve: Serve, damage: Callable[[Redis, str], None], status: int
) -> None:
    """Its reader gets the end if the log takes one. The worker goes on with others."""
    store = redis_server.url
    address = Address.parse(store)
    node = serve(store=store, worker=False)
    run, _ = start_run(node)
    reader = Reader(run) if status == 200 else None
    if reader:
        reader.wait_for(has("run"))
    with Redis.from_url(address.url) as admin:
        damage(admin, f"{address.prefix}:log:{run.rpartition('/')[2]}")
        serve(store=store, lease_s=0.1, standin_ttft_ms=5, standin_tokens_per_s=0)
        assert wait_until(lambda: not admin.xlen(f"{address.prefix}:queue"), 20)
    if reader:
        assert [event.data.get("status") for event in reader.to_the_end()] == [None, "failed"]
    else:
        assert ask("GET", run).status_code == status
    assert Reader(start_run(node)[0]).to_the_end()[-1].data["status"] == "ok"


def test_a_task_of_a_worker_that_fails_starts_again(
    redis_server: RedisServer, serve: Serve, serve_scripts: ServeScripts
) -> None:
    """Here it is the one that learns at once what others do with runs; the next renewal would come too late."""
    store = redis_server.url
    address = Address.parse(store)
    web = serve(store=store, worker=False)
    node, provider = serve_scripts({"steps": waiting_script(Gate(), "steps")}, store=store, lease_s=60)
    hints = f"{address.prefix}:hints"
    with Redis.from_url(address.url) as admin:

        def listeners() -> int:
            counts: Any = admin.pubsub_numsub(hints)
            return counts[0][1]

        assert wait_until(lambda: listeners() == 1, 20)
        admin.publish(hints, b"\xff")
        assert wait_until(lambda: listeners() == 0, 20)
        assert ask("GET", f"{node}/readyz").status_code == 503
        assert wait_until(lambda: listeners() == 1, 20)
    run, key = start_run(web)
    Reader(run).wait_for(is_in_the_middle)
    assert ask("DELETE", run, headers={"Sizzle-Run-Key": key}).status_code == 204
    assert wait_until(lambda: provider.closed == ["steps"], 20)
    assert wait_until(lambda: ask("GET", f"{node}/readyz").status_code == 200, 20)


def test_a_run_that_a_worker_does_not_serve_waits_for_another_one(
    redis_server: RedisServer, serve: Serve, serve_scripts: ServeScripts
) -> None:
    """However often a worker without its composition claims it, it is not failed."""
    store, trips = redis_server.url, ("examples.trip:TRIP",)
    web, _ = serve_scripts(store=store, worker=False, compositions=trips)
    serve(store=store, lease_s=LEASE_S)
    wishes = {"interests": "food markets, hiking", "days": 2}
    run = web + ask("POST", f"{web}/trip/runs", json=wishes).headers["location"]
    address = Address.parse(store)
    with Redis.from_url(address.url) as admin:

        def claims() -> int:
            pending: Any = admin.xpending_range(f"{address.prefix}:queue", GROUP, "-", "+", 1)
            return pending[0]["times_delivered"] if pending else 0

        assert wait_until(lambda: claims() > 2 * MAX_TAKES, 30)
    serve_scripts(store=store, lease_s=LEASE_S, compositions=trips)
    events = Reader(run).to_the_end()
    assert [event.data["status"] for event in events if event.name == "end"] == ["ok"]
    assert set(attempts(events).values()) == {1}


def test_a_worker_that_takes_a_run_slowly_keeps_it(
    redis_server: RedisServer, servers: ExitStack, serve: Serve, serve_scripts: ServeScripts
) -> None:
    """It waits for the run's log for longer than its lease, which another worker looks for meanwhile."""
    store = redis_server.url
    slow = servers.enter_context(flaky(redis_server, store, late=b"XRANGE", late_s=3 * LEASE_S))
    serve_scripts(store=slow, lease_s=LEASE_S)
    reader = Reader(start_run(serve(store=store, worker=False))[0])

    async def look() -> list[Job]:
        async with aclosing(RedisEventLog(store, REQUESTS)) as log, aclosing(RunQueue(log, "other", LEASE_S)) as queue:
            while not (jobs := await queue.expired_jobs(1)) and not has("part_start")(reader.events):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            return jobs

    assert run(look()) == []
    assert_exact(reader.to_the_end())


def test_expired_leases_are_looked_for_twenty_times_per_lease(redis_server: RedisServer, serve: Serve) -> None:
    """Not more often, because every look costs the store something."""
    store, lease_s = redis_server.url, 2.0
    address = Address.parse(store)
    with Redis.from_url(address.url, socket_timeout=20) as admin, admin.monitor() as monitor:
        serve(store=store, lease_s=lease_s)
        commands: Any = monitor.listen()
        looks = (each["time"] for each in commands if each["command"].startswith(f"XAUTOCLAIM {address.prefix}:queue "))
        times = [*islice(looks, 8)]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert min(pauses) > 0.9 * lease_s / 20
    assert median(pauses) < lease_s / 8


def test_a_worker_takes_four_expired_runs_at_a_time(
    redis_server: RedisServer, servers: ExitStack, serve: Serve
) -> None:
    """While it waits for their logs, the others are left to other workers, which look for them, too."""
    store = redis_server.url
    address = Address.parse(store)
    web = serve(store=store, worker=False)
    readers = [Reader(start_run(web)[0]) for _ in range(6)]

    async def claim_all_and_die() -> int:
        async with aclosing(RedisEventLog(store, REQUESTS)) as log, queue_of(log, "dead") as queue:
            return len(await queue.next_jobs(6))

    assert run(claim_all_and_die()) == 6
    with Redis.from_url(address.url) as admin:

        def left() -> int:
            pending: Any = admin.xpending_range(f"{address.prefix}:queue", GROUP, "-", "+", 6, "dead")
            return len(pending)

        slow = servers.enter_context(flaky(redis_server, store, late=b"XRANGE", late_s=3 * LEASE_S))
        serve(store=slow, lease_s=LEASE_S, standin_ttft_ms=5, standin_tokens_per_s=0)
        assert wait_until(lambda: left() < 6, 20)
        assert left() == 2
    assert [reader.to_the_end()[-1].data["status"] for reader in readers] == 6 * ["ok"]

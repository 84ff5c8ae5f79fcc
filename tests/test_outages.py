"""Runs while Redis does not answer, is full, is restarted, or has a clock that is wrong."""

import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import httpx
import pytest
from redis import Redis

from app.stores.redis.scripts import GROUP
from tests.client import ask, wait_until
from tests.commands import sizzle
from tests.conftest import Serve, ServeScripts
from tests.needs import fake_clock
from tests.redis_servers import RedisServer, flaky
from tests.servers import Gate
from tests.shared_runs import (
    REQUEST,
    Reader,
    StartWorker,
    assert_exact,
    attempts,
    has,
    is_in_the_middle,
    own_server,
    start_run,
    waiting_script,
)


@pytest.fixture
def own_redis(tmp_path: Path, servers: ExitStack) -> RedisServer:
    """A server that the test may kill. It ends after the processes that would wait for it."""
    return servers.enter_context(own_server(tmp_path))


def queue_of(store: str) -> str:
    """The key of the queue of jobs."""
    return f"{{{store.rpartition('=')[2]}}}:queue"


def test_a_restart_of_redis_is_a_pause(own_redis: RedisServer, serve_scripts: ServeScripts) -> None:
    """No part is started again, and the reader does not even reconnect."""
    gate = Gate()
    node, _ = serve_scripts({"steps": waiting_script(gate, "steps")}, store=own_redis.url)
    reader = Reader(start_run(node)[0])
    reader.wait_for(is_in_the_middle)
    own_redis.kill()
    gate.open()
    own_redis.start()
    events = reader.to_the_end()
    assert_exact(events)
    assert set(attempts(events).values()) == {1}


def test_a_slow_redis_loses_nothing(
    redis_server: RedisServer, servers: ExitStack, serve: Serve, serve_scripts: ServeScripts
) -> None:
    """Every answer takes 50 to 200 ms, for a web process and for a worker; no part is started again."""
    store = servers.enter_context(flaky(redis_server, redis_server.url, delays=(0.05, 0.2)))
    web = serve(store=store, worker=False)
    serve_scripts(store=store)
    events = Reader(start_run(web)[0]).to_the_end()
    assert_exact(events)
    assert set(attempts(events).values()) == {1}


def test_a_start_waits_for_redis(own_redis: RedisServer, serve_scripts: ServeScripts) -> None:
    """Until it answers, connections to its port are closed at once."""
    with ThreadPoolExecutor(1) as threads:
        own_redis.kill()
        with socket.create_server(("127.0.0.1", own_redis.port)) as listener:
            starting = threads.submit(serve_scripts, store=own_redis.url)
            listener.accept()[0].close()
        own_redis.start()
        node, _ = starting.result()
        assert_exact(Reader(start_run(node)[0]).to_the_end())


def test_a_clock_of_redis_that_jumps_loses_nothing(
    tmp_path: Path, servers: ExitStack, serve_scripts: ServeScripts, start_worker: StartWorker
) -> None:
    """All claims seem to have expired, but no other worker takes a run over until its worker is dead."""
    clock, gate = tmp_path / "clock", Gate()
    scripts = {"steps": waiting_script(gate, "steps")}
    server = servers.enter_context(own_server(tmp_path, **fake_clock(clock)))
    with (
        Redis(port=server.port) as admin,
        ThreadPoolExecutor(1) as threads,
        ExitStack() as stack,
    ):
        stack.callback(gate.open)
        store, lease_s = server.url, 1
        web, provider = serve_scripts(scripts, store=store, worker=False)
        worker = start_worker(store, provider, SIZZLE_LEASE_S=str(lease_s))
        generated = threads.submit(httpx.post, f"{web}/generate", json=REQUEST, timeout=60)
        reader = Reader(start_run(web)[0])
        reader.wait_for(is_in_the_middle)
        other = start_worker(store, provider, SIZZLE_LEASE_S=str(lease_s))
        assert wait_until(lambda: other.output.read_text().count("http") > 0, 20)

        def is_renewed() -> bool:
            pending = admin.xpending_range(queue_of(store), GROUP, "-", "+", 2)
            return len(pending) == 2 and all(0 < int(each["time_since_delivered"]) < lease_s * 1000 for each in pending)

        def is_ahead(by_s: int) -> bool:
            return abs(cast(tuple[int, int], admin.time())[0] - time.time() - by_s) < 60

        for jump_s in (86_400, 2 * 86_400, 3 * 86_400, 3600):
            clock.write_text(f"+{jump_s}")
            assert wait_until(lambda by_s=jump_s: is_ahead(by_s), 20)
            assert wait_until(is_renewed, 20)
        assert attempts(reader.events)["steps"] == 1
        worker.kill()
        reader.wait_for(has("part_start", part="steps", attempt=2))
        gate.open()
        assert_exact(reader.to_the_end())
        assert "steps two." in generated.result().text


def test_a_reader_who_leaves_during_an_outage_ends_his_run(
    own_redis: RedisServer, serve_scripts: ServeScripts, start_worker: StartWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody writes a run of `/generate` whose reader has left, although the store did not answer at first."""
    scripts = {"steps": waiting_script(Gate(), "steps")}
    with Redis(port=own_redis.port) as admin:
        store = own_redis.url
        web, provider = serve_scripts(scripts, store=store, worker=False)
        start_worker(store, provider)
        with httpx.stream("POST", f"{web}/generate", json=REQUEST, timeout=20) as response:
            assert any("steps one" in line for line in response.iter_lines())
            own_redis.kill()
        assert wait_until(lambda: caplog.text.count("The store does not answer") > 2, 30)
        own_redis.start()
        assert wait_until(lambda: provider.closed == ["steps"] and not admin.xlen(queue_of(store)), 20)
        assert [call["step"] for call in provider.calls].count("steps") == 1


def test_a_store_that_is_gone_is_named(own_redis: RedisServer, serve_scripts: ServeScripts) -> None:
    """Requests for a run that this process is writing do not wait for the store's return either.

    A cancel closes the calls, and the end follows as soon as the store is back.
    """
    node, provider = serve_scripts({"steps": waiting_script(Gate(), "steps")}, store=own_redis.url)
    run, key = start_run(node)
    reader = Reader(run)
    reader.wait_for(is_in_the_middle)
    own_redis.kill()
    answers = [httpx.post(f"{node}/runs", json=REQUEST, timeout=20), httpx.get(run, timeout=20)]
    assert not provider.closed
    answers.append(httpx.delete(run, headers={"Sizzle-Run-Key": key}, timeout=20))
    assert provider.closed == ["steps"]
    for answer in answers:
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        assert "storage is full or out of reach" in answer.text
    assert ask("GET", f"{node}/readyz").status_code == 503
    health = ask("GET", f"{node}/healthz").json()
    assert [health["store"], health["store_answers"]] == ["redis", False]
    own_redis.start()
    events = reader.to_the_end()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[-1].data["status"] == "cancelled"


def test_a_process_ends_although_its_store_is_gone(
    tmp_path: Path, serve_scripts: ServeScripts, servers: ExitStack
) -> None:
    """The end of a run that cannot be stored is left to the next worker."""
    gate = Gate()
    with own_server(tmp_path) as server:
        node, provider = serve_scripts({"steps": waiting_script(gate, "steps")}, store=server.url)
        start_run(node)
        assert wait_until(lambda: any(call["step"] == "steps" for call in provider.calls), 20)
        server.kill()
        gate.open()
        assert wait_until(lambda: provider.open_streams == 0, 20)
        closing = threading.Thread(target=servers.close, daemon=True)
        closing.start()
        closing.join(40)
        assert not closing.is_alive()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("worker", "--store", "memory://"), "needs a store that several processes share"),
        (("worker", "--store", "redis://{server}"), "set appendonly yes"),
        (("serve", "--workers", "2", "--store", "redis://{server}", "--port", "0"), "set appendonly yes"),
        (("serve", "--store", "redis://{server}", "--port", "0"), "set appendonly yes"),
    ],
)
def test_a_store_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], problem: str
) -> None:
    with own_server(tmp_path, "--appendonly", "no") as server:
        done = sizzle(*(argument.format(server=f"127.0.0.1:{server.port}") for argument in arguments))
    assert done.returncode == 1
    assert re.fullmatch(f"sizzle: .*{problem}.*\n", done.stderr), done.stderr


def test_starts_with_idempotency_keys_do_not_wait_for_each_other(own_redis: RedisServer, serve: Serve) -> None:
    """Equal keys start one run, and during an outage each request is answered on its own."""
    with ThreadPoolExecutor(8) as threads:
        node = serve(store=own_redis.url, worker=False)

        def post(key: object) -> httpx.Response:
            return httpx.post(f"{node}/runs", json=REQUEST, headers={"Idempotency-Key": str(key)}, timeout=20)

        assert len({answer.json()["run_id"] for answer in threads.map(post, ["same"] * 8)}) == 1
        own_redis.pause()  # one after the other, eight would take longer than the timeout
        assert [answer.status_code for answer in threads.map(post, range(8))] == [503] * 8


def test_a_full_redis_is_a_pause(own_redis: RedisServer, serve_scripts: ServeScripts) -> None:
    """New runs are refused, others read and cancelled; active ones go on when there is room again.

    Finished runs make room, the oldest first.
    """
    gate = Gate()
    with Redis(port=own_redis.port) as admin:
        node, _ = serve_scripts({"steps": waiting_script(gate, "steps")}, store=own_redis.url)
        run, _ = start_run(node)
        other, key = start_run(node)
        reader, other_reader = Reader(run), Reader(other)
        reader.wait_for(is_in_the_middle)
        other_reader.wait_for(is_in_the_middle)
        admin.config_set("maxmemory", "1mb")
        refusal = ask("POST", f"{node}/runs", json=REQUEST)
        assert refusal.status_code == 503
        assert "storage is full or out of reach" in refusal.text
        assert ask("GET", run).json()["status"] == "running"
        assert httpx.delete(other, headers={"Sizzle-Run-Key": key}, timeout=20).status_code == 204
        assert other_reader.to_the_end()[-1].data["status"] == "cancelled"
        assert wait_until(lambda: ask("GET", other).status_code == 410, 20)
        gate.open()
        admin.config_set("maxmemory", "0")
        assert_exact(reader.to_the_end())

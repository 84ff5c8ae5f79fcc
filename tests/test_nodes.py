"""Several processes, one Redis: each of them serves, cancels and rewrites every run."""

import os
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from redis import Redis

from app.stores.redis.connection import Address
from tests.client import ask, wait_until
from tests.commands import FAST, SIZZLE
from tests.conftest import Serve, ServeScripts
from tests.redis_servers import RedisServer, free_port
from tests.server_process import server_process
from tests.servers import Gate, Refuse, provider
from tests.shared_runs import (
    LEASE_S,
    PARTS,
    REQUEST,
    Reader,
    assert_exact,
    attempts,
    elsewhere,
    has,
    is_in_the_middle,
    open_gate,
    rewrite,
    start_run,
    waiting_script,
)


def test_any_process_cancels_a_run(redis_server: RedisServer, serve_scripts: ServeScripts) -> None:
    """The reader gets the end, and the worker closes its calls."""
    store = redis_server.url
    scripts = {"steps": waiting_script(Gate(), "steps"), "sides": waiting_script(Gate(), "sides")}
    node, provider = serve_scripts(scripts, store=store)  # type: ignore[arg-type]
    web, _ = serve_scripts(store=store, worker=False)
    run, key = start_run(node)
    reader = Reader(elsewhere(run, web))
    for part in ("steps", "sides"):
        reader.wait_for(has("fragment", part=part))
    assert ask("DELETE", elsewhere(run, web), headers={"Sizzle-Run-Key": key}).status_code == 204
    assert reader.to_the_end()[-1].data["status"] == "cancelled"
    while len(provider.closed) < 2:
        threading.Event().wait(0.01)
    assert sorted(provider.closed) == ["sides", "steps"]
    assert ask("GET", run).json()["status"] == "cancelled"


def test_a_part_is_rewritten_from_another_process(redis_server: RedisServer, serve_scripts: ServeScripts) -> None:
    """This works during the run and after its end; a part that is being written is refused."""
    store, gate, second = redis_server.url, Gate(), Gate()
    scripts = {
        "steps": waiting_script(gate, "steps"),
        "nutrition": [waiting_script(open_gate(), "nutrition"), waiting_script(second, "nutrition")],
    }
    node, _ = serve_scripts(scripts, store=store)  # type: ignore[arg-type]
    web, _ = serve_scripts(store=store, worker=False)
    started, key = start_run(node)
    run = elsewhere(started, web)
    reader = Reader(run)
    reader.wait_for(is_in_the_middle)
    assert rewrite(run, key, "steps").status_code == 409
    assert rewrite(run, key, "nutrition").json()["attempt"] == 2
    assert rewrite(run, key, "nutrition").status_code == 409
    for each in (gate, second):
        each.open()
    events = reader.to_the_end()
    assert_exact(events)
    assert attempts(events) == {**dict.fromkeys(PARTS, 1), "nutrition": 2}
    assert rewrite(run, key, "ingredients").json()["attempt"] == 2
    last = Reader(run).to_the_end()
    assert_exact(last)
    assert attempts(last) == {**dict.fromkeys(PARTS, 1), "nutrition": 2, "ingredients": 2, "steps": 2}


def test_a_rewrite_is_never_lost_to_the_end_of_its_run(redis_server: RedisServer, serve_scripts: ServeScripts) -> None:
    """However close they are, the part is rewritten, in the same epoch or in the next one."""
    store = redis_server.url
    node, _ = serve_scripts(store=store)
    web, _ = serve_scripts(store=store, worker=False)
    for _ in range(8):
        started, key = start_run(node)
        run = elsewhere(started, web)
        Reader(run).wait_for(has("part_end", part="intro"))
        assert rewrite(run, key, "intro").status_code == 202
        while attempts(events := Reader(run).to_the_end()).get("intro") != 2:
            pass
        assert_exact(events)


def test_any_process_knows_the_composition_of_a_run(redis_server: RedisServer, serve_scripts: ServeScripts) -> None:
    """Also if an older version has begun the run, which did not store the composition apart from the events."""
    store = redis_server.url
    web, _ = serve_scripts(store=store, worker=False, compositions=("examples.trip:TRIP",))
    run, _ = start_run(web)
    foreign = elsewhere(run, f"{web}/trip")
    address = Address.parse(store)
    with Redis.from_url(address.url) as admin:
        for is_stored in (1, 0):
            assert [ask("GET", url).status_code for url in (run, foreign)] == [200, 404]
            assert admin.hdel(f"{address.prefix}:run:{run.rpartition('/')[2]}", "composition") == is_stored


def test_all_processes_share_keys_and_capacity(redis_server: RedisServer, serve: Serve) -> None:
    """Waiting runs count, too."""
    store = redis_server.url
    one, other = (serve(store=store, worker=False, max_runs=1) for _ in range(2))
    runs = [start_run(url, **{"Idempotency-Key": "key"}) for url in (one, other)]
    assert elsewhere(runs[0][0], other) == runs[1][0]
    assert runs[0][1] == runs[1][1]
    refused = ask("POST", f"{other}/runs", json=REQUEST)
    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    another = ask("POST", f"{other}/runs", json={"ingredientsOnHand": "tofu"}, headers={"Idempotency-Key": "key"})
    assert another.status_code == 422


def test_all_processes_skip_a_provider_that_keeps_failing(
    redis_server: RedisServer, serve_scripts: ServeScripts
) -> None:
    store = redis_server.url
    node, _ = serve_scripts({part: [Refuse(503)] for part in PARTS[1:]}, store=store)
    web, _ = serve_scripts(store=store, worker=False)
    Reader(start_run(node)[0]).to_the_end()
    while not (cooling_down := ask("GET", f"{web}/healthz").json()["cooling_down"]):
        threading.Event().wait(0.02)
    assert set(cooling_down) == {"groq"}


@pytest.mark.parametrize("has_worker", [False, True])
def test_a_run_of_one_connection_ends_with_its_web_process(
    redis_server: RedisServer, serve: Serve, tmp_path: Path, *, has_worker: bool
) -> None:
    """`POST /generate`: after kill -9 its calls are closed, no worker takes it, and its log is dropped."""
    store = redis_server.url
    address = Address.parse(store)
    with (
        provider({"steps": waiting_script(Gate(), "steps")}) as scripted,  # type: ignore[arg-type]
        Redis.from_url(address.url) as admin,
    ):
        keys = {"groq_api_key": "sk-groq-1", "groq_base_url": scripted.url}
        names = {"GROQ_API_KEY": "sk-groq-1", "SIZZLE_GROQ_BASE_URL": scripted.url, "SIZZLE_STORE": store}
        with server_process(
            tmp_path, **names, SIZZLE_LEASE_S=str(LEASE_S), SIZZLE_WORKER=str(has_worker).lower()
        ) as web:
            if not has_worker:
                serve(store=store, lease_s=LEASE_S, **keys)
            with httpx.stream("POST", f"{web.url}/generate", json=REQUEST, timeout=20) as response:
                lines = response.iter_lines()
                assert any("steps one" in line for line in lines)
                (owner,) = admin.keys(f"{address.prefix}:owner:*")
                remaining = [admin.pttl(owner)]
                while sum(later > earlier for earlier, later in pairwise(remaining)) < 6:  # longer than a lease
                    remaining.append(admin.pttl(owner))
                assert not scripted.closed
                web.kill()  # before its client goes, otherwise it may already have ended the run and not yet dropped it
        calls = len(scripted.calls)
        serve(store=store, lease_s=LEASE_S, **keys)
        assert wait_until(lambda: not admin.keys(f"{address.prefix}:run:*"), 20)
        assert wait_until(lambda: "steps" in scripted.closed and scripted.open_streams == 0, 20)
        assert (admin.xlen(f"{address.prefix}:queue"), admin.keys(f"{address.prefix}:log:*")) == (0, [])
        assert len(scripted.calls) == calls


RUNS = ("sizzle_runs_total", "sizzle_active_runs")


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_several_processes_serve_one_address(redis_server: RedisServer) -> None:
    """`--workers 2`: whichever process a request reaches, it knows the run, and the metrics of all processes."""
    port = free_port()
    arguments = [SIZZLE, "serve", "--workers", "2", "--port", str(port), "--store", redis_server.url]
    # not forked: uvicorn starts its processes from this one's standard input on
    server = subprocess.Popen(arguments, stderr=subprocess.DEVNULL, env=os.environ | FAST)  # noqa: S603
    try:
        assert wait_until(lambda: is_open(port), 90)
        run, _ = start_run(f"http://127.0.0.1:{port}")
        with ThreadPoolExecutor(8) as threads:
            streams = list(threads.map(lambda _: Reader(run).to_the_end(), range(8)))
        assert all(events == streams[0] for events in streams)
        for other in [start_run(f"http://127.0.0.1:{port}")[0] for _ in range(7)]:
            Reader(other).to_the_end()

        def seen() -> set[frozenset[str]]:
            """The runs so far, asked of either process."""
            answers = [ask("GET", f"http://127.0.0.1:{port}/metrics").text for _ in range(12)]
            return {frozenset(line for line in each.splitlines() if line.startswith(RUNS)) for each in answers}

        labels = 'composition="recipe"'
        runs = frozenset([f'sizzle_runs_total{{{labels},status="ok"}} 8.0', f"sizzle_active_runs{{{labels}}} 0.0"])
        assert wait_until(lambda: seen() == {runs}, 10), seen()
    finally:
        server.terminate()
        server.wait(30)

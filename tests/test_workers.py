"""Runs over Redis: web processes and workers, some in this process and some in others, which are killed."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from app.runs.worker import MAX_TAKES
from app.stores.redis.connection import Address
from app.stores.redis.log import RedisEventLog
from app.stores.redis.queue import GROUP, RunQueue
from tests.client import NO_TLS, wait_until
from tests.commands import FAST, SIZZLE, Command, sizzle
from tests.conftest import Serve, ServeScripts
from tests.redis_servers import RedisServer, binary, free_port
from tests.servers import Gate, Provider, Refuse, run
from tests.stores.conftest import REQUESTS

REQUEST = {"ingredientsOnHand": "beef, onions"}
LEASE_S = 0.4
PARTS = ("alternates", "ingredients", "intro", "nutrition", "sides", "steps")
TEXTS = {part: f"{part} one, {part} two." for part in PARTS if part != "alternates"}


@dataclass
class Event:
    """An event of the run stream."""

    id: str
    name: str
    data: dict[str, Any]

    @property
    def seq(self) -> int:
        return int(self.id.partition("-")[2])


@dataclass
class Reader(threading.Thread):
    """Reads a run's events to its end, reconnecting with the last id as a browser does."""

    url: str
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._changed = threading.Condition()
        self.start()

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        while not (self.events and self.events[-1].name == "end"):
            last = {"Last-Event-ID": self.events[-1].id} if self.events else {}
            with (
                httpx.Client(timeout=20, verify=NO_TLS) as client,
                client.stream("GET", f"{self.url}/events", headers=last) as response,
            ):
                for line in response.iter_lines():
                    self._read(line)

    def _read(self, line: str) -> None:
        name, _, value = line.partition(": ")
        match name:
            case "id":
                self._id = value
            case "event":
                self._name = value
            case "data":
                with self._changed:
                    self.events.append(Event(self._id, self._name, json.loads(value)))
                    self._changed.notify_all()
            case _:
                pass

    def wait_for(self, condition: Callable[[list[Event]], bool]) -> list[Event]:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.events), timeout=20), self.events[-5:]
            return list(self.events)

    def to_the_end(self) -> list[Event]:
        return self.wait_for(lambda events: any(event.name == "end" for event in events))


def has(name: str, **fields: object) -> Callable[[list[Event]], bool]:
    """Whether there is such an event."""
    return lambda events: any(event.name == name and fields.items() <= event.data.items() for event in events)


def attempts(events: list[Event]) -> dict[str, int]:
    """The last attempt of each part."""
    return {event.data["part"]: event.data["attempt"] for event in events if event.name == "part_start"}


def texts(events: list[Event]) -> dict[str, str]:
    """The texts of the last attempts."""
    written: dict[str, str] = {}
    for event in events:
        if event.name == "part_start":
            written[event.data["part"]] = ""
        if event.name == "fragment":
            written[event.data["part"]] += event.data["text"]
    return {part: text for part, text in written.items() if part != "alternates"}


def assert_exact(events: list[Event], status: str = "ok") -> None:
    """Checks that nothing is lost or repeated, and that every part has its whole text."""
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.data["status"] for event in events if event.name == "end"] == [status]
    assert texts(events) == TEXTS


@dataclass
class Worker:
    """`sizzle worker` in its own process."""

    command: Command
    output: Path
    is_running: bool = True

    @property
    def url(self) -> str:
        return re.findall("http://[0-9.:]+", self.output.read_text())[0]

    def send(self, number: int) -> None:
        self.command.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.command.wait(20)
        self.is_running = False

    def wait(self) -> int:
        status = self.command.wait(20)
        self.is_running = False
        return status


StartWorker = Callable[..., Worker]


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers with these settings."""
    workers: list[Worker] = []

    def start(store: str, provider: Provider, **settings: str) -> Worker:
        environment = {
            "SIZZLE_STORE": store,
            "GROQ_API_KEY": "sk-groq-1",
            "SIZZLE_GROQ_BASE_URL": provider.url,
            "SIZZLE_LEASE_S": str(LEASE_S),
            **settings,
        }
        output = tmp_path / f"worker{len(workers)}"
        with output.open("wb") as file:
            worker = Worker(Command(("worker",), os.environ | environment, file.fileno(), file.fileno()), output)
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        if worker.is_running:
            worker.send(signal.SIGCONT)
            worker.kill()


def start_run(url: str, **headers: str) -> tuple[str, str]:
    """Returns the run's address and its key."""
    response = httpx.post(f"{url}/runs", json=REQUEST, headers=headers, verify=NO_TLS)
    assert response.status_code == 201, response.text
    return f"{url}{response.headers['location']}", response.json()["key"]


def elsewhere(run: str, url: str) -> str:
    """The run's address at another web process."""
    return url + run[run.index("/runs/") :]


def waiting_script(gate: Gate, part: str) -> list[str | Gate]:
    """A script that waits after its first words until the gate is opened."""
    return [f"{part} one, ", gate, f"{part} two."]


WHEN_WRITING = has("part_end", part="nutrition"), has("fragment", part="steps")


def is_in_the_middle(events: list[Event]) -> bool:
    """One part has ended and another one is being written."""
    return all(condition(events) for condition in WHEN_WRITING)


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
    assert [httpx.get(f"{worker.url}/{name}").json()["status"] for name in ("livez", "readyz")] == ["ok", "ready"]
    health = httpx.get(f"{worker.url}/healthz").json()
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


def test_any_process_cancels_a_run(redis_server: RedisServer, serve_scripts: ServeScripts) -> None:
    """The reader gets the end, and the worker closes its calls."""
    store = redis_server.url
    scripts = {"steps": waiting_script(Gate(), "steps"), "sides": waiting_script(Gate(), "sides")}
    node, provider = serve_scripts(scripts, store=store)  # type: ignore[arg-type]
    web, _ = serve_scripts(store=store, worker=False)
    run, key = start_run(node)
    reader = Reader(elsewhere(run, web))
    reader.wait_for(is_in_the_middle)
    reader.wait_for(has("fragment", part="sides"))
    assert httpx.delete(elsewhere(run, web), headers={"Sizzle-Run-Key": key}).status_code == 204
    assert reader.to_the_end()[-1].data["status"] == "cancelled"
    while len(provider.closed) < 2:
        threading.Event().wait(0.01)
    assert sorted(provider.closed) == ["sides", "steps"]
    assert httpx.get(run).json()["status"] == "cancelled"


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
    assert httpx.delete(run, headers={"Sizzle-Run-Key": key}).status_code == 204
    assert reader.to_the_end()[-1].data["status"] == "cancelled"


def rewrite(run: str, key: str, part: str) -> httpx.Response:
    return httpx.post(f"{run}/parts/{part}", headers={"Sizzle-Run-Key": key})


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


def open_gate() -> Gate:
    gate = Gate()
    gate.open()
    return gate


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
    httpx.delete(run, headers={"Sizzle-Run-Key": key})
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


def test_all_processes_share_keys_and_capacity(redis_server: RedisServer, serve: Serve) -> None:
    """Waiting runs count, too."""
    store = redis_server.url
    one, other = (serve(store=store, worker=False, max_runs=1) for _ in range(2))
    runs = [start_run(url, **{"Idempotency-Key": "key"}) for url in (one, other)]
    assert elsewhere(runs[0][0], other) == runs[1][0]
    assert runs[0][1] == runs[1][1]
    refused = httpx.post(f"{other}/runs", json=REQUEST)
    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    another = httpx.post(f"{other}/runs", json={"ingredientsOnHand": "tofu"}, headers={"Idempotency-Key": "key"})
    assert another.status_code == 422


def test_all_processes_skip_a_provider_that_keeps_failing(
    redis_server: RedisServer, serve_scripts: ServeScripts
) -> None:
    store = redis_server.url
    node, _ = serve_scripts({part: [Refuse(503)] for part in PARTS[1:]}, store=store)
    web, _ = serve_scripts(store=store, worker=False)
    Reader(start_run(node)[0]).to_the_end()
    while not (resting := httpx.get(f"{web}/healthz").json()["resting"]):
        threading.Event().wait(0.02)
    assert set(resting) == {"groq"}


@contextmanager
def own_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A server that the test may kill, which loses nothing that it has acknowledged."""
    durable = ("--appendonly", "yes", "--appendfsync", "always")
    with RedisServer(binary("valkey"), folder, options or durable) as server:
        yield server


def test_a_restart_of_redis_is_a_pause(tmp_path: Path, serve_scripts: ServeScripts) -> None:
    """No part is started again, and the reader does not even reconnect."""
    gate = Gate()
    with own_server(tmp_path) as server:
        node, _ = serve_scripts({"steps": waiting_script(gate, "steps")}, store=server.url)
        reader = Reader(start_run(node)[0])
        reader.wait_for(is_in_the_middle)
        server.kill()
        gate.open()
        server.start()
        events = reader.to_the_end()
        assert_exact(events)
        assert set(attempts(events).values()) == {1}


def test_a_store_that_is_gone_is_named(tmp_path: Path, serve_scripts: ServeScripts) -> None:
    """Requests for a run that this process is writing do not wait for the store's return either."""
    gate = Gate()
    with own_server(tmp_path) as server:
        node, _ = serve_scripts({"steps": waiting_script(gate, "steps")}, store=server.url)
        run, key = start_run(node)
        reader = Reader(run)
        reader.wait_for(is_in_the_middle)
        server.kill()
        gate.open()
        answers = [
            httpx.post(f"{node}/runs", json=REQUEST, timeout=20),
            httpx.get(run, timeout=20),
            httpx.delete(run, headers={"Sizzle-Run-Key": key}, timeout=20),
        ]
        for answer in answers:
            assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
            assert "storage is full or out of reach" in answer.text
        assert httpx.get(f"{node}/readyz").status_code == 503
        health = httpx.get(f"{node}/healthz").json()
        assert [health["store"], health["store_answers"]] == ["redis", False]
        server.start()
        assert_exact(reader.to_the_end())


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


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_several_processes_serve_one_address(redis_server: RedisServer) -> None:
    """`--workers 2`: whichever process a request reaches, it knows the run."""
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
    finally:
        server.terminate()
        server.wait(30)


def test_starts_with_idempotency_keys_do_not_wait_for_each_other(tmp_path: Path, serve: Serve) -> None:
    """Equal keys start one run, and during an outage each request is answered on its own."""
    with own_server(tmp_path) as server, ThreadPoolExecutor(8) as threads:
        node = serve(store=server.url, worker=False)

        def post(key: object) -> httpx.Response:
            return httpx.post(f"{node}/runs", json=REQUEST, headers={"Idempotency-Key": str(key)}, timeout=20)

        assert len({answer.json()["run_id"] for answer in threads.map(post, ["same"] * 8)}) == 1
        server.pause()  # one after the other, eight would take longer than the timeout
        assert [answer.status_code for answer in threads.map(post, range(8))] == [503] * 8


def test_a_full_redis_is_a_pause(tmp_path: Path, serve_scripts: ServeScripts) -> None:
    """New runs are refused, others read and cancelled; active ones go on when there is room again."""
    gate = Gate()
    with own_server(tmp_path) as server, Redis(port=server.port) as admin:
        node, _ = serve_scripts({"steps": waiting_script(gate, "steps")}, store=server.url)
        run, _ = start_run(node)
        other, key = start_run(node)
        reader, other_reader = Reader(run), Reader(other)
        reader.wait_for(is_in_the_middle)
        other_reader.wait_for(is_in_the_middle)
        admin.config_set("maxmemory", "1mb")
        refusal = httpx.post(f"{node}/runs", json=REQUEST)
        assert refusal.status_code == 503
        assert "storage is full or out of reach" in refusal.text
        assert httpx.get(run).json()["status"] == "running"
        assert httpx.delete(other, headers={"Sizzle-Run-Key": key}, timeout=20).status_code == 204
        assert httpx.get(other).json()["status"] == "cancelled"
        assert other_reader.to_the_end()[-1].data["status"] == "cancelled"
        gate.open()
        admin.config_set("maxmemory", "0")
        assert_exact(reader.to_the_end())


def test_a_run_that_its_workers_die_of_is_given_up(redis_server: RedisServer, serve: Serve) -> None:
    """Its reader gets a message."""
    store = redis_server.url
    web = serve(store=store, worker=False)
    reader = Reader(start_run(web)[0])

    async def take_and_die() -> None:
        async with (
            aclosing(RedisEventLog(store, REQUESTS)) as log,
            aclosing(RunQueue(log.address, log.redis, "dying", 0)) as queue,
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


def test_a_run_that_a_worker_does_not_serve_waits_for_another_one(
    redis_server: RedisServer, serve: Serve, serve_scripts: ServeScripts
) -> None:
    """However often a worker without its composition claims it, it is not failed."""
    store, trips = redis_server.url, ("examples.trip:TRIP",)
    web, _ = serve_scripts(store=store, worker=False, compositions=trips)
    serve(store=store, lease_s=LEASE_S)
    wishes = {"interests": "food markets, hiking", "days": 2}
    run = web + httpx.post(f"{web}/trip/runs", json=wishes).headers["location"]
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

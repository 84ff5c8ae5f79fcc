"""Slow readers delay nobody, use little memory, and get everything that they read in time."""

import gc
import json
import re
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from app.main import create_app
from app.settings import Settings
from tests.client import REQUEST, ask, follow, start, statuses, wait_until, written
from tests.servers import Gate, Provider, Script, provider, serving

Tight = Callable[..., str]
TightScripts = Callable[..., tuple[str, Provider]]
SNDBUF = 16 * 1024


# so that a part of megabytes is within its token limit
ROOMY = "".join(
    f'[{table}]\nmodels = ["groq-gpt-oss-20b"]\nmax_tokens = 60000\ntemperature = 0\n'
    for table in ("parts.nutrition", "parts.intro", "parts.steps", "completion")
)


@pytest.fixture
def tight_scripts(tmp_path: Path) -> Iterator[TightScripts]:
    """Serves Sizzle over a provider that follows scripts, with minimal send buffers in the system."""
    roomy = tmp_path / "roomy.toml"
    roomy.write_text(ROOMY)
    with ExitStack() as stack:

        def start(scripts: dict[str, Script | list[Script]], **settings: Any) -> tuple[str, Provider]:
            scripted: Provider = stack.enter_context(provider(scripts))
            settings = {"groq_api_key": "k", "groq_base_url": scripted.url, "registry": roomy, **settings}
            app = create_app(Settings(**settings))
            return stack.enter_context(serving(app, SNDBUF)), scripted

        yield start


@pytest.fixture
def tight(tight_scripts: TightScripts) -> Tight:
    return lambda scripts, **settings: tight_scripts(scripts, **settings)[0]


def slow_reader(url: str, request_line: str, *headers: str, body: str = "") -> socket.socket:
    """Sends a request and reads nothing, with a minimal receive buffer."""
    host = url.removeprefix("http://")
    name, port = host.split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((name, int(port)))
    lines = [f"{request_line} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}", *headers, "", body]
    connection.sendall("\r\n".join(lines).encode())
    return connection


def received(connection: socket.socket) -> bytes:
    """Everything that still arrives until the connection ends or breaks."""
    body = b""
    connection.settimeout(20)
    try:
        while piece := connection.recv(65536):
            body += piece
    except ConnectionResetError:
        pass
    return body


def events_of(address: str, last: str = "") -> socket.socket:
    """A slow reader of a run, after the event `last`."""
    url, path = address.split("/runs/")
    return slow_reader(url, f"GET /runs/{path}/events", *([f"Last-Event-ID: {last}"] if last else []))


LONG = ["x" * 5000] * 300  # more than all buffers can take
TAIL = "y" * 400_000  # the same, in one piece
STALL_S = 2  # longer than the last frame may take


def test_a_slow_reader_is_disconnected_and_resumes(tight: Tight) -> None:
    """A reader that reads nothing delays neither the run nor others, is disconnected, and then reads everything."""
    gate = Gate()
    address = start(tight({"nutrition": ["Beef ", gate, *LONG]}, send_timeout_s=0.5))
    with events_of(address) as slow:
        gate.open()
        events = follow(address)
        assert statuses(events) == ["ok"]
        assert len(written(events)["nutrition"]) == 1_500_005
        time.sleep(1)  # longer than a reader may block
        body = received(slow)
    assert len(body) < 500_000
    last = re.findall(rb"id: (\S+)\n", body)[-2].decode()  # it is cut after the last id
    assert follow(address, last) == events[int(last.split("-")[1]) :]


def test_a_slow_reader_gets_the_end_of_a_run(tight: Tight) -> None:
    """At the end of a run it has as much time as for any other frame."""
    gate = Gate()
    address = start(tight({"nutrition": ["Beef ", gate, TAIL]}))
    assert wait_until(lambda: ask("GET", address).json()["parts"]["steps"]["state"] == "ok", seconds=5)
    gate.open()
    events = follow(address)
    with events_of(address, events[-4].id) as slow:
        time.sleep(STALL_S)
        body = received(slow)
    assert [TAIL.encode() in body, b"event: end" in body, body.endswith(b"0\r\n\r\n")] == [True] * 3


def test_a_slow_reader_gets_the_end_of_a_response(tight: Tight) -> None:
    """On `POST /generate`, too: the pending text is sent in one write, and the end of the response after it."""
    gates = [Gate(), Gate(), Gate()]
    url = tight({"nutrition": [gates[0], TAIL, gates[1], "z", gates[2], TAIL]})
    headers = ("Content-Type: application/json",)
    with slow_reader(url, "POST /generate", *headers, body=json.dumps(REQUEST)) as slow:
        body = b""
        while not (found := re.search(rb'"run_id":"(.*?)"', body)):
            body += slow.recv(4096)
        address = f"{url}/runs/{found[1].decode()}"
        assert wait_until(lambda: state(address, "steps")["state"] == "ok", seconds=5)
        gates[0].open()
        while b"yyyy" not in body:
            body += slow.recv(4096)
        gates[1].open()  # this text waits for the reader, and the next one is joined to it
        assert wait_until(lambda: state(address, "nutrition")["text"].endswith("z"), seconds=5)
        gates[2].open()
        assert wait_until(lambda: ask("GET", address).json()["status"] == "ok", seconds=5)
        while body.count(b"y") < len(TAIL):
            body += slow.recv(4096)
        time.sleep(STALL_S)
        body += received(slow)
    assert [body.count(b"y") > 2 * len(TAIL), b"event: end" in body, body.endswith(b"0\r\n\r\n")] == [True] * 3


def state(address: str, part: str) -> dict[str, Any]:
    return ask("GET", address).json()["parts"][part]


def test_memory_for_slow_readers_is_bounded_and_freed(tight: Tight) -> None:
    """Little memory is used for readers that read nothing, and none after they are disconnected."""
    address = start(tight({"nutrition": LONG}, send_timeout_s=1.5))
    assert statuses(follow(address)) == ["ok"]
    tracemalloc.start()
    slow = [events_of(address) for _ in range(10)]
    gate = [tracemalloc.get_traced_memory()[0] for _ in range(30) if not time.sleep(0.1)]
    gc.collect()  # what is free does not depend on when the collector last ran
    left, _ = tracemalloc.get_traced_memory()
    for connection in slow:
        connection.close()
    tracemalloc.stop()
    assert 500_000 < max(gate) < 10 * 400_000
    assert left < 400_000


QUERY = "GET /completion?query=beef"
JSON = "Content-Type: application/json"
CHAT = {"model": "sizzle", "stream": True, "messages": [{"role": "user", "content": "beef, onions"}]}
STREAMS: dict[str, tuple[str, list[str], dict[str, Any] | None]] = {
    "plain text": (QUERY, [], None),
    "completion events": (QUERY, ["Accept: text/event-stream"], None),
    "chat completions": ("POST /v1/chat/completions", [JSON], CHAT),
    "chain": ("POST /chains/recipe/stream", [JSON], {"input": REQUEST}),
    "chain's log": ("POST /chains/recipe/stream_log", [JSON], {"input": REQUEST}),
    "generate": ("POST /generate", [JSON], REQUEST),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_reader_that_never_reads_is_disconnected_and_the_calls_are_closed(
    tight_scripts: TightScripts, name: str
) -> None:
    """On any stream the provider sees its calls closed, and the response is recognizably incomplete."""
    endless: Script = [*LONG, Gate()]
    url, provider = tight_scripts({"completion": endless, "intro": endless, "steps": endless}, send_timeout_s=0.5)
    request_line, headers, body = STREAMS[name]
    with slow_reader(url, request_line, *headers, body=json.dumps(body) if body else "") as slow:
        assert wait_until(lambda: bool(provider.calls), seconds=10)
        still_open = ("completion",) if request_line == QUERY else ("intro", "steps")
        assert wait_until(lambda: set(still_open) <= set(provider.closed), seconds=20)
        assert not received(slow).endswith(b"0\r\n\r\n")


def test_a_reader_of_a_broadcast_that_never_reads_is_disconnected(tight_scripts: TightScripts) -> None:
    """The broadcast continues for others, over server-sent events and over a WebSocket."""
    url, _ = tight_scripts({"completion": LONG}, send_timeout_s=0.5)
    broadcast = ask("POST", f"{url}/examples/broadcasts", json={"query": "beef"}).headers["location"]
    assert wait_until(lambda: bool(ask("GET", f"{url}{broadcast}").json()["end"]), seconds=20)
    upgrade = [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: " + 22 * "a" + "==",
    ]
    for path, headers in (("events", []), ("socket", upgrade)):
        with slow_reader(url, f"GET {broadcast}/{path}", *headers) as slow:
            time.sleep(STALL_S)
            assert 0 < len(received(slow)) < 500_000
    assert len(ask("GET", f"{url}{broadcast}/events").content) > 1_500_000

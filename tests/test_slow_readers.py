"""Readers who are slow: nobody waits for them, little is held for them, and they get all they have time for."""

import json
import re
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from app.main import create_app
from app.settings import Settings
from tests.client import ASKED, ask, follow, start, statuses, wait_until, written
from tests.servers import Gate, Provider, Script, provider, serving

Tight = Callable[..., str]
SNDBUF = 16 * 1024


@pytest.fixture
def tight() -> Iterator[Tight]:
    """Serves Sizzle over a provider that follows scripts, with next to no room in the system for what is sent."""
    with ExitStack() as stack:

        def start(scripts: dict[str, Script | list[Script]], **settings: Any) -> str:
            scripted: Provider = stack.enter_context(provider(scripts))
            app = create_app(Settings(groq_api_key="k", groq_base_url=scripted.url, **settings))
            return stack.enter_context(serving(app, SNDBUF))

        yield start


def slow_reader(url: str, asked: str, *headers: str, body: str = "") -> socket.socket:
    """One who asks, and then reads nothing, with next to no room for what is sent."""
    host = url.removeprefix("http://")
    name, port = host.split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((name, int(port)))
    lines = [f"{asked} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}", *headers, "", body]
    connection.sendall("\r\n".join(lines).encode())
    return connection


def received(connection: socket.socket) -> bytes:
    """All that still comes, until the connection is at its end, or broken."""
    body = b""
    connection.settimeout(20)
    try:
        while piece := connection.recv(65536):
            body += piece
    except ConnectionResetError:
        pass
    return body


def events_of(address: str, last: str = "") -> socket.socket:
    """A slow reader of a run, behind the event `last`."""
    url, path = address.split("/runs/")
    return slow_reader(url, f"GET /runs/{path}/events", *([f"Last-Event-ID: {last}"] if last else []))


LONG = ["x" * 5000] * 300  # more than waits for a reader anywhere
TAIL = "y" * 400_000  # the same, in one piece
STALL_S = 2  # which is longer than a farewell may take


def test_a_slow_reader_is_cut_and_comes_back(tight: Tight) -> None:
    """One who reads nothing holds up neither the run nor others, is cut, and then reads all the same."""
    held = Gate()
    address = start(tight({"nutrition": ["Beef ", held, *LONG]}, send_timeout_s=0.5))
    with events_of(address) as slow:
        held.open()
        events = follow(address)
        assert statuses(events) == ["ok"]
        assert len(written(events)["nutrition"]) == 1_500_005
        time.sleep(1)  # for longer than he may block
        body = received(slow)
    assert len(body) < 500_000
    last = re.findall(rb"id: (\S+)\n", body)[-2].decode()  # behind the last id it is cut
    assert follow(address, last) == events[int(last.split("-")[1]) :]


def test_who_is_slow_with_the_tail_of_a_run_gets_it_all(tight: Tight) -> None:
    """When nothing more will come he has as long for it as for any other frame."""
    held = Gate()
    address = start(tight({"nutrition": ["Beef ", held, TAIL]}))
    assert wait_until(lambda: ask("GET", address).json()["parts"]["steps"]["state"] == "ok", seconds=5)
    held.open()
    events = follow(address)
    with events_of(address, events[-4].id) as slow:
        time.sleep(STALL_S)
        body = received(slow)
    assert [TAIL.encode() in body, b"event: end" in body, body.endswith(b"0\r\n\r\n")] == [True] * 3


def test_who_is_slow_with_the_tail_of_an_answer_gets_it_all(tight: Tight) -> None:
    """On Wire 1, too: what came together while he was slow goes out as one, and the end of the answer behind it."""
    gates = [Gate(), Gate(), Gate()]
    url = tight({"nutrition": [gates[0], TAIL, gates[1], "z", gates[2], TAIL]})
    headers = ("Content-Type: application/json",)
    with slow_reader(url, "POST /generate", *headers, body=json.dumps(ASKED)) as slow:
        body = b""
        while not (found := re.search(rb'"run_id":"(.*?)"', body)):
            body += slow.recv(4096)
        address = f"{url}/runs/{found[1].decode()}"
        assert wait_until(lambda: state(address, "steps")["state"] == "ok", seconds=5)
        gates[0].open()
        while b"yyyy" not in body:
            body += slow.recv(4096)
        gates[1].open()  # what comes now waits for him, and what comes then waits together
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


def test_what_waits_for_slow_readers_is_bounded_and_let_go_of(tight: Tight) -> None:
    """However much there is for those who read nothing, little is held for them, and nothing when they are cut."""
    address = start(tight({"nutrition": LONG}, send_timeout_s=1.5))
    assert statuses(follow(address)) == ["ok"]
    tracemalloc.start()
    slow = [events_of(address) for _ in range(10)]
    held = [tracemalloc.get_traced_memory()[0] for _ in range(30) if not time.sleep(0.1)]
    for connection in slow:
        connection.close()
    tracemalloc.stop()
    assert 500_000 < max(held) < 10 * 400_000
    assert held[-1] < 400_000

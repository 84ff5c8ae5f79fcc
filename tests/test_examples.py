"""Broadcasts over real sockets: one completion, followed over four transports, without losing or repeating text."""

import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing, asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from httpx_sse import connect_sse
from hypothesis import given, strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from app.api import examples
from app.main import create_app
from app.models import open_models
from app.runs.broadcasts import Broadcast, Broadcasts, End
from app.server.shutdown import ShutdownMiddleware, ShutdownNotifier
from app.server.traffic import TrafficMeter
from tests.client import ask, wait_until
from tests.conftest import ServeScripts
from tests.servers import Finish, Gate, Provider, Refuse, Script, apart, provider, run, serving, settings_from

QUERY = {"query": "What goes with beef?"}
WORDS = ["Onions\n", "and 소금 ", "\u2028salt\r\n", "<b>"]
Reading = tuple[list[str], dict[str, Any]]  # the pieces, and how it ended


def start(url: str, **params: Any) -> str:
    """Starts a broadcast; returns its address."""
    answer = httpx.post(f"{url}/examples/broadcasts", json=QUERY | params, timeout=20)
    assert answer.status_code == 201
    return f"{url}{answer.headers['location']}"


def get(broadcast: str, **how: Any) -> httpx.Response:
    return httpx.get(broadcast, params=how, timeout=20)


def ended(broadcast: str) -> bool:
    return bool(get(broadcast).json()["end"])


def by_polling(broadcast: str, after: int = 0, **how: Any) -> Reading:
    texts: list[str] = []
    while not (answer := get(broadcast, after=after + len(texts), **how).json())["end"]:
        texts += [piece["text"] for piece in answer["pieces"]]
    return texts + [piece["text"] for piece in answer["pieces"]], answer["end"]


def by_long_polling(broadcast: str, after: int = 0) -> Reading:
    return by_polling(broadcast, after, wait=True)


def by_socket(broadcast: str, after: int = 0) -> Reading:
    with connect(f"{broadcast.replace('http', 'ws', 1)}/socket?after={after}") as messages:
        *pieces, last = [json.loads(message) for message in messages]
    return [piece["text"] for piece in pieces], last["end"]


def by_events(broadcast: str, after: int = 0) -> Reading:
    last_id = {"Last-Event-ID": str(after)} if after else {}
    with (
        httpx.Client(timeout=20) as client,
        connect_sse(client, "GET", f"{broadcast}/events", headers=last_id) as source,
    ):
        *pieces, last = list(source.iter_sse())
    assert [int(event.id) for event in [*pieces, last]] == list(range(after + 1, after + len(pieces) + 2))
    assert last.event == "end"
    return [json.loads(event.data)["text"] for event in pieces], json.loads(last.data)


TRANSPORTS = [by_polling, by_long_polling, by_socket, by_events]


@pytest.fixture
def serve_broadcasts() -> Iterator[Callable[..., tuple[str, Provider]]]:
    """Serves broadcasts with other limits over a scripted provider."""
    with ExitStack() as stack:

        def serve(script: Script, **limits: Any) -> tuple[str, Provider]:
            scripted = stack.enter_context(provider({"completion": script}))
            settings = settings_from(groq_api_key="sk-groq-1", groq_base_url=scripted.url)

            @asynccontextmanager
            async def lifespan(app: FastAPI) -> AsyncIterator[None]:
                async with (
                    open_models(settings) as app.state.models,
                    aclosing(Broadcasts(app.state.models.completion_models, **limits)) as app.state.broadcasts,
                ):
                    yield

            app = FastAPI(lifespan=lifespan)
            app.include_router(examples.router)
            app.add_middleware(TrafficMeter, prefix="/examples/broadcasts/")
            app.add_middleware(ShutdownMiddleware, shutdown=ShutdownNotifier(), send_timeout_s=30)
            app.state.keep_alive_s, app.state.send_timeout_s, app.state.origins = 15, 30, ()
            return stack.enter_context(serving(app)), scripted

        yield serve


def test_one_completion_is_the_same_over_every_transport(serve_scripts: ServeScripts) -> None:
    """Four readers get every piece and the end, with one call to the provider."""
    gate = Gate()
    url, scripted = serve_scripts({"completion": [gate, *apart(*WORDS)]})
    broadcast = start(url)
    with ThreadPoolExecutor(4) as readers:
        received = [readers.submit(by, broadcast) for by in TRANSPORTS]
        gate.open()
        assert [reader.result() for reader in received] == [(WORDS, {"status": "ok", "message": None})] * 4
    assert len(scripted.calls) == 1


@pytest.mark.parametrize("by", TRANSPORTS)
def test_a_reader_gets_exactly_what_it_lacks(serve_scripts: ServeScripts, by: Callable[..., Reading]) -> None:
    """A reader gets the rest after any piece, once."""
    url, _ = serve_scripts({"completion": [*apart(*WORDS)]})
    broadcast = start(url)
    assert [by(broadcast, after)[0] for after in range(len(WORDS))] == [WORDS[after:] for after in range(len(WORDS))]


@given(steps=st.lists(st.one_of(st.text(min_size=1, max_size=5), st.integers(0, 3)), max_size=30))
def test_no_sequence_of_reads_loses_or_doubles_text(steps: list[str | int]) -> None:
    """Readers that resume after any piece, during and after the broadcast, have exactly the text."""

    async def read() -> list[str]:
        broadcast, had = Broadcast(), [""] * 4
        counts = [0] * 4
        for step in steps:
            if isinstance(step, str):
                broadcast.append(step)
            else:
                fresh = broadcast.pieces[counts[step] :]
                had[step] += "".join(piece.text for piece in fresh)
                counts[step] += len(fresh)
        broadcast.close(End("ok"))
        for reader, count in enumerate(counts):
            *rest, end = [piece async for piece in broadcast.follow(count)]
            had[reader] += "".join(piece.text for piece in rest if not isinstance(piece, End))
            assert end == End("ok")
        return had

    assert run(read()) == ["".join(step for step in steps if isinstance(step, str))] * 4


def test_polling_answers_at_once_and_long_polling_with_the_next_piece(serve_scripts: ServeScripts) -> None:
    """While the provider is silent, a poll is empty and a long poll waits for the next piece."""
    first, second = Gate(), Gate()
    url, _ = serve_scripts({"completion": [first, "Onions ", second, "and salt"]})
    broadcast = start(url)
    assert get(broadcast).json() == {"pieces": [], "end": None}
    with ThreadPoolExecutor(1) as reader:
        waiting = reader.submit(get, broadcast, wait=True)
        first.open()
        (piece,) = waiting.result().json()["pieces"]
    assert [piece["n"], piece["text"]] == [1, "Onions "]
    second.open()
    assert by_long_polling(broadcast, 1)[0] == ["and salt"]


def test_a_long_poll_that_is_hung_up_logs_no_error(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    caplog.set_level(logging.INFO)
    with provider({"completion": [gate]}) as scripted:
        app = create_app(settings_from(groq_api_key="k", groq_base_url=scripted.url))
        with serving(app) as url:
            with pytest.raises(httpx.ReadTimeout):
                httpx.get(start(url), params={"wait": True, "after": 999}, timeout=0.2)
            assert wait_until(lambda: "GET /examples/broadcasts/" in caplog.text, 5)
            gate.open()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_broadcast_continues_when_readers_leave(serve_scripts: ServeScripts) -> None:
    """A reader that left after the first piece gets all of it later, from the same call."""
    gate = Gate()
    url, scripted = serve_scripts({"completion": ["Onions ", gate, "and salt"]})
    broadcast = start(url)
    with connect(f"{broadcast.replace('http', 'ws', 1)}/socket") as messages:
        messages.recv()
    with httpx.stream("GET", f"{broadcast}/events", timeout=20) as answer:
        next(answer.iter_bytes())
    gate.open()
    assert by_long_polling(broadcast)[0] == ["Onions ", "and salt"]
    assert [len(scripted.calls), scripted.closed] == [1, []]


def test_an_event_source_stops_after_the_end(serve_scripts: ServeScripts) -> None:
    """The id of the end gets a 204, after which an `EventSource` stops; a reader without the end gets it."""
    url, _ = serve_scripts({"completion": [*apart(*WORDS)]})
    broadcast = start(url)
    texts, _ = by_events(broadcast)
    last = {"Last-Event-ID": str(len(texts) + 1)}
    assert httpx.get(f"{broadcast}/events", headers=last, timeout=20).status_code == 204
    assert by_events(broadcast, len(texts)) == ([], {"status": "ok", "message": None})


@pytest.mark.parametrize("by", TRANSPORTS)
@pytest.mark.parametrize(
    ("script", "texts", "reason"),
    [([Refuse(429)], [], "wait a minute"), (["Onions ", Finish(None)], ["Onions "], "broke off")],
)
def test_a_failure_has_our_own_message(
    serve_scripts: ServeScripts, by: Callable[..., Reading], script: Script, texts: list[str], reason: str
) -> None:
    """The text is kept, and the end has the reason, over every transport."""
    url, _ = serve_scripts({"completion": script})
    received, end = by(start(url))
    assert [received, end["status"], reason in end["message"], "canary" in str(end)] == [texts, "failed", True, False]


@pytest.mark.parametrize("origin", ["http://elsewhere.example", "null", "http://127.0.0.1:1"])
def test_a_socket_refuses_pages_of_other_sites(serve_scripts: ServeScripts, origin: str) -> None:
    """A foreign Origin gets a 403 before the handshake; the server's own is accepted."""
    url, _ = serve_scripts({"completion": [*apart(*WORDS)]})
    address = f"{start(url).replace('http', 'ws', 1)}/socket"
    with pytest.raises(InvalidStatus) as refused:
        connect(address, origin=Origin(origin))
    assert refused.value.response.status_code == 403
    with connect(address, origin=Origin(url)) as messages:
        assert json.loads(messages.recv())["text"] == WORDS[0]


def test_an_unknown_broadcast_is_not_found(serve_scripts: ServeScripts) -> None:
    """Over a WebSocket it is a close code, because a page cannot see a 404."""
    url, _ = serve_scripts()
    unknown = f"{url}/examples/broadcasts/nope"
    answers = [httpx.get(f"{unknown}{rest}", timeout=20) for rest in ("", "?wait=true", "/events", "/traffic")]
    assert [answer.status_code for answer in answers] == [404] * 4
    assert all("no such broadcast" in answer.json()["detail"] for answer in answers)
    with connect(f"{unknown.replace('http', 'ws', 1)}/socket") as messages, pytest.raises(ConnectionClosed) as closed:
        messages.recv()
    assert closed.value.rcvd is not None
    assert [closed.value.rcvd.code, "no such broadcast" in closed.value.rcvd.reason] == [4404, True]


@pytest.mark.parametrize("params", [{"query": " "}, {"query": "a" * 20_001}, {"query": None}])
def test_a_bad_question_is_refused_by_field(serve_scripts: ServeScripts, params: dict[str, Any]) -> None:
    """The 422 names the field and what is right, and nothing is sent to a provider."""
    url, scripted = serve_scripts()
    answer = httpx.post(f"{url}/examples/broadcasts", json=params, timeout=20)
    (problem,) = answer.json()["detail"]
    assert [answer.status_code, problem["field"]] == [422, "query"]
    assert "1 to 20,000 characters" in problem["expected"]
    assert scripted.calls == []


def test_broadcasts_are_bounded_in_number(serve_scripts: ServeScripts) -> None:
    """The 33rd gets a 503 with Retry-After and makes no call."""
    url, scripted = serve_scripts({"completion": ["Onions", Gate()]})
    with ThreadPoolExecutor(16) as threads:  # at once, because a broadcast without readers is soon stopped
        list(threads.map(lambda _: start(url), range(32)))
    answer = httpx.post(f"{url}/examples/broadcasts", json=QUERY, timeout=20)
    assert [answer.status_code, answer.headers["retry-after"]] == [503, "60"]
    assert "try again" in answer.json()["detail"]
    assert wait_until(lambda: len(scripted.calls) == 32, seconds=10)


def test_a_broadcast_is_dropped_some_time_after_its_end(serve_broadcasts: Callable[..., Any]) -> None:
    """It is replaced by another one; a running one is kept."""
    gate = Gate()
    url, _ = serve_broadcasts(["Onions", gate], limit=1, retention_s=0.05)
    broadcast = start(url)
    assert httpx.post(f"{url}/examples/broadcasts", json=QUERY, timeout=20).status_code == 503
    gate.open()
    assert wait_until(lambda: get(broadcast).status_code == 404, seconds=10)
    assert start(url) != broadcast


def test_a_broadcast_without_readers_is_stopped(serve_broadcasts: Callable[..., Any]) -> None:
    """Without a first or after the last reader its call is closed and its place is free."""
    url, scripted = serve_broadcasts(["Onions", Gate()], limit=1, unfollowed_s=1.5)
    broadcast = start(url)
    with httpx.stream("GET", f"{broadcast}/events", timeout=20) as answer:
        pieces = answer.iter_bytes()
        next(pieces)
        assert not wait_until(lambda: bool(scripted.closed), seconds=2)
    assert wait_until(lambda: scripted.closed == ["completion"], seconds=10)
    assert wait_until(lambda: get(broadcast).status_code == 404, seconds=10)
    start(url)
    assert wait_until(lambda: len(scripted.closed) == 2, seconds=10)


def test_a_reader_that_polls_follows(serve_broadcasts: Callable[..., Any]) -> None:
    gate = Gate()
    url, scripted = serve_broadcasts(["Onions", gate], unfollowed_s=1.5)
    broadcast = start(url)
    assert not wait_until(lambda: ended(broadcast), seconds=2.5)
    gate.open()
    assert by_polling(broadcast)[0] == ["Onions"]
    assert scripted.closed == []


def test_a_broadcast_that_takes_too_long_fails(serve_broadcasts: Callable[..., Any]) -> None:
    """At its deadline the call is closed; the text is kept, with the reason."""
    url, scripted = serve_broadcasts(["Onions", Gate()], deadline_s=0.5)
    texts, end = by_long_polling(start(url))
    assert [texts, end["status"], "longer than 0.5 seconds" in end["message"]] == [["Onions"], "failed", True]
    assert wait_until(lambda: scripted.closed == ["completion"], seconds=2)


def exchange(url: str, path: str, headers: str = "") -> tuple[int, int]:
    """The bytes of a request, and its response up to the pause after it."""
    address = httpx.URL(url)
    request = f"GET {path} HTTP/1.1\r\nHost: {address.host}:{address.port}\r\n{headers}\r\n".encode()
    with socket.create_connection((address.host, address.port), timeout=5) as connection:
        connection.sendall(request)
        answer = b""
        while not answer.endswith((b"}", b"0\r\n\r\n", b"\x88\x02\x03\xe8")):
            answer += connection.recv(65536)
    return len(request), len(answer)


def test_traffic_is_what_goes_over_the_wire(serve_scripts: ServeScripts) -> None:
    """The counted bytes are those that a raw socket sends and receives, for each transport."""
    url, _ = serve_scripts({"completion": [*apart(*WORDS), "long " * 100]})
    broadcast = start(url)
    assert wait_until(lambda: ended(broadcast), seconds=10)
    polled = get(f"{broadcast}/traffic").json()["polling"]
    path = broadcast.removeprefix(url)
    upgrade = (
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    paths = {"long_polling": (f"{path}?wait=true", ""), "websocket": (f"{path}/socket", upgrade)}
    wire = {name: exchange(url, *params) for name, params in (paths | {"sse": (f"{path}/events", "")}).items()}
    up, down = exchange(url, f"{path}?after=1")
    counted = get(f"{broadcast}/traffic").json()
    closing = {"websocket": 8}  # the client's close frame, which the raw socket leaves out
    assert {name: (spent["up"] - closing.get(name, 0), spent["down"]) for name, spent in counted.items()} == {
        **wire,
        "polling": (polled["up"] + up, polled["down"] + down),
    }
    assert {name: spent["requests"] for name, spent in counted.items()} == {
        "polling": polled["requests"] + 1, "long_polling": 1, "websocket": 1, "sse": 1,
    }  # fmt: skip


def test_the_clock_is_the_one_that_stamps_pieces(serve_scripts: ServeScripts) -> None:
    """A piece's time lies between two readings of the clock."""
    url, _ = serve_scripts({"completion": ["Onions"]})
    before = ask("GET", f"{url}/examples/clock").json()["now"]
    broadcast = start(url)
    assert wait_until(lambda: ended(broadcast), seconds=10)
    after = ask("GET", f"{url}/examples/clock").json()["now"]
    assert before <= get(broadcast).json()["pieces"][0]["at"] <= after


@pytest.mark.parametrize("page", ["", "fetch", "eventsource", "comparison", "transports"])
def test_pages_allow_nothing_but_their_own_scripts(sizzle_url: str, page: str) -> None:
    """Each page has a strict policy and satisfies it: there is no inline script or style."""
    answer = ask("GET", f"{sizzle_url}/examples/{page}")
    assert [answer.status_code, answer.headers["content-type"]] == [200, "text/html; charset=utf-8"]
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert not any(mark in answer.text for mark in ("<style", " style=", "<script>", " onclick="))


def test_there_are_no_other_pages(sizzle_url: str) -> None:
    """Any other name is not found, and the address without a slash redirects to the index."""
    assert ask("GET", f"{sizzle_url}/examples/index").status_code == 404
    assert httpx.get(f"{sizzle_url}/examples", follow_redirects=True).url.path == "/examples/"

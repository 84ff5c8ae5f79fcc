"""Slow and hostile connections: they are closed, and harm nobody else."""

import asyncio
import itertools
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosedError
from websockets.frames import CloseCode
from websockets.sync.client import connect

from app.main import create_app
from app.server.protocol import CONNECTIONS, HEAD_BYTES, HEADERS, SEND_BUFFER, BoundedHttp
from tests.access import TOKEN
from tests.client import REQUEST, ask, wait_until
from tests.server_process import server_process
from tests.servers import Gate, serving, settings_from


class HastyHttp(BoundedHttp):
    arrival_s = 1.0


async def length(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def endless(_: Request) -> Response:
    return StreamingResponse(b"x" * 8192 for _ in itertools.count())


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


def app(gate: Gate) -> Starlette:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"begin "
        await gate.passed()
        yield b"end"

    async def slow(_: Request) -> Response:
        return StreamingResponse(pieces())

    routes = [Route("/", length, methods=["GET", "POST"]), Route("/endless", endless), Route("/slow", slow)]
    return Starlette(routes=[*routes, WebSocketRoute("/echo", echo)])


@contextmanager
def bounded(protocol: type[BoundedHttp] = BoundedHttp) -> Iterator[tuple[str, Gate]]:
    gate = Gate()
    with serving(app(gate), http=protocol) as url:
        yield url, gate
        gate.open()


def connected(url: str, begin: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
    """A connection that has sent the beginning of a request."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=20, source_address=(source, 0))
    connection.sendall(begin)
    return connection


def rest(connection: socket.socket) -> bytes:
    """What arrives until the server closes the connection."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionError:
        pass
    return received


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
HALVES = [
    b"",
    b"\r\n\r\n",
    b"PO",
    HEAD,
    HEAD + b"X-Padding: aaaa",
    HEAD + b"Content-Length: 10\r\n\r\nhalf",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    HEAD + b"Content-Length: 0\r\n\r\n" + HEAD,
]


def test_300_half_open_connections_are_closed_and_nobody_else_notices() -> None:
    """A stream and a WebSocket that are older than they may take to arrive go on."""
    with bounded(HastyHttp) as (url, gate), ExitStack() as stack:
        slow = stack.enter_context(connected(url, b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
        websocket = stack.enter_context(connect(url.replace("http", "ws") + "/echo"))
        half = [stack.enter_context(connected(url, begin)) for begin in HALVES * 38]
        assert ask("POST", url, content=b"beef").text == "4"
        assert all(b"408" not in rest(connection) for connection in half)
        websocket.send("still here")
        assert websocket.recv() == "still here"
        gate.open()
        assert rest(slow).endswith(b"3\r\nend\r\n0\r\n\r\n")


def test_a_request_after_a_pause_on_a_kept_connection_has_its_own_time() -> None:
    with bounded(HastyHttp) as (url, _), connected(url) as connection:
        for _ in range(3):
            connection.sendall(HEAD + b"Content-Length: 4\r\n\r\n")
            connection.sendall(b"beef")
            assert connection.recv(65536).endswith(b"4")
        connection.sendall(HEAD)
        assert rest(connection) == b""


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"X: y\r\n" * (HEADERS - 2) + b"\r\n", b"200"),
        (b"X: y\r\n" * 50_000 + b"\r\n", b"431"),
        (b"X: " + b"y" * (HEAD_BYTES // 2) + b"\r\n\r\n", b"200"),
        (b"X: " + b"y" * 20_000_000 + b"\r\n\r\n", b"431"),
        (b"X: y\r\n" * 200_000, b"431"),
        (b"X" * 10_000_000, b"431"),
    ],
    ids=["most headers", "many headers", "a long header", "a bomb", "endless headers", "an endless name"],
)
def test_a_head_is_bounded(head: bytes, status: bytes) -> None:
    with bounded() as (url, _):
        with connected(url, b"GET / HTTP/1.1\r\nHost: x\r\n") as connection:
            with suppress(ConnectionError):
                connection.sendall(head)
            connection.settimeout(5)
            answer = connection.recv(65536) if status == b"200" else rest(connection)
        assert answer.startswith(b"HTTP/1.1 " + status) or (status == b"431" and not answer)  # it may be lost
        assert ask("POST", url, content=b"beef").text == "4"


def queues(url: str) -> list[tuple[int, int]]:
    """Bytes that the kernel keeps for and from each client of the server (proc(5))."""
    port = f"{int(url.rpartition(':')[2]):04X}"
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sizes = [row[4].split(":") for row in rows if row[1].endswith(f":{port}") and row[3] == "01"]
    return [(int(unsent, 16), int(unread, 16)) for unsent, unread in sizes]


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LONG = b"GET /?q=" + b"a" * 120_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
BEEF = HEAD + b"Content-Length: 4\r\n\r\nbeef"
TOO_LARGE = "The address and the headers are too large: the limit is 65,536 bytes and 100 headers."
MALFORMED = [{"field": "request", "message": "This is not valid HTTP.", "expected": "HTTP/1.1 as in RFC 9112."}]
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def last_answer(url: str, *pieces: bytes) -> tuple[bytes, object]:
    """The status line and the JSON of the answer after which the server ends the connection."""
    with connected(url) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
            wait_until(lambda: not any(unread for _, unread in queues(url)), seconds=5)
        head, _, body = rest(connection).rpartition(b"\r\n\r\n")
    status, _, headers = head[head.rindex(b"HTTP/1.1 ") :].partition(b"\r\n")
    assert b"Content-Type: application/json\r\n" in headers
    assert b"X-Content-Type-Options: nosniff\r\n" in headers
    return status, json.loads(body)


@pytest.mark.parametrize(
    "pieces",
    [
        [LONG],
        *([LONG[:cut], LONG[cut:]] for cut in (1, 6, 40_000, 65_535, 65_536, 65_537, len(LONG) - 1)),
        [LONG[start : start + 20_000] for start in range(0, len(LONG), 20_000)],
        [GET, LONG],
        [GET, LONG[:60_000], LONG[60_000:]],
        [BEEF[:-4], b"beef" + LONG[:100_000], LONG[100_000:]],
        [GET[:-2] + b"X: y\r\n" * HEADERS + b"\r\n"],
        [GET[:-2] + b"X: " + b"y" * 70_000 + b"\r\n\r\n"],
        [CHUNKED + b"0\r\n" + b"X: y\r\n" * 200],
        [CHUNKED + b"4\r\nbeef\r\n0\r\n", *[b"X" * 40_000] * 4],
        [CHUNKED + b"4;", *[b"x" * 40_000] * 4],
    ],
)
def test_what_is_too_large_gets_a_431_as_json_however_it_arrives(pieces: list[bytes]) -> None:
    with bounded() as (url, _):
        assert last_answer(url, *pieces) == (b"HTTP/1.1 431 Request Header Fields Too Large", {"detail": TOO_LARGE})


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GARBAGE\r\n\r\n"],
        [b"\x16\x03\x01\x02\x00\x01\x00"],
        [b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n"],
        [b"CONNECT a:1 HTTP/1.1\r\n\r\n"],
        [GET, b"GET / HTTP/9.9\r\n\r\n"],
        [HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"],
        [BEEF + b"GARBAGE\r\n\r\n"],
        [CHUNKED, b"zz\r\n"],
    ],
)
def test_what_is_not_http_gets_a_400_as_json(pieces: list[bytes]) -> None:
    with bounded() as (url, _):
        assert last_answer(url, *pieces) == (b"HTTP/1.1 400 Bad Request", {"detail": MALFORMED})


HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


@pytest.mark.parametrize(
    "rest_of_head",
    [b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n", b"X: " + b"y" * 10_000 + b"\r\n"],
    ids=["length", "chunks", "long header"],
)
def test_an_invalid_handshake_of_a_websocket_is_refused(rest_of_head: bytes) -> None:
    """Otherwise the connection would stay open, without an answer."""
    with bounded() as (url, _):
        assert last_answer(url, HANDSHAKE + rest_of_head + b"\r\n") == (
            b"HTTP/1.1 400 Bad Request",
            {"detail": MALFORMED},
        )


def test_a_large_body_in_small_chunks_is_no_head() -> None:
    with bounded() as (url, _), connected(url, CHUNKED + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n") as connection:
        assert connection.recv(65536).endswith(b"50000")


def test_no_answer_is_written_into_another_one() -> None:
    with bounded() as (url, gate), connected(url, GET.replace(b"/ ", b"/slow ")) as connection:
        received = connection.recv(65536)
        connection.sendall(b"GARBAGE\r\n\r\n")
        received += rest(connection)
        gate.open()
    assert [received.count(b"HTTP/1.1"), received.endswith(b"begin \r\n")] == [1, True]


def test_all_requests_of_a_client_that_leaves_end(caplog: pytest.LogCaptureFixture) -> None:
    """Also the one before another that was sent with it, which nothing else tells that the client has left."""
    ended = threading.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 8192
                await asyncio.sleep(0)
        finally:
            ended.set()

    async def stream(_: Request) -> Response:
        return StreamingResponse(pieces())

    with serving(Starlette(routes=[Route("/", stream)]), http=BoundedHttp) as url:
        with connected(url, GET + GET) as connection:
            connection.recv(1)
        assert ended.wait(10)
    assert "Exception" not in caplog.text


def test_a_client_that_leaves_before_an_answer_has_begun_is_noticed() -> None:
    """Also if another request, which waits, was sent with the one that is answered."""
    ended = threading.Event()

    async def silent(request: Request) -> Response:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        ended.set()
        return Response()

    with serving(Starlette(routes=[Route("/", silent)]), http=BoundedHttp) as url:
        with connected(url, GET + GET):
            pass
        assert ended.wait(10)


def test_trailers_are_no_headers() -> None:
    """A proxy that passes them has not checked them, so they let nobody in."""
    trailer = f"Authorization: Bearer {TOKEN}\r\n".encode()
    head = b"POST /runs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    body = json.dumps(REQUEST).encode()
    chunks = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n" % (len(body), body)
    with serving(create_app(settings_from(token=TOKEN)), http=BoundedHttp) as url:
        for request, code in ((head + chunks + trailer, b"401"), (head + trailer + chunks, b"201")):
            with connected(url, request + b"\r\n") as connection:
                assert rest(connection).startswith(b"HTTP/1.1 " + code)


def test_one_address_has_so_many_connections() -> None:
    """Further ones are closed; others, and proxies, have theirs, and later ones of the same address."""
    with bounded() as (url, _), ExitStack() as stack:
        many = [stack.enter_context(connected(url, HEAD, "127.0.0.2")) for _ in range(CONNECTIONS)]
        with connected(url, b"", "127.0.0.2") as another:
            assert rest(another) == b""
        for source in ("127.0.0.1", "127.0.0.3"):
            with connected(url, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", source) as connection:
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        for connection in many:
            connection.close()

        def answers() -> bool:
            with connected(url, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "127.0.0.2") as connection:
                try:
                    return connection.recv(65536).startswith(b"HTTP/1.1 200")
                except ConnectionError:
                    return False

        assert wait_until(answers, seconds=5)


def test_the_kernel_keeps_little_for_clients_that_do_not_read() -> None:
    with bounded() as (url, _), ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(connected(url, b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n"))
        assert wait_until(lambda: len(unread := queues(url)) == 30 and min(unread) > (0, 0), seconds=10)
        assert max(unsent for unsent, _ in queues(url)) <= 4 * SEND_BUFFER


def test_a_large_message_to_a_websocket_of_sizzle_serve_closes_it(tmp_path: Path) -> None:
    """Compressed, one of 16 MB would take 16 KB to send, and many of them wait for nobody."""
    with server_process(tmp_path) as server:
        broadcast = ask("POST", f"{server.url}/examples/broadcasts", json={"query": "beef?"}).json()["id"]
        address = f"{server.url.replace('http', 'ws')}/examples/broadcasts/{broadcast}/socket"
        with connect(address) as reader:
            reader.send("x" * 2_000)
            with pytest.raises(ConnectionClosedError) as closed:
                list(reader)
    assert closed.value.rcvd
    assert closed.value.rcvd.code == CloseCode.MESSAGE_TOO_BIG


def test_sizzle_serve_has_these_bounds(tmp_path: Path) -> None:
    with server_process(tmp_path) as server, connected(server.url, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200) as bomb:
        assert rest(bomb).startswith(b"HTTP/1.1 431")
        assert ask("GET", server.url).status_code == 200

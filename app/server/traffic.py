"""Counts the bytes of requests and responses as framed by HTTP/1.1 (RFC 9112) and WebSocket (RFC 6455).

TCP and TLS overhead is not included. WebSocket messages are counted before compression.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from http.client import responses
from typing import Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.server.root_path import route_path

Transport = Literal["polling", "long_polling", "websocket", "sse"]

# Added by the server itself.
DATE_AND_SERVER = len(b"date: Sat, 01 Jan 2000 00:00:00 GMT\r\nserver: uvicorn\r\n")
CHUNKED = len(b"transfer-encoding: chunked\r\n")
SWITCHED = len(b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: 0123456789012345678901234567\r\n")
MASK = 4
CLOSE = 2 + 2  # frame header and status


@dataclass(slots=True)
class Traffic:
    """Bytes so far, from the client to the server and back."""

    up: int = 0
    down: int = 0


@dataclass(frozen=True, slots=True)
class TrafficTotal:
    """The requests of one transport, and their bytes up and down."""

    requests: int
    up: int
    down: int


def total(requests: Sequence[Traffic]) -> TrafficTotal:
    return TrafficTotal(len(requests), sum(each.up for each in requests), sum(each.down for each in requests))


class TrafficMeter:
    """Counts the `Traffic` of each connection under `prefix` and puts it into its scope as `traffic`."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or not route_path(scope).startswith(self._prefix):
            return await self._app(scope, receive, send)
        traffic = Traffic(up=_request_head(scope))
        chunked = False

        async def count_and_send(message: Message) -> None:
            nonlocal chunked
            if message["type"] == "http.response.start":
                chunked = b"content-length" not in dict(message["headers"])
            traffic.down += _sent(message, chunked)
            if message["type"] == "websocket.close":
                traffic.up += CLOSE + MASK  # the client's reply
            await send(message)

        extended: Scope = {**scope, "traffic": traffic}
        if "connection" in scope:  # its frames bypass this middleware
            extended["connection"] = copy(scope["connection"])
            extended["connection"].send = count_and_send
        return await self._app(extended, receive, count_and_send)


def _request_head(scope: Scope) -> int:
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    return len(b"%b %b HTTP/1.1\r\n\r\n" % (scope.get("method", "GET").encode(), target)) + _fields(scope["headers"])


def _sent(message: Message, chunked: bool) -> int:
    match message["type"]:
        case "http.response.start":
            head = _status_line(message["status"]) + _fields(message["headers"]) + DATE_AND_SERVER
            return head + (CHUNKED if chunked else 0)
        case "http.response.body" if chunked:
            return _chunk(len(message.get("body", b""))) + (0 if message.get("more_body") else _chunk_of_none())
        case "http.response.body":
            return len(message.get("body", b""))
        case "websocket.accept":
            return _status_line(101) + SWITCHED + DATE_AND_SERVER + _fields(message.get("headers", []))
        case "websocket.send":
            return _frame(len(message.get("bytes") or message["text"].encode()))
        case "websocket.close":
            return CLOSE
        case _:
            return 0


def _fields(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(b": ") + len(value) + len(b"\r\n") for name, value in headers)


def _status_line(status: int) -> int:
    """Includes the empty line after the fields. A status such as 499 has no phrase."""
    return len(f"HTTP/1.1 {status} {responses.get(status, '')}\r\n\r\n")


def _chunk(size: int) -> int:
    return len(f"{size:x}\r\n\r\n") + size if size else 0


def _chunk_of_none() -> int:
    return len("0\r\n\r\n")


def _frame(size: int) -> int:
    return size + (2 if size < 126 else 4 if size < 65536 else 10)

"""Uvicorn's HTTP protocol with bounds against slow and hostile clients, which Uvicorn itself does not have.

It overrides only methods of `HttpToolsProtocol` that asyncio and httptools call, `send_400_response`, `shutdown` and
`handle_websocket_upgrade`. After its handshake a WebSocket is left to Uvicorn's protocol, and counts as a connection.
"""

import json
import socket
from asyncio import BaseTransport, TimerHandle, Transport
from collections.abc import Container
from functools import cache, lru_cache
from http import HTTPStatus
from typing import Any, cast

from typing_extensions import override
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.clients import Client
from app.server.security_headers import SECURITY_HEADERS
from app.server.shutdown import IDLE_S

ARRIVAL_S = 20.0  # for a whole request, including the first one of a connection
HEAD_BYTES, HEADERS = 64 * 1024, 100
PIPELINED = 8  # requests of a connection that wait while another one is answered
CONNECTIONS = 200  # of one client; proxies that say for whom they ask have no limit
PROVIDER_CONNECTIONS = 4000  # more than the calls of one process, SIZZLE_MAX_CALLS
WS_MESSAGE_BYTES = 1024  # from a client, inflated; our WebSockets only send
SEND_BUFFER = 64 * 1024  # bytes in the kernel for a client that does not read; Linux doubles the number


def _refusal(status: HTTPStatus, detail: object) -> bytes:
    body = json.dumps({"detail": detail})
    own = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"{name}: {value}" for name, value in {**SECURITY_HEADERS, **own}.items()]
    return "\r\n".join([f"HTTP/1.1 {status.value} {status.phrase}", *lines, "", body]).encode()


TOO_LARGE = _refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"The address and the headers are too large: the limit is {HEAD_BYTES:,} bytes and {HEADERS} headers.",
)
MALFORMED = _refusal(
    HTTPStatus.BAD_REQUEST,
    [{"field": "request", "message": "This is not valid HTTP.", "expected": "HTTP/1.1 as in RFC 9112."}],
)


class BoundedHttp(HttpToolsProtocol):
    """Closes connections of clients that have many, whose requests do not arrive, or whose heads are too large."""

    arrival_s = ARRIVAL_S
    most_connections = CONNECTIONS
    _timer: TimerHandle | None = None
    _head_bytes = 0  # received since the last piece of a body, or the end of a head
    _is_refused = False
    _cycles: tuple[RequestResponseCycle, ...] = ()  # of requests without a complete answer; `cycle` is the last one's
    url = b""

    @override
    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast(Transport, transport))
        if connection := transport.get_extra_info("socket"):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self._expect_request()
        if self._has_many_connections():
            self.transport.abort()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._disconnect()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        if not self.cycle or self.cycle.response_complete:
            self._expect_request()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > HEAD_BYTES:
            self.send_400_response("")

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_request()

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) == HEADERS:
            self._head_bytes = HEAD_BYTES + 1
            raise ValueError("too many headers")  # httptools stops, and Uvicorn calls `send_400_response`
        super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        if self._is_too_long():
            raise ValueError("too long")
        super().on_headers_complete()
        if len(self.pipeline) < PIPELINED:
            self.flow.resume_reading()  # otherwise nobody would see that the client has left
        if self.cycle:  # none for the handshake of a WebSocket
            self._cycles = (*(cycle for cycle in self._cycles if not cycle.response_complete), self.cycle)
        self.headers = [*self.headers]  # trailers are no headers (RFC 9110 §6.5.1): a proxy has not checked them
        self._head_bytes = 0

    @override
    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._head_bytes = 0

    @override
    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._stop_timer()
        self._head_bytes = 0

    @override
    def shutdown(self) -> None:
        """Waits for the next request of a connection whose client does not know yet that it closes.

        Closing at once would reset the connection if the request is on its way.
        """
        if self.cycle and not self.cycle.response_started:
            super().shutdown()  # the response says so
        else:
            self.loop.call_later(IDLE_S, super().shutdown)

    @override
    def handle_websocket_upgrade(self) -> None:
        """Also refuses a handshake that Uvicorn leaves open without an answer, such as one with a body."""
        super().handle_websocket_upgrade()
        handshake = getattr(self.transport.get_protocol(), "conn", None)
        if getattr(handshake, "handshake_exc", None) and not self.transport.is_closing():
            self.transport.write(MALFORMED)
            self.transport.close()

    @override
    def send_400_response(self, msg: str) -> None:
        """Answers with JSON, and discards what follows: closing at once could reset the connection before."""
        if self._is_refused:
            return
        self._is_refused = True
        is_answering = self._is_answering()
        self._disconnect()
        if is_answering or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write(TOO_LARGE if self._head_bytes > HEAD_BYTES or self._is_too_long() else MALFORMED)
        self.transport.write_eof()
        self.flow.resume_reading()
        self._expect_request()

    def _disconnect(self) -> None:
        """Tells all requests that the client has left. Uvicorn tells only the last one of those sent at once."""
        for cycle in self._cycles:
            if not cycle.response_complete:
                cycle.disconnected = True
            cycle.message_event.set()

    def _is_too_long(self) -> bool:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers or ()) >= HEAD_BYTES

    def _is_answering(self) -> bool:
        return bool(self.pipeline or (self.cycle and self.cycle.response_started and not self.cycle.response_complete))

    def _expect_request(self) -> None:
        self._timer = self._timer or self.loop.call_later(self.arrival_s, self._on_timeout)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None

    def _on_timeout(self) -> None:
        self._timer = None
        if self.flow.read_paused:  # the server does not read the rest, such as that of a pipelined request
            self._expect_request()
        else:
            self.transport.abort()

    def _has_many_connections(self) -> bool:
        host = self.client[0] if self.client else None
        if host is None or host in _proxies(_joined(self.config.forwarded_allow_ips)):
            return False
        clients = [getattr(each, "client", None) for each in self.connections]
        return sum(_name(client[0]) == _name(host) for client in clients if client) > self.most_connections


class ProviderHttp(BoundedHttp):
    """The same for a provider, to which one server makes many calls at a time."""

    most_connections = PROVIDER_CONNECTIONS


def _joined(addresses: list[str] | str) -> str:
    return addresses if isinstance(addresses, str) else ",".join(addresses)


@cache
def _proxies(addresses: str) -> Container[str]:
    """The proxies whose `X-Forwarded-For` Uvicorn believes."""
    return ProxyHeadersMiddleware(cast(Any, None), addresses).trusted_hosts


@lru_cache(4096)
def _name(host: str) -> str:
    return Client.at(host).name

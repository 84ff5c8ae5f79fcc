"""Uvicorn's HTTP protocol with bounds against slow and hostile clients, which Uvicorn itself does not have.

It overrides only methods of `HttpToolsProtocol` that asyncio and httptools call, and `send_400_response`. After its
handshake a WebSocket is left to Uvicorn's protocol, and counts as a connection.
"""

import socket
from asyncio import BaseTransport, TimerHandle, Transport
from collections.abc import Container
from functools import cache, lru_cache
from typing import Any, cast

from typing_extensions import override
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.clients import Client

ARRIVAL_S = 20.0  # for a whole request; also for the first one of a connection
HEAD_BYTES, HEADERS = 64 * 1024, 100
CONNECTIONS = 200  # of one client; proxies that say for whom they ask have no limit
SEND_BUFFER = 64 * 1024  # bytes in the kernel for a client that does not read; Linux doubles the number
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class BoundedHttp(HttpToolsProtocol):
    """Closes connections of clients that have many, whose requests do not arrive, or whose heads are too large."""

    arrival_s = ARRIVAL_S
    _timer: TimerHandle | None = None
    _head_bytes = 0
    _is_in_head = True

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
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if not self.cycle or self.cycle.response_complete:
            self._expect_request()
        self._head_bytes += len(data) if self._is_in_head else 0
        super().data_received(data)
        if self._is_in_head and self._head_bytes > HEAD_BYTES:
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
        super().on_headers_complete()
        self._is_in_head, self._head_bytes = False, 0

    @override
    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._stop_timer()
        self._is_in_head = True

    @override
    def send_400_response(self, msg: str) -> None:
        if self._head_bytes <= HEAD_BYTES:
            return super().send_400_response(msg)
        self.transport.write(TOO_LARGE)
        return self.transport.close()

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
        return sum(_name(client[0]) == _name(host) for client in clients if client) > CONNECTIONS


def _joined(addresses: list[str] | str) -> str:
    return addresses if isinstance(addresses, str) else ",".join(addresses)


@cache
def _proxies(addresses: str) -> Container[str]:
    """The proxies whose `X-Forwarded-For` Uvicorn believes."""
    return ProxyHeadersMiddleware(cast(Any, None), addresses).trusted_hosts


@lru_cache(4096)
def _name(host: str) -> str:
    return Client.at(host).name

"""Connections to providers: one pool, kept open.

The HTTP client is aiohttp, because its parser is written in C: an event takes 80 to 92 µs instead of 190 to 222 with
httpx2, on which the SDK is built. The SDK is not used: its `post` adds headers from the environment, and its errors
repeat the provider's words.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from time import monotonic
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx2
import orjson

from chains.models.coalescing import ReadCoalescing
from chains.models.registry import Provider
from chains.models.sse import NotAStreamError

CONNECT_S = 5  # the provider's entry has the other timeouts
# A run uses several connections; aiohttp's defaults are 100, and 15 seconds for an idle one.
CONNECTIONS, IDLE_S = 5000, 60
LARGEST_READ = 16 * 1024  # bytes, about 80 tokens; a single read of the socket can bring more
LONGEST_HEADER = 64 * 1024  # bytes; aiohttp's 8 KB is less than some proxies send
IDENTITY = "identity"  # no compression: a small body could become a huge one
COMPRESSED = ("gzip", "deflate", "br", "zstd", "compress")  # other values mean nothing, as to the SDKs
DRAIN_S = 0.1  # the timeout for the end of the body after its last event


class ConnectFailedError(Exception):
    """The request got no response. The message is the name of the underlying error."""


class HttpStatusError(Exception):
    """A response with an error status, with its headers."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(status)
        self.status, self.headers = status, headers


@cache
def trusted_authorities() -> ssl.SSLContext:
    """Returns the certificate authorities that the SDK trusts. They are read once, because that takes 20 ms.

    An unreadable file is ignored here: the settings reject it if a provider needs it.
    """
    try:
        return httpx2.create_ssl_context()
    except OSError:  # an `SSLError` is one
        return httpx2.create_ssl_context(trust_env=False)


@dataclass(frozen=True)
class HttpClients:
    """Clients for all providers: one keeps its connections for further requests, one opens one for each request."""

    keeping: aiohttp.ClientSession
    single: aiohttp.ClientSession
    coalescing: ReadCoalescing


@asynccontextmanager
async def http_clients() -> AsyncGenerator[HttpClients]:
    """Opens the clients for the running loop."""
    trusted, reuse = trusted_authorities(), aiohttp.TraceConfig()
    reuse.on_connection_reuseconn.append(_note_reuse)
    keep_alive = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=IDLE_S, ssl=trusted)
    close_after_use = aiohttp.TCPConnector(limit=CONNECTIONS, force_close=True, ssl=trusted)
    async with _client(keep_alive, [reuse]) as keeping, _client(close_after_use, []) as single:
        yield HttpClients(keeping, single, ReadCoalescing())


def _client(connector: aiohttp.TCPConnector, traces: list[aiohttp.TraceConfig]) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        auto_decompress=False,
        max_field_size=LONGEST_HEADER,
        read_bufsize=LARGEST_READ // 2,  # aiohttp pauses reading above twice this size
        cookie_jar=aiohttp.DummyCookieJar(),  # a cookie would tie the calls of all users together
        trace_configs=traces,
    )


@dataclass
class _Request:
    """What aiohttp's tracing reports about one request."""

    reuses_connection: bool = False


async def _note_reuse(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    if isinstance(context.trace_request_ctx, _Request):
        context.trace_request_ctx.reuses_connection = True


@dataclass(frozen=True)
class Endpoint:
    """Where a provider is called, with its key, and through which proxy, if any."""

    http: HttpClients
    provider: Provider
    key: str = field(repr=False)
    proxy: str | None = field(repr=False)  # its address may contain a password

    async def ask(self, body: Mapping[str, Any]) -> aiohttp.ClientResponse:
        """Returns the response of a streamed chat completion; use it with `async with`.

        Raises `ConnectFailedError`, `HttpStatusError`, and `NotAStreamError` if it is compressed.
        """
        try:
            response = await self._post(orjson.dumps(body))
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a malformed key or address
            unanswered = ConnectFailedError(type(error).__name__)
        else:
            if response.status < 300 and not _is_compressed(response.headers):
                return response
            response.close()
            if response.status < 300:
                raise NotAStreamError("a compressed body")
            raise HttpStatusError(response.status, response.headers)
        raise unanswered  # not within the `except`, where its context could contain the provider's words

    async def _post(self, body: bytes) -> aiohttp.ClientResponse:
        """Returns the response. If a reused connection turns out to be dead, the request is sent again on a new one.

        aiohttp does so itself, but only for idempotent methods (RFC 9112 §9.3.1).
        """
        request = _Request()
        try:
            return await self._send(self.http.keeping, body, request)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError) as error:
            has_begun = isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str)
            if has_begun or not request.reuses_connection:
                raise
        return await self._send(self.http.single, body)

    async def _send(
        self, client: aiohttp.ClientSession, body: bytes, request: _Request | None = None
    ) -> aiohttp.ClientResponse:
        return await client.post(
            self.provider.url("chat/completions"),
            data=body,
            headers=self._headers,
            proxy=self.proxy,
            allow_redirects=False,
            trace_request_ctx=request,
        )

    async def open(self) -> None:
        """Opens a connection by requesting the list of models. Failures are ignored; the first call reports them."""
        with suppress(aiohttp.ClientError, OSError, ValueError):
            url = self.provider.url("models")
            request = self.http.keeping.get(url, headers=self._headers, proxy=self.proxy, allow_redirects=False)
            async with asyncio.timeout(CONNECT_S), request as response:
                await _discard(response)

    @cached_property
    def _headers(self) -> dict[str, str]:
        return {"Accept-Encoding": IDENTITY, **self.provider.headers(self.key)}


def _is_compressed(headers: Mapping[str, str]) -> bool:
    encodings = headers.get("Content-Encoding", IDENTITY).lower().split(",")
    return any(encoding.strip().removeprefix("x-") in COMPRESSED for encoding in encodings)


async def drain_body(response: aiohttp.ClientResponse) -> None:
    """Reads the rest of the body for a moment, because otherwise the connection cannot be reused."""
    if not response.content.at_eof():
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await _discard(response)


async def _discard(response: aiohttp.ClientResponse) -> None:
    async for _ in response.content.iter_chunked(64 * 1024):
        pass


class ConnectionWarmer:
    """Opens connections to providers before they are needed: a handshake with a distant one takes a tenth of a second.

    It opens `AHEAD` connections at once, and again at the earliest after `EVERY_S` seconds.
    """

    AHEAD = 3  # concurrent calls of a run to one provider
    EVERY_S = 45  # an idle connection is kept for longer

    def __init__(self, endpoints: Collection[Endpoint]) -> None:
        self._endpoints = endpoints
        self._warm_until = 0.0

    async def warm(self) -> None:
        """Opens connections unless they are open."""
        if monotonic() < self._warm_until:
            return
        self._warm_until = monotonic() + self.EVERY_S
        await asyncio.gather(*(endpoint.open() for endpoint in self._endpoints for _ in range(self.AHEAD)))

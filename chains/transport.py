"""How the providers are reached: one pool of connections, kept open.

It is aiohttp's, for that reads in C what httpx2, on which the SDK is built, reads in Python: 80 to 92 µs an event, not
190 to 222. Nothing is above it: with httpx2's client there a recipe takes 3 ms more before its tokens, and a token a
tenth more; and the SDK's `post` does what is not wanted: headers from the environment, errors that repeat the
provider's words.
"""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from time import monotonic
from typing import Any

import aiohttp
import httpx2
import orjson

from chains.merging import NotAStreamError

CONNECT_S = 5  # for all else there are the deadlines of the provider's entry
# A recipe holds up to five; by default there would be a hundred, and an idle one would be closed after 15 seconds.
CONNECTIONS, IDLE_S = 5000, 60
LARGEST_READ = 16 * 1024  # bytes, some 80 tokens, that one read brings at most, but for an event at its end
IDENTITY = "identity"  # no compression: a small body could become a huge one
DRAIN_S = 0.1  # to wait for a body's end behind its last event


class Unanswered(Exception):
    """No answer began: the message is the kind of what hindered it. `chains.faults` tells it in our words."""


class Declined(Exception):
    """An answer of another status than 200, with its headers."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(status)
        self.status, self.headers = status, headers


def http_client() -> aiohttp.ClientSession:
    """A client for all providers, of the running loop. Close it."""
    trusted = httpx2.create_ssl_context()  # the authorities that the SDK trusts, on a machine without any, too
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=IDLE_S, ssl=trusted),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        auto_decompress=False,
        read_bufsize=LARGEST_READ // 2,  # it stops reading beyond twice as much
        cookie_jar=aiohttp.DummyCookieJar(),  # a cookie would tie all cooks' calls together
    )


@dataclass(frozen=True)
class Endpoint:
    """Where a provider is called, with its key, and through which proxy, if any."""

    http: aiohttp.ClientSession
    base_url: str
    key: str = field(repr=False)
    proxy: str | None = field(repr=False)  # its address may hold a password

    async def ask(self, payload: Mapping[str, Any]) -> aiohttp.ClientResponse:
        """The head of a chat completion's streamed answer, to be left with `async with`.

        Raises `Unanswered`, `Declined`, and `NotAStreamError` if it is compressed.
        """
        url, body = f"{self.base_url}/chat/completions", orjson.dumps(payload)
        try:
            response = await self.http.post(
                url, data=body, headers=self._headers, proxy=self.proxy, allow_redirects=False
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:  # the last for a key or an address of bad form
            unanswered = Unanswered(type(error).__name__)
        else:
            if response.status == 200 and response.headers.get("Content-Encoding", IDENTITY).lower() == IDENTITY:
                # else aiohttp feeds its parser with nothing behind each chunk that is taken: 3 µs a token
                response.content._low_water = 1  # pyright: ignore[reportPrivateUsage]
                return response
            response.close()
            if response.status == 200:
                raise NotAStreamError("a compressed body")
            raise Declined(response.status, response.headers)
        raise unanswered  # not within the `except`: what hindered it may hold the provider's words

    async def open(self) -> None:
        """Opens a connection, by asking for the list of models. What fails is left for the first call to tell."""
        with suppress(aiohttp.ClientError, OSError, ValueError):
            url = f"{self.base_url}/models"
            asked = self.http.get(url, headers=self._headers, proxy=self.proxy, allow_redirects=False)
            async with asyncio.timeout(CONNECT_S), asked as told:
                await _read_off(told)

    @cached_property
    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/json",
            "Accept-Encoding": IDENTITY,
        }


async def drain(response: aiohttp.ClientResponse) -> None:
    """Reads what is behind the last event, without which the connection can't be used again; it waits for a moment."""
    if not response.content.at_eof():
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await _read_off(response)


async def _read_off(response: aiohttp.ClientResponse) -> None:
    async for _ in response.content.iter_chunked(64 * 1024):
        pass


class Warmth:
    """Opens connections to providers before they are needed: a handshake with one far away costs a tenth of a second.

    It does so `AHEAD` times at once, and again only when `EVERY_S` seconds have gone by.
    """

    AHEAD = 3  # calls that a recipe has under way at one provider
    EVERY_S = 45  # an idle connection is kept for longer

    def __init__(self, endpoints: Collection[Endpoint]) -> None:
        self._endpoints = endpoints
        self._warm_until = 0.0

    async def keep(self) -> None:
        """Opens connections unless they are open."""
        if monotonic() < self._warm_until:
            return
        self._warm_until = monotonic() + self.EVERY_S
        await asyncio.gather(*(endpoint.open() for endpoint in self._endpoints for _ in range(self.AHEAD)))

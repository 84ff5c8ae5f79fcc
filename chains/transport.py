"""How the providers are reached: one pool of connections, kept open.

It is aiohttp's, for that reads in C what httpx2's own transport reads in Python: 80 to 92 µs an event, not 190 to 222.
"""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from time import monotonic

import httpx2
import openai

TIMEOUT = httpx2.Timeout(None, connect=5)  # seconds; for all else there are the deadlines of the provider's entry
# A recipe holds up to five; by default there would be a hundred, and an idle one would be closed after 5 seconds.
CONNECTIONS = httpx2.Limits(max_connections=5000, keepalive_expiry=60)
LOOPBACK = ("all://127.0.0.1", "all://localhost", "all://[::1]")


def http_client() -> httpx2.AsyncClient:
    """A client for all providers. Close it."""
    # a proxy that the environment names is for the providers, not for what runs on this machine
    direct: dict[str, httpx2.AsyncBaseTransport | None] = dict.fromkeys(LOOPBACK)
    nobodys = CookieJar(DefaultCookiePolicy(allowed_domains=[]))  # a cookie would tie all cooks' calls together
    return openai.DefaultAioHttpClient(limits=CONNECTIONS, mounts=direct, timeout=TIMEOUT, cookies=nobodys)


class Warmth:
    """Opens connections to providers before they are needed: a handshake with one far away costs a tenth of a second.

    It asks for their lists of models, `AHEAD` times at once, and again only when `EVERY_S` seconds have gone by.
    """

    AHEAD = 3  # calls that a recipe has under way at one provider
    EVERY_S = 45  # an idle connection is kept for longer

    def __init__(self, http: httpx2.AsyncClient, providers: Collection[tuple[str, str]]) -> None:
        """`providers` are base URLs with their keys."""
        self._http, self._providers = http, providers
        self._warm_until = 0.0

    async def keep(self) -> None:
        """Opens connections unless they are open. What fails is left for the first call to tell."""
        if monotonic() < self._warm_until:
            return
        self._warm_until = monotonic() + self.EVERY_S
        await asyncio.gather(*(self._open(*provider) for provider in self._providers for _ in range(self.AHEAD)))

    async def _open(self, base_url: str, key: str) -> None:
        with suppress(httpx2.HTTPError, OSError):
            await self._http.get(f"{base_url}/models", headers={"Authorization": f"Bearer {key}"}, timeout=5)

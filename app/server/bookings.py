"""What a request costs its client, in the headers of its response, as pure ASGI middleware."""

import asyncio
from http import HTTPStatus
from time import monotonic
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.admission import MANY_CLIENTS, booking
from app.clients import current_client

REFUSALS_PER_S = 200  # of one client; about a fifth of a processor
MAX_DELAY_S = 2


class Bookings:
    """Counts the calls that each request books, and adds the client's `RateLimit` to the response.

    A request that is refused, or fails, costs only the calls that it has made.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._refusals = app, Refusals()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: Any = scope.get("app")  # a mounted application replaces it
        with booking() as booked:

            async def send_with_quota(message: Message) -> None:
                is_start = message["type"] == "http.response.start"
                if is_start and booked.counted and message["status"] >= HTTPStatus.BAD_REQUEST:
                    await app.state.models.admission.give_back()
                if booked.quota and is_start:
                    headers = MutableHeaders(raw=list(message["headers"]))
                    headers.update(booked.quota.headers())
                    message = {**message, "headers": headers.raw}
                if is_start and message["status"] == HTTPStatus.TOO_MANY_REQUESTS:
                    await asyncio.sleep(self._refusals.add(current_client().name))
                await send(message)

            await self._app(scope, receive, send_with_quota)


class Refusals:
    """Delays the refusals of each client, so that one that retries at once leaves the processor to others."""

    def __init__(self) -> None:
        self._next_at: dict[str, float] = {}

    def add(self, client: str) -> float:
        """Counts a refusal. Returns the seconds that its response has to wait, at most `MAX_DELAY_S`."""
        now = monotonic()
        if len(self._next_at) >= MANY_CLIENTS:
            self._next_at = {name: at for name, at in self._next_at.items() if at > now}
        at = max(now, self._next_at.get(client, now))
        self._next_at[client] = min(at + 1 / REFUSALS_PER_S, now + MAX_DELAY_S)
        return at - now

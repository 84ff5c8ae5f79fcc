"""What a request costs its client, in the headers of its response, as pure ASGI middleware."""

from http import HTTPStatus
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.admission import booking


class Bookings:
    """Counts the calls that each request books, and adds the client's `RateLimit` to the response.

    A request that is refused, or fails, costs only the calls that it has made.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

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
                await send(message)

            await self._app(scope, receive, send_with_quota)

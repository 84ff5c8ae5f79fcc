"""What a request may cost its client, in the headers of its response, as pure ASGI middleware."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.admission import booking


class Bookings:
    """Counts the calls that each request books, and adds the client's `RateLimit` to the response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with booking() as booked:

            async def send_with_quota(message: Message) -> None:
                if booked.quota and message["type"] == "http.response.start":
                    headers = MutableHeaders(raw=list(message["headers"]))
                    headers.update(booked.quota.headers())
                    message = {**message, "headers": headers.raw}
                await send(message)

            await self._app(scope, receive, send_with_quota)

"""The body limit, as pure ASGI middleware."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.server.errors import HTTPError


class BodyLimit:
    """Raises an `HTTPError` where a body of more than `limit` bytes is read.

    Each application therefore answers in its own format; FastAPI's `max_body_size` answers in plain text.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            limited = _LimitedRequest(scope, receive, send, self._limit)
            receive, send = limited.receive, limited.send
        await self._app(scope, receive, send)


class _LimitedRequest:
    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        self._receive, self._send, self._limit = receive, send, limit
        self._declared = int(Headers(scope=scope).get("content-length", 0))  # the server has validated the number
        self._received = 0
        self._is_answered = False

    async def receive(self) -> Message:
        if self._declared <= self._limit:
            message = await self._receive()
            self._received += len(message.get("body", b""))
            if self._received <= self._limit:
                return message
        if not self._is_answered:
            raise HTTPError(413, "The body is too large: the limit is {most:,} bytes.", most=self._limit)
        while (message := await self._receive())["type"] != "http.disconnect":
            pass  # discards the rest of the body
        return message

    async def send(self, message: Message) -> None:
        self._is_answered = True
        await self._send(message)

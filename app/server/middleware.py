"""Security headers and the body limit, as pure ASGI middleware.

The frames of a stream bypass it, because `EventSourceResponse` sends them on the connection itself.
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.server.errors import HTTPError

PAGE_POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",  # for browsers without frame-ancestors
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",  # does not affect CORS requests, Fetch §3.7
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
PAGE_HEADERS = {"Content-Security-Policy": PAGE_POLICY, **SECURITY_HEADERS}


class SecurityHeaders:
    """Adds the security headers that a response does not set itself, and a Content-Security-Policy to pages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                is_page = headers.get("content-type", "").startswith("text/html")
                for name, value in (PAGE_HEADERS if is_page else SECURITY_HEADERS).items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


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

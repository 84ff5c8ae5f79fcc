"""Response headers that keep proxies from buffering or changing streams."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NO_BODY = {204, 205, 304}


class StreamHeaders:
    """Adds the headers to every response without a Content-Length.

    Compressing proxies buffer unless `no-transform` is set (RFC 9111 §5.2.2.6), nginx unless
    `X-Accel-Buffering` is `no`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] not in NO_BODY:
                headers = MutableHeaders(raw=list(message["headers"]))
                if "content-length" not in headers:
                    headers["Cache-Control"] = "no-store, no-transform"
                    headers["X-Accel-Buffering"] = "no"
                    message = {**message, "headers": headers.raw}
            await send(message)

        await self._app(scope, receive, send_with_headers)

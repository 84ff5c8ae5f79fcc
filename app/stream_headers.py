"""StreamHeaders: what keeps proxies from holding back or changing what is streamed."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NO_BODY = {204, 205, 304}


class StreamHeaders:
    """Adds the headers to every answer whose length is not known at its start: such an answer is a stream.

    Proxies that compress gather what they compress, except with `no-transform` (RFC 9111 §5.2.2.6). nginx gathers an
    answer unless `X-Accel-Buffering` says no.
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

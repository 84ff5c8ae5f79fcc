"""The id of a request, and its line in the log, as pure ASGI middleware.

A line has no query, header or body, because they may contain what people wrote, or their keys.
"""

import logging
import re
from secrets import token_hex
from time import perf_counter

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.server.root_path import route_path
from app.traces import TRACEPARENT, continued

logger = logging.getLogger(__name__)

REQUEST_ID = "X-Request-ID"
SANE_ID = re.compile(r"[A-Za-z0-9._~+/=:-]{1,128}", re.ASCII)
FREQUENT = re.compile(r"/livez|/readyz|/healthz|/metrics|/static/.*")  # logged as `debug`
MAX_PATH = 200  # characters


class RequestLog:
    """Logs each request at its end. Answers have the `X-Request-ID` of the request, or a new one.

    The log lines of the request, and of the run that it starts, have the id, too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        given = headers.get(REQUEST_ID, "")
        request_id = given if SANE_ID.fullmatch(given) else token_hex(8)
        answer = _Answer(scope, send, request_id)
        with (
            structlog.contextvars.bound_contextvars(request_id=request_id, route=answer.route),
            continued(headers.get(TRACEPARENT)),
        ):
            try:
                await self._app(scope, receive, answer.send)
            finally:
                answer.log()
        return None


class _Answer:
    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._scope, self._send, self._request_id = scope, send, request_id
        self._started_at = perf_counter()
        self._status: int | None = None

    @property
    def route(self) -> str:
        """The method and the path, without characters that could end a line."""
        path = self._scope["path"][:MAX_PATH].encode("unicode_escape").decode()
        return f"{self._scope.get('method', 'WebSocket')} {path}"

    async def send(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.accept"):
            self._status = message.get("status", 101)
            MutableHeaders(scope=message).append(REQUEST_ID, self._request_id)
        elif message["type"] == "websocket.close" and self._status is None:
            self._status = 403  # the handshake is refused
        await self._send(message)

    def log(self) -> None:
        """The status is missing if the client left, or was disconnected, before an answer began."""
        is_frequent = FREQUENT.fullmatch(route_path(self._scope)) and self._status in (200, 304)
        level = logging.DEBUG if is_frequent else logging.INFO
        fields = {"status": self._status, "seconds": round(perf_counter() - self._started_at, 3)}
        logger.log(level, "%s", self.route, extra=fields)

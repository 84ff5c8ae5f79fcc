"""A response that streams server-sent events to one client.

Used instead of sse-starlette's, whose cancel scope around each send is 8 % of the cost of a token, and whose four
tasks are a good part of the cost of a silent stream.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from enum import Enum, auto

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from app.server.shutdown import Connection

COMMENT = b": keep-alive\n\n"
SHUTDOWN_MESSAGE_TIMEOUT_S = 0.5


class _StopReason(Enum):
    """Why a stream was stopped early."""

    DISCONNECTED = auto()
    SHUTDOWN = auto()


class EventSourceResponse(Response):
    """Streams the frames, and a comment after `keep_alive_s` without one.

    On shutdown `shutdown_message` is sent; without one the connection is aborted so that the client can tell that the
    response is incomplete. The frames are closed in any case. Needs the connection of `ShutdownMiddleware`, which also
    disconnects a client that accepts no data.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        frames: AsyncGenerator[bytes],
        *,
        keep_alive_s: float,
        shutdown_message: bytes = b"",
        status_code: int = 200,  # FastAPI reads this default for the OpenAPI document, and fails without it
    ) -> None:
        self.status_code, self.background = status_code, None
        self.init_headers()
        self._frames, self._keep_alive_s, self._shutdown_message = frames, keep_alive_s, shutdown_message
        self._stop_reason: _StopReason | None = None

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._loop = receive, asyncio.get_running_loop()
        self._connection: Connection = scope["connection"]
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b"", "more_body": True})  # releases a delayed start
        # frames bypass the middleware, unless one buffers the whole response
        self._send = self._connection.send if self._connection.is_started else send
        async with aclosing(self._frames):
            if scope["method"] != "HEAD":
                await self._stream()
        await self._end(send)

    async def _stream(self) -> None:
        """Sends the frames until there are no more or `_stop` is called."""
        self._sending = asyncio.create_task(self._send_all())
        listening = asyncio.create_task(self._listen())
        try:
            with self._connection.shutdown.notify(self._close):
                await self._sending
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._stop_reason or (task and task.cancelling()):
                raise
        finally:
            listening.cancel()

    async def _send_all(self) -> None:
        # in its own task, because each wait in the request's task passes through thirty calls of middleware
        async for frame in self._frames:
            await self._send_chunk(frame)

    async def _send_chunk(self, chunk: bytes) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def _listen(self) -> None:
        """Waits for the client to disconnect, and sends keep-alive comments."""
        while True:
            try:
                async with asyncio.timeout_at(self._last_sent_at() + self._keep_alive_s):
                    if (await self._receive())["type"] == "http.disconnect":
                        return self._stop(_StopReason.DISCONNECTED)
            except TimeoutError:
                if self._loop.time() >= self._last_sent_at() + self._keep_alive_s:
                    await self._send_chunk(COMMENT)

    def _last_sent_at(self) -> float:
        return self._loop.time() if self._connection.is_sending else self._connection.sent_at

    def _close(self) -> None:
        self._stop(_StopReason.SHUTDOWN)

    def _stop(self, reason: _StopReason) -> None:
        if not self._stop_reason and self._sending.cancel():
            self._stop_reason = reason

    async def _end(self, send: Send) -> None:
        """Completes the response, or aborts it if it cannot be completed."""
        if self._stop_reason is not _StopReason.SHUTDOWN:
            return await send({"type": "http.response.body"})
        if not self._shutdown_message:
            return await self._connection.abort_and_wait()
        try:  # blocks while an earlier frame waits for the client
            async with asyncio.timeout(SHUTDOWN_MESSAGE_TIMEOUT_S):
                await send({"type": "http.response.body", "body": self._shutdown_message})
        except TimeoutError:
            await self._connection.abort_and_wait()

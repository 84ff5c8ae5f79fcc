"""EventSource: a response that streams server-sent events to one reader, as long as they are wanted and taken.

sse-starlette's serves as well; its scope of cancellation around each send is 8 % of what a token costs, and its four
tasks for each stream are a good part of a silent one.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from enum import Enum, auto

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from app.closing import Connection

COMMENT = b": keep-alive\n\n"
FAREWELL_S = 0.5  # for the last words to a reader when the server is being stopped


class _Why(Enum):
    """What ended a stream before its time."""

    GONE = auto()
    CLOSING = auto()


class EventSource(Response):
    """Streams the frames; where there are none for `keep_alive_s` seconds, a comment.

    When the server is being stopped, the last that is sent is the `farewell`; without one the reader is cut off, so
    that what came does not pass for whole. However it ends, the frames are closed. It works within `ClosingRequests`,
    whose connection takes the frames and cuts off a reader who blocks them.
    """

    media_type = "text/event-stream"

    def __init__(
        self, frames: AsyncGenerator[bytes], *, keep_alive_s: float, farewell: bytes = b"", status_code: int = 200
    ) -> None:
        self.status_code, self.background = status_code, None
        self.init_headers()
        self._frames, self._keep_alive_s, self._farewell = frames, keep_alive_s, farewell
        self._why: _Why | None = None

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._loop = receive, asyncio.get_running_loop()
        self._connection: Connection = scope["connection"]
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b"", "more_body": True})  # frees what held the start back
        # the frames concern no middleware, unless one gathers the whole answer
        self._send = self._connection.send if self._connection.is_started else send
        async with aclosing(self._frames):
            if scope["method"] != "HEAD":
                await self._stream()
        await self._end(send)

    async def _stream(self) -> None:
        """Has the frames sent, until there are no more or `_stop` is called."""
        self._sending = asyncio.create_task(self._say_all())
        listening = asyncio.create_task(self._listen())
        try:
            with self._connection.closing.telling(self._close):
                await self._sending
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._why or (task and task.cancelling()):
                raise
        finally:
            listening.cancel()

    async def _say_all(self) -> None:
        # in a task of its own: the request's is thirty calls deep in middleware, through all of which each wait goes
        async for frame in self._frames:
            await self._say(frame)

    async def _say(self, words: bytes) -> None:
        await self._send({"type": "http.response.body", "body": words, "more_body": True})

    async def _listen(self) -> None:
        """Waits until the reader goes away, and comments on a silence."""
        while True:
            try:
                async with asyncio.timeout_at(self._quiet_since() + self._keep_alive_s):
                    if (await self._receive())["type"] == "http.disconnect":
                        return self._stop(_Why.GONE)
            except TimeoutError:
                if self._loop.time() >= self._quiet_since() + self._keep_alive_s:
                    await self._say(COMMENT)

    def _quiet_since(self) -> float:
        return self._loop.time() if self._connection.is_sending else self._connection.sent_at

    def _close(self) -> None:
        self._stop(_Why.CLOSING)

    def _stop(self, why: _Why) -> None:
        """Cancels the sending, in whatever it is waiting."""
        if not self._why and self._sending.cancel():
            self._why = why

    async def _end(self, send: Send) -> None:
        """Tells the server that the answer is at its end, or, where it can't come to one, breaks it off."""
        if self._why is not _Why.CLOSING:
            return await send({"type": "http.response.body"})
        if not self._farewell:
            return await self._connection.aborted()
        try:  # the server sends nothing while the frame before it waits for the reader
            async with asyncio.timeout(FAREWELL_S):
                await send({"type": "http.response.body", "body": self._farewell})
        except TimeoutError:
            await self._connection.aborted()

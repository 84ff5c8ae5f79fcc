"""Closing: that the server is being stopped. Whoever has something open is told so at once.

Uvicorn tells its application only when all connections are closed, and a stream would be open for ever. So the signals
are heeded here, too. What is still open a moment after it was told is let go of: the process ends in time, without a
trace in the log.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

GRACE_S = 1.5  # for requests to come to an end by themselves
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Closing:
    """Whether the server is being stopped, and who is to be told when it is."""

    def __init__(self) -> None:
        self.has_begun = False
        self._to_tell: dict[Callable[[], None], None] = {}
        self._before: dict[int, Any] = {}

    @property
    def should_exit(self) -> bool:
        """What sse-starlette asks of a server: it takes what heeds the signals for one."""
        return self.has_begun

    def begin(self) -> None:
        """Tells everybody, once."""
        if not self.has_begun:
            self.has_begun = True
            for tell in list(self._to_tell):
                tell()

    @contextmanager
    def telling(self, tell: Callable[[], None]) -> Generator[None]:
        """Within the block `tell` is called when closing begins, and at once if it has begun."""
        self._to_tell[tell] = None
        try:
            if self.has_begun:
                tell()
            yield
        finally:
            del self._to_tell[tell]

    @contextmanager
    def at_signals(self) -> Generator[None]:
        """Within the block closing begins at SIGINT and SIGTERM, before the server's own way of heeding them."""
        if threading.current_thread() is not threading.main_thread():  # which alone is sent any
            yield
            return
        self._loop = asyncio.get_running_loop()
        self._before = {number: signal.signal(number, self._heed) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _heed(self, number: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self.begin)
        if callable(then := self._before[number]):
            then(number, frame)


class Connection:
    """A request's connection, which can be broken off: neither ASGI nor Uvicorn offers that.

    An answer that is not at its end is then seen not to be, and what waits to be sent is dropped. A client that blocks
    `send` for `send_timeout_s` seconds is cut off in this way. With a server other than Uvicorn nothing is broken off.
    """

    def __init__(self, receive: Receive, send: Send, closing: Closing, send_timeout_s: float) -> None:
        """Takes what the server gave to the outermost application: its `send` skips all layers of middleware."""
        self._receive, self._server_send, self._send_timeout_s = receive, send, send_timeout_s
        self.closing = closing
        self._cycle: Any = getattr(receive, "__self__", None)  # Uvicorn's request and answer
        self._loop = asyncio.get_running_loop()
        self.sent_at, self.is_sending = self._loop.time(), False  # when the last send began, and whether it goes on
        self._timer: asyncio.TimerHandle | None = None
        self.send: Send = self._timed_send

    async def _timed_send(self, message: Message) -> None:
        self.sent_at, self.is_sending = self._loop.time(), True
        if not self._timer:
            self._check()
        await self._server_send(message)
        self.is_sending = False

    def _check(self) -> None:
        """Looks for a send that blocks. One timer serves all sends, because a timer for each would cost more."""
        now = self._loop.time()
        since = self.sent_at if self.is_sending else now
        if now - since >= self._send_timeout_s:
            self.abort()
        else:
            self._timer = self._loop.call_at(since + self._send_timeout_s, self._check)

    def close(self) -> None:
        """Stops the timer."""
        if self._timer:
            self._timer.cancel()

    @property
    def is_answered(self) -> bool:
        """Whether the answer is at its end."""
        return getattr(self._cycle, "response_complete", True)

    @property
    def is_started(self) -> bool:
        """Whether the server has the answer's status and headers, which some middleware holds back."""
        return getattr(self._cycle, "response_started", False)

    def abort(self) -> None:
        """Breaks it off, at once."""
        if transport := getattr(self._cycle, "transport", None):
            transport.abort()

    async def aborted(self) -> None:
        """Breaks it off, and waits until the server knows, which else would take it for a fault of ours."""
        if self._cycle:
            self.abort()
            while (await self._receive())["type"] != "http.disconnect":
                pass


class ClosingRequests:
    """Lets go of the requests that are still under way a moment after closing began, and of clients that don't read.

    `scope["connection"]` is each one's.
    """

    def __init__(self, app: ASGIApp, closing: Closing, send_timeout_s: float) -> None:
        self._app, self._closing, self._send_timeout_s = app, closing, send_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        connection = Connection(receive, send, self._closing, self._send_timeout_s)
        request = _Request(connection)
        try:
            with self._closing.telling(request.end_soon):
                await self._app({**scope, "connection": connection}, receive, connection.send)
        except asyncio.CancelledError:
            if not request.is_let_go:
                raise
        finally:
            request.done()
            connection.close()
        if self._closing.has_begun and not connection.is_answered:
            await connection.aborted()
        return None


class _Request:
    """A request under way, in the task that called for this."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._task = connection, asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self.is_let_go = False

    def end_soon(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(GRACE_S, self._let_go)

    def done(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _let_go(self) -> None:
        self.is_let_go = True
        self._connection.abort()
        if self._task:
            self._task.cancel()

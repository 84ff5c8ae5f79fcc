"""Graceful shutdown.

Uvicorn runs the lifespan shutdown only after all connections close, which an open stream never does. So SIGINT and
SIGTERM are also handled here: open streams are notified, and what is left after a grace period is aborted.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

IDLE_S = 1.0  # that a connection stays open for a request which is on its way
GRACE_PERIOD_S = 1.5  # that requests have to finish by themselves
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class ShutdownNotifier:
    """Calls the registered callbacks when the server is shutting down."""

    def __init__(self) -> None:
        self.is_shutting_down = False
        self._callbacks: dict[Callable[[], None], None] = {}  # an ordered set
        self._previous_handlers: dict[int, Any] = {}

    @property
    def should_exit(self) -> bool:
        """Read by sse-starlette, which takes the owner of the signal handler for a Uvicorn server."""
        return self.is_shutting_down

    def begin(self) -> None:
        """Calls the callbacks, once."""
        if not self.is_shutting_down:
            self.is_shutting_down = True
            for callback in list(self._callbacks):
                callback()

    @contextmanager
    def notify(self, callback: Callable[[], None]) -> Generator[None]:
        """Within the block, `callback` is called when the shutdown begins, or at once if it already has."""
        self._callbacks[callback] = None
        try:
            if self.is_shutting_down:
                callback()
            yield
        finally:
            del self._callbacks[callback]

    @contextmanager
    def on_signals(self) -> Generator[None]:
        """Within the block, SIGINT and SIGTERM begin the shutdown before the server's own handlers run."""
        if threading.current_thread() is not threading.main_thread():  # only it receives signals
            yield
            return
        self._loop = asyncio.get_running_loop()
        self._previous_handlers = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in self._previous_handlers.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self.begin)
        if callable(handler := self._previous_handlers[number]):
            handler(number, frame)


class Connection:
    """A request's connection, which can be aborted; neither ASGI nor Uvicorn has an API for that.

    After an abort the client can tell that the response is incomplete; data waiting to be sent is dropped. A client
    that blocks `send` for `send_timeout_s` is aborted. On servers other than Uvicorn, aborting does nothing.
    """

    def __init__(self, receive: Receive, send: Send, shutdown: ShutdownNotifier, send_timeout_s: float) -> None:
        """Expects the server's own `receive` and `send`: this `send` bypasses all middleware."""
        self._receive, self._server_send, self._send_timeout_s = receive, send, send_timeout_s
        self.shutdown = shutdown
        self._cycle: Any = getattr(receive, "__self__", None)  # Uvicorn's RequestResponseCycle
        self._loop = asyncio.get_running_loop()
        self.sent_at = self._loop.time()  # when the last send began
        self.is_sending = False
        self._timer: asyncio.TimerHandle | None = None
        self.send: Send = self._timed_send

    async def _timed_send(self, message: Message) -> None:
        self.sent_at, self.is_sending = self._loop.time(), True
        if not self._timer:
            self._check()
        await self._server_send(message)
        self.is_sending = False

    def _check(self) -> None:
        """Aborts if a send has blocked for too long. All sends share one timer, because one per send costs more."""
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
        """Whether the response is complete."""
        return getattr(self._cycle, "response_complete", True)

    @property
    def is_started(self) -> bool:
        """Whether the server has received the status and headers, which some middleware delays."""
        return getattr(self._cycle, "response_started", False)

    def close_when_answered(self) -> None:
        """Lets the response announce that its connection closes, unless the headers have been sent."""
        if self._cycle and not self.is_started:
            self._cycle.keep_alive = False

    def abort(self) -> None:
        if transport := getattr(self._cycle, "transport", None):
            transport.abort()

    async def abort_and_wait(self) -> None:
        """Aborts, and waits until the server has noticed; otherwise it would log an incomplete response as an error."""
        if self._cycle:
            self.abort()
            while (await self._receive())["type"] != "http.disconnect":
                pass


class ShutdownMiddleware:
    """Aborts requests that outlast the grace period of a shutdown, and clients that accept no data.

    Each request's `Connection` is in `scope["connection"]`.
    """

    def __init__(self, app: ASGIApp, shutdown: ShutdownNotifier, send_timeout_s: float) -> None:
        self._app, self._shutdown, self._send_timeout_s = app, shutdown, send_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        connection = Connection(receive, send, self._shutdown, self._send_timeout_s)
        request = _ActiveRequest(connection)
        try:
            with self._shutdown.notify(request.on_shutdown):
                await self._app({**scope, "connection": connection}, receive, connection.send)
        except asyncio.CancelledError:
            if not request.is_aborted:
                raise
        finally:
            request.finish()
            connection.close()
        if self._shutdown.is_shutting_down and not connection.is_answered:
            await connection.abort_and_wait()
        return None


class _ActiveRequest:
    """The request that runs in the current task."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._task = connection, asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self.is_aborted = False

    def on_shutdown(self) -> None:
        self._connection.close_when_answered()
        self._timer = asyncio.get_running_loop().call_later(GRACE_PERIOD_S, self._abort)

    def finish(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _abort(self) -> None:
        self.is_aborted = True
        self._connection.abort()
        if self._task:
            self._task.cancel()

"""Deadlines that comments don't put off: for a stream as a whole, and from one token to the next."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Any, TypeVar

from chains.errors import ProviderError

T = TypeVar("T")


async def within(seconds: float, items: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """The items. Raises `ProviderError` and closes their source when it has not come to its end in time."""
    ends = asyncio.get_running_loop().time() + seconds
    async with aclosing(items):
        while True:
            try:
                # around each wait and not around all, for the items may be read by one task after another
                async with asyncio.timeout_at(ends):
                    item = await anext(items)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise ProviderError(f"This took longer than {seconds:g} seconds: try again.") from None
            yield item


class Patience:
    """Waits for one thing after another, each of which has to come before `ends` (of the loop's clock).

    Raises `TimeoutError`. It does what `asyncio.timeout_at` around each wait does, with one timer for many waits, which
    looks where the end is when it fires: 0.8 µs a wait, not 5.7.
    """

    def __init__(self, ends: float) -> None:
        self.ends = ends
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_at(ends, self._ring)
        self._task: asyncio.Task[Any] | None = None
        self._is_over = False

    async def wait(self, awaited: Awaitable[T]) -> T:
        task = self._task = asyncio.current_task(self._loop)  # given the loop, it need not ask the system for it
        cancelling = task.cancelling() if task else 0
        try:
            return await awaited
        except asyncio.CancelledError:
            if self._is_over and task and task.uncancel() <= cancelling:
                raise TimeoutError from None
            raise
        finally:
            self._task = None

    def close(self) -> None:
        self._timer.cancel()

    def _ring(self) -> None:
        now = self._loop.time()
        if now < self.ends or not self._task:  # it was put off, or what came is being looked at
            self._timer = self._loop.call_at(max(self.ends, now + 0.01), self._ring)
        else:
            self._is_over = True
            self._task.cancel()

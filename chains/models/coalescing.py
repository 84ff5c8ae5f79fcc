"""Coalesces the reads of fast streams while many are open, as a network card coalesces interrupts.

A read costs as much as several tokens, so a busy process handles the tokens of some milliseconds together: all fast
streams are read in the same turn of the loop, and their tokens leave in one write for each client. The more streams are
open, the longer the interval; a few streams, the first tokens and slow streams are read at once.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, cast

from aiohttp import StreamReader

INTERVAL_PER_STREAM_S = 0.0005  # 2,000 reads a second
MAX_INTERVAL_S = 0.01


class ReadCoalescing:
    """The interval that the streams of a process share."""

    def __init__(self, per_stream_s: float = INTERVAL_PER_STREAM_S, max_s: float = MAX_INTERVAL_S) -> None:
        self._per_stream_s, self._max_s = per_stream_s, max_s
        self._streams = 0
        self._has_elapsed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def stream(self, body: StreamReader) -> Generator["CoalescedBody"]:
        """An open stream."""
        self._streams += 1
        try:
            yield CoalescedBody(body, self)
        finally:
            self._streams -= 1

    @property
    def interval_s(self) -> float:
        return min(self._max_s, self._streams * self._per_stream_s)

    async def elapsed(self) -> None:
        """Waits for the end of the current interval, or of a new one."""
        if not self._timer:
            self._timer = asyncio.get_running_loop().call_later(self.interval_s, self._end)
        await self._has_elapsed.wait()

    def _end(self) -> None:
        self._timer = None
        self._has_elapsed.set()
        self._has_elapsed.clear()


class CoalescedBody:
    """The body of a response. It is fast if it has data again before the end of an interval."""

    def __init__(self, body: StreamReader, coalescing: ReadCoalescing) -> None:
        self._body, self._coalescing = body, coalescing
        self._is_fast, self._read_at = False, 0.0

    async def readany(self) -> bytes:
        if self._is_fast:
            await self._coalescing.elapsed()
        if (self._is_fast or self._body.exception()) and (block := self._arrived()):
            return block
        block, now = await self._body.readany(), perf_counter()
        self._is_fast, self._read_at = now - self._read_at < self._coalescing.interval_s, now
        return block

    def _arrived(self) -> bytes:
        """Returns what has arrived, even if the connection broke after it: the next read raises that."""
        error = self._body.exception()
        if error is None:
            return self._body.read_nowait()
        self._body.set_exception(cast(Any, None))  # with an error a body returns nothing
        block = self._body.read_nowait()
        self._body.set_exception(error)
        return block

    def set_exception(self, error: Exception) -> None:
        """Makes the next read, or the one that is waiting, raise the error."""
        self._body.set_exception(error)

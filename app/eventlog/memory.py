"""Event logs in this process's memory: quick, bounded, and gone with it."""

import asyncio
from collections.abc import AsyncGenerator
from secrets import token_hex
from sys import getsizeof
from time import perf_counter

from app.eventlog import (
    BATCH,
    EventId,
    ExpiredRun,
    Fragment,
    Held,
    LogFull,
    Logged,
    RunEnd,
    RunEvent,
    RunExists,
    RunStart,
    UnknownRun,
)

EVENT_BYTES = 250  # that an event takes beside its text and its JSON


class MemoryEventLog:
    """At most `limit` logs, each of at most `max_bytes` bytes, and all together of about `all_bytes`.

    The oldest ended ones make room for others; where none has ended, what goes on does, but nothing is begun.
    A log expires `keep_s` seconds after its end; of the last `expired_limit` it is known that they have.
    """

    def __init__(
        self,
        *,
        keep_s: float = 900,
        max_bytes: int = 4 * 1024 * 1024,
        all_bytes: int = 256 * 1024 * 1024,
        limit: int = 1000,
        expired_limit: int = 10_000,
    ) -> None:
        self._keep_s, self._limit, self._expired_limit = keep_s, limit, expired_limit
        self._max_bytes, self._all_bytes, self._held = max_bytes, all_bytes, Held()
        self._logs: dict[str, _Log] = {}
        self._ended: dict[str, asyncio.TimerHandle] = {}  # the oldest first
        self._expired: dict[str, None] = {}

    async def begin(self, run_id: str, start: RunStart) -> None:
        if run_id in self._logs:
            raise RunExists
        if len(self._logs) >= self._limit and self._ended:
            self._expire(next(iter(self._ended)))
        self._make_room()
        if self._held.bytes > self._all_bytes:
            raise LogFull
        self._expired.pop(run_id, None)
        self._logs[run_id] = log = _Log(self._held)
        log.append(start)

    async def append(self, run_id: str, event: RunEvent) -> None:
        log = self._logs.get(run_id) or self._log(run_id)
        is_end = isinstance(event, RunEnd)
        if log.held.bytes > self._max_bytes and not is_end:
            raise LogFull
        log.append(event)
        if self._held.bytes > self._all_bytes:
            self._make_room()
        if is_end:
            self._ended[run_id] = asyncio.get_running_loop().call_later(self._keep_s, self._expire, run_id)

    async def reopen(self, run_id: str) -> None:
        log = self._log(run_id)
        if not log.ended:
            raise ValueError("the run has not ended: it can't be reopened")
        self._ended.pop(run_id).cancel()
        self._logs[run_id] = log.reopened()
        log.held.leave()

    async def follow(self, run_id: str, last: EventId | None = None) -> AsyncGenerator[list[Logged]]:
        log = self._log(run_id)
        after = log.place(last)
        while True:
            if news := log.events[after : after + BATCH]:  # looked at anew after each yield: it may have grown
                after += len(news)
                yield news
            elif log.ended:
                return
            else:
                await log.grown(beyond=after)

    async def read(self, run_id: str, after: int = 0) -> list[Logged]:
        return self._log(run_id).events[after : after + BATCH]

    async def is_read(self, run_id: str, last: EventId) -> bool:
        log = self._log(run_id)
        return log.ended and log.place(last) == len(log.events)

    async def forget(self, run_id: str) -> None:
        if log := self._logs.pop(run_id, None):
            log.held.leave()
        if timer := self._ended.pop(run_id, None):
            timer.cancel()

    async def aclose(self) -> None:
        for timer in self._ended.values():
            timer.cancel()

    def _log(self, run_id: str) -> "_Log":
        if run_id in self._expired:
            raise ExpiredRun
        if run_id not in self._logs:
            raise UnknownRun
        return self._logs[run_id]

    def _make_room(self) -> None:
        while self._held.bytes > self._all_bytes and self._ended:
            self._expire(next(iter(self._ended)))

    def _expire(self, run_id: str) -> None:
        self._ended.pop(run_id).cancel()
        self._logs.pop(run_id).held.leave()
        self._expired[run_id] = None
        if len(self._expired) > self._expired_limit:
            del self._expired[next(iter(self._expired))]


class _Log:
    """One run's events in one epoch, and how many of them were kept from each epoch before it."""

    def __init__(self, all_held: Held | None) -> None:
        self.epoch = token_hex(4)
        self.events: list[Logged] = []
        self.ended = False
        self.held = Held(all=all_held)
        self._kept: dict[str, int] = {}
        self._began = perf_counter()
        self._loop = asyncio.get_running_loop()
        self._waiting = set[asyncio.Future[None]]()  # for it to grow

    def append(self, event: RunEvent) -> None:
        if self.ended:
            raise ValueError("the run has ended: nothing more may be written")
        at_ms = round((perf_counter() - self._began) * 1000)
        logged = Logged(EventId(self.epoch, len(self.events) + 1), event, at_ms, _held=self.held)
        self.events.append(logged)
        self.ended = isinstance(event, RunEnd)
        self.held.grow(EVENT_BYTES + (getsizeof(event.text) if isinstance(event, Fragment) else len(logged.json)))
        for reader in self._waiting:
            if not reader.done():
                reader.set_result(None)

    async def grown(self, beyond: int) -> None:
        if len(self.events) <= beyond:
            self._waiting.add(reader := self._loop.create_future())
            try:
                await reader
            finally:
                self._waiting.discard(reader)

    def place(self, last: EventId | None) -> int:
        """Behind how many events someone reads on who has read up to `last`."""
        if not last:
            return 0
        if last.epoch != self.epoch:
            return min(last.seq, self._kept.get(last.epoch, 0))
        return last.seq if last.seq <= len(self.events) else 0

    def reopened(self) -> "_Log":
        """The log without its end, in a new epoch. Those who follow the old one still read that to its end."""
        log = _Log(self.held.all)
        log.events = [logged.taken_over(log.epoch, log.held) for logged in self.events[:-1]]
        log.held.grow(self.held.bytes)
        log._kept = {**self._kept, self.epoch: len(log.events)}
        log._began = self._began
        return log

"""Event logs in memory, bounded in number and size."""

import asyncio
from collections.abc import AsyncGenerator
from secrets import token_bytes, token_hex
from sys import getsizeof
from time import perf_counter

from app.stores import (
    MAX_BATCH,
    EventEntry,
    EventId,
    ExpiredRunError,
    FencedError,
    LogEntry,
    LogFullError,
    MemoryUsage,
    RunEnd,
    RunEvent,
    RunExistsError,
    RunStart,
    UnknownRunError,
)
from chains.parts.events import Fragment

EVENT_BYTES = 250  # overhead of an event beyond its text and its JSON


class MemoryEventLog:
    """At most `limit` logs of at most `max_bytes` each, and of about `all_bytes` in total.

    The oldest finished logs make room for new ones. If none has finished, no new log can begin. A log expires `keep_s`
    seconds after its end; the ids of the last `expired_limit` expired logs are remembered.
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
        self._max_bytes, self._all_bytes, self._usage = max_bytes, all_bytes, MemoryUsage()
        self._logs: dict[str, _Log] = {}
        self._ended: dict[str, asyncio.TimerHandle] = {}  # oldest first
        self._expired: dict[str, None] = {}
        self._secret = token_bytes(32)

    outlives_process = False

    async def begin(self, run_id: str, start: RunStart, *, ephemeral: bool = False) -> None:
        if run_id in self._logs:
            raise RunExistsError
        if len(self._logs) >= self._limit and self._ended:
            self._expire(next(iter(self._ended)))
        self._make_room()
        if self._usage.bytes > self._all_bytes:
            raise LogFullError
        self._expired.pop(run_id, None)
        self._logs[run_id] = log = _Log(self._usage)
        log.append(start)

    async def append(self, run_id: str, event: RunEvent) -> None:
        log = self._logs.get(run_id) or self._log(run_id)
        if log.is_released:
            raise FencedError
        is_end = isinstance(event, RunEnd)
        if log.usage.bytes > self._max_bytes and not is_end:
            raise LogFullError
        log.append(event)
        if self._usage.bytes > self._all_bytes:
            self._make_room()
        if is_end:
            self._ended[run_id] = asyncio.get_running_loop().call_later(self._keep_s, self._expire, run_id)

    async def reopen(self, run_id: str) -> None:
        log = self._log(run_id)
        if not log.ended:
            raise ValueError("the run has not ended: it can't be reopened")
        self._ended.pop(run_id).cancel()
        self._logs[run_id] = log.reopened()
        log.usage.release()

    async def take_over(self, run_id: str) -> None:
        log = self._log(run_id)
        if log.ended:
            raise ValueError("the run has ended: it can't be taken over")
        log.begin_epoch()

    async def release(self, run_id: str) -> None:
        self._log(run_id).is_released = True

    async def unfinished(self) -> list[str]:
        return [run_id for run_id, log in self._logs.items() if log.is_released]

    async def secret(self) -> bytes:
        return self._secret

    async def follow(self, run_id: str, last: EventId | None = None) -> AsyncGenerator[list[LogEntry]]:
        log = self._log(run_id)
        after = log.resume_index(last)
        while True:
            if batch := log.events[after : after + MAX_BATCH]:  # checked again, because it may have grown
                after += len(batch)
                yield [*batch]
            elif log.ended:
                return
            else:
                await log.wait_for_more(after)

    async def read(self, run_id: str, after: int = 0) -> list[LogEntry]:
        return [*self._log(run_id).events[after : after + MAX_BATCH]]

    async def is_complete(self, run_id: str, last: EventId) -> bool:
        log = self._log(run_id)
        return log.ended and log.resume_index(last) == len(log.events)

    async def forget(self, run_id: str) -> None:
        if log := self._logs.pop(run_id, None):
            log.usage.release()
        if timer := self._ended.pop(run_id, None):
            timer.cancel()

    async def aclose(self) -> None:
        for timer in self._ended.values():
            timer.cancel()

    def _log(self, run_id: str) -> "_Log":
        if run_id in self._expired:
            raise ExpiredRunError
        if run_id not in self._logs:
            raise UnknownRunError
        return self._logs[run_id]

    def _make_room(self) -> None:
        while self._usage.bytes > self._all_bytes and self._ended:
            self._expire(next(iter(self._ended)))

    def _expire(self, run_id: str) -> None:
        self._ended.pop(run_id).cancel()
        self._logs.pop(run_id).usage.release()
        self._expired[run_id] = None
        if len(self._expired) > self._expired_limit:
            del self._expired[next(iter(self._expired))]


class _Log:
    """One run's events in one epoch. `_epoch_lengths` has the number of events kept from each earlier epoch."""

    def __init__(self, total: MemoryUsage | None) -> None:
        self.epoch = token_hex(4)
        self.events: list[EventEntry] = []
        self.ended = self.is_released = False
        self.usage = MemoryUsage(total=total)
        self._epoch_lengths: dict[str, int] = {}
        self._started_at = perf_counter()
        self._loop = asyncio.get_running_loop()
        self._waiting = set[asyncio.Future[None]]()

    def append(self, event: RunEvent) -> None:
        if self.ended:
            raise ValueError("the run has ended: no events can be appended")
        at_ms = round((perf_counter() - self._started_at) * 1000)
        entry = EventEntry(EventId(self.epoch, len(self.events) + 1), event, at_ms, _usage=self.usage)
        self.events.append(entry)
        self.ended = isinstance(event, RunEnd)
        self.usage.grow(EVENT_BYTES + (getsizeof(event.text) if isinstance(event, Fragment) else len(entry.json)))
        for reader in self._waiting:
            if not reader.done():
                reader.set_result(None)

    async def wait_for_more(self, count: int) -> None:
        if len(self.events) <= count:
            self._waiting.add(reader := self._loop.create_future())
            try:
                await reader
            finally:
                self._waiting.discard(reader)

    def resume_index(self, last: EventId | None) -> int:
        """Returns the index of the first event after `last`."""
        if not last:
            return 0
        if last.epoch != self.epoch:
            return min(last.seq, self._epoch_lengths.get(last.epoch, 0))
        return last.seq if last.seq <= len(self.events) else 0

    def begin_epoch(self) -> None:
        """Continues in a new epoch, except if nothing but the start was logged."""
        self.is_released = False
        if len(self.events) > 1:
            self._epoch_lengths[self.epoch] = len(self.events)
            self.epoch = token_hex(4)
            self.events = [entry.with_epoch(self.epoch, self.usage) for entry in self.events]

    def reopened(self) -> "_Log":
        """Returns the log without its end, in a new epoch. Readers of the old one still read it to its end."""
        log = _Log(self.usage.total)
        log.events = [entry.with_epoch(log.epoch, log.usage) for entry in self.events[:-1]]
        log.usage.grow(self.usage.bytes)
        log._epoch_lengths = {**self._epoch_lengths, self.epoch: len(log.events)}
        log._started_at = self._started_at
        return log

"""One run's log in this process's memory."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from secrets import token_hex
from sys import getsizeof
from time import perf_counter

from app.clients import LOCAL, Client
from app.stores import MAX_BATCH, EventEntry, EventId, LogEntry, MemoryUsage, Rewrite, RunEnd, RunEvent, RunStart
from chains.parts.events import Fragment

EVENT_BYTES = 250  # overhead of an event beyond its text and its JSON


class Log:
    """One run's events in one epoch. `epoch_lengths` has the number of events kept from each earlier epoch."""

    def __init__(self, usage: MemoryUsage) -> None:
        self.epoch = token_hex(4)
        self.epoch_lengths: dict[str, int] = {}
        self.entries: list[LogEntry] = []
        self.usage = usage
        self.rewrites: list[Rewrite] = []
        self.is_released = False  # nobody writes it
        self._is_closed = False
        self._started_at = perf_counter()
        self._loop = asyncio.get_running_loop()
        self._waiting = set[asyncio.Future[None]]()

    @classmethod
    def loaded(
        cls, epoch: str, epoch_lengths: Mapping[str, int], entries: Sequence[LogEntry], age_s: float, usage: MemoryUsage
    ) -> "Log":
        """Returns a log that was begun `age_s` seconds ago, possibly by another process."""
        log = cls(usage)
        log.epoch, log.epoch_lengths, log.entries = epoch, dict(epoch_lengths), [*entries]
        log._started_at -= max(age_s, entries[-1].at_ms / 1000)  # the system's clock may have been set back
        usage.grow(sum(EVENT_BYTES + len(entry.json) for entry in entries))
        return log

    @property
    def ended(self) -> bool:
        return bool(self.entries) and self.entries[-1].kind is RunEnd

    @property
    def client(self) -> Client:
        """Who started the run."""
        start = self.entries[0].event
        return start.client if isinstance(start, RunStart) else LOCAL

    def append(self, event: RunEvent) -> EventEntry:
        """Appends an event. Raises `ValueError` after the end."""
        self.add(entry := self.next_entry(event))
        return entry

    def next_entry(self, event: RunEvent) -> EventEntry:
        """Returns the entry of the next event, which readers get with `add`. Raises `ValueError` after the end."""
        if self.ended:
            raise ValueError("the run has ended: no events can be appended")
        at_ms = round((perf_counter() - self._started_at) * 1000)
        return EventEntry(EventId(self.epoch, len(self.entries) + 1), event, at_ms, _usage=self.usage)

    def add(self, entry: EventEntry) -> None:
        event = entry.event
        self.entries.append(entry)
        self.usage.grow(EVENT_BYTES + (getsizeof(event.text) if isinstance(event, Fragment) else len(entry.json)))
        self._wake()

    def close(self) -> None:
        """Ends the streams of its readers, even if it has no end."""
        self._is_closed = True
        self._wake()

    async def follow(self, last: EventId | None) -> AsyncGenerator[list[LogEntry]]:
        """Yields the entries after `last` in batches, to the end."""
        after = self.resume_index(last)
        while True:
            if batch := self.entries[after : after + MAX_BATCH]:  # checked again, because it may have grown
                after += len(batch)
                yield batch
            elif self.ended or self._is_closed:
                return
            else:
                await self._wait_for_more(after)

    def is_complete(self, last: EventId) -> bool:
        return self.ended and self.resume_index(last) == len(self.entries)

    def resume_index(self, last: EventId | None) -> int:
        """Returns the index of the first entry after `last`."""
        if not last:
            return 0
        if last.epoch != self.epoch:
            return min(last.seq, self.epoch_lengths.get(last.epoch, 0))
        return last.seq if last.seq <= len(self.entries) else 0

    def begin_epoch(self) -> None:
        """Continues in a new epoch, which keeps all entries."""
        self.epoch_lengths[self.epoch] = len(self.entries)
        self.epoch = token_hex(4)
        self.entries = [entry.with_epoch(self.epoch) for entry in self.entries]

    def reopened(self) -> "Log":
        """Returns the log without its end, in a new epoch. Readers of the old one still read it to its end."""
        log = Log(self.usage)
        log.entries = [entry.with_epoch(log.epoch) for entry in self.entries[:-1]]
        log.epoch_lengths = {**self.epoch_lengths, self.epoch: len(log.entries)}
        log._started_at = self._started_at
        return log

    async def _wait_for_more(self, count: int) -> None:
        if len(self.entries) <= count:
            self._waiting.add(reader := self._loop.create_future())
            try:
                await reader
            finally:
                self._waiting.discard(reader)

    def _wake(self) -> None:
        for reader in self._waiting:
            if not reader.done():
                reader.set_result(None)

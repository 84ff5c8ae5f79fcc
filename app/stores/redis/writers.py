"""What this process writes: the events of all its runs are gathered for a moment and written in one call."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter

from redis.exceptions import RedisError, ResponseError

from app.metrics import store_flush
from app.stores import (
    EventEntry,
    EventId,
    EventLogError,
    FencedError,
    LogFullError,
    RewritesWaitingError,
    RunEnd,
    RunEvent,
)
from app.stores.encoding import encode
from app.stores.redis.meta import RunMeta
from app.stores.redis.scripts import CHANGED, FENCED, Scripts

logger = logging.getLogger(__name__)

GATHER_S = 0.01
ENTRY_BYTES = 60  # what an entry of a stream takes beyond its lines
PENDING_BYTES = 64 * 1024  # of one run; beyond that its writer waits
RETRY_S, MAX_RETRY_S = 0.02, 0.1


@dataclass(slots=True, eq=False)
class Writer:
    """A run that this process writes, in a term of its own. `logged` is the last event that is in the log."""

    run_id: str
    term: int
    number: int
    epoch: str
    last: int
    size: int  # in bytes
    started_at: float
    logged: int
    rewrites: int = 0  # of those in the store, how many this process has seen
    entries: list[EventEntry] = field(default_factory=list[EventEntry])
    pending_bytes: int = 0
    has_ended: bool = False
    error: EventLogError | None = None

    @classmethod
    def of(cls, run_id: str, meta: RunMeta) -> "Writer":
        started_at = perf_counter() - meta.age_ms / 1000
        return cls(run_id, meta.term, meta.number, meta.epoch, meta.last, meta.size, started_at, meta.last)

    def add(self, event: RunEvent, max_bytes: int) -> None:
        if self.error:
            raise self.error
        if self.has_ended:
            raise ValueError("the run has ended: no events can be appended")
        is_end = isinstance(event, RunEnd)
        if self.size > max_bytes and not is_end:
            raise LogFullError
        at_ms = round((perf_counter() - self.started_at) * 1000)
        entry = EventEntry(EventId(self.epoch, self.last + 1), event, at_ms)
        self.entries.append(entry)
        self.last += 1
        self.size += len(entry.json) + 2
        self.pending_bytes += len(entry.json) + 2
        self.has_ended = is_end


@dataclass(frozen=True, slots=True)
class Batch:
    """The events of one run that are written together."""

    writer: Writer
    entries: list[EventEntry]
    has_end: bool

    @classmethod
    def of(cls, writer: Writer) -> "Batch":
        entries, writer.entries, writer.pending_bytes = writer.entries, [], 0
        writer.size += ENTRY_BYTES
        return cls(writer, entries, writer.has_ended)

    @property
    def arguments(self) -> tuple[str | bytes | int, ...]:
        writer, lines = self.writer, encode(self.entries)
        first, last = self.entries[0].id.seq, self.entries[-1].id.seq
        size, is_end = len(lines) + ENTRY_BYTES, int(self.has_end)
        return (writer.run_id, writer.term, first, last, size, is_end, writer.rewrites, writer.epoch, lines)


class Outbox:
    """Writes events at once, and those that follow within `GATHER_S` together. `on_logged` is called after each batch.

    While the server does not answer it retries; a batch that was written although the reply was lost is recognized.
    """

    def __init__(self, scripts: Scripts, on_logged: Callable[[Batch], object], on_lost: Callable[[], object]) -> None:
        self._scripts, self._on_logged, self._on_lost = scripts, on_logged, on_lost
        self._waiting: dict[Writer, None] = {}  # an ordered set
        self._task: asyncio.Task[None] | None = None
        self._next_flush = 0.0
        self._flushed = asyncio.Event()

    def add(self, writer: Writer) -> None:
        self._waiting[writer] = None
        if not self._task:
            self._task = asyncio.create_task(self._flush(), name="event log")

    async def logged(self, writer: Writer) -> None:
        """Waits until everything appended so far is in the log. Raises the error that kept it out."""
        last = writer.last
        while writer.logged < last:
            if writer.error:
                raise writer.error
            if writer.last < last:
                raise RewritesWaitingError
            await self._flushed.wait()

    async def aclose(self, timeout_s: float) -> None:
        """Waits until everything is written, for at most `timeout_s`."""
        if self._task:
            with suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(self._task, timeout_s)

    async def _flush(self) -> None:
        try:
            while self._waiting:
                if (delay := self._next_flush - perf_counter()) > 0:
                    await asyncio.sleep(delay)
                self._next_flush = perf_counter() + GATHER_S
                await self._write([Batch.of(each) for each in self._take() if each.entries])
        finally:
            self._task = None

    def _take(self) -> list[Writer]:
        writers, self._waiting = self._waiting, {}
        return [*writers]

    async def _write(self, batches: list[Batch]) -> None:
        if not batches:
            return
        with store_flush.labels("redis").time():
            answers = await self._answers(batches)
        for batch, answer in zip(batches, answers, strict=True):
            self._settle(batch, answer)
        self._flushed.set()
        self._flushed.clear()

    async def _answers(self, batches: list[Batch]) -> list[int]:
        """Writes the runs one by one if one of them makes the script fail, and gives that one up."""
        try:
            return await self._with_retries([argument for batch in batches for argument in batch.arguments])
        except ResponseError:
            if len(batches) > 1:
                return [answer for batch in batches for answer in await self._answers([batch])]
            logger.error("The log of run %s cannot be written.", batches[0].writer.run_id)
            return [FENCED]

    async def _with_retries(self, arguments: list[str | bytes | int]) -> list[int]:
        delay = RETRY_S
        while True:
            try:
                return await self._scripts.append(*arguments)
            except RedisError as error:  # also while its memory is full
                if isinstance(error, ResponseError) and "user_script" in str(error):  # it fails again
                    raise
                if delay == RETRY_S:
                    logger.warning("The store does not accept events: %s. Retrying.", type(error).__name__)
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_RETRY_S)

    def _settle(self, batch: Batch, answer: int) -> None:
        writer = batch.writer
        if answer == 1:
            writer.logged = batch.entries[-1].id.seq
            self._on_logged(batch)
        elif answer == CHANGED:  # only the end is refused
            self._without_end(batch)
        else:
            writer.error = FencedError()  # also if somebody has dropped the run
            self._on_lost()

    def _without_end(self, batch: Batch) -> None:
        writer = batch.writer
        writer.entries, writer.last, writer.has_ended = batch.entries[:-1], writer.last - 1, False
        self.add(writer)

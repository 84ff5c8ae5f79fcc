"""A run while it is being written, by one task or, where parts are written again, by several; the last one ends it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from time import perf_counter
from typing import LiteralString

from app.eventlog import EventLog, LogFull, RunEnd, RunStatus
from chains.messages import Message
from chains.recipe.request import Language, Part, PartEnd, Status, Update

logger = logging.getLogger(__name__)

TOO_LONG: LiteralString = "The recipe grew longer than may be: try again."
OUR_SIDE: LiteralString = "Something went wrong on our side: try again."
PROPOSED: Part = "alternates"  # this part fails exactly when the proposal fails


class LiveRun:
    """Writes updates to the run's log. When nothing is left to write, it writes the run's end, exactly once.

    `parts` are all of the run's, `ends` those that had ended before, `spent_ms` what that has taken. `gone` is called
    when the end is written. What failed is said in `language`.
    """

    def __init__(
        self, run_id: str, log: EventLog, parts: Sequence[Part], gone: Callable[[], object],
        ends: Mapping[Part, Status] | None = None, spent_ms: int = 0, language: Language = "en",
    ) -> None:  # fmt: skip
        self._run_id, self._log, self._parts, self._gone = run_id, log, parts, gone
        self._ends = dict(ends or {})
        self._language: Language = language
        self._began = perf_counter() - spent_ms / 1000
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._is_cancelled = self._is_forgotten = False
        self._message: str | None = None
        self.is_stopping = False  # and not to be written to any more
        self.under_way: set[Part] = set()
        self.ended = asyncio.Event()

    @property
    def is_ending(self) -> bool:
        """Whether all is written but the end."""
        return self._ending is not None

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be written: it is ending, or what is being written is being stopped."""
        return self.is_ending or (self.is_stopping and bool(self._tasks))

    def write(self, updates: AsyncGenerator[Update], parts: Collection[Part]) -> None:
        """Starts writing these parts. Raises `ValueError` when the run is over."""
        if self.is_over:
            raise ValueError("the run is over: nothing more can be written")
        self.under_way.update(parts)
        for part in parts:
            self._ends.pop(part, None)
        task = asyncio.create_task(self._write(updates), name=f"run {self._run_id}")
        task.add_done_callback(self._left)
        self._tasks.add(task)
        if self.is_stopping:  # before anything was written
            task.cancel()

    def cancel(self) -> None:
        """Has the calls to the providers closed, and then the end written. `ended` tells when."""
        if not self.is_ending:
            self._is_cancelled = True
            self._stop()

    def give_up(self) -> None:
        """Ends it where there is no log to write to."""
        self.ended.set()
        self._gone()

    def forget(self) -> None:
        """Cancels the run, whose log is then dropped as soon as it has its end."""
        self._is_forgotten = True
        self.cancel()

    async def _write(self, updates: AsyncGenerator[Update]) -> None:
        try:
            async with aclosing(updates):
                async for update in updates:
                    await self._log.append(self._run_id, update)
                    if isinstance(update, PartEnd):
                        self._ends[update.part] = update.status
                        self.under_way.discard(update.part)
        except LogFull:
            self._fail(Message(TOO_LONG))
        except Exception:  # the last place that can tell the reader
            logger.exception("run %s failed", self._run_id)
            self._fail(Message(OUR_SIDE))

    def _fail(self, message: Message) -> None:
        self._message = message.in_language(self._language)
        self._stop()

    def _stop(self) -> None:
        self.is_stopping = True
        for task in self._tasks:
            task.cancel()

    def _left(self, task: asyncio.Task[None]) -> None:
        """Called when a task is done, even one that was cancelled before it began."""
        self._tasks.discard(task)
        if not self._tasks:
            self._ending = asyncio.create_task(self._end(), name=f"end of run {self._run_id}")

    async def _end(self) -> None:
        total_ms = round((perf_counter() - self._began) * 1000)
        try:
            await self._log.append(self._run_id, RunEnd(self._status(), total_ms, self._message))
            if self._is_forgotten:
                await self._log.forget(self._run_id)
        finally:
            self.ended.set()
            self._gone()

    def _status(self) -> RunStatus:
        """A run whose proposal failed has failed, even if a part of it could be written."""
        if self._message:
            return "failed"
        if self._is_cancelled:
            return "cancelled"
        ends = {part: self._ends.get(part, "failed") for part in self._parts}
        if ends.get(PROPOSED) == "failed" or set(ends.values()) == {"failed"}:
            return "failed"
        return "ok" if set(ends.values()) == {"ok"} else "partial"

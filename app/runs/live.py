"""An active run: one task, or several while parts are regenerated. The last task to finish ends the run."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from time import perf_counter
from typing import LiteralString

from app.stores import EventLog, LogFullError, RunEnd, RunStatus, UnavailableError
from chains.errors import OUR_SIDE
from chains.messages import Message
from chains.parts.composition import Composition
from chains.parts.events import PartEnd, PartEvent, Status
from chains.translations import Language

logger = logging.getLogger(__name__)

TOO_LONG: LiteralString = "The text exceeded the size limit. Please try again."
STORE_UNAVAILABLE: LiteralString = "The server's storage is full or out of reach. Please try again later."


class LiveRun:
    """Appends updates to the run's log and, after the last one, the end of the run, exactly once.

    `ends` are the statuses of parts that finished earlier, and `elapsed_ms` the time already spent. `on_finished` is
    called after the end is logged. Error messages are in `language`.
    """

    def __init__(
        self, run_id: str, log: EventLog, composition: Composition, parts: Sequence[str],
        on_finished: Callable[[], object],
        ends: Mapping[str, Status] | None = None, elapsed_ms: int = 0, language: Language = "en",
    ) -> None:  # fmt: skip
        self._run_id, self._log, self._parts, self._on_finished = run_id, log, parts, on_finished
        self._choice = composition.choice.name if composition.choice else None
        self._ends = dict(ends or {})
        self._language: Language = language
        self._started_at = perf_counter() - elapsed_ms / 1000
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._is_cancelled = self._is_forgotten = False
        self._message: str | None = None
        self.is_stopping = False  # accepts no more parts
        self.active_parts: set[str] = set()
        self.ended = asyncio.Event()

    @property
    def is_ending(self) -> bool:
        """Whether only the end is missing."""
        return self._ending is not None

    @property
    def is_over(self) -> bool:
        """Whether no more parts can be started."""
        return self.is_ending or (self.is_stopping and bool(self._tasks))

    def write(self, updates: AsyncGenerator[PartEvent], parts: Collection[str]) -> None:
        """Starts to write the updates of these parts. Raises `ValueError` if the run is over."""
        if self.is_over:
            raise ValueError("the run is over: no more parts can be started")
        self.active_parts.update(parts)
        for part in parts:
            self._ends.pop(part, None)
        task = asyncio.create_task(self._write(updates), name=f"run {self._run_id}")
        task.add_done_callback(self._task_done)
        self._tasks.add(task)
        if self.is_stopping:  # the run was cancelled before its first part
            task.cancel()

    def cancel(self) -> None:
        """Closes the calls to providers and then writes the end. Sets `ended`."""
        if not self.is_ending:
            self._is_cancelled = True
            self._stop()

    def abandon(self) -> None:
        """Ends a run that has no log."""
        self.ended.set()
        self._on_finished()

    def forget(self) -> None:
        """Cancels the run and drops its log after the end."""
        self._is_forgotten = True
        self.cancel()

    async def _write(self, updates: AsyncGenerator[PartEvent]) -> None:
        try:
            async with aclosing(updates):
                async for update in updates:
                    await self._log.append(self._run_id, update)
                    if isinstance(update, PartEnd):
                        self._ends[update.part] = update.status
                        self.active_parts.discard(update.part)
        except LogFullError:
            self._fail(Message(TOO_LONG))
        except UnavailableError:
            self._fail(Message(STORE_UNAVAILABLE))
        except Exception:  # nobody else would tell the reader
            logger.exception("run %s failed", self._run_id)
            self._fail(Message(OUR_SIDE))

    def _fail(self, message: Message) -> None:
        self._message = message.in_language(self._language)
        self._stop()

    def _stop(self) -> None:
        self.is_stopping = True
        for task in self._tasks:
            task.cancel()

    def _task_done(self, task: asyncio.Task[None]) -> None:
        """Also called for a task that was cancelled before it started."""
        self._tasks.discard(task)
        if not self._tasks:
            self._ending = asyncio.create_task(self._end(), name=f"end of run {self._run_id}")

    async def _end(self) -> None:
        total_ms = round((perf_counter() - self._started_at) * 1000)
        try:
            await self._log.append(self._run_id, RunEnd(self._status(), total_ms, self._message))
            if self._is_forgotten:
                await self._log.forget(self._run_id)
        finally:
            self.ended.set()
            self._on_finished()

    def _status(self) -> RunStatus:
        """A run whose proposal failed has failed, even if a part succeeded."""
        if self._message:
            return "failed"
        if self._is_cancelled:
            return "cancelled"
        ends = {part: self._ends.get(part, "failed") for part in self._parts}
        if (self._choice and ends.get(self._choice) == "failed") or set(ends.values()) == {"failed"}:
            return "failed"
        return "ok" if set(ends.values()) == {"ok"} else "partial"

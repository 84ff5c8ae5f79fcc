"""An active run: one task, or several while parts are regenerated. The last task to finish ends the run.

Writing ── cancel, failure, release, fence ── Stopping ─┐
   └──────────────── no task is left ───────────────────┴─ Ending
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass
from time import perf_counter
from typing import Literal, LiteralString

from structlog.contextvars import bound_contextvars

from app.clients import current_request_id
from app.metrics import active_runs, count_run
from app.runs.state import RunState
from app.runs.tally import Tally, tallied
from app.stores import (
    EventLog,
    EventLogError,
    FencedError,
    LogFullError,
    RewritesWaitingError,
    RunEnd,
    RunStatus,
    UnavailableError,
)
from app.traces import RunSpan
from chains.errors import OUR_SIDE
from chains.messages import Message
from chains.parts.composition import Composition
from chains.parts.events import Alternate, Fragment, PartEnd, PartEvent
from chains.translations import Language

logger = logging.getLogger(__name__)

TOO_LONG: LiteralString = "The text exceeded the size limit. Please try again."
STORE_UNAVAILABLE: LiteralString = "The server's storage is full or out of reach. Please try again later."


@dataclass(frozen=True, slots=True)
class Writing:
    """Parts are being written, and more can be started."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The calls to providers are being closed.

    A released run is left to another process, a fenced one has been taken over by one: neither gets an end.
    """

    reason: Literal["cancelled", "failed", "released", "fenced"]
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """Only the end is missing, if the run gets one."""

    reason: Stopping | None


Phase = Writing | Stopping | Ending


class LiveRun:
    """Appends updates to the run's log and, after the last one, the end of the run, exactly once.

    `state` is that of the run so far. `on_finished` is called after the end is logged, `on_rewrites` if the log refuses
    the end because other processes want parts to be regenerated first.
    """

    def __init__(
        self, log: EventLog, composition: Composition, state: RunState, on_finished: Callable[[], object],
        *, is_ephemeral: bool = False, on_rewrites: Callable[[], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        self._run_id, self.client = state.run_id, state.client
        self._log = log
        self.composition = state.composition
        self._parts = [*state.parts]
        self._on_finished = on_finished
        self._choice = composition.choice.name if composition.choice else None
        self._ends = state.ends()
        self._language: Language = state.request.language
        self._started_at = perf_counter() - state.active_ms / 1000
        self._first_text_at: float | None = None
        self._request_id = state.request_id
        self._tally = Tally.of(state.usage)
        self._span = RunSpan(state.run_id, composition.name, state.traceparent)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._is_forgotten = False
        self._is_ephemeral = is_ephemeral
        self._on_rewrites = on_rewrites
        self.phase: Phase = Writing()
        self.active_parts: set[str] = set()
        self.ended = asyncio.Event()
        active_runs.labels(composition.name).inc()

    @property
    def is_over(self) -> bool:
        """Whether no more parts can be started."""
        return isinstance(self.phase, Ending) or (isinstance(self.phase, Stopping) and bool(self._tasks))

    def write(self, updates: AsyncGenerator[PartEvent], parts: Collection[str]) -> None:
        """Starts to write the updates of these parts. Raises `ValueError` if the run is over."""
        if self.is_over:
            raise ValueError("the run is over: no more parts can be started")
        self.active_parts.update(parts)
        for part in parts:
            self._ends.pop(part, None)
        with self._log_fields(), tallied(self._tally), self._span.current():
            task = asyncio.create_task(self._write(updates), name=f"run {self._run_id}")
            task.add_done_callback(self._task_done)
        self._tasks.add(task)
        if isinstance(self.phase, Stopping):  # the run was cancelled before its first part
            task.cancel()

    def _log_fields(self) -> AbstractContextManager[None]:
        """Returns the fields of the run's log lines. The id of a current request replaces that of the first one."""
        request_id = current_request_id() or self._request_id
        return bound_contextvars(run=self._run_id, **{"request_id": request_id} if request_id else {})

    def cancel(self) -> None:
        """Closes the calls to providers and then writes the end. Sets `ended`."""
        self._stop(Stopping("cancelled"))

    def release(self) -> None:
        """Closes the calls to providers and leaves the rest to another process. Sets `ended`."""
        self._stop(Stopping("cancelled" if self._is_ephemeral else "released"))

    def fence(self) -> None:
        """Closes the calls to providers, because another process writes the run now. Sets `ended`."""
        self._stop(Stopping("fenced"))

    def abandon(self) -> None:
        """Ends a run that has no log."""
        self._finish()

    def forget(self) -> None:
        """Cancels the run and drops its log after the end."""
        self._is_forgotten = True
        self.cancel()

    async def _write(self, updates: AsyncGenerator[PartEvent]) -> None:
        try:
            async with aclosing(updates):
                async for update in updates:
                    await self._log.append(self._run_id, update)
                    if self._first_text_at is None and isinstance(update, Fragment | Alternate):
                        self._first_text_at = perf_counter()
                    if isinstance(update, PartEnd):
                        self._ends[update.part] = update.status
                        self.active_parts.discard(update.part)
        except FencedError:
            self._stop(Stopping("fenced"))
        except LogFullError:
            self._fail(Message(TOO_LONG))
        except UnavailableError:
            self._fail(Message(STORE_UNAVAILABLE))
        except Exception:  # nobody else would tell the reader
            logger.exception("run %s failed", self._run_id)
            self._fail(Message(OUR_SIDE))

    def _fail(self, message: Message) -> None:
        self._stop(Stopping("failed", message.in_language(self._language)))

    def _stop(self, phase: Stopping) -> None:
        """Closes the calls. The first reason counts."""
        if isinstance(self.phase, Writing):
            self.phase = phase
            for task in self._tasks:
                task.cancel()

    def _task_done(self, task: asyncio.Task[None]) -> None:
        """Also called for a task that was cancelled before it started."""
        self._tasks.discard(task)
        if not self._tasks:
            stopping = self.phase if isinstance(self.phase, Stopping) else None
            self.phase = Ending(stopping)
            self._ending = asyncio.create_task(self._end(stopping), name=f"end of run {self._run_id}")

    async def _end(self, stopping: Stopping | None) -> None:
        try:
            while not await self._is_closed(stopping):
                self.phase = stopping or Writing()
                if self._on_rewrites:
                    await self._on_rewrites()
                if self._tasks:
                    return
                stopping = self.phase if isinstance(self.phase, Stopping) else None
                self.phase = Ending(stopping)
        except FencedError:  # the other process writes the end
            pass
        except EventLogError as error:
            logger.warning("Run %s has no end: %s.", self._run_id, type(error).__name__)
        finally:
            if not self._tasks:
                self._finish()

    def _finish(self) -> None:
        active_runs.labels(self.composition).dec()
        self.ended.set()
        self._on_finished()

    async def _is_closed(self, stopping: Stopping | None) -> bool:
        """Writes the end. Returns False if parts have to be regenerated first."""
        try:
            await self._close_log(stopping)
        except RewritesWaitingError:
            return False
        if self._is_forgotten:
            await self._log.forget(self._run_id)
        return True

    async def _close_log(self, stopping: Stopping | None) -> None:
        match stopping:
            case Stopping("fenced"):
                self._span.end("fenced")
            case Stopping("released"):
                await self._log.release(self._run_id)
                self._span.end("released")
            case _:
                total_ms = round((perf_counter() - self._started_at) * 1000)
                message = stopping.message if stopping else None
                end = RunEnd(self._status(stopping), total_ms, message, self._tally.usage())
                try:
                    await self._log.append(self._run_id, end)
                except FencedError:
                    if end.status != "cancelled":  # otherwise the process that cancelled the run has written its end
                        raise
                self._report(end)

    def _report(self, end: RunEnd) -> None:
        """Writes one line for the operator."""
        ttft_s = None if self._first_text_at is None else round(self._first_text_at - self._started_at, 3)
        usage = self._tally.usage()
        fields = {
            "status": end.status, "seconds": end.total_ms / 1000, "ttft_s": ttft_s, "attempts": usage.calls,
            "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens, "cost_usd": usage.cost_usd,
            "composition": self.composition,
        }  # fmt: skip
        logger.info("Run ended: %s.", end.status, extra=fields)
        self._span.end(end.status, ttft_s, usage.cost_usd)
        count_run(self.composition, end.status, end.total_ms / 1000, ttft_s)

    def _status(self, stopping: Stopping | None) -> RunStatus:
        """A run whose proposal failed has failed, even if a part succeeded."""
        if stopping:
            return "failed" if stopping.reason == "failed" else "cancelled"
        ends = {part: self._ends.get(part, "failed") for part in self._parts}
        if (self._choice and ends.get(self._choice) == "failed") or set(ends.values()) == {"failed"}:
            return "failed"
        return "ok" if set(ends.values()) == {"ok"} else "partial"

"""Runs: one execution of the chain for one request. What happens in a run is in its event log."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

from langchain_core.runnables import Runnable

from app.eventlog import MemoryEventLog, RunEnd, RunError, RunEvent, RunStart, RunStatus
from chains.schema import PARTS, Part, PartEnd, RecipeRequest, Status
from chains.streaming import astream_fragments

logger = logging.getLogger(__name__)

PROPOSED: Part = "alternates"  # this part fails exactly when the proposal fails


class Runs:
    """The runs of this process: starts them, cancels them, and lets readers follow them.

    A run that takes longer than `deadline_s` seconds fails; what was written stays in its log.
    """

    def __init__(self, chain: Runnable[RecipeRequest, Any], log: MemoryEventLog, deadline_s: float = 300) -> None:
        self._chain, self._log, self._deadline_s = chain, log, deadline_s
        self._tasks: dict[UUID, asyncio.Task[RunStatus]] = {}

    def start(self, request: RecipeRequest) -> UUID:
        """Starts writing the recipe for `request`. It goes on whether or not anybody reads."""
        run_id, started = uuid4(), perf_counter()
        self._append(run_id, RunStart(str(run_id), request, PARTS))
        task = asyncio.create_task(self._write(run_id, request), name=f"run {run_id}")
        task.add_done_callback(lambda _: self._end(run_id, started))
        self._tasks[run_id] = task
        return run_id

    def follow(self, run_id: UUID, after: int = 0) -> AsyncGenerator[list[tuple[int, RunEvent]]]:
        """The run's events after number `after`, as they come, those that came together in one list."""
        return self._log.follow(str(run_id), after)

    def forget(self, run_id: UUID) -> None:
        """Cancels the run and drops its log, as soon as its last event is written."""
        if task := self._tasks.get(run_id):
            task.cancel()
            task.add_done_callback(lambda _: self._log.forget(str(run_id)))
        else:
            self._log.forget(str(run_id))

    async def aclose(self) -> None:
        """Cancels all runs and waits until their calls are closed."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, run_id: UUID, request: RecipeRequest) -> RunStatus:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._write_parts(run_id, request)
        except TimeoutError:
            self._append(run_id, RunError(f"The recipe took longer than {self._deadline_s:g} seconds: try again."))
        except Exception:  # the last place that can tell the reader
            logger.exception("run %s failed", run_id)
            self._append(run_id, RunError("Something went wrong on our side: try again."))
        return "failed"

    def _end(self, run_id: UUID, started: float) -> None:
        """Called when the run's task is done, even one that was cancelled before it began."""
        task = self._tasks.pop(run_id)
        status: RunStatus = "cancelled" if task.cancelled() else task.result()
        self._append(run_id, RunEnd(status, round((perf_counter() - started) * 1000)))

    async def _write_parts(self, run_id: UUID, request: RecipeRequest) -> RunStatus:
        ends: dict[Part, Status] = {}
        async with aclosing(astream_fragments(self._chain, request, {"run_id": run_id})) as updates:
            async for update in updates:
                self._append(run_id, update)
                match update:
                    case PartEnd(part, "failed", message=message):
                        ends[part] = "failed"
                        self._append(run_id, RunError(message or "", None if part == PROPOSED else part))
                    case PartEnd(part, status):
                        ends[part] = status
                    case _:
                        pass
        return _status(ends)

    def _append(self, run_id: UUID, event: RunEvent) -> None:
        self._log.append(str(run_id), event)


def _status(ends: Mapping[Part, Status]) -> RunStatus:
    """A run whose proposal failed has failed, even if a part of it could be written."""
    if ends.get(PROPOSED) == "failed" or set(ends.values()) <= {"failed"}:
        return "failed"
    return "ok" if set(ends.values()) == {"ok"} else "partial"

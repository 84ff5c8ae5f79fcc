"""The event log: what happened in a run, append-only. It is the only truth: first and later readers follow it alike."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal

from chains.schema import Fragment, Part, PartEnd, PartStart, Proposal, RecipeRequest

RunStatus = Literal["ok", "partial", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class RunStart:
    """A run began; `parts` are to come."""

    run_id: str
    request: RecipeRequest
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class RunError:
    """Something failed: one part, or, with none named, the whole run. The message is for people."""

    message: str
    part: Part | None = None


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The run's last event, written exactly once. Milliseconds from the run's start."""

    status: RunStatus
    total_ms: int


RunEvent = RunStart | Proposal | PartStart | Fragment | PartEnd | RunError | RunEnd

EVENT_NAMES: dict[type[RunEvent], str] = {
    RunStart: "run",
    Fragment: "fragment",
    Proposal: "proposal",
    PartStart: "part_start",
    PartEnd: "part_end",
    RunError: "error",
    RunEnd: "end",
}


class MemoryEventLog:
    """Logs of runs in this process's memory, by run id."""

    def __init__(self) -> None:
        self._logs: dict[str, _Log] = {}

    def append(self, run_id: str, event: RunEvent) -> None:
        """Writes the next event. The first begins the log; after `RunEnd` nothing more may come."""
        self._logs.setdefault(run_id, _Log()).append(event)

    async def follow(self, run_id: str, after: int = 0) -> AsyncGenerator[list[tuple[int, RunEvent]]]:
        """The events after number `after`, numbered from 1, as many as there are at a time, to the run's end.

        Raises `KeyError`.
        """
        log = self._logs[run_id]
        while True:
            if news := log.events[after:]:  # looked at anew after each yield, during which the log may have grown
                yield list(enumerate(news, after + 1))
                after += len(news)
            elif log.ended:
                return
            else:
                await log.grown(beyond=after)

    def forget(self, run_id: str) -> None:
        """Drops a run's log, if there is one; those who follow it still read it to its end."""
        self._logs.pop(run_id, None)


class _Log:
    def __init__(self) -> None:
        self.events: list[RunEvent] = []
        self._growth = asyncio.Event()

    @property
    def ended(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1], RunEnd)

    def append(self, event: RunEvent) -> None:
        if self.ended:
            raise ValueError("the run has ended: nothing more may be written")
        self.events.append(event)
        self._growth.set()
        self._growth = asyncio.Event()

    async def grown(self, beyond: int) -> None:
        if len(self.events) <= beyond:
            await self._growth.wait()

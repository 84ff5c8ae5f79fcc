"""The append-only event log of a run. All readers follow it.

- A log begins with `RunStart` and ends with `RunEnd`. Its events are numbered from 1, without gaps.
- A reader resumes with the id of the last event it saw.
- One process writes a log. If it dies, another one takes the log over in a new epoch, which keeps all events.
- Reopening a finished log starts a new epoch; events keep their numbers and the end event is dropped.
- A finished log is kept for a while and then expires; its id is remembered longer.

EventLogError
├── UnknownRunError    there is no log of this run
├── ExpiredRunError    the log of this run has expired
├── RunExistsError     there already is a log of this run
├── TooManyRunsError   the client has as many runs as it may
├── LogFullError       the log, or the store, has reached its size limit
├── FencedError        another process writes this run now
├── RewritesWaitingError     the run can't end yet, because parts have to be regenerated first
└── UnavailableError   the store is full, or out of reach
"""

from collections.abc import AsyncGenerator
from typing import Protocol

from app.stores.entries import (
    EVENT_NAMES as EVENT_NAMES,
    EventEntry as EventEntry,
    EventId as EventId,
    LogEntry as LogEntry,
    MemoryUsage as MemoryUsage,
    Rewrite as Rewrite,
    RunEnd as RunEnd,
    RunEvent as RunEvent,
    RunStart as RunStart,
    RunStatus as RunStatus,
    Usage as Usage,
    json_default as json_default,
    public as public,
    to_json as to_json,
)
from app.stores.ledger import Ledger

MAX_BATCH = 256  # events


class EventLogError(Exception):
    """The base class of errors of event logs."""


class UnknownRunError(EventLogError):
    """There is no log of this run."""


class ExpiredRunError(EventLogError):
    """The log of this run has expired."""


class RunExistsError(EventLogError):
    """There already is a log of this run."""


class LogFullError(EventLogError):
    """The log has reached its size limit and only accepts its end, or the store is full and accepts no new log."""


class TooManyRunsError(EventLogError):
    """The client has as many runs at a time as it may."""


class FencedError(EventLogError):
    """Another process writes this run now."""


class RewritesWaitingError(EventLogError):
    """The run can't end yet, because other processes want parts to be regenerated first."""


class UnavailableError(EventLogError):
    """The store cannot be read or written now, because its disk is full or its server does not answer."""


class EventLog(Protocol):
    """The logs of runs, by run id.

    Any method raises `UnavailableError`. Every method with a run id raises `UnknownRunError` and `ExpiredRunError`,
    except `begin` and `forget`.
    """

    outlives_process: bool  # whether another process can take over what this one releases

    @property
    def ledger(self) -> Ledger:
        """What calls to models have used and cost."""
        ...

    async def begin(self, run_id: str, start: RunStart, *, ephemeral: bool = False) -> None:
        """Begins a log. Raises `LogFullError`, and `RunExistsError` unless the existing log has expired.

        An ephemeral run is lost with the process, because its only reader is.
        """
        ...

    async def append(self, run_id: str, event: RunEvent) -> None:
        """Appends an event. Raises `LogFullError`, `FencedError`, and `ValueError` after `RunEnd`."""
        ...

    async def reopen(self, run_id: str) -> None:
        """Removes the end and continues the log in a new epoch. Raises `ValueError` if the log has not ended."""
        ...

    async def add_rewrite(self, run_id: str, rewrite: Rewrite) -> None:
        """Stores a rewrite until the run's end, so that another process can finish it."""
        ...

    async def rewrites(self, run_id: str) -> list[Rewrite]:
        """Returns the rewrites since the last end, in order."""
        ...

    async def take_over(self, run_id: str) -> int:
        """Makes this process the run's writer; from then on any other one gets a `FencedError`.

        The log continues in a new epoch, which keeps all its events, unless nobody can have read more than its start.
        Returns how many times in a row this was done without a release: each may have killed its process. Raises
        `ValueError` if the log has ended.
        """
        ...

    async def release(self, run_id: str) -> None:
        """Stops being the run's writer, so that it can be taken over at once."""
        ...

    async def unfinished(self) -> list[str]:
        """Returns the ids of runs without an end that no process writes, oldest first."""
        ...

    async def secret(self) -> bytes:
        """Returns 32 random bytes that are the same for all processes that use the store, as long as it exists."""
        ...

    def follow(self, run_id: str, last: EventId | None = None) -> AsyncGenerator[list[LogEntry]]:
        """Yields the events after `last` in batches of at most `MAX_BATCH`, to the log's end.

        An id of an earlier epoch is valid as far as its events were kept. For any other id that is not in the log, all
        events are yielded.
        """
        ...

    async def read(self, run_id: str, after: int = 0) -> list[LogEntry]:
        """Returns the events after number `after`, without waiting, or the first `MAX_BATCH` of them."""
        ...

    async def is_complete(self, run_id: str, last: EventId) -> bool:
        """Whether `last` is the end of the log."""
        ...

    async def forget(self, run_id: str) -> None:
        """Drops a log, if there is one. Current readers still read it to its end."""
        ...

    async def is_reachable(self) -> bool:
        """Whether the store answers, or did so when it was used last."""
        ...

    async def aclose(self) -> None:
        """Releases the resources of the store."""
        ...

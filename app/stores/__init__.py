"""The append-only event log of a run. All readers follow it.

- A log begins with `RunStart` and ends with `RunEnd`. Its events are numbered from 1, without gaps.
- A reader resumes with the id of the last event it saw.
- Reopening a finished log starts a new epoch; events keep their numbers and the end event is dropped.
- A finished log is kept for a while and then expires; its id is remembered longer.

EventLogError
├── UnknownRunError    there is no log of this run
├── ExpiredRunError    the log of this run has expired
├── RunExistsError     there already is a log of this run
└── LogFullError       the log, or the store, has reached its size limit
"""

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from sys import getsizeof
from typing import Literal, NamedTuple, Protocol

import orjson
from typing_extensions import override

from chains.parts.composition import Request
from chains.parts.events import Alternate, Fragment, PartEnd, PartEvent, PartStart, Proposal

RunStatus = Literal["ok", "partial", "failed", "cancelled"]

MAX_BATCH = 256  # events


@dataclass(frozen=True, slots=True)
class RunStart:
    """A run of a composition began; `parts` will follow."""

    run_id: str
    composition: str
    request: Request
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The last event of a run, logged exactly once. Has a user-facing message if the run failed as a whole.

    `total_ms` is the time that the run was active.
    """

    status: RunStatus
    total_ms: int
    message: str | None = None


RunEvent = RunStart | PartEvent | RunEnd

EVENT_NAMES: dict[type[RunEvent], str] = {
    RunStart: "run",
    Fragment: "fragment",
    Proposal: "proposal",
    Alternate: "alternate",
    PartStart: "part_start",
    PartEnd: "part_end",
    RunEnd: "end",
}

_ID = re.compile(r"([0-9a-f]{1,32})-(0|[1-9][0-9]{0,14})")


class EventId(NamedTuple):
    """Identifies an event: the epoch of its log, and its number there."""

    epoch: str
    seq: int

    @override
    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"

    @classmethod
    def parse(cls, text: str) -> "EventId":
        """Raises `ValueError`."""
        if not (found := _ID.fullmatch(text)):
            raise ValueError("invalid event id")
        return cls(found[1], int(found[2]))


@dataclass(slots=True)
class MemoryUsage:
    """The bytes of one log; `total` counts all logs of the store."""

    bytes: int = 0
    total: "MemoryUsage | None" = None

    def grow(self, count: int) -> None:
        self.bytes += count
        if self.total:
            self.total.bytes += count

    def release(self) -> None:
        """Takes the log out of the total; only its current readers still refer to it."""
        if self.total:
            self.total.bytes -= self.bytes
            self.total = None


@dataclass(slots=True)
class LogEntry:
    """An event in its log, `at_ms` milliseconds after the log began.

    Its JSON is added to the memory usage when it is created.
    """

    id: EventId
    event: RunEvent
    at_ms: int
    _json: bytes | None = field(default=None, repr=False, compare=False)
    _usage: MemoryUsage | None = field(default=None, repr=False, compare=False)

    @property
    def json(self) -> bytes:
        """The event's fields and `at_ms` as one line of JSON, created once for all readers."""
        if self._json is None:
            self._json = b'%b,"at_ms":%d}' % (to_json(self.event)[:-1], self.at_ms)
            if self._usage:
                self._usage.grow(getsizeof(self._json))
        return self._json

    def with_epoch(self, epoch: str, usage: MemoryUsage | None = None) -> "LogEntry":
        """Returns the same event in another epoch."""
        return LogEntry(EventId(epoch, self.id.seq), self.event, self.at_ms, self._json, usage)


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


class EventLog(Protocol):
    """The logs of runs, by run id.

    Every method raises `UnknownRunError` and `ExpiredRunError`, except `begin`, `forget` and `aclose`.
    """

    async def begin(self, run_id: str, start: RunStart) -> None:
        """Begins a log. Raises `LogFullError`, and `RunExistsError` unless the existing log has expired."""
        ...

    async def append(self, run_id: str, event: RunEvent) -> None:
        """Appends an event. Raises `LogFullError`, and `ValueError` after `RunEnd`."""
        ...

    async def reopen(self, run_id: str) -> None:
        """Removes the end and continues the log in a new epoch. Raises `ValueError` if the log has not ended."""
        ...

    def follow(self, run_id: str, last: EventId | None = None) -> AsyncGenerator[list[LogEntry]]:
        """Yields the events after `last` in batches of at most `MAX_BATCH`, to the log's end.

        An id of an earlier epoch is valid as far as its events were kept. For any other id that is not in the log, all
        events are yielded.
        """
        ...

    async def read(self, run_id: str, after: int = 0) -> list[LogEntry]:
        """Returns at most `MAX_BATCH` events after number `after`, without waiting."""
        ...

    async def is_complete(self, run_id: str, last: EventId) -> bool:
        """Whether `last` is the end of the log."""
        ...

    async def forget(self, run_id: str) -> None:
        """Drops a log, if there is one. Current readers still read it to its end."""
        ...

    async def aclose(self) -> None:
        """Releases the resources of the store."""
        ...


def to_json(event: RunEvent) -> bytes:
    """Returns the event's fields as one line of JSON."""
    return orjson.dumps(event, default=json_default)


def json_default(value: object) -> object:
    """The `default` of `orjson.dumps`: converts requests, which are pydantic models."""
    if isinstance(value, Request):
        return value.model_dump(by_alias=True)
    raise TypeError(f"{type(value).__name__} is not JSON serializable")

"""The event log: what happened in a run, append-only. It is the only truth: first and later readers follow it alike.

- A log begins with `RunStart` and ends with `RunEnd`. Its events are numbered from 1, without gaps.
- Whoever has read up to an event comes back with its id and reads exactly the rest.
- A log that has ended can be reopened. It then has a new epoch, keeps its events, but for the end, and their numbers.
- A log is kept for a while after its end. Then it has expired, which is known for a while longer.

EventLogError
├── UnknownRun    there is no log of this run
├── ExpiredRun    there was one, and it was kept for as long as it should be
├── RunExists     there is a log of this run already
└── LogFull       the log is as long as it may get, or all of them are
"""

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from sys import getsizeof
from typing import Literal, NamedTuple, Protocol

import orjson
from typing_extensions import override

from chains.recipe.request import Fragment, Part, PartEnd, PartStart, Proposal, RecipeRequest

RunStatus = Literal["ok", "partial", "failed", "cancelled"]

BATCH = 256  # events at most that a reader is given at a time


@dataclass(frozen=True, slots=True)
class RunStart:
    """A run began; `parts` are to come."""

    run_id: str
    request: RecipeRequest
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The run's last event, written exactly once, with a message for people where the run as such failed.

    `total_ms` is for how many milliseconds it was being written.
    """

    status: RunStatus
    total_ms: int
    message: str | None = None


RunEvent = RunStart | Proposal | PartStart | Fragment | PartEnd | RunEnd

EVENT_NAMES: dict[type[RunEvent], str] = {
    RunStart: "run",
    Fragment: "fragment",
    Proposal: "proposal",
    PartStart: "part_start",
    PartEnd: "part_end",
    RunEnd: "end",
}

_ID = re.compile(r"([0-9a-f]{1,32})-(0|[1-9][0-9]{0,14})")


class EventId(NamedTuple):
    """The name of an event among all logs: its log's epoch, and its number there."""

    epoch: str
    seq: int

    @override
    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"

    @classmethod
    def parse(cls, text: str) -> "EventId":
        """Raises `ValueError`."""
        if not (found := _ID.fullmatch(text)):
            raise ValueError("this is no event's id")
        return cls(found[1], int(found[2]))


@dataclass(slots=True)
class Held:
    """How many bytes a log holds, and with it `all` logs of a store."""

    bytes: int = 0
    all: "Held | None" = None

    def grow(self, count: int) -> None:
        self.bytes += count
        if self.all:
            self.all.bytes += count

    def leave(self) -> None:
        """The log is no longer the store's; only those who still read it hold it."""
        if self.all:
            self.all.bytes -= self.bytes
            self.all = None


@dataclass(slots=True)
class Logged:
    """An event as it stands in its log, `at_ms` whole milliseconds behind the log's beginning.

    Its JSON counts among what the log holds from when it is made.
    """

    id: EventId
    event: RunEvent
    at_ms: int
    _json: bytes | None = field(default=None, repr=False, compare=False)
    _held: Held | None = field(default=None, repr=False, compare=False)

    @property
    def json(self) -> bytes:
        """The event's fields and `at_ms` as one line of JSON, made once however many read it."""
        if self._json is None:
            self._json = b'%b,"at_ms":%d}' % (to_json(self.event)[:-1], self.at_ms)
            if self._held:
                self._held.grow(getsizeof(self._json))
        return self._json

    def taken_over(self, epoch: str, held: Held | None = None) -> "Logged":
        """The same event in another epoch of its log."""
        return Logged(EventId(epoch, self.id.seq), self.event, self.at_ms, self._json, held)


class EventLogError(Exception):
    """The base of what a log can't do."""


class UnknownRun(EventLogError):
    """There is no log of this run."""


class ExpiredRun(EventLogError):
    """There was a log of this run, which was kept for as long as it should be."""


class RunExists(EventLogError):
    """There is a log of this run already."""


class LogFull(EventLogError):
    """The log is as long as it may get, so that only its end can be written; or the store is, so that none is begun."""


class EventLog(Protocol):
    """The logs of runs, by run id. All but `forget` and `aclose` raise `UnknownRun` and `ExpiredRun`."""

    async def begin(self, run_id: str, start: RunStart) -> None:
        """Begins a log. Raises `LogFull`, and `RunExists`, but not for one that has expired."""
        ...

    async def append(self, run_id: str, event: RunEvent) -> None:
        """Writes the next event. Raises `LogFull`, and `ValueError` behind `RunEnd`."""
        ...

    async def reopen(self, run_id: str) -> None:
        """Takes the end off a log, which goes on in a new epoch. Raises `ValueError` for one that has not ended."""
        ...

    def follow(self, run_id: str, last: EventId | None = None) -> AsyncGenerator[list[Logged]]:
        """The events behind `last`, as many as there are at a time, but at most `BATCH`, to the log's end.

        An id of an earlier epoch holds as far as its events were kept. Behind any other that is not in the log
        everything comes, from the start.
        """
        ...

    async def read(self, run_id: str, after: int = 0) -> list[Logged]:
        """What there is behind number `after`, at most `BATCH` events, without waiting for more."""
        ...

    async def is_read(self, run_id: str, last: EventId) -> bool:
        """Whether `last` is the log's end, behind which nothing will come."""
        ...

    async def forget(self, run_id: str) -> None:
        """Drops a log, if there is one; those who follow it still read it to its end."""
        ...

    async def aclose(self) -> None:
        """Lets go of what the logs hold on to."""
        ...


def to_json(event: RunEvent) -> bytes:
    """The event's fields as one line of JSON."""
    return orjson.dumps(event, default=plain)


def plain(value: object) -> object:
    """What orjson is to write for a value that it does not know."""
    if isinstance(value, RecipeRequest):
        return value.model_dump(by_alias=True)
    raise TypeError(f"{type(value).__name__} is not for the wire")

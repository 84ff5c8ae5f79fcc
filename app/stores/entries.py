"""The events of a run as its log has them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from sys import getsizeof
from typing import Literal, NamedTuple, Protocol

import orjson
from typing_extensions import override

from app.clients import LOCAL, Client
from chains.parts.composition import Request
from chains.parts.events import Alternate, Fragment, PartEnd, PartEvent, PartStart, Proposal

RunStatus = Literal["ok", "partial", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class RunStart:
    """A run of a composition began; `parts` will follow.

    `understood` has the values of fields that prompts get in place of what was sent, see `Request.understood`. The
    client who started the run, the trace that its request continued, and the id of that request are for stores only,
    not for readers.
    """

    run_id: str
    composition: str
    request: Request
    parts: tuple[str, ...]
    client: Client = LOCAL
    traceparent: str | None = None  # W3C Trace Context
    request_id: str | None = None
    understood: Mapping[str, str | float] = field(default_factory=dict[str, str | float])


@dataclass(frozen=True, slots=True)
class Usage:
    """The calls to models of a run, their tokens, and what they cost in US dollars, or None if a price is unknown.

    It is estimated if a provider has not counted the tokens of a call, such as one that was cancelled.
    """

    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    is_estimated: bool


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The last event of a run, logged exactly once. Has a user-facing message if the run failed as a whole.

    `total_ms` is the time that the run was active. The usage is unknown if another process ended the run.
    """

    status: RunStatus
    total_ms: int
    message: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A request to generate parts again, made when the log had `after` events."""

    parts: tuple[str, ...]
    after: int


FOR_STORES = "client", "traceparent", "request_id"  # fields of a `RunStart` that no reader gets

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


class LogEntry(Protocol):
    """An event in its log."""

    @property
    def id(self) -> EventId: ...

    @property
    def event(self) -> RunEvent: ...

    @property
    def kind(self) -> type[RunEvent]:
        """The event's class, which is known without decoding it."""
        ...

    @property
    def at_ms(self) -> int:
        """Milliseconds since the log began."""
        ...

    @property
    def json(self) -> bytes:
        """The event's fields, including those for stores only, and `at_ms` as one line of JSON."""
        ...

    def with_epoch(self, epoch: str) -> "LogEntry":
        """Returns the same event in another epoch."""
        ...


@dataclass(slots=True)
class EventEntry:
    """A log entry whose JSON is created for the first reader, and then added to the memory usage."""

    id: EventId
    event: RunEvent
    at_ms: int
    _json: bytes | None = field(default=None, repr=False, compare=False)
    _usage: MemoryUsage | None = field(default=None, repr=False, compare=False)

    @property
    def kind(self) -> type[RunEvent]:
        return type(self.event)

    @property
    def json(self) -> bytes:
        if self._json is None:
            self._json = b'%b,"at_ms":%d}' % (_stored(self.event)[:-1], self.at_ms)
            if self._usage:
                self._usage.grow(getsizeof(self._json))
        return self._json

    def with_epoch(self, epoch: str) -> "EventEntry":
        return EventEntry(EventId(epoch, self.id.seq), self.event, self.at_ms, self._json, self._usage)


def to_json(event: RunEvent) -> bytes:
    """Returns the event's fields as one line of JSON, for readers."""
    return public(_stored(event)) if isinstance(event, RunStart) else _stored(event)


def public(json: bytes) -> bytes:
    """Returns the JSON of a `RunStart` without what is for stores only."""
    fields = orjson.loads(json)
    for name in FOR_STORES:
        fields.pop(name, None)  # an older version has not stored it
    return orjson.dumps(fields)


def _stored(event: RunEvent) -> bytes:
    return orjson.dumps(event, default=json_default)


def json_default(value: object) -> object:
    """The `default` of `orjson.dumps`: converts requests, which are pydantic models."""
    if isinstance(value, Request):
        # only what validation accepts again: values of JSON, and no computed fields
        return value.model_dump(mode="json", by_alias=True, include=set(type(value).model_fields))
    raise TypeError(f"{type(value).__name__} is not JSON serializable")

"""Events as lines, in which stores outside this process's memory keep them: a letter for the kind, then the JSON."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
from pydantic import TypeAdapter, ValidationError

from app.clients import LOCAL, Client
from app.stores import EventId, LogEntry, RunEnd, RunEvent, RunStart, UnknownRunError
from chains.parts.composition import STORED, Request
from chains.parts.events import Alternate, Fragment, PartEnd, PartStart, Proposal

LETTERS: dict[type[RunEvent], bytes] = {
    RunStart: b"r",
    Fragment: b"f",
    Proposal: b"p",
    Alternate: b"a",
    PartStart: b"s",
    PartEnd: b"e",
    RunEnd: b"z",
}
KINDS = {letter: kind for kind, letter in LETTERS.items()}

_ADAPTERS: dict[type[RunEvent], TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in LETTERS if kind != RunStart}


@dataclass(slots=True)
class EncodedEntry:
    """A log entry whose event is decoded when somebody asks for it."""

    id: EventId
    kind: type[RunEvent]
    json: bytes
    _decoder: "Decoder" = field(repr=False, compare=False)
    _event: RunEvent | None = field(default=None, repr=False, compare=False)

    @property
    def event(self) -> RunEvent:
        if self._event is None:
            self._event = self._decoder.event(self.kind, self.json)
        return self._event

    @property
    def at_ms(self) -> int:
        return int(self.json[self.json.rindex(b":") + 1 : -1])  # always the last field

    def with_epoch(self, epoch: str) -> "EncodedEntry":
        return EncodedEntry(EventId(epoch, self.id.seq), self.kind, self.json, self._decoder, self._event)


class Decoder:
    """Decodes lines. `requests` has the class of each composition's requests."""

    def __init__(self, requests: Mapping[str, type[Request]]) -> None:
        self._requests = requests

    def entries(self, epoch: str, first: int, block: bytes) -> list[EncodedEntry]:
        """Returns the entries of a block of lines, numbered from `first`.

        Raises `UnknownRunError` for an event whose kind only a newer version knows.
        """
        lines = enumerate(block.split(b"\n"), first)
        try:
            return [EncodedEntry(EventId(epoch, seq), KINDS[line[:1]], line[1:], self) for seq, line in lines]
        except KeyError:
            raise UnknownRunError from None

    def event(self, kind: type[RunEvent], json: bytes) -> RunEvent:
        """Raises `UnknownRunError` for the start of a composition that is not served."""
        return self._start(json) if kind is RunStart else _ADAPTERS[kind].validate_json(json)

    def _start(self, json: bytes) -> RunStart:
        fields = cast(dict[str, Any], orjson.loads(json))
        request_type = self._requests.get(fields["composition"])
        if not request_type:
            raise UnknownRunError
        try:
            request = request_type.model_validate(fields["request"], context=STORED)
        except ValidationError:  # the composition has changed since
            raise UnknownRunError from None
        client = fields.get("client")  # an older version has not stored it
        who = Client(client["name"], client["is_named"]) if client else LOCAL
        return RunStart(
            fields["run_id"], fields["composition"], request, tuple(fields["parts"]), who,
            fields.get("traceparent"), fields.get("request_id"), fields.get("understood", {}),
        )  # fmt: skip


def encode(entries: Iterable[LogEntry]) -> bytes:
    """Returns the entries as a block of lines."""
    return b"\n".join([LETTERS[entry.kind] + entry.json for entry in entries])

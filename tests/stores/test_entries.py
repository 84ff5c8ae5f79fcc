"""Events and their ids, as stores write and read them."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from app.stores import (
    EventEntry,
    EventId,
    RunEvent,
    UnknownRunError,
    to_json,
)
from app.stores.encoding import Decoder, encode
from chains.parts.composition import Request
from chains.parts.events import Alternate, Fragment, PartEnd, PartStart, Proposal
from chains.parts.requests import run_request
from chains.recipe.composition import RECIPE
from tests.stores.logs import END, START

EVENTS: list[tuple[RunEvent, Mapping[str, object]]] = [
    (
        START,
        {"run_id": "run", "composition": "recipe", "parts": ["intro"]}
        | {"request": START.request.model_dump(by_alias=True)}
        | {"client": {"name": "alice", "is_named": True}, "traceparent": START.traceparent}
        | {"request_id": "request-1", "understood": {}},
    ),
    (Proposal(({"name": "a", "intro": "b"},), 0), {"options": [{"name": "a", "intro": "b"}], "picked": 0}),
    (PartStart("intro", 2, "p", "m"), {"part": "intro", "attempt": 2, "provider": "p", "model": "m"}),
    (Fragment("intro", "é\n"), {"part": "intro", "text": "é\n"}),
    (Alternate("alternates", {"name": "a"}), {"part": "alternates", "option": {"name": "a"}}),
    (
        PartEnd("intro", "cut_off", "length", 1, 2, 3.5, "m"),
        {"part": "intro", "status": "cut_off", "finish_reason": "length", "ttft_ms": 1, "tokens": 2}
        | {"tokens_per_s": 3.5, "message": "m"},
    ),
    (END, {"status": "ok", "total_ms": 1, "message": None, "usage": None}),
]  # fmt: skip


@pytest.mark.parametrize(("event", "fields"), EVENTS)
def test_an_event_is_one_line_of_json(event: RunEvent, fields: dict[str, object]) -> None:
    """It has the fields and the time; it is encoded once for all readers, and kept when the log is reopened."""
    logged = EventEntry(EventId("0", 1), event, 12)
    assert json.loads(logged.json) == {**fields, "at_ms": 12}
    assert b"\n" not in logged.json
    assert logged.json is logged.json
    assert logged.with_epoch("1").json is logged.json


@pytest.mark.parametrize("event", [event for event, _ in EVENTS])
def test_an_encoded_event_is_decoded_as_it_was(event: RunEvent) -> None:
    """The line contains everything, and its JSON is that of the event."""
    entry = EventEntry(EventId("0", 3), event, 12)
    (_, decoded) = Decoder({"recipe": run_request(RECIPE)}).entries("0", 2, encode([entry, entry]))
    assert [decoded.id, decoded.kind, decoded.at_ms, decoded.json] == [entry.id, type(event), 12, entry.json]
    assert to_json(decoded.event) == to_json(event)


@pytest.mark.parametrize("request_type", [None, Request])
def test_a_run_of_a_composition_that_is_not_served_is_unknown(request_type: type[Request] | None) -> None:
    """The same applies if the composition's request has changed and does not accept an old one."""
    block = encode([EventEntry(EventId("0", 1), START, 0)])
    (entry,) = Decoder({"recipe": request_type} if request_type else {}).entries("0", 1, block)
    with pytest.raises(UnknownRunError):
        _ = entry.event


def test_a_stored_request_is_read_although_its_ingredients_are_refused_since() -> None:
    request = START.request.model_copy(update={"ingredients_on_hand": "rat poison"})
    with pytest.raises(ValidationError):
        type(request).model_validate(request.model_dump())
    block = encode([EventEntry(EventId("0", 1), replace(START, request=request), 0)])
    (entry,) = Decoder({"recipe": type(request)}).entries("0", 1, block)
    assert entry.event == replace(START, request=request)


@given(epoch=st.integers(0, 2**64 - 1), seq=st.integers(0, 10**15 - 1))
def test_an_id_is_read_as_it_is_written(epoch: int, seq: int) -> None:
    """The text of an id is unique."""
    place = EventId(f"{epoch:x}", seq)
    assert EventId.parse(str(place)) == place


@pytest.mark.parametrize(
    "text", ["", "-", "1", "a-", "-1", "a--1", "a-01", "a-1 ", "a-1\n", "g-1", "a-٣", "a-" + "9" * 16]
)
def test_an_invalid_id_is_refused(text: str) -> None:
    """Only an epoch and a number are an id."""
    with pytest.raises(ValueError, match="invalid event id"):
        EventId.parse(text)

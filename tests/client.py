"""Clients of `POST /generate` and of runs."""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import httpx
from httpx_sse import connect_sse

from app.wires.run_stream import RETRY
from chains.recipe.composition import RECIPE

CODES = RECIPE.codes

REQUEST = {"ingredientsOnHand": "beef flank, onions, peppers", "prepTime": "45"}
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # loading certificates for each client takes 40 ms
Event = tuple[str, str, str]  # the event field, the code, the text


def read(
    url: str, request: dict[str, Any] | None = None, seen: Callable[[Event], None] = lambda _: None
) -> list[Event]:
    """All events of one response; `seen` is called with each as it arrives."""
    events: list[Event] = []
    with (
        httpx.Client(timeout=20, verify=NO_TLS) as client,
        connect_sse(client, "POST", f"{url}/generate", json=request or REQUEST) as sse,
    ):
        for event in sse.iter_sse():
            code, _, text = event.data.partition("|")
            events.append((event.event, code, text))
            seen(events[-1])
    return events


def texts(events: list[Event]) -> dict[str, str]:
    """The final text of each code: a new attempt replaces the earlier text."""
    written: dict[str, str] = {}
    for name, code, text in events:
        if name == "part_start" and json.loads(text)["attempt"] > 1:
            written.pop(CODES[json.loads(text)["part"]], None)
        if name == "message":
            written[code] = written.get(code, "") + text
    return {code: text.removeprefix("⮑⮑") for code, text in written.items()}


def events_named(events: list[Event], name: str) -> list[dict[str, Any]]:
    """The JSON of the named events."""
    return [json.loads(text) for event, _, text in events if event == name]


def where(events: list[Event], code: str) -> list[int]:
    """The positions of a code's fragments."""
    return [place for place, (event, other, _) in enumerate(events) if event == "message" and other == code]


def start_of(events: list[Event], part: str) -> int:
    """The position of a part's first `part_start`."""
    return next(i for i, (event, _, text) in enumerate(events) if event == "part_start" and f'"{part}"' in text)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition becomes true in time."""
    end = time.monotonic() + seconds
    while not (is_true := condition()) and time.monotonic() < end:
        threading.Event().wait(0.01)
    return is_true


@dataclass(frozen=True)
class ReceivedEvent:
    """An event of a run stream."""

    id: str
    name: str
    fields: dict[str, Any]

    @property
    def seq(self) -> int:
        return int(self.id.split("-")[1])


def ask(method: str, address: str, **more: Any) -> httpx.Response:
    """Sends one request and reads the whole response."""
    with httpx.Client(timeout=20, verify=NO_TLS) as client:
        return client.request(method, address, **more)


class OwnRun(str):
    """The address of a run that this client started, with its key."""

    __slots__ = ("key",)
    key: str


def start(url: str, request: dict[str, Any] | None = None, /, **headers: str) -> OwnRun:
    """Starts a run; returns its address."""
    answer = ask("POST", f"{url}/runs", json=request or REQUEST, headers=headers)
    assert answer.status_code == 201, answer.text
    run = OwnRun(urljoin(url, answer.headers["location"]))
    run.key = answer.json()["key"]
    return run


def cancel(run: OwnRun) -> httpx.Response:
    return ask("DELETE", run, headers={"Sizzle-Run-Key": run.key})


def rewrite(run: OwnRun, part: str) -> httpx.Response:
    return ask("POST", f"{run}/parts/{part}", headers={"Sizzle-Run-Key": run.key})


def follow(run: str, last: str = "", seen: Callable[[ReceivedEvent], None] = lambda _: None) -> list[ReceivedEvent]:
    """The events of a run after the one with the id `last`; `seen` is called with each as it arrives."""
    headers, events = {"Last-Event-ID": last} if last else {}, list[ReceivedEvent]()
    with (
        httpx.Client(timeout=20, verify=NO_TLS) as client,
        connect_sse(client, "GET", f"{run}/events", headers=headers) as sse,
    ):
        for event in sse.iter_sse():
            events.append(ReceivedEvent(event.id, event.event, json.loads(event.data)))
            seen(events[-1])
    return events


@contextmanager
def listening(address: str, **more: Any) -> Iterator[httpx.Response]:
    """A response that is read as it arrives."""
    with httpx.Client(timeout=20, verify=NO_TLS) as client, client.stream("GET", address, **more) as response:
        yield response


def decoded(body: bytes) -> list[ReceivedEvent]:
    """The complete events in the received text: those followed by a blank line."""
    complete = body[: body.rfind(b"\n\n") + 2].decode().replace(RETRY.decode(), "")
    frames = [frame.split("\n") for frame in complete.split("\n\n") if "id: " in frame]
    return [
        ReceivedEvent(
            place.removeprefix("id: "), name.removeprefix("event: "), json.loads(fields.removeprefix("data: "))
        )
        for place, name, fields in frames
    ]


def written(events: list[ReceivedEvent]) -> dict[str, str]:
    """The text of each part, as a page puts it together."""
    texts: dict[str, str] = {}
    for event in events:
        part = event.fields.get("part", "")
        if event.name == "part_start":
            texts[part] = ""
        elif event.name == "fragment":
            texts[part] += event.fields["text"]
        elif event.name == "alternate":
            texts[part] += f"{': '.join(event.fields['option'].values())}\n"
    return texts


def named(events: list[ReceivedEvent], name: str) -> list[dict[str, Any]]:
    return [event.fields for event in events if event.name == name]


def statuses(events: list[ReceivedEvent]) -> list[str]:
    """The status of every `end` event."""
    return [fields["status"] for fields in named(events, "end")]

"""A reader of `POST /generate`."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
from httpx_sse import connect_sse

from app.sse import CODES

ASKED = {"ingredientsOnHand": "beef flank, onions, peppers", "prepTime": "45"}
Event = tuple[str, str, str]  # the event field, the code, the text


def read(url: str, asked: dict[str, Any] | None = None, seen: Callable[[Event], None] = lambda _: None) -> list[Event]:
    """All events of one answer; `seen` is called with each as it comes."""
    events: list[Event] = []
    with httpx.Client(timeout=20) as client, connect_sse(client, "POST", f"{url}/generate", json=asked or ASKED) as sse:
        for event in sse.iter_sse():
            code, _, text = event.data.partition("|")
            events.append((event.event, code, text))
            seen(events[-1])
    return events


def texts(events: list[Event]) -> dict[str, str]:
    """What was written in the end, by code: a part that is begun again loses what it held."""
    written: dict[str, str] = {}
    for name, code, text in events:
        if name == "part_start" and json.loads(text)["attempt"] > 1:
            written.pop(CODES[json.loads(text)["part"]], None)
        if name == "message":
            written[code] = written.get(code, "") + text
    return {code: text.removeprefix("⮑⮑") for code, text in written.items()}


def told(events: list[Event], name: str) -> list[dict[str, Any]]:
    """The JSON of the named events."""
    return [json.loads(text) for event, _, text in events if event == name]


def where(events: list[Event], code: str) -> list[int]:
    """The positions of a code's fragments."""
    return [place for place, (event, held, _) in enumerate(events) if event == "message" and held == code]


def start_of(events: list[Event], part: str) -> int:
    """The position at which a part's model was asked."""
    return next(i for i, (event, _, text) in enumerate(events) if event == "part_start" and f'"{part}"' in text)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition came true in time."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        threading.Event().wait(0.01)
    return condition()

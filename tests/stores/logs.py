"""Logs to test stores with, and what is in them."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from app.clients import Client
from app.stores import (
    EventId,
    EventLog,
    LogEntry,
    RunEnd,
    RunEvent,
    RunStart,
)
from chains.parts.events import Fragment
from chains.parts.requests import run_request
from chains.recipe.composition import RECIPE

REQUESTS = {"recipe": run_request(RECIPE)}
START = RunStart(
    "run",
    "recipe",
    run_request(RECIPE).model_validate({"ingredientsOnHand": "beef"}),
    ("intro",),
    Client("alice", is_named=True),
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "request-1",
)
END = RunEnd("ok", 1)


@asynccontextmanager
async def log_of(log: EventLog, *events: RunEvent) -> AsyncGenerator[EventLog]:
    """The store with a log of these events."""
    await log.begin("run", START)
    for event in events:
        await log.append("run", event)
    yield log
    await log.aclose()


def fragments(count: int, first: int = 0) -> list[RunEvent]:
    return [Fragment("intro", f"{number} ") for number in range(first, first + count)]


async def rest(log: EventLog, last: EventId | None = None) -> list[LogEntry]:
    """All events after `last`."""
    return [logged async for news in log.follow("run", last) for logged in news]


def events_in(events: Sequence[LogEntry]) -> list[RunEvent]:
    return [logged.event for logged in events]

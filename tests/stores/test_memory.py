"""What the store in memory guarantees beyond the contract, because it never waits between two steps."""

import asyncio

import pytest

from app.stores import LogEntry, LogFullError, RunEvent
from app.stores.memory import MemoryEventLog
from chains.parts.events import Fragment
from tests.servers import run
from tests.stores.logs import END, START, events_in, fragments, log_of, rest


def test_a_batch_is_read_together() -> None:
    """A waiting reader is woken once for all events of a batch."""

    async def scenario() -> list[list[RunEvent]]:
        async with log_of(MemoryEventLog()) as log:
            following = log.follow("run")
            batches = [events_in(await anext(following))]
            reading = asyncio.ensure_future(anext(following))
            await asyncio.sleep(0)
            for event in fragments(5):
                await log.append("run", event)
            batches.append(events_in(await reading))
            await following.aclose()
            return batches

    assert run(scenario()) == [[START], fragments(5)]


def test_encoded_events_count_towards_the_limit() -> None:
    """The encoded events count towards the same limit as the text."""

    async def scenario() -> list[LogEntry]:
        async with log_of(MemoryEventLog(max_bytes=100_000), Fragment("intro", "x" * 60_000)) as log:
            await log.append("run", Fragment("intro", "y"))
            assert all(logged.json for logged in await log.read("run"))
            with pytest.raises(LogFullError):
                await log.append("run", Fragment("intro", "z"))
            await log.append("run", END)
            return await rest(log)

    assert len(run(scenario())) == 4

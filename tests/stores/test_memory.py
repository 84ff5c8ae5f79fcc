"""What the store in memory promises beyond the contract, for nothing comes between two of its steps."""

import asyncio

import pytest

from app.stores import LogEntry, LogFullError, RunEvent
from app.stores.memory import MemoryEventLog
from chains.parts.events import Fragment
from tests.servers import run
from tests.stores.test_contract import END, START, begun, fragments, rest, told


def test_what_came_together_is_read_together() -> None:
    """A reader that waits is woken once for all that was written at a time."""

    async def scenario() -> list[list[RunEvent]]:
        async with begun(MemoryEventLog()) as log:
            following = log.follow("run")
            batches = [told(await anext(following))]
            reading = asyncio.ensure_future(anext(following))
            await asyncio.sleep(0)
            for event in fragments(5):
                await log.append("run", event)
            batches.append(told(await reading))
            await following.aclose()
            return batches

    assert run(scenario()) == [[START], fragments(5)]


def test_what_readers_make_of_a_log_counts_too() -> None:
    """The JSON of what is read is held as the text is, and under the same bound."""

    async def scenario() -> list[LogEntry]:
        async with begun(MemoryEventLog(max_bytes=100_000), Fragment("intro", "x" * 60_000)) as log:
            await log.append("run", Fragment("intro", "y"))
            assert all(logged.json for logged in await log.read("run"))
            with pytest.raises(LogFullError):
                await log.append("run", Fragment("intro", "z"))
            await log.append("run", END)
            return await rest(log)

    assert len(run(scenario())) == 4

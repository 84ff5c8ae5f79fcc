"""Runs: they end once, whatever happens to them, and what they come to is what their log says."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from app.eventlog import EventLog, Logged, RunEnd, RunEvent
from app.eventlog.memory import MemoryEventLog
from app.live_run import TOO_LONG
from app.main import kitchen
from app.runs import Runs, Unavailable
from app.settings import Settings
from chains.recipe import recipe_chain
from chains.schema import Fragment, RunRequest
from tests.client import wait_until
from tests.servers import Gate, default_script, provider, run

BEEF = RunRequest.model_validate({"ingredientsOnHand": "beef"})


@asynccontextmanager
async def runs_at(url: str, log: EventLog | None = None, limit: int = 500) -> AsyncGenerator[Runs]:
    """Runs over the provider at `url`."""
    async with (
        kitchen(Settings(groq_api_key="k", groq_base_url=url)) as models,
        aclosing(Runs(recipe_chain(models.chosen), log or MemoryEventLog(), limit)) as runs,
    ):
        yield runs


def ends(events: Sequence[RunEvent]) -> list[str]:
    return [event.status for event in events if isinstance(event, RunEnd)]


def test_a_run_cancelled_at_any_moment_ends_once() -> None:
    """Cancelled before its first step or later, its log ends with `cancelled`, and no task is left."""

    async def cancel(url: str, moments: int) -> list[Any]:
        async with runs_at(url) as runs:
            following = runs.follow(await runs.start(BEEF))
            seen = [logged.event for logged in await anext(following)]
            for _ in range(moments):
                await asyncio.sleep(0)
            await runs.aclose()
            seen += [logged.event async for events in following for logged in events]
            while len(asyncio.all_tasks()) > 1 and moments < 1000:  # generators that are still being closed
                moments += 1
                await asyncio.sleep(0)
            assert len(asyncio.all_tasks()) == 1
            return seen

    with provider({"proposal": [Gate()], "nutrition": [Gate()]}) as scripted:
        for moments in (0, 1, 5, 50, 500):
            seen = run(cancel(scripted.url, moments))
            assert ends(seen) == ["cancelled"]
            assert isinstance(seen[-1], RunEnd)


def test_a_run_cancelled_at_any_moment_of_a_rewrite_ends_once_more() -> None:
    """What is written again in an ended run is cancelled as the run was: the end is again last, and one."""

    async def cancel(url: str, moments: int) -> list[RunEvent]:
        async with runs_at(url) as runs:
            run_id = await runs.start(BEEF)
            async for _ in runs.follow(run_id):
                pass
            await runs.rewrite(run_id, "ingredients")
            for _ in range(moments):
                await asyncio.sleep(0)
            await runs.cancel(run_id)
            return [logged.event async for events in runs.follow(run_id) for logged in events]

    with provider({"ingredients": [["beef"], [Gate()]]}) as scripted:
        for moments in (0, 1, 50):
            scripted.calls.clear()
            seen = run(cancel(scripted.url, moments))
            assert ends(seen) == ["cancelled"]
            assert isinstance(seen[-1], RunEnd)


def test_a_log_that_is_full_ends_its_run() -> None:
    """A recipe without an end is hung up on, its readers are told why, and what was written stays."""

    async def wait(url: str) -> list[RunEvent]:
        async with runs_at(url, MemoryEventLog(max_bytes=50_000)) as runs:
            run_id = await runs.start(BEEF)
            return [logged.event async for events in runs.follow(run_id) for logged in events]

    with provider({"nutrition": [*["Beef " * 100] * 200, Gate()]}) as scripted:
        events = run(wait(scripted.url))
        assert wait_until(lambda: "nutrition" in scripted.closed, seconds=1)
    assert any(isinstance(event, Fragment) and event.part == "nutrition" for event in events)
    assert ends(events) == ["failed"]
    assert isinstance(events[-1], RunEnd)
    assert events[-1].message == TOO_LONG


class Broken(MemoryEventLog):
    """A store that fails to write any fragment."""

    async def append(self, run_id: str, event: RunEvent) -> None:
        if isinstance(event, Fragment):
            raise OSError("the disk is full")
        await super().append(run_id, event)


def test_a_fault_of_ours_ends_the_run_with_words(caplog: pytest.LogCaptureFixture) -> None:
    """The readers are told, in words that say nothing of it, and the log has the trace."""

    async def wait(url: str) -> list[RunEvent]:
        async with runs_at(url, Broken()) as runs:
            return [logged.event async for events in runs.follow(await runs.start(BEEF)) for logged in events]

    with provider() as scripted:
        events = run(wait(scripted.url))
    assert isinstance(events[-1], RunEnd)
    assert [events[-1].status, events[-1].message] == ["failed", "Something went wrong on our side: try again."]
    assert "the disk is full" in caplog.text


def test_a_run_needs_no_reader_and_is_not_slowed_by_one() -> None:
    """It comes to its end while one who follows it takes nothing, and another never came."""

    async def scenario(url: str) -> list[list[Logged]]:
        async with runs_at(url) as runs:
            run_id = await runs.start(BEEF)
            slow = runs.follow(run_id)
            seen = await anext(slow)
            async for _ in runs.follow(run_id):
                pass
            seen = seen + [logged async for events in slow for logged in events]
            return [seen, [logged async for events in runs.follow(run_id) for logged in events]]

    with provider() as scripted:
        slow, late = run(scenario(scripted.url))
    assert slow == late


def test_a_run_has_its_place_until_it_has_ended() -> None:
    """Beyond the limit none is begun, nor one that has ended taken up again; one that ends makes room."""

    async def scenario(url: str) -> list[object]:
        async with runs_at(url, limit=1) as runs:
            ended = await runs.start(BEEF)
            async for _ in runs.follow(ended):
                pass
            live = await runs.start(BEEF)
            for refused in (runs.start(BEEF), runs.rewrite(ended, "intro")):
                with pytest.raises(Unavailable):
                    await refused
            await runs.cancel(live)
            return [await runs.rewrite(ended, "intro"), (await runs.state(ended)).status]

    with provider({"proposal": [default_script("proposal"), [Gate()]]}) as scripted:
        assert run(scenario(scripted.url)) == [2, "running"]

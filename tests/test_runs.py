"""Runs and their logs: every reader reads all of it, whenever it comes and however slow it is."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.eventlog import MemoryEventLog, RunEnd, RunError, RunEvent
from app.main import kitchen
from app.runs import Runs
from app.settings import Settings
from chains.recipe import recipe_chain
from chains.schema import Fragment, RecipeRequest
from tests.client import wait_until
from tests.servers import Gate, provider, run


def test_a_run_cancelled_at_any_moment_ends_once() -> None:
    """Cancelled before its first step or later, its log ends with `cancelled`, and no task is left."""

    async def cancel(url: str, moments: int) -> list[Any]:
        async with kitchen(Settings(groq_api_key="k", groq_base_url=url)) as models:
            runs = Runs(recipe_chain(models.chosen), MemoryEventLog())
            following = runs.follow(runs.start(RecipeRequest.model_validate({"ingredientsOnHand": "beef"})))
            seen = [event for _, event in await anext(following)]
            for _ in range(moments):
                await asyncio.sleep(0)
            await runs.aclose()
            seen += [event async for events in following for _, event in events]
            while len(asyncio.all_tasks()) > 1 and moments < 1000:  # generators that are still being closed
                moments += 1
                await asyncio.sleep(0)
            assert len(asyncio.all_tasks()) == 1
            return seen

    with provider({"proposal": [Gate()], "nutrition": [Gate()]}) as scripted:
        for moments in (0, 1, 5, 50, 500):
            seen = run(cancel(scripted.url, moments))
            assert isinstance(seen[-1], RunEnd)
            assert seen[-1].status == "cancelled"
            assert sum(isinstance(event, RunEnd) for event in seen) == 1


def test_a_run_beyond_its_deadline_fails_and_keeps_what_was_written() -> None:
    """A provider that never comes to an end is hung up on, and the reader is told so."""

    async def wait(url: str) -> list[RunEvent]:
        async with kitchen(Settings(groq_api_key="k", groq_base_url=url)) as models:
            runs = Runs(recipe_chain(models.chosen), MemoryEventLog(), deadline_s=2)
            run_id = runs.start(RecipeRequest.model_validate({"ingredientsOnHand": "beef"}))
            return [event async for events in runs.follow(run_id) for _, event in events]

    with provider({"nutrition": ["Beef: ", Gate()], "proposal": [Gate()]}) as scripted:
        events = run(wait(scripted.url))
        assert wait_until(lambda: sorted(scripted.closed) == ["nutrition", "proposal"], seconds=1)
    assert Fragment("nutrition", "Beef: ") in events
    assert events[-2] == RunError("The recipe took longer than 2 seconds: try again.")
    assert isinstance(events[-1], RunEnd)
    assert events[-1].status == "failed"


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(0, 30), st.lists(st.integers(0, 4), min_size=1)
)
def test_a_reader_reads_exactly_the_rest(bursts: list[int], after: int, pauses: list[int]) -> None:
    """However the events come, wherever a reader starts and however it dawdles, it gets each event behind it once."""
    log = MemoryEventLog()
    texts = [str(number) for number in range(sum(bursts))]

    async def write() -> None:
        written = iter(texts)
        for burst in bursts:
            for _ in range(burst):
                log.append("run", Fragment("intro", next(written)))
            await asyncio.sleep(0)
        log.append("run", RunEnd("ok", 1))

    async def read() -> list[tuple[int, RunEvent]]:
        events: list[tuple[int, RunEvent]] = []
        async for news in log.follow("run", after):
            events.extend(news)
            for _ in range(pauses[len(events) % len(pauses)]):
                await asyncio.sleep(0)
        return events

    async def both() -> list[tuple[int, RunEvent]]:
        log.append("run", Fragment("intro", "first"))
        return (await asyncio.gather(read(), write()))[0]

    expected = [Fragment("intro", text) for text in ["first", *texts]] + [RunEnd("ok", 1)]
    assert run(both()) == list(enumerate(expected, start=1))[after:]

"""Runs end exactly once, and their state is what their log says."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from uuid import UUID

import pytest

from app.models import open_models
from app.runs.errors import CapacityError, PartBusyError
from app.runs.live import TOO_LONG
from app.runs.runs import Runs
from app.stores import EventLog, LogEntry, RunEnd, RunEvent, RunStart
from app.stores.memory import MemoryEventLog
from app.stores.sqlite import SqliteEventLog
from chains.parts.events import Fragment, PartEnd, PartStart
from chains.parts.requests import run_request
from chains.recipe.composition import RECIPE
from tests.client import wait_until
from tests.servers import PARTS, Gate, default_script, provider, run, settings_from

BEEF = run_request(RECIPE).model_validate({"ingredientsOnHand": "beef"})


@asynccontextmanager
async def runs_at(url: str, log: EventLog | None = None, limit: int = 500) -> AsyncGenerator[Runs]:
    """Runs with the provider at `url`. Closes the log."""
    async with (
        aclosing(log or MemoryEventLog()) as open_log,
        open_models(settings_from(groq_api_key="k", groq_base_url=url)) as models,
        aclosing(Runs(models.served, open_log, limit)) as runs,
    ):
        yield runs


class Awaiting(MemoryEventLog):
    """A store whose every call lets other tasks run. `reads` and `ends` delay reads and the end."""

    reads: Gate | None = None
    ends: Gate | None = None

    def __init__(self) -> None:
        super().__init__()
        self.asked_to_end = Gate()

    async def begin(self, run_id: str, start: RunStart, *, ephemeral: bool = False) -> None:
        await asyncio.sleep(0)
        await super().begin(run_id, start, ephemeral=ephemeral)
        await asyncio.sleep(0)

    async def append(self, run_id: str, event: RunEvent) -> None:
        await asyncio.sleep(0)
        if isinstance(event, RunEnd):
            self.asked_to_end.open()
            await (self.ends or OPEN).passed()
        await super().append(run_id, event)
        await asyncio.sleep(0)

    async def reopen(self, run_id: str) -> None:
        await asyncio.sleep(0)
        await super().reopen(run_id)
        await asyncio.sleep(0)

    async def read(self, run_id: str, after: int = 0) -> list[LogEntry]:
        events = await super().read(run_id, after)
        await asyncio.sleep(0)
        await (self.reads or OPEN).passed()
        return events

    async def forget(self, run_id: str) -> None:
        await asyncio.sleep(0)
        await super().forget(run_id)


OPEN = Gate()
OPEN.open()


def stored() -> EventLog:
    """A store in a file. Its runs are cancelled at its end, as those in memory are."""
    log = SqliteEventLog(Path(mkdtemp()) / "runs.db", {"recipe": run_request(RECIPE)})
    log.outlives_process = False
    return log


STORES = pytest.mark.parametrize("new_log", [MemoryEventLog, Awaiting, stored])


def ends(events: Sequence[RunEvent]) -> list[str]:
    return [event.status for event in events if isinstance(event, RunEnd)]


@STORES
def test_a_run_cancelled_at_any_moment_ends_once(new_log: Callable[[], EventLog]) -> None:
    """Its log ends with `cancelled`, and no task is left."""

    async def cancel(url: str, moments: int) -> list[Any]:
        log = new_log()
        async with runs_at(url, log) as runs:
            following = runs.follow(await runs.start("recipe", BEEF))
            seen = [logged.event for logged in await anext(following)]
            for _ in range(moments):
                await asyncio.sleep(0)
            await runs.aclose()
            seen += [logged.event async for events in following for logged in events]
            await log.aclose()
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


@STORES
def test_a_run_cancelled_at_any_moment_of_a_rewrite_ends_once(new_log: Callable[[], EventLog]) -> None:
    """A finished run that is rewritten and cancelled has one end again, which is last."""

    async def cancel(url: str, moments: int) -> list[RunEvent]:
        async with runs_at(url, new_log()) as runs:
            run_id = await runs.start("recipe", BEEF)
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
    """The calls are closed, the readers get the reason, and the text is kept."""

    async def wait(url: str) -> list[RunEvent]:
        async with runs_at(url, MemoryEventLog(max_bytes=50_000)) as runs:
            run_id = await runs.start("recipe", BEEF)
            return [logged.event async for events in runs.follow(run_id) for logged in events]

    with provider({"nutrition": [*["Beef " * 100] * 200, Gate()]}) as scripted:
        events = run(wait(scripted.url))
        assert wait_until(lambda: "nutrition" in scripted.closed, seconds=1)
    assert any(isinstance(event, Fragment) and event.part == "nutrition" for event in events)
    assert ends(events) == ["failed"]
    assert isinstance(events[-1], RunEnd)
    assert events[-1].message == TOO_LONG


class Broken(MemoryEventLog):
    """A store that cannot write fragments."""

    async def append(self, run_id: str, event: RunEvent) -> None:
        if isinstance(event, Fragment):
            raise OSError("the disk is full")
        await super().append(run_id, event)


def test_an_unexpected_error_ends_the_run_with_a_message(caplog: pytest.LogCaptureFixture) -> None:
    """The readers get a general message, and the log has the stack trace."""

    async def wait(url: str) -> list[RunEvent]:
        async with runs_at(url, Broken()) as runs:
            return [logged.event async for events in runs.follow(await runs.start("recipe", BEEF)) for logged in events]

    with provider() as scripted:
        events = run(wait(scripted.url))
    assert isinstance(events[-1], RunEnd)
    assert [events[-1].status, events[-1].message] == ["failed", "Something went wrong on our side: try again."]
    assert "the disk is full" in caplog.text


def test_a_run_needs_no_reader_and_is_not_slowed_by_one() -> None:
    """It ends although one reader reads nothing and another never came."""

    async def scenario(url: str) -> list[list[LogEntry]]:
        async with runs_at(url) as runs:
            run_id = await runs.start("recipe", BEEF)
            slow = runs.follow(run_id)
            seen = await anext(slow)
            async for _ in runs.follow(run_id):
                pass
            seen = seen + [logged async for events in slow for logged in events]
            return [seen, [logged async for events in runs.follow(run_id) for logged in events]]

    with provider() as scripted:
        slow, late = run(scenario(scripted.url))
    assert slow == late


def test_a_run_occupies_its_place_until_its_end() -> None:
    """At the limit no run is started or reopened; the end of one makes room."""

    async def scenario(url: str) -> list[object]:
        async with runs_at(url, limit=1) as runs:
            ended = await runs.start("recipe", BEEF)
            async for _ in runs.follow(ended):
                pass
            live = await runs.start("recipe", BEEF)
            for refused in (runs.start("recipe", BEEF), runs.rewrite(ended, "intro")):
                with pytest.raises(CapacityError):
                    await refused
            await runs.cancel(live)
            return [await runs.rewrite(ended, "intro"), (await runs.state(ended)).status]

    with provider({"proposal": [default_script("proposal"), [Gate()]]}) as scripted:
        assert run(scenario(scripted.url)) == [2, "running"]


async def until_only_nutrition_is_left(runs: Runs, run_id: UUID) -> None:
    left = {part for part in PARTS if part != "nutrition"}
    async for events in runs.follow(run_id):
        left -= {logged.event.part for logged in events if isinstance(logged.event, PartEnd)}
        if not left:
            return


async def rewritten(runs: Runs, run_id: UUID, attempt: int) -> list[RunEvent]:
    """All events after this many versions of the intro."""
    async with asyncio.timeout(5):
        while True:
            events = [logged.event async for events in runs.follow(run_id) for logged in events]
            if any(isinstance(event, PartStart) and event.attempt == attempt for event in events):
                return events


@pytest.mark.parametrize("has_ended", [False, True])
def test_a_run_that_ends_during_a_rewrite_request_is_reopened(has_ended: bool) -> None:
    """A run that ends during the request is reopened; nothing is lost, and exactly one end follows."""

    async def scenario(url: str, last: Gate) -> list[RunEvent]:
        log = Awaiting()
        async with runs_at(url, log) as runs:
            run_id = await runs.start("recipe", BEEF)
            await until_only_nutrition_is_left(runs, run_id)
            log.reads, log.ends = Gate(), Gate()
            rewriting = asyncio.create_task(runs.rewrite(run_id, "intro"))
            await asyncio.sleep(0)
            last.open()
            await log.asked_to_end.passed()
            if has_ended:
                log.ends.open()
                async for _ in runs.follow(run_id):
                    pass
            log.reads.open()
            await asyncio.sleep(0.01)  # in which a rewrite that does not look again is lost
            log.ends.open()
            assert await rewriting == 2
            return await rewritten(runs, run_id, 2)

    gate = Gate()
    with provider({"nutrition": ["Beef", gate]}) as scripted:
        events = run(scenario(scripted.url, gate))
    assert [isinstance(events[-1], RunEnd), ends(events)] == [True, ["ok"]]


def test_a_run_that_is_being_stopped_is_not_rewritten() -> None:
    """A cancelled run accepts no rewrite before its end is logged; then it does."""

    async def scenario(url: str) -> list[RunEvent]:
        log = Awaiting()
        async with runs_at(url, log) as runs:
            run_id = await runs.start("recipe", BEEF)
            await until_only_nutrition_is_left(runs, run_id)
            log.ends = Gate()
            cancelling = asyncio.create_task(runs.cancel(run_id))
            await asyncio.sleep(0)
            for _ in range(2):  # while its calls are being closed, and while its end is being written
                with pytest.raises(PartBusyError, match="being stopped"):
                    await runs.rewrite(run_id, "intro")
                await log.asked_to_end.passed()
            log.ends.open()
            await cancelling
            await runs.rewrite(run_id, "intro")
            return await rewritten(runs, run_id, 2)

    with provider({"nutrition": ["Beef", Gate()]}) as scripted:
        assert ends(run(scenario(scripted.url))) == ["partial"]


def test_no_run_is_started_without_room_for_its_log() -> None:
    """While live runs fill the store the next one is refused; the end of one makes room."""

    async def scenario(url: str) -> None:
        async with runs_at(url, MemoryEventLog(all_bytes=1)) as runs:
            live = await runs.start("recipe", BEEF)
            with pytest.raises(CapacityError, match="at capacity"):
                await runs.start("recipe", BEEF)
            await runs.cancel(live)
            await runs.start("recipe", BEEF)

    with provider({"proposal": [Gate()]}) as scripted:
        run(scenario(scripted.url))

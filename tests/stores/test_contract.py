"""The contract of all stores of event logs: every reader reads everything once, wherever it is cut."""

import asyncio
from contextlib import aclosing, suppress

import pytest
from hypothesis import given, settings, strategies as st

from app.stores import (
    MAX_BATCH,
    EventId,
    EventLog,
    FencedError,
    LogEntry,
    Rewrite,
    RunExistsError,
    UnknownRunError,
)
from tests.servers import run
from tests.stores.conftest import MakeLog
from tests.stores.logs import END, START, events_in, fragments, log_of, rest

# How many events are written at a time, where each reader is cut, and how long it then waits.
BURSTS = st.lists(st.integers(0, 4), min_size=1, max_size=12)

READERS = st.lists(st.lists(st.integers(1, 6), max_size=6), min_size=1, max_size=4)


async def read_in_cuts(log: EventLog, cuts: list[int], lives: asyncio.Semaphore, count: int) -> list[LogEntry]:
    """The events of a reader that is cut after so many batches and resumes, in `count` reopened logs."""
    seen: list[LogEntry] = []
    for cut in cuts:
        async with aclosing(log.follow("run", seen[-1].id if seen else None)) as news:
            for _ in range(cut):
                with suppress(StopAsyncIteration):
                    seen += await anext(news)
        for _ in range(cut):
            await asyncio.sleep(0)
    for _ in range(count):
        await lives.acquire()
        seen += await rest(log, seen[-1].id if seen else None)
    return seen


@settings(deadline=None)
@given(lives=st.lists(BURSTS, min_size=1, max_size=3), readers=READERS)
def test_a_reader_reads_exactly_the_rest(make_log: MakeLog, lives: list[list[int]], readers: list[list[int]]) -> None:
    """For any batches, cuts and number of reopenings nothing is lost or repeated."""

    async def write(log: EventLog, told_of: list[asyncio.Semaphore]) -> None:
        written = 0
        for life, bursts in enumerate(lives):
            if life:
                await log.reopen("run")
            for lives_seen in told_of:
                lives_seen.release()
            for burst in bursts:
                for event in fragments(burst, written):
                    await log.append("run", event)
                written += burst
                await asyncio.sleep(0)
            await log.append("run", END)

    async def scenario() -> list[list[LogEntry]]:
        async with log_of(make_log()) as log:
            counts = [asyncio.Semaphore(0) for _ in readers]
            reading = [read_in_cuts(log, cuts, count, len(lives)) for cuts, count in zip(readers, counts, strict=True)]
            writing = asyncio.create_task(write(log, counts))
            seen = await asyncio.gather(*reading)
            await writing
            return [read + await rest(log, read[-1].id) for read in seen]

    total = sum(map(sum, lives))
    for seen in run(scenario()):
        assert events_in(seen)[-1] == END
        assert [event for event in events_in(seen) if event != END] == [START, *fragments(total)]


@settings(deadline=None)
@given(count=st.integers(0, 700), after=st.integers(0, 702))
def test_a_reader_can_resume_after_any_event(make_log: MakeLog, count: int, after: int) -> None:
    """After event n the events from n + 1 follow, numbered without gaps, in bounded batches."""

    async def scenario() -> list[list[LogEntry]]:
        async with log_of(make_log(), *fragments(count), END) as log:
            (first, *_) = await log.read("run")
            return [news async for news in log.follow("run", EventId(first.id.epoch, min(after, count + 2)))]

    batches = run(scenario())
    numbers = [logged.id.seq for news in batches for logged in news]
    assert numbers == list(range(min(after, count + 2) + 1, count + 3))
    assert all(0 < len(news) <= MAX_BATCH for news in batches)


@pytest.mark.parametrize("place", [EventId("abcdef01", 3), EventId("0", 0)])
def test_an_id_of_another_log_starts_over(make_log: MakeLog, place: EventId) -> None:
    """An unknown epoch says nothing about the position of the reader."""

    async def scenario() -> list[LogEntry]:
        async with log_of(make_log(), *fragments(4), END) as log:
            assert not await log.is_complete("run", place)
            return await rest(log, place)

    assert events_in(run(scenario())) == [START, *fragments(4), END]


def test_an_id_beyond_the_log_starts_over(make_log: MakeLog) -> None:
    """A reader cannot resume from a number that was never assigned."""

    async def scenario() -> list[LogEntry]:
        async with log_of(make_log(), END) as log:
            (first, *_) = await log.read("run")
            return await rest(log, EventId(first.id.epoch, 3))

    assert events_in(run(scenario())) == [START, END]


def test_only_a_log_with_its_end_is_complete(make_log: MakeLog) -> None:
    """Nothing follows the end, but events may follow any other event; reopening removes the end."""

    async def scenario() -> list[bool]:
        async with log_of(make_log(), *fragments(1)) as log:
            before = [await log.is_complete("run", logged.id) for logged in await log.read("run")]
            await log.append("run", END)
            ids = [logged.id for logged in await log.read("run")]
            after = [await log.is_complete("run", last) for last in ids]
            await log.reopen("run")
            await log.append("run", END)
            return before + after + [await log.is_complete("run", ids[-1])]

    assert run(scenario()) == [False, False, False, False, True, False]


def test_a_reopened_log_keeps_its_events_and_their_numbers(make_log: MakeLog) -> None:
    """A new epoch has all events except the end, with their times, and continues after them."""

    async def scenario() -> tuple[list[LogEntry], list[LogEntry]]:
        async with log_of(make_log(), *fragments(3), END) as log:
            before = await log.read("run")
            await log.reopen("run")
            for event in [*fragments(2, 3), END]:
                await log.append("run", event)
            return before, await log.read("run")

    before, after = run(scenario())
    assert events_in(after) == [START, *fragments(5), END]
    assert [logged.id.seq for logged in after] == list(range(1, 8))
    assert len({logged.id.epoch for logged in after} | {before[0].id.epoch}) == 2
    assert [logged.at_ms for logged in before[:-1]] == [logged.at_ms for logged in after[:4]]
    assert [logged.at_ms for logged in after] == sorted(logged.at_ms for logged in after)


def test_a_reader_of_a_reopened_log_reads_its_old_end_first(make_log: MakeLog) -> None:
    """A slow reader of the old epoch reads it to its end."""

    async def scenario() -> list[LogEntry]:
        async with log_of(make_log(), *fragments(2 * MAX_BATCH), END) as log:
            following = log.follow("run")
            seen = await anext(following)
            await log.reopen("run")
            return seen + [logged async for news in following for logged in news]

    seen = run(scenario())
    assert events_in(seen) == [START, *fragments(2 * MAX_BATCH), END]
    assert len({logged.id.epoch for logged in seen}) == 1


def test_nothing_is_written_after_the_end(make_log: MakeLog) -> None:
    """There is one end, which is last. A log without an end cannot be reopened."""

    async def scenario() -> list[LogEntry]:
        async with log_of(make_log()) as log:
            with pytest.raises(ValueError, match="not ended"):
                await log.reopen("run")
            await log.append("run", END)
            for event in [*fragments(1), END]:
                with pytest.raises(ValueError, match="has ended"):
                    await log.append("run", event)
            return await rest(log)

    assert events_in(run(scenario())) == [START, END]


def test_a_run_has_one_log(make_log: MakeLog) -> None:
    """Starting it again is refused and changes nothing."""

    async def scenario() -> list[LogEntry]:
        async with log_of(make_log(), END) as log:
            with pytest.raises(RunExistsError):
                await log.begin("run", START)
            return await rest(log)

    assert events_in(run(scenario())) == [START, END]


def test_an_unknown_run_has_no_log(make_log: MakeLog) -> None:
    """This covers runs that were never started or were forgotten. Forgetting one is no error."""

    async def scenario() -> None:
        async with log_of(make_log(), END) as log:
            for _ in range(2):
                await log.forget("run")
            place = EventId("0", 1)
            for refused in (log.reopen("run"), rest(log), log.is_complete("run", place), log.append("run", END)):
                with pytest.raises(UnknownRunError):
                    await refused
            await log.begin("run", START)

    run(scenario())


def test_a_log_taken_over_continues_for_its_readers(make_log: MakeLog) -> None:
    """A new epoch keeps every event, so a reader with an old id resumes; a finished log is not taken over."""

    async def scenario() -> list[list[LogEntry]]:
        async with log_of(make_log(), *fragments(2)) as log:
            following = log.follow("run")
            before = await anext(following)
            await log.take_over("run")
            for event in [*fragments(2, 2), END]:
                await log.append("run", event)
            live = before + [entry async for entries in following for entry in entries]
            with pytest.raises(ValueError, match="has ended"):
                await log.take_over("run")
            return [before, live, before[:2] + await rest(log, before[1].id), await rest(log)]

    before, live, resumed, late = run(scenario())
    assert events_in(live) == events_in(resumed) == events_in(late) == [START, *fragments(4), END]
    assert [entry.id.seq for entry in live] == list(range(1, 7))
    assert before[0].id.epoch not in {entry.id.epoch for entry in late}
    assert {entry.id.epoch for entry in live[3:]} == {late[0].id.epoch}


def test_a_released_run_is_taken_over(make_log: MakeLog) -> None:
    """Until then nobody writes it, and it is unfinished, the oldest first."""

    async def scenario() -> list[list[str]]:
        async with log_of(make_log()) as log:
            await log.begin("other", START)
            seen = [await log.unfinished()]
            for run_id in ("other", "run"):
                await log.release(run_id)
                with pytest.raises(FencedError):
                    await log.append(run_id, END)
            seen.append(await log.unfinished())
            await log.take_over("run")
            await log.append("run", END)
            return [*seen, await log.unfinished()]

    assert run(scenario()) == [[], ["run", "other"], ["other"]]


def test_a_log_taken_over_at_its_start_continues_after_it(make_log: MakeLog) -> None:
    """A reader of the start does not get it again."""

    async def scenario() -> list[LogEntry]:
        async with log_of(make_log()) as log:
            (start,) = await log.read("run")
            await log.take_over("run")
            await log.append("run", END)
            return await rest(log, start.id)

    assert events_in(run(scenario())) == [END]


def test_a_run_that_this_process_writes_is_not_unfinished(make_log: MakeLog) -> None:
    """Neither is a finished one."""

    async def scenario() -> list[str]:
        async with log_of(make_log()) as log:
            before = await log.unfinished()
            await log.append("run", END)
            return before + await log.unfinished()

    assert run(scenario()) == []


def test_rewrites_are_stored_until_the_end(make_log: MakeLog) -> None:
    """They outlive a takeover; a reopened log has new ones only."""
    first, second = Rewrite(("intro",), 1), Rewrite(("intro", "steps"), 3)

    async def scenario() -> list[list[Rewrite]]:
        async with log_of(make_log()) as log:
            await log.add_rewrite("run", first)
            await log.release("run")
            await log.take_over("run")
            await log.add_rewrite("run", second)
            seen = [await log.rewrites("run")]
            await log.append("run", END)
            seen.append(await log.rewrites("run"))
            await log.reopen("run")
            seen.append(await log.rewrites("run"))
            await log.add_rewrite("run", second)
            return [*seen, await log.rewrites("run")]

    assert run(scenario()) == [[first, second], [], [], [second]]


def test_a_store_has_one_secret(make_log: MakeLog) -> None:
    """It has 32 bytes and is unique."""

    async def scenario() -> list[bytes]:
        async with aclosing(make_log()) as log, aclosing(make_log()) as another:
            return [await log.secret(), await log.secret(), await another.secret()]

    first, again, other = run(scenario())
    assert [len(first), first == again, first == other] == [32, True, False]

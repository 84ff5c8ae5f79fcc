"""The contract of all stores of event logs: every reader reads everything once, wherever it is cut."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from secrets import token_urlsafe

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.clients import Client
from app.stores import (
    MAX_BATCH,
    EventEntry,
    EventId,
    EventLog,
    ExpiredRunError,
    FencedError,
    LogEntry,
    LogFullError,
    Rewrite,
    RunEnd,
    RunEvent,
    RunExistsError,
    RunStart,
    UnknownRunError,
    to_json,
)
from app.stores.encoding import Decoder, encode
from chains.parts.composition import Request
from chains.parts.events import Alternate, Fragment, PartEnd, PartStart, Proposal
from chains.parts.requests import run_request
from chains.recipe.composition import RECIPE
from tests.servers import run
from tests.stores.conftest import MakeLog

REQUEST = run_request(RECIPE).model_validate({"ingredientsOnHand": "beef"})
START = RunStart("run", "recipe", REQUEST, ("intro",), Client("alice", is_named=True))
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


def test_a_full_log_still_takes_its_end(make_log: MakeLog) -> None:
    """The bytes of a log are limited, but its readers still get the end."""

    async def scenario() -> tuple[int, list[LogEntry]]:
        async with log_of(make_log(max_bytes=100_000)) as log:
            written = 0
            with suppress(LogFullError):
                while written < 1_000_000:
                    await log.append("run", Fragment("intro", "x" * 1000))
                    written += 1000
            with pytest.raises(LogFullError):
                await log.append("run", Fragment("intro", "x"))
            await log.append("run", END)
            return written, await rest(log)

    written, seen = run(scenario())
    assert 50_000 < written < 102_000
    assert seen[-1].event == END


def test_all_logs_together_are_bounded(make_log: MakeLog) -> None:
    """At the limit the oldest finished logs expire, but no live one; without finished ones no log is started."""

    async def expiry(log: EventLog, name: str) -> None:
        with suppress(ExpiredRunError):
            while True:
                await log.read(name)
                await asyncio.sleep(0.01)

    async def scenario() -> list[int]:
        log = make_log(all_bytes=100_000)
        async with aclosing(log), asyncio.timeout(10):
            for name in "abcd":
                await log.begin(name, START)
                await log.append(name, Fragment("intro", token_urlsafe(22_500)))
                if name in "bc":
                    await log.append(name, END)
            await expiry(log, "b")
            lengths = [len(await log.read(name)) for name in "acd"]
            await log.append("d", Fragment("intro", token_urlsafe(52_500)))
            await expiry(log, "c")
            with pytest.raises(LogFullError):
                await log.begin("e", START)
            for name in "ad":
                await log.append(name, END)
            await log.begin("e", START)
            return lengths

    assert run(scenario()) == [2, 3, 2]


def test_a_log_expires_a_while_after_its_end(make_log: MakeLog) -> None:
    """Afterwards the store still knows that it existed; a reader in the middle continues."""

    async def scenario() -> list[LogEntry]:
        async with log_of(make_log(keep_s=0.05)) as log:
            following = log.follow("run")
            seen = await anext(following)
            await asyncio.sleep(0.1)  # no log expires before its end
            await log.append("run", END)
            assert len(await log.read("run")) == 2
            while True:
                try:
                    await log.read("run")
                except ExpiredRunError:
                    break
                await asyncio.sleep(0.01)
            for refused in (log.reopen("run"), rest(log), log.is_complete("run", seen[0].id), log.append("run", END)):
                with pytest.raises(ExpiredRunError):
                    await refused
            return seen + [logged async for news in following for logged in news]

    assert events_in(run(scenario())) == [START, END]


def test_a_reopened_log_does_not_expire_before_its_new_end(make_log: MakeLog) -> None:
    """After the new end it is kept for the whole time again."""

    async def scenario() -> list[LogEntry]:
        async with log_of(make_log(keep_s=0.05), END) as log:
            await log.reopen("run")
            await asyncio.sleep(0.1)
            return await log.read("run")

    assert events_in(run(scenario())) == [START]


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


def test_the_oldest_ended_logs_make_room(make_log: MakeLog) -> None:
    """The log that ended first expires first, and live ones never; the number of tombstones is limited, too."""

    async def scenario() -> list[str]:
        log, states = make_log(limit=3, expired_limit=2), dict[str, str]()
        for number in range(7):
            await log.begin(str(number), START)
            if number != 1:
                await log.append(str(number), END)
        for number in range(7):
            try:
                await log.read(str(number))
                states[str(number)] = "kept"
            except ExpiredRunError:
                states[str(number)] = "expired"
            except UnknownRunError:
                states[str(number)] = "unknown"
        await log.aclose()
        return list(states.values())

    assert run(scenario()) == ["unknown", "kept", "unknown", "expired", "expired", "kept", "kept"]


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


EVENTS: list[tuple[RunEvent, Mapping[str, object]]] = [
    (
        START,
        {"run_id": "run", "composition": "recipe", "parts": ["intro"]}
        | {"request": START.request.model_dump(by_alias=True)}
        | {"client": {"name": "alice", "is_named": True}},
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
    (END, {"status": "ok", "total_ms": 1, "message": None}),
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

"""A store that several processes share: each instance here stands for a process."""

import asyncio
from contextlib import aclosing, suppress

import pytest
from hypothesis import given, settings, strategies as st

from app.stores import (
    EventId,
    FencedError,
    LogEntry,
    LogFullError,
    Rewrite,
    RewritesWaitingError,
    RunEnd,
    RunEvent,
    RunExistsError,
    UnknownRunError,
)
from app.stores.redis.log import Claim, RedisEventLog
from app.stores.redis.queue import Job
from chains.parts.events import Fragment
from tests.conftest import StartRedis
from tests.redis_servers import Proxy
from tests.servers import run
from tests.stores.logs import END, REQUESTS, START, events_in, fragments, rest
from tests.stores.shared_logs import INTRO, MakeLogs, followed, queue_of, shared_logs, status

STEPS = st.lists(st.tuples(st.sampled_from(["append", "take over"]), st.integers(0, 2)), max_size=16)


@settings(deadline=None)
@given(steps=STEPS)
def test_only_the_latest_writer_writes(make_logs: MakeLogs, steps: list[tuple[str, int]]) -> None:
    """Later appends of an earlier writer are in no log, and every reader in every process reads the same."""

    async def scenario() -> tuple[int, list[list[LogEntry]]]:
        async with make_logs(3) as logs:
            await logs[0].begin("run", START)
            reading = [asyncio.create_task(rest(log)) for log in logs]
            writer, count = logs[0], 0
            for action, process in steps:
                if action == "take over":
                    await writer.read("run")  # waits until its events are in the log
                    writer = logs[process]
                    await writer.take_over("run")
                elif logs[process] is writer:
                    await writer.append("run", Fragment("intro", f"{count} "))
                    count += 1
                else:
                    with suppress(FencedError):
                        await logs[process].append("run", Fragment("intro", "stale"))
            await writer.append("run", END)
            for log in logs:
                with suppress(FencedError, ValueError):
                    await log.append("run", RunEnd("failed", 0))
            return count, [await task for task in reading] + [await rest(log) for log in logs]

    count, readings = run(scenario())
    for entries in readings:
        assert events_in(entries) == [START, *fragments(count), END]
        assert [entry.id.seq for entry in entries] == list(range(1, count + 3))


def test_an_earlier_writer_learns_that_it_is_fenced(make_logs: MakeLogs) -> None:
    """It learns that at the latest when it writes the end, and from then on at once."""

    async def scenario() -> list[LogEntry]:
        async with make_logs(2) as (earlier, later):
            await earlier.begin("run", START)
            await later.take_over("run")
            for _ in range(2):
                with pytest.raises(FencedError):
                    await earlier.append("run", END)
            await later.append("run", END)
            return await rest(earlier)

    assert events_in(run(scenario())) == [START, END]


@pytest.mark.parametrize("cut_every", [2, 3])
def test_a_call_whose_reply_is_lost_is_repeated_without_effect(start_redis: StartRedis, cut_every: int) -> None:
    """The server recognizes a batch, a start, a reopening and a rewrite that it has already received."""

    async def scenario() -> list[list[LogEntry]]:
        async with Proxy(start_redis("redis"), cut_every) as url, shared_logs(url, 1) as (log,):
            await log.begin("run", START)
            for event in fragments(3):
                await log.append("run", event)
                await log.read("run")
            await log.append("run", END)
            first = await rest(log)
            await log.reopen("run")
            for event in [*fragments(2, 3), END]:
                await log.append("run", event)
            assert await log.request_rewrite("run", await log.meta("run"), 0, INTRO, 10)
            assert await log.rewrites("run") == [INTRO]
            return [first, await log.read("run")]

    first, second = run(scenario())
    assert events_in(first) == [START, *fragments(3), END]
    assert events_in(second) == [START, *fragments(5)]


def test_a_reader_continues_in_any_process(make_logs: MakeLogs) -> None:
    """Ids are valid everywhere, even after another process has reopened the log."""

    async def scenario() -> list[LogEntry]:
        async with make_logs(2) as (one, other):
            await one.begin("run", START)
            for event in [*fragments(3), END]:
                await one.append("run", event)
            seen = (await other.read("run"))[:3]
            with pytest.raises(RunExistsError):
                await other.begin("run", START)
            await other.reopen("run")
            await other.append("run", Fragment("intro", "3 "))
            await other.append("run", END)
            assert await one.is_complete("run", (await other.read("run"))[-1].id)
            return seen + await rest(one, seen[-1].id)

    assert events_in(run(scenario())) == [START, *fragments(4), END]


def test_any_process_cancels_a_run(make_logs: MakeLogs) -> None:
    """The end is written at once, every reader gets it, and the writer is fenced."""

    async def scenario() -> list[str]:
        async with make_logs(2) as (writer, other):
            await writer.begin("run", START)
            following = [asyncio.create_task(status(log)) for log in (writer, other)]
            await writer.append("run", Fragment("intro", "0 "))
            await other.end("run", "cancelled")
            await other.end("run", "cancelled")  # a finished run is unchanged
            with pytest.raises((FencedError, ValueError)):
                await writer.append("run", END)
            with pytest.raises(UnknownRunError):
                await other.end("unknown", "cancelled")
            return [await task for task in following]

    assert run(scenario()) == ["cancelled", "cancelled"]


def test_all_processes_have_one_secret(make_logs: MakeLogs) -> None:
    async def scenario() -> list[bytes]:
        async with make_logs(2) as logs:
            return await asyncio.gather(*(log.secret() for log in logs))

    first, second = run(scenario())
    assert first == second


def test_what_cannot_be_read_is_left_alone(make_logs: MakeLogs) -> None:
    """An event of a newer version ends only the streams of its own run; an entry of the queue that is no job goes."""

    async def scenario() -> tuple[list[list[RunEvent]], list[Job], int]:
        async with make_logs(2) as (writer, other), queue_of(other, "a") as queue:
            await writer.begin("newer", START)
            await writer.submit("run", START, 9)
            following = asyncio.create_task(followed(other, "newer")), asyncio.create_task(followed(other, "run"))
            await other.redis.xadd(f"{other.address.prefix}:log:newer", {"epoch": "0", "lines": "?{}"}, "2-0")
            newer = await following[0]
            await other.redis.xadd(f"{other.address.prefix}:queue", {"v": 1})
            await other.redis.xadd(f"{other.address.prefix}:queue", {"v": "?", "run": "run"})
            jobs = await queue.next_jobs(9)
            await other.take("run", jobs[0].id, "a")
            await other.append("run", END)
            left = await other.redis.xlen(f"{other.address.prefix}:queue")
            return [newer, await following[1]], jobs, left

    readings, jobs, left = run(scenario())
    assert readings == [[START], [START, END]]
    assert ([job.run_id for job in jobs], left) == (["run"], 0)


def test_a_call_expires_a_hundred_runs_at_most(start_redis: StartRedis) -> None:
    """Those beyond the limit on the size go with the next calls, which are not refused."""

    async def scenario() -> list[int]:
        url, lengths = start_redis("valkey").url, list[int]()
        async with (
            aclosing(RedisEventLog(url, REQUESTS)) as log,
            aclosing(RedisEventLog(url, REQUESTS, all_bytes=1)) as smaller,
        ):
            for number in range(130):
                await log.begin(str(number), START)
                await log.append(str(number), END)
            for run_id in ("a", "b"):
                with suppress(LogFullError):
                    await smaller.begin(run_id, START)
                lengths.append(await log.redis.zcard(f"{log.address.prefix}:ended"))
        return lengths

    assert run(scenario()) == [30, 0]


def test_a_log_that_cannot_be_written_does_not_hold_up_others(make_logs: MakeLogs) -> None:
    """Its writer is fenced; the other runs of the same batch are written."""

    async def scenario() -> list[LogEntry]:
        async with make_logs(1) as (log,):
            await log.begin("broken", START)
            await log.begin("run", START)
            await log.redis.xadd(f"{log.address.prefix}:log:broken", {"epoch": "0", "lines": "f{}"}, "9999-0")
            broken, _ = await asyncio.gather(log.append("broken", END), log.append("run", END), return_exceptions=True)
            assert isinstance(broken, FencedError)
            return await rest(log)

    assert events_in(run(scenario())) == [START, END]


def test_a_run_does_not_end_before_its_rewrites_were_seen(make_logs: MakeLogs) -> None:
    """This includes rewrites of other processes. Events that were appended before the refused end are in the log."""

    async def scenario() -> tuple[list[Rewrite], list[LogEntry]]:
        async with make_logs(2) as (web, log), queue_of(log, "a") as queue:
            await web.submit("run", START, 9)
            (job,) = await queue.next_jobs(1)
            await log.take("run", job.id, "a")
            assert await web.request_rewrite("run", await web.meta("run"), 0, INTRO, 9)
            assert not await web.request_rewrite("run", await web.meta("run"), 0, INTRO, 9)
            assert await log.renew("a", ["run"]) == {"run": Claim.CHANGED}
            await log.append("run", Fragment("intro", "0 "))
            with pytest.raises(RewritesWaitingError):
                await log.append("run", END)
            rewrites = await log.rewrites("run")
            log.accept_rewrites("run", 1)
            assert log.accept_rewrites("run", 0) == 1  # a list that was read earlier
            assert log.accept_rewrites("run", 1) == 1
            assert await log.renew("a", ["run"]) == {"run": Claim.RENEWED}
            await log.append("run", Fragment("intro", "1 "))
            await log.append("run", END)
            return rewrites, await rest(web)

    rewrites, entries = run(scenario())
    assert rewrites == [INTRO]
    assert events_in(entries) == [START, *fragments(2), END]


def test_a_rewrite_of_an_ended_run_reopens_and_queues_it(make_logs: MakeLogs) -> None:
    async def scenario() -> tuple[list[Rewrite], list[LogEntry]]:
        async with make_logs(2) as (web, log), queue_of(log, "a") as queue:
            await web.begin("run", START)
            await web.append("run", END)
            with pytest.raises(LogFullError):
                await web.request_rewrite("run", await web.meta("run"), 0, INTRO, 0)
            assert await web.request_rewrite("run", await web.meta("run"), 0, INTRO, 9)
            (job,) = await queue.next_jobs(1)
            await log.take("run", job.id, "a")
            rewrites = await log.rewrites("run")
            log.accept_rewrites("run", 1)
            await log.append("run", END)
            return rewrites, await rest(web, EventId("0", 0))

    rewrites, entries = run(scenario())
    assert rewrites == [INTRO]
    assert events_in(entries) == [START, END]


@settings(deadline=None)
@given(after=st.integers(0, 301))
def test_a_compact_log_is_read_like_any_other(make_logs: MakeLogs, after: int) -> None:
    """From any event on, also by somebody who was reading it and by those who come after it is reopened."""
    events = [START, *fragments(300), END]

    async def scenario() -> list[list[RunEvent]]:
        async with make_logs(2) as (log, other):
            await log.begin("run", START)
            following = other.follow("run")
            live = await anext(following)
            for event in events[1:]:
                await log.append("run", event)
            before = await log.read("run")
            for _ in range(2):
                await log.compact("run")
            live += [entry async for batch in following for entry in batch]
            resumed = await rest(other, EventId(before[0].id.epoch, after))
            await other.reopen("run")
            await log.compact("run")  # leaves a run alone that goes on
            await other.append("run", Fragment("intro", "300 "))
            await other.append("run", END)
            await log.compact("run")
            again = await rest(log, EventId(before[0].id.epoch, min(after, 301)))
            return [events_in(live), events[:after] + events_in(resumed), events[: min(after, 301)] + events_in(again)]

    live, resumed, again = run(scenario())
    assert live == resumed == events
    assert again == [START, *fragments(301), END]


def test_a_compact_log_takes_a_sixth(make_logs: MakeLogs) -> None:
    async def scenario() -> tuple[int, int]:
        async with make_logs(1) as (log,):
            await log.begin("run", START)
            for event in fragments(400):
                await log.append("run", event)
                await asyncio.sleep(0.0005)  # several blocks, as of a run
            await log.append("run", END)
            key = f"{log.address.prefix}:log:run"
            before = await log.redis.memory_usage(key, samples=0)
            await log.compact("run")
            return before or 0, await log.redis.memory_usage(key, samples=0) or 0

    before, after = run(scenario())
    assert 0 < after < before / 3


def test_the_writer_of_a_run_that_somebody_drops_is_fenced(make_logs: MakeLogs) -> None:
    """It closes its calls as if another process wrote the run."""

    async def scenario() -> None:
        async with make_logs(2) as (writer, other):
            await writer.begin("run", START)
            await other.forget("run")
            with pytest.raises(FencedError):
                await writer.append("run", END)

    run(scenario())

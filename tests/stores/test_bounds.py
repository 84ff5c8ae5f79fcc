"""How much all stores keep, and for how long."""

import asyncio
from collections.abc import Iterable
from contextlib import aclosing, suppress
from dataclasses import replace
from secrets import token_urlsafe

import pytest

from app.clients import Client
from app.stores import (
    EventLog,
    ExpiredRunError,
    LogEntry,
    LogFullError,
    RunEnd,
    RunStart,
    UnknownRunError,
)
from chains.parts.events import Fragment
from tests.servers import run
from tests.stores.conftest import MakeLog
from tests.stores.logs import END, START, events_in, log_of, rest


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


def start_of(client: str) -> RunStart:
    return replace(START, client=Client(client))


async def readable(log: EventLog, run_ids: Iterable[str]) -> list[str]:
    """Those that have not expired."""
    found = list[str]()
    for run_id in run_ids:
        with suppress(ExpiredRunError):
            await log.read(run_id)
            found.append(run_id)
    return found


@pytest.mark.parametrize("limits", [{"limit": 10}, {"all_bytes": 60_000}])
def test_a_client_makes_room_for_its_own_runs(make_log: MakeLog, limits: dict[str, int]) -> None:
    """However many runs a client begins and cancels, another's finished run stays."""
    names = [f"m{number}" for number in range(400 if "all_bytes" in limits else 40)]

    async def scenario() -> tuple[list[str], list[str]]:
        log = make_log(**limits)
        await log.begin("bob", start_of("bob"))
        await log.append("bob", END)
        for name in names:
            await log.begin(name, start_of("mallory"))
            await log.append(name, RunEnd("cancelled", 1))
        found = await readable(log, ["bob"]), await readable(log, names)
        await log.aclose()
        return found

    bob, mallory = run(scenario())
    assert bob == ["bob"]
    assert 0 < len(mallory) < len(names)
    assert mallory == names[-len(mallory) :]


def test_a_client_without_finished_runs_takes_the_place_of_the_oldest(make_log: MakeLog) -> None:
    async def scenario() -> list[str]:
        log = make_log(limit=2)
        for name in ("ann", "bob", "eve"):
            await log.begin(name, start_of(name))
            await log.append(name, END)
        found = await readable(log, ["ann", "bob", "eve"])
        await log.aclose()
        return found

    assert run(scenario()) == ["bob", "eve"]

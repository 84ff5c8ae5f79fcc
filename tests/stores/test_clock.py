"""A clock that is set forward, and back, under a store that expires runs."""

import asyncio
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from app.stores import ExpiredRunError
from app.stores.sqlite import SqliteEventLog
from tests.servers import run
from tests.stores.logs import END, REQUESTS, START, fragments, log_of

FORWARD_S = 60 * 86_400
OFFSET_S = time.time() - time.monotonic()


def ahead() -> float:
    return time.monotonic() + OFFSET_S + FORWARD_S


async def has_expired(log: SqliteEventLog, name: str) -> bool:
    """Whether the run has expired. A new run begins, with which expired ones are deleted."""
    await log.begin(name, START)
    try:
        await log.read("run")
    except ExpiredRunError:
        return True
    return False


def test_a_clock_that_is_wrong_deletes_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that seems to have expired is back when the clock is set right, in the same process or in the next one.

    It is deleted after the clock has gone on without a jump for a while.
    """
    path, right = tmp_path / "runs.db", time.time

    async def scenario() -> list[bool]:
        async with log_of(SqliteEventLog(path, REQUESTS), *fragments(2), END):
            pass
        monkeypatch.setattr(time, "time", ahead)  # as when the system starts with a wrong clock
        async with aclosing(SqliteEventLog(path, REQUESTS)) as log:
            seen = [await has_expired(log, "a")]
        monkeypatch.setattr(time, "time", right)
        async with aclosing(SqliteEventLog(path, REQUESTS, grace_s=0.1)) as log:
            await asyncio.sleep(0.2)
            seen.append(await has_expired(log, "b"))
            monkeypatch.setattr(time, "time", ahead)
            seen.append(await has_expired(log, "c"))
            monkeypatch.setattr(time, "time", right)
            seen.append(await has_expired(log, "d"))
        monkeypatch.setattr(time, "time", ahead)
        async with aclosing(SqliteEventLog(path, REQUESTS, grace_s=0)) as log:
            seen.append(await has_expired(log, "e"))
            monkeypatch.setattr(time, "time", right)
            return [*seen, await has_expired(log, "f")]

    assert run(scenario()) == [True, False, True, False, True, True]

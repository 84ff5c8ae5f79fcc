"""What calls have used and cost, on each store."""

import asyncio
from contextlib import aclosing
from pathlib import Path

from app.stores.ledger import Account, Cap, Spending, Spent
from app.stores.sqlite import SqliteEventLog
from tests.redis_servers import RedisServer, flaky
from tests.servers import run
from tests.stores.conftest import MakeLog
from tests.stores.shared_logs import shared_logs

TODAY = "2026-11-27"
ALICE, BOB = (Account(TODAY, name, "m") for name in ("alice", "bob"))


def test_two_reservations_at_the_same_time_never_exceed_a_cap(make_log: MakeLog) -> None:
    """This holds for all clients together and for each one. The next day begins with nothing spent."""

    async def scenario() -> list[object]:
        async with aclosing(make_log()) as log:
            reserve = log.ledger.reserve
            calls = [reserve(ALICE, 40, Cap(100, 80)) for _ in range(3)]
            of_alice = sorted(await asyncio.gather(*calls))
            of_bob = [await reserve(BOB, 30, Cap(100, 80)), await reserve(BOB, 20, Cap(100, 80))]
            tomorrow = await reserve(ALICE._replace(day="2026-11-28"), 80, Cap(100, 80))
            return [of_alice, of_bob, tomorrow, await log.ledger.spent(TODAY, "alice")]

    assert run(scenario()) == [[False, True, True], [False, True], True, Spent(100, 80, 100, 80)]


def test_what_was_used_replaces_what_was_reserved(make_log: MakeLog) -> None:
    """An account has the sums of its calls."""
    used = Spending(1, 1000, 50, nano_usd=-30, estimated_calls=1, reserved_nano_usd=-40)

    async def scenario() -> list[object]:
        async with aclosing(make_log()) as log:
            await log.ledger.reserve(ALICE, 40, Cap(100))
            await log.ledger.reserve(BOB, 20, Cap(100))
            await log.ledger.add({ALICE: used, BOB: Spending(1, unpriced_calls=1)}, "first")
            await log.ledger.add({ALICE: Spending(1, 2, 3, 4)}, "second")
            return [await log.ledger.spent(TODAY, "alice"), await log.ledger.rows()]

    spent, rows = run(scenario())
    assert spent == Spent(34, 14, 20, 0)
    assert rows == {
        ALICE: Spending(2, 1002, 53, 14, 0, 1),
        BOB: Spending(1, nano_usd=20, unpriced_calls=1, reserved_nano_usd=20),
    }


def test_what_a_killed_process_has_reserved_counts_as_spent_at_the_next_start(tmp_path: Path) -> None:
    """Its calls may have cost it."""

    async def scenario() -> list[Spent]:
        async with aclosing(SqliteEventLog(tmp_path / "runs.db", {})) as log:
            await log.ledger.reserve(ALICE, 40, Cap(100))
            before = await log.ledger.spent(TODAY, "alice")
        async with aclosing(SqliteEventLog(tmp_path / "runs.db", {})) as log:
            return [before, await log.ledger.spent(TODAY, "alice")]

    assert run(scenario()) == [Spent(40, 40, 40, 40), Spent(40, 40)]


def test_a_reservation_whose_reply_is_lost_counts_once(redis_server: RedisServer) -> None:
    """Every third script loses its reply, and is repeated."""

    async def scenario(url: str) -> tuple[set[bool], Spent]:
        async with shared_logs(url, 1) as (log,):
            answers = {await log.ledger.reserve(ALICE, 10, Cap(1000)) for _ in range(10)}
            return answers, await log.ledger.spent(TODAY, "alice")

    with flaky(redis_server, redis_server.url, cut_every=3) as url:
        assert run(scenario(url)) == ({True}, Spent(100, 100, 100, 100))

"""Accounts in the SQLite file of a store."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from app.stores.database import Database, Execute
from app.stores.ledger import DAYS, Account, Cap, Spending, Spent, reserved

_PLACES = ", ".join("?" * (len(Account._fields) + len(Spending._fields)))
_SUMS = ", ".join(f"{name} = {name} + excluded.{name}" for name in Spending._fields)
_SPENT = ", ".join(
    f"coalesce(sum({name}){of}, 0)"
    for name in ("nano_usd", "reserved_nano_usd")
    for of in ("", " FILTER (WHERE client = :client)")
)
_ADD = f"INSERT INTO spending VALUES ({_PLACES}) ON CONFLICT DO UPDATE SET {_SUMS}"  # noqa: S608  our own names

InThread = Callable[..., Awaitable[Any]]


class SqliteLedger:
    """`in_thread` runs a function in the thread of the database."""

    def __init__(self, database: Database, in_thread: InThread) -> None:
        self._database, self._in_thread = database, in_thread

    async def reserve(self, account: Account, nano_usd: int, cap: Cap) -> bool:
        return await self._in_thread(self._reserve, account, nano_usd, cap)

    async def add(self, amounts: Mapping[Account, Spending], batch: str) -> None:
        await self._in_thread(self._add, amounts)  # a transaction that fails has added nothing

    async def spent(self, day: str, client: str) -> Spent:
        return await self._in_thread(self._spent, day, client)

    async def rows(self) -> dict[Account, Spending]:
        return await self._in_thread(accounts_in, self._database)

    def _reserve(self, account: Account, nano_usd: int, cap: Cap) -> bool:
        if not cap.allows(self._spent(account.day, account.client).plus(nano_usd)):
            return False
        self._add({account: reserved(nano_usd)})
        return True

    def _add(self, amounts: Mapping[Account, Spending]) -> None:
        with self._database.transaction() as execute:
            for account, amount in amounts.items():
                execute(_ADD, (*account, *amount))
            _drop_old(execute)

    def _spent(self, day: str, client: str) -> Spent:
        sums = f"SELECT {_SPENT} FROM spending WHERE day = :day"  # noqa: S608  our own names
        with self._database.transaction() as execute:
            return Spent(*execute(sums, {"client": client, "day": day}).fetchone())


def accounts_in(database: Database) -> dict[Account, Spending]:
    """Returns all accounts."""
    with database.transaction() as execute:
        rows = execute("SELECT * FROM spending ORDER BY day, client, model").fetchall()
    return {Account(*row[:3]): Spending(*row[3:]) for row in rows}


def _drop_old(execute: Execute) -> None:
    last = "SELECT min(day) FROM (SELECT DISTINCT day FROM spending ORDER BY day DESC LIMIT ?)"
    execute(f"DELETE FROM spending WHERE day < ({last})", (DAYS,))  # noqa: S608

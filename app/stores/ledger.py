"""What calls to models have used and cost, by day, client and model. Kept in the store, so that a budget survives."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple, Protocol

DAYS = 92  # that are kept


class Account(NamedTuple):
    """`day` is a date in UTC, such as 2026-11-27."""

    day: str
    client: str
    model: str


class Spending(NamedTuple):
    """What is added to an account. Costs are in billionths of a dollar; that of unpriced calls is unknown.

    `nano_usd` includes `reserved_nano_usd`, what calls under way may cost at most.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    nano_usd: int = 0
    unpriced_calls: int = 0
    estimated_calls: int = 0
    reserved_nano_usd: int = 0

    def plus(self, other: "Spending") -> "Spending":
        return Spending(*(one + more for one, more in zip(self, other, strict=True)))


def reserved(nano_usd: int) -> Spending:
    """Returns what a call that begins adds to its account."""
    return Spending(nano_usd=nano_usd, reserved_nano_usd=nano_usd)


class Cap(NamedTuple):
    """The maximum that a day may cost in total, and for one client, in billionths of a dollar."""

    total: int | None = None
    client: int | None = None

    def allows(self, spent: "Spent") -> bool:
        is_total_left = self.total is None or spent.total <= self.total
        return is_total_left and (self.client is None or spent.client <= self.client)


class Spent(NamedTuple):
    """What a day has cost in total, and for one client, in billionths of a dollar, and how much of it is reserved."""

    total: int
    client: int
    total_reserved: int = 0
    client_reserved: int = 0

    def plus(self, nano_usd: int) -> "Spent":
        return self._replace(total=self.total + nano_usd, client=self.client + nano_usd)

    @property
    def settled(self) -> "Spent":
        """Without what is reserved."""
        return Spent(self.total - self.total_reserved, self.client - self.client_reserved)


class Ledger(Protocol):
    """Any method raises `UnavailableError`."""

    async def reserve(self, account: Account, nano_usd: int, cap: Cap) -> bool:
        """Adds a cost in advance, unless the day would then cost more than its cap."""
        ...

    async def add(self, amounts: Mapping[Account, Spending], batch: str) -> None:
        """Adds what calls have used, in place of what they had reserved. A repeated batch is added once."""
        ...

    async def spent(self, day: str, client: str) -> Spent: ...

    async def rows(self) -> dict[Account, Spending]:
        """Returns all accounts of the last `DAYS` days."""
        ...


class MemoryLedger:
    """Accounts that are lost with the process."""

    def __init__(self) -> None:
        self._accounts: dict[Account, Spending] = {}
        self._sums = Counter[tuple[str, str | None]]()  # by day and client; those of a whole day have no client
        self._reserved = Counter[tuple[str, str | None]]()

    async def reserve(self, account: Account, nano_usd: int, cap: Cap) -> bool:
        if not cap.allows((await self.spent(account.day, account.client)).plus(nano_usd)):
            return False
        self._add(account, reserved(nano_usd))
        return True

    async def add(self, amounts: Mapping[Account, Spending], batch: str) -> None:
        for account, amount in amounts.items():
            self._add(account, amount)

    async def spent(self, day: str, client: str) -> Spent:
        return Spent(*(sums[day, each] for sums in (self._sums, self._reserved) for each in (None, client)))

    async def rows(self) -> dict[Account, Spending]:
        return dict(self._accounts)

    def _add(self, account: Account, amount: Spending) -> None:
        if (account.day, None) not in self._sums:
            self._drop_old(account.day)
        for client in (None, account.client):
            self._sums[account.day, client] += amount.nano_usd
            self._reserved[account.day, client] += amount.reserved_nano_usd
        self._accounts[account] = self._accounts.get(account, Spending()).plus(amount)

    def _drop_old(self, today: str) -> None:
        days = sorted({each.day for each in self._accounts} | {today})[-DAYS:]
        self._accounts = {each: sums for each, sums in self._accounts.items() if each.day in days}
        self._sums = Counter({key: cost for key, cost in self._sums.items() if key[0] in days})
        self._reserved = Counter({key: cost for key, cost in self._reserved.items() if key[0] in days})

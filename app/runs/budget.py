"""The budget: what calls to models may cost per day, in total and for each client. It fails closed.

A call is made only after its maximum cost was added to the day's costs. When it ends, the difference is given back. So
neither concurrent calls nor a process that dies can exceed the budget.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from secrets import token_hex
from typing import LiteralString

from app.admission import RefusedError
from app.runs.tally import cost_of
from app.stores import UnavailableError
from app.stores.ledger import Account, Cap, Ledger, Spending, Spent, reserved
from chains.errors import ProviderError
from chains.models.calls import NANO, Call, CallEnd

logger = logging.getLogger(__name__)

FLUSH_S = 0.5
RETRY_S = 5  # after the store could not be asked, and while calls under way may give money back
USED_UP: LiteralString = "This server has used up its budget for today. The next one begins at 00:00 UTC."
CLIENT_USED_UP: LiteralString = "You have used up your budget for today. The next one begins at 00:00 UTC."
BUSY: LiteralString = "The rest of the budget is reserved for calls under way. Please try again in a few seconds."
CLIENT_BUSY: LiteralString = (
    "The rest of your budget is reserved for your calls under way. Please try again in a few seconds."
)
UNCHECKED: LiteralString = "The server cannot check its budget now. Please try again in a few seconds."
UNPRICED: LiteralString = (
    "{model} has no price, so it is not used while there is a budget: add price_in and price_out to the registry."
)


class BudgetError(RefusedError):
    """A call may not be made, because there is no budget left."""


class UnpricedModelError(ProviderError):
    """What the call would cost is unknown. Another model may be used."""

    same_model_may_retry = False


@dataclass(frozen=True, slots=True)
class Reservation:
    """The most that a call can cost, in billionths of a dollar, added to the day's costs."""

    account: Account
    nano_usd: int


class Budget:
    """Accounts for all calls of this process, and refuses them if the day would cost more than its cap, in dollars."""

    def __init__(self, ledger: Ledger, daily_usd: float | None = None, client_daily_usd: float | None = None) -> None:
        self.ledger = ledger
        self._cap = Cap(_nano(daily_usd), _nano(client_daily_usd))
        self._is_limited = self._cap != Cap()
        self._pending: dict[Account, Spending] = {}
        self._unstored: tuple[str, dict[Account, Spending]] | None = None  # a batch that may not have been stored
        self._changed = asyncio.Event()
        self._flush_lock = asyncio.Lock()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator["Budget"]:
        """Stores what calls have used, a moment after their end."""
        flushing = asyncio.create_task(self._flush_regularly(), name="budget")
        try:
            yield self
        finally:
            flushing.cancel()
            await asyncio.gather(flushing, return_exceptions=True)

    async def check(self, client: str) -> None:
        """Raises `BudgetError` if no work can be started."""
        if not self._is_limited:
            return
        try:
            await self._flush_excess()
            spent = await self.ledger.spent(_today(), client)
        except UnavailableError:
            raise BudgetError(UNCHECKED, RETRY_S, 503) from None
        if not self._cap.allows(spent.plus(1)):
            raise self._refusal(client, spent.plus(1))

    async def reserve(self, call: Call, client: str) -> Reservation:
        """Raises `BudgetError` or `UnpricedModelError` if the call may not be made."""
        account = Account(_today(), client, call.model)
        if not self._is_limited:
            return Reservation(account, 0)
        if call.price is None:
            raise UnpricedModelError(UNPRICED, model=call.model)
        most = call.price.nano_usd(call.most)
        try:
            await self._flush_excess()
            if most and not await self._reserve(account, most):
                await self.flush()  # gives back what calls that have ended did not use
                if not await self._reserve(account, most):
                    raise self._refusal(client, (await self.ledger.spent(account.day, client)).plus(most))
        except UnavailableError:
            raise BudgetError(UNCHECKED, RETRY_S, 503) from None
        return Reservation(account, most)

    def settle(self, reservation: Reservation, call: Call, end: CallEnd) -> None:
        """Accounts for what the call has used, in place of what was reserved."""
        cost, tokens = cost_of(call, end), end.tokens
        amount = Spending(
            calls=1, input_tokens=tokens.input, output_tokens=tokens.output,
            nano_usd=(cost or 0) - reservation.nano_usd,
            unpriced_calls=int(cost is None), estimated_calls=int(tokens.is_estimated),
            reserved_nano_usd=-reservation.nano_usd,
        )  # fmt: skip
        self._add(reservation.account, amount)

    async def flush(self) -> None:
        """Stores what calls have used so far, even if it is cancelled. Raises `UnavailableError`."""
        flushing = asyncio.ensure_future(self._flush())
        flushing.add_done_callback(_retrieve_exception)
        await asyncio.shield(flushing)

    async def _reserve(self, account: Account, most: int) -> bool:
        """Reserves it in a task, because the store does not undo it when a call is cancelled."""
        reserving = asyncio.ensure_future(self.ledger.reserve(account, most, self._cap))
        try:
            return await asyncio.shield(reserving)
        except asyncio.CancelledError:
            reserving.add_done_callback(partial(self._give_back, account, most))
            raise

    def _give_back(self, account: Account, most: int, reserving: asyncio.Future[bool]) -> None:
        if not reserving.cancelled() and not reserving.exception() and reserving.result():
            self._add(account, reserved(-most))

    def _add(self, account: Account, amount: Spending) -> None:
        self._pending[account] = self._pending.get(account, Spending()).plus(amount)
        self._changed.set()

    async def _flush(self) -> None:
        async with self._flush_lock:
            if self._pending and not self._unstored:
                self._unstored, self._pending = (token_hex(8), self._pending), {}
            if self._unstored:
                batch, amounts = self._unstored
                await self.ledger.add(amounts, batch)
                self._unstored = None

    async def _flush_excess(self) -> None:
        """Stores what calls have cost beyond their reservation, if a provider has counted more tokens than allowed."""
        if any(amount.nano_usd > 0 for amount in self._pending.values()):
            await self.flush()

    async def _flush_regularly(self) -> None:
        try:
            while True:
                await self._changed.wait()
                await asyncio.sleep(FLUSH_S)
                self._changed.clear()
                await self._try_flush()
        finally:
            await self._try_flush()

    async def _try_flush(self) -> None:
        try:
            await self.flush()
        except UnavailableError:
            logger.warning("What calls have cost cannot be stored now.")
        if self._pending or self._unstored:
            self._changed.set()

    def _refusal(self, client: str, wanted: Spent) -> BudgetError:
        """Says whether the budget is used up, or whether calls under way may give some of it back."""
        is_total = not Cap(self._cap.total).allows(wanted)
        status = 503 if is_total else 429
        if self._cap.allows(self._settled(client, wanted)):
            return BudgetError(BUSY if is_total else CLIENT_BUSY, RETRY_S, status)
        now = datetime.now(UTC)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        retry_after = max(1, round((midnight - now).total_seconds()))
        return BudgetError(USED_UP if is_total else CLIENT_USED_UP, retry_after, status)

    def _settled(self, client: str, spent: Spent) -> Spent:
        """Returns what is spent, without what running calls have reserved and may give back."""
        total, of_client, *_ = spent.settled
        for amounts in (self._pending, self._unstored[1] if self._unstored else {}):
            for account, amount in amounts.items():
                cost = amount.nano_usd - amount.reserved_nano_usd
                total += cost
                of_client += cost if account.client == client else 0
        return Spent(total, of_client)


def _retrieve_exception(task: asyncio.Future[None]) -> None:
    """Prevents asyncio from logging the traceback of a task that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _nano(usd: float | None) -> int | None:
    return None if usd is None else round(usd * NANO)

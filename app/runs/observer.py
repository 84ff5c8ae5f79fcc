"""Observes all calls to models of this process, whichever route or run makes them."""

from collections.abc import Callable

from app.clients import current_client
from app.metrics import count_call
from app.runs.budget import Budget
from app.runs.tally import cost_of, current_tally
from chains.models.calls import Call, CallEnd


class Observer:
    """Asks the budget before each call, and accounts for it afterwards, also in metrics and its run's tally."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    async def begin(self, call: Call) -> Callable[[CallEnd], None]:
        tally = current_tally()
        reservation = await self._budget.reserve(call, current_client().name)

        def end(ended: CallEnd) -> None:
            self._budget.settle(reservation, call, ended)
            count_call(call, ended, cost_of(call, ended))
            if tally:
                tally.add(call, ended)

        return end

"""Observes all calls to models of this process, whichever route or run makes them."""

from collections.abc import Callable

from app.clients import current_client
from app.metrics import count_call
from app.runs.budget import Budget
from app.runs.tally import cost_of, current_tally
from app.traces import start_call
from chains.models.calls import Call, CallEnd


class Observer:
    """Asks the budget before each call, and accounts for it afterwards, in metrics, a span and its run's tally."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    async def begin(self, call: Call) -> Callable[[CallEnd], None]:
        tally = current_tally()
        reservation = await self._budget.reserve(call, current_client().name)
        end_span = start_call(call)

        def end(ended: CallEnd) -> None:
            cost = cost_of(call, ended)
            self._budget.settle(reservation, call, ended)
            count_call(call, ended, cost)
            end_span(ended, cost)
            if tally:
                tally.add(call, ended)

        return end

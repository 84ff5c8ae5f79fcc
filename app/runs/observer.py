"""Observes all calls to models of this process, whichever route or run makes them."""

from collections.abc import Callable

from app.runs.tally import current_tally
from chains.models.calls import Call, CallEnd


class Observer:
    """Accounts for each call where its run adds up what it uses."""

    async def begin(self, call: Call) -> Callable[[CallEnd], None]:
        tally = current_tally()

        def end(ended: CallEnd) -> None:
            if tally:
                tally.add(call, ended)

        return end

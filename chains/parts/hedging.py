"""Hedging: if a call is slow, another model is called in parallel, and the first one to produce a token wins.

At most one call in ten is hedged, and only a few in a row, so that the load does not double when all providers are
slow.
"""

import asyncio
from contextlib import suppress
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs
from typing_extensions import override

from chains._fast import InlineHandler
from chains.sending import watch_sending

BUDGET_RATIO = 0.1  # of the calls
MAX_BURST = 5

Step = Runnable[dict[str, Any], str]


class Hedge:
    """Makes calls, and second calls if there is no token after `after_s` seconds."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._credit = 0.0

    async def ainvoke(self, first: Step, other: Step, input: Any, config: RunnableConfig | None) -> str:
        """Returns the text of the first call to produce a token and closes the other. Raises the last error."""
        self._credit = min(self._credit + BUDGET_RATIO, MAX_BURST)
        calls = [_Call(first, input, config)]
        try:
            await asyncio.wait({calls[0].sent, calls[0].first_token}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({calls[0].first_token}, timeout=self._after_s)
            if not calls[0].first_token.done() and self._credit >= 1:
                self._credit -= 1
                calls.append(_Call(other, input, merge_configs(config, {"metadata": {"hedge": True}})))
            winner = await _winner(calls)
            for call in calls:
                if call is not winner:
                    call.task.cancel()
            return await winner.task
        finally:
            for call in calls:
                call.task.cancel()
            await asyncio.gather(*(call.task for call in calls), return_exceptions=True)


class _Call(InlineHandler):
    """A running call. `sent` is done when its request is sent, `first_token` with its first token or when it fails."""

    def __init__(self, step: Step, input: Any, config: RunnableConfig | None) -> None:
        loop = asyncio.get_running_loop()
        self.sent: asyncio.Future[None] = loop.create_future()
        self.first_token: asyncio.Future[None] = loop.create_future()
        self.task = asyncio.ensure_future(self._run(step, input, merge_configs(config, {"callbacks": [self]})))
        self.task.add_done_callback(lambda _: self._on_first_token())

    async def _run(self, step: Step, input: Any, config: RunnableConfig) -> str:
        watch_sending(lambda: _finish(self.sent))
        return await step.ainvoke(input, config)

    @property
    def has_failed(self) -> bool:
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)

    @override
    async def on_llm_new_token(self, token: str | list[str | dict[str, Any]], **kwargs: Any) -> None:
        if token:
            self._on_first_token()

    def _on_first_token(self) -> None:
        _finish(self.first_token)


def _finish(future: asyncio.Future[None]) -> None:
    with suppress(asyncio.InvalidStateError):
        future.set_result(None)


async def _winner(calls: list[_Call]) -> _Call:
    """Returns the first call to produce a token, or the last one to fail."""
    left = list(calls)
    while True:
        await asyncio.wait({call.first_token for call in left}, return_when=asyncio.FIRST_COMPLETED)
        for call in [call for call in left if call.first_token.done()]:
            if len(left) == 1 or not call.has_failed:
                return call
            left.remove(call)

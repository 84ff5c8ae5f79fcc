"""Hedge: a call that is slow to begin is made to another model too, and whichever writes first goes on.

At most one call in ten is made twice, and no more than a few in a row, so that a slow hour of all providers is not
answered with twice the load.
"""

import asyncio
from contextlib import suppress
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs
from typing_extensions import override

from chains._fast import InlineHandler
from chains.sending import watch_sending

SHARE = 0.1  # of the calls
IN_A_ROW = 5

Written = Runnable[dict[str, Any], str]


class Hedge:
    """Makes calls, and the second ones of those that have not begun to write after `after_s` seconds."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._credit = 0.0

    async def ainvoke(self, first: Written, other: Written, input: Any, config: RunnableConfig | None) -> str:
        """The text of whichever begins first; the other call is closed. Raises what the last one raised."""
        self._credit = min(self._credit + SHARE, IN_A_ROW)
        calls = [_Call(first, input, config)]
        try:
            await asyncio.wait({calls[0].sent, calls[0].begun}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({calls[0].begun}, timeout=self._after_s)
            if not calls[0].begun.done() and self._credit >= 1:
                self._credit -= 1
                calls.append(_Call(other, input, merge_configs(config, {"metadata": {"hedge": True}})))
            ahead = await _first_to_begin(calls)
            for call in calls:
                if call is not ahead:
                    call.task.cancel()
            return await ahead.task
        finally:
            for call in calls:
                call.task.cancel()
            await asyncio.gather(*(call.task for call in calls), return_exceptions=True)


class _Call(InlineHandler):
    """A call under way. `sent` is done when its request is; `begun` with its first token, or when it has failed."""

    def __init__(self, written: Written, input: Any, config: RunnableConfig | None) -> None:
        loop = asyncio.get_running_loop()
        self.sent: asyncio.Future[None] = loop.create_future()
        self.begun: asyncio.Future[None] = loop.create_future()
        self.task = asyncio.ensure_future(self._write(written, input, merge_configs(config, {"callbacks": [self]})))
        self.task.add_done_callback(lambda _: self._begin())

    async def _write(self, written: Written, input: Any, config: RunnableConfig) -> str:
        watch_sending(lambda: _finish(self.sent))
        return await written.ainvoke(input, config)

    @property
    def has_failed(self) -> bool:
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)

    @override
    async def on_llm_new_token(self, token: str | list[str | dict[str, Any]], **kwargs: Any) -> None:
        if token:
            self._begin()

    def _begin(self) -> None:
        _finish(self.begun)


def _finish(future: asyncio.Future[None]) -> None:
    with suppress(asyncio.InvalidStateError):
        future.set_result(None)


async def _first_to_begin(calls: list[_Call]) -> _Call:
    """The first that writes, or the last that fails."""
    left = list(calls)
    while True:
        await asyncio.wait({call.begun for call in left}, return_when=asyncio.FIRST_COMPLETED)
        for call in [call for call in left if call.begun.done()]:
            if len(left) == 1 or not call.has_failed:
                return call
            left.remove(call)

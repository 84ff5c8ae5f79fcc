"""How hard a provider is asked: so many calls a minute and at a time, and none for a while when it keeps failing.

Of the kept libraries aiolimiter does the first. Circuit breakers (pybreaker, purgatory) raise when a circuit is open,
where here another model is to be chosen while there is one.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from time import monotonic

from aiolimiter import AsyncLimiter
from langchain_core.rate_limiters import BaseRateLimiter
from typing_extensions import override

logger = logging.getLogger(__name__)

BURST = 1 / 7  # of what is allowed in a minute, as much as ten seconds of the pace behind it
FAILURES = 3  # in a row, then the provider is_open
COOLDOWN_S, MAX_COOLDOWN_S = 30, 300


class RequestsPerMinute(BaseRateLimiter):
    """Never more than `limit` requests, at least 2, in any minute: a burst of a seventh of them, the rest evenly."""

    def __init__(self, limit: int) -> None:
        # a leaky bucket lets through what it holds and, in the minute behind that, what leaks: together the limit
        burst = max(1.0, limit * BURST)
        self._limiter = AsyncLimiter(burst, 60 * burst / (limit - burst))

    @override
    async def aacquire(self, *, blocking: bool = True) -> bool:
        if blocking or self._limiter.has_capacity():
            await self._limiter.acquire()
            return True
        return False

    @override
    def acquire(self, *, blocking: bool = True) -> bool:
        return True  # calls that are not asynchronous are those of notebooks, one at a time


class CallSlots:
    """Lets at most `limit` calls run at a time. Of those that wait, the lowest `rank` is next, then the oldest.

    A free slot is given away only after `HANDOVER_S`, so that what the end of a call leads to can come in time.
    """

    HANDOVER_S = 0.03

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrivals = count()

    @asynccontextmanager
    async def slot(self, rank: int) -> AsyncGenerator[None]:
        """Waits for a slot, and holds it for the length of the block."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        heappush(self._waiting, (rank, next(self._arrivals), turn))
        loop.call_later(self.HANDOVER_S, self._hand_over)
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._free += 1
                loop.call_later(self.HANDOVER_S, self._hand_over)

    def _hand_over(self) -> None:
        while self._free and self._waiting:
            *_, turn = heappop(self._waiting)
            if not turn.done():
                self._free -= 1
                turn.set_result(None)


@dataclass
class Health:
    """How a provider has been doing. After three failures in a row it is_open: asked only where there is no other."""

    label: str
    _failures: int = 0
    _rests_since: float = 0.0
    _rests_until: float = 0.0

    @property
    def open_for_s(self) -> float:
        """Seconds, 0 if the provider does not rest."""
        return max(0.0, self._rests_until - monotonic())

    def answered(self, asked: float) -> None:
        """It came to the end of what it was asked at that moment of the monotonic clock.

        That says nothing of a rest that began later.
        """
        if asked >= self._rests_since:
            self._failures, self._rests_until = 0, 0.0

    def failed(self, retry_after: float | None = None) -> None:
        """It failed, and asked to be spared for so many seconds, if it did."""
        self._failures += 1
        if self._failures >= FAILURES and not self.open_for_s:
            rest = min(max(COOLDOWN_S, retry_after or 0), MAX_COOLDOWN_S)
            self._rests_since = monotonic()
            self._rests_until = self._rests_since + rest
            logger.warning("%s is skipped for %d s after %d failures in a row", self.label, rest, self._failures)

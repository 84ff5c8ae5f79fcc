"""Limits and the circuit breaker of a provider: calls per minute, concurrent calls, and a cooldown after failures.

aiolimiter limits the rate. Circuit breaker libraries (pybreaker, purgatory) raise when a circuit is open; here another
model is chosen if there is one.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from time import monotonic

from aiolimiter import AsyncLimiter
from langchain_core.rate_limiters import BaseRateLimiter
from typing_extensions import override

logger = logging.getLogger(__name__)

BURST = 1 / 7  # of a minute's limit: about nine seconds at the even rate
FAILURES = 3  # in a row open the circuit
COOLDOWN_S, MAX_COOLDOWN_S = 30, 300


class RequestsPerMinute(BaseRateLimiter):
    """Allows `limit` requests (at least 2) in any minute: a burst of a seventh of them, then an even rate."""

    def __init__(self, limit: int) -> None:
        # in a minute a leaky bucket lets its capacity pass and what leaks: together the limit
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
        return True  # synchronous calls are made in notebooks, one at a time


class CallSlots:
    """Lets at most `limit` calls run at a time. The waiting call with the lowest `rank` is next, then the oldest.

    A free slot is assigned only after `HANDOVER_S`, so that calls that depend on the finished one can join the queue.
    """

    HANDOVER_S = 0.03

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrivals = count()

    @asynccontextmanager
    async def slot(self, rank: int) -> AsyncGenerator[None]:
        """Waits for a slot and occupies it during the block."""
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
    """A provider's circuit breaker: three failures in a row start a cooldown, during which others are preferred.

    `on_change` is called when a cooldown begins here, or a success ends it.
    """

    label: str
    on_change: Callable[[], object] | None = field(default=None, repr=False, compare=False)
    _failures: int = 0
    _open_since: float = 0.0
    _open_until: float = 0.0

    @property
    def open_for_s(self) -> float:
        """Seconds left of the cooldown; 0 if the circuit is closed."""
        return max(0.0, self._open_until - monotonic())

    def answered(self, started: float) -> None:
        """Records the success of a request that started at this time of the monotonic clock.

        It is ignored if the current cooldown began later.
        """
        if started >= self._open_since:
            was_open = self.open_for_s > 0
            self._failures, self._open_until = 0, 0.0
            if was_open:
                self._report()

    def failed(self, retry_after: float | None = None) -> None:
        """Records a failure, with the Retry-After delay in seconds if the provider sent one."""
        self._failures += 1
        if self._failures >= FAILURES and not self.open_for_s:
            cooldown_s = min(max(COOLDOWN_S, retry_after or 0), MAX_COOLDOWN_S)
            self.set_cooldown(cooldown_s)
            self._report()
            logger.warning("%s is skipped for %d s after %d failures in a row", self.label, cooldown_s, self._failures)

    def set_cooldown(self, seconds: float) -> None:
        """Begins a cooldown now; 0 ends it. Another process that shares the provider may say so."""
        self._open_since = monotonic()
        self._open_until = self._open_since + seconds
        if not seconds:
            self._failures = 0

    def _report(self) -> None:
        if self.on_change:
            self.on_change()

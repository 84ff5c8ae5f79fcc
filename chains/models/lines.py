"""Where calls to a provider wait until they may begin.

Callers take turns, so one with many calls does not delay the others. The program around this package says who makes a
call.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from heapq import heapify, heappop, heappush
from itertools import count
from time import monotonic
from typing import Any, Protocol

BURST = 1 / 7  # of a minute's limit: about nine seconds at the even rate
HANDOVER_S = 0.03
MANY_CALLS = 12  # of one caller at a time, or in the last minute: two runs of six parts
MANY_CALLERS = 10_000  # whose calls of the last minute are counted
RESERVE = 4  # a caller with many calls leaves a fourth of the slots free


class Admission(Protocol):
    """Says whose calls are made, and when one may begin at all."""

    def caller(self) -> Hashable:
        """Returns who makes the current task's calls."""
        ...

    def is_polite(self, caller: Any) -> bool:
        """Whether this caller leaves room for others if it has many calls."""
        ...

    def call(self, rank: int) -> AbstractAsyncContextManager[object]:
        """Waits until the current task's call may begin, and counts it during the block."""
        ...


class OneCaller:
    """Admits every call, as made by one caller."""

    def caller(self) -> Hashable:
        return None

    def is_polite(self, caller: Any) -> bool:
        return False

    def call(self, rank: int) -> AbstractAsyncContextManager[object]:
        return nullcontext()


class Pace(Protocol):
    """How many calls may begin in a minute."""

    async def take(self, *, leaves_room: bool = False) -> float:
        """Counts a call that begins now and returns 0, or returns in how many seconds to try again.

        With `leaves_room` half of the burst is left for others.
        """
        ...


class Bucket:
    """Allows `burst` at once, then `per_s` a second (the generic cell rate algorithm)."""

    def __init__(self, burst: float, per_s: float) -> None:
        self._interval_s, self._tolerance_s = 1 / per_s, burst / per_s
        self._empty_at = 0.0  # when all of the burst is available again

    def take(self, amount: int = 1, *, leave: float = 0) -> float:
        """Takes the amount and returns 0 if `leave` remain after it, or returns the seconds until then."""
        if wait_s := self.wait_s(amount + leave):
            return wait_s
        self._empty_at = max(self._empty_at, monotonic()) + amount * self._interval_s
        return 0.0

    def wait_s(self, amount: float = 1) -> float:
        """Returns in how many seconds the amount can be taken."""
        wait_s = self.reset_s + amount * self._interval_s - self._tolerance_s
        return wait_s if wait_s > 1e-6 else 0.0  # rounding

    @property
    def reset_s(self) -> float:
        """Seconds until all of the burst is available."""
        return max(0.0, self._empty_at - monotonic())


def room(burst: float) -> float:
    """Returns how much of a burst a caller with many calls leaves for others."""
    return burst / 2 if burst >= 2 else 0.0


class RequestsPerMinute:
    """Allows `limit` requests (at least 2) in any minute: a burst of a seventh of them, then an even rate."""

    def __init__(self, limit: int) -> None:
        # in a minute a leaky bucket lets its capacity pass and what leaks: together the limit
        self._burst = max(1.0, limit * BURST)
        self._bucket = Bucket(self._burst, (limit - self._burst) / 60)

    async def take(self, *, leaves_room: bool = False) -> float:
        return self._bucket.take(leave=room(self._burst) if leaves_room else 0)


class _Turns:
    """The waiting calls of each caller, and whose turn is next."""

    def __init__(self) -> None:
        self._calls: dict[Hashable, list[tuple[int, int, asyncio.Future[None]]]] = {}  # the next caller first
        self._arrivals = count()

    def __len__(self) -> int:
        return sum(map(len, self._calls.values()))

    def callers(self) -> list[Hashable]:
        return [*self._calls]

    def waiting(self, caller: Hashable) -> int:
        return len(self._calls.get(caller, ()))

    def add(self, caller: Hashable, rank: int) -> asyncio.Future[None]:
        turn = asyncio.get_running_loop().create_future()
        heappush(self._calls.setdefault(caller, []), (rank, next(self._arrivals), turn))
        return turn

    def remove(self, caller: Hashable, turn: asyncio.Future[None]) -> None:
        calls = [call for call in self._calls.pop(caller, ()) if call[-1] is not turn]
        if calls:
            heapify(calls)
            self._calls[caller] = calls

    def begin(self, caller: Hashable) -> bool:
        """Begins the caller's next call, after which it is the others' turn. Returns False if it no longer waits."""
        calls = self._calls.pop(caller, [])
        while calls:
            *_, turn = heappop(calls)
            if calls:
                self._calls[caller] = calls
            if not turn.done():
                turn.set_result(None)
                return True
        return False


class CallLine:
    """At most `slots` calls run at a time, of one caller at most `most_of(caller)`, and they begin at the `pace`.

    Callers take turns. Of a caller's calls the one with the lowest rank is next, then the oldest. A polite caller with
    many calls leaves some slots, and some of the burst, to others. With `hands_over`, a free slot is assigned only
    after `HANDOVER_S`, so that calls that depend on the finished one can join the line.
    """

    def __init__(
        self,
        caller: Callable[[], Hashable],
        *,
        slots: int | None = None,
        pace: Pace | None = None,
        most_of: Callable[[Any], int | None] = lambda _: None,
        is_polite: Callable[[Any], bool] = lambda _: True,
        hands_over: bool = False,
    ) -> None:
        self._caller, self._slots, self._pace = caller, slots, pace
        self._most_of, self._is_polite = most_of, is_polite
        self._handover_s = HANDOVER_S if hands_over else 0
        self._turns, self._running = _Turns(), Counter[Hashable]()
        self._minutes = OrderedDict[Hashable, Bucket]()  # of the callers who called last
        self._changed = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        return len(self._turns)

    @asynccontextmanager
    async def place(self, rank: int) -> AsyncGenerator[None]:
        """Waits until the call may begin, and counts it during the block."""
        caller = self._caller()
        turn = self._turns.add(caller, rank)
        self._soon(self._advance)
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._soon(self._end, caller)
            else:
                self._turns.remove(caller, turn)

    def _soon(self, advance: Callable[..., None], *args: Hashable) -> None:
        if self._handover_s:
            asyncio.get_running_loop().call_later(self._handover_s, advance, *args)
        else:
            advance(*args)

    def _end(self, caller: Hashable) -> None:
        self._running -= Counter([caller])
        self._advance()

    def _advance(self) -> None:
        if not self._pace:
            while callers := self._eligible():
                self._begin(callers[0])
            return
        self._changed.set()
        if self._turns.callers() and (not self._serving or self._serving.done()):
            self._serving = asyncio.create_task(self._serve(self._pace), name="calls to a provider")

    async def _serve(self, pace: Pace) -> None:
        while self._turns.callers():
            self._changed.clear()
            wait_s = await self._begin_next(pace)
            if wait_s == 0:
                continue
            with suppress(TimeoutError):  # in the meantime it may be the turn of somebody else
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()

    async def _begin_next(self, pace: Pace) -> float | None:
        """Begins a call and returns 0, or returns in how many seconds to try again, or None if only a change helps."""
        waits = dict[bool, float]()  # by whether the caller leaves room
        for caller in self._eligible():
            leaves_room = self._leaves_room(caller)
            if leaves_room in waits:
                continue
            waits[leaves_room] = await pace.take(leaves_room=leaves_room)
            if not waits[leaves_room]:
                self._begin(caller)
                return 0
        return min(waits.values(), default=None)

    def _begin(self, caller: Hashable) -> None:
        if self._turns.begin(caller):
            self._running[caller] += 1
            self._minutes.setdefault(caller, Bucket(MANY_CALLS, MANY_CALLS / 60)).take()
            self._minutes.move_to_end(caller)
            if len(self._minutes) > MANY_CALLERS:
                self._minutes.popitem(last=False)

    def _eligible(self) -> list[Hashable]:
        """Returns the callers who may begin a call, as far as slots are concerned."""
        return [caller for caller in self._turns.callers() if self._has_slot(caller)]

    def _has_slot(self, caller: Hashable) -> bool:
        most = self._most_of(caller)
        if most is not None and self._running[caller] >= most:
            return False
        if self._slots is None:
            return True
        reserve = -(-self._slots // RESERVE) if self._slots > 1 and self._leaves_room(caller) else 0
        return self._running.total() < self._slots - reserve

    def _leaves_room(self, caller: Hashable) -> bool:
        """Whether the caller has many calls, now or in the last minute, and is polite."""
        minute = self._minutes.get(caller)
        has_many = self._running[caller] + self._turns.waiting(caller) > MANY_CALLS or (minute and minute.wait_s())
        return bool(has_many) and self._is_polite(caller)

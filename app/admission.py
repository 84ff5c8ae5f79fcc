"""Whether a client may start work: the one place through which every call to a provider passes.

A route that starts work books the calls that its request costs before it makes any; if they don't fit into the
client's minute, the request is refused. A call beyond what was booked, such as a retry, waits until its client's minute
has room. Then it waits for its client's turn (`CallLine`), and after that in the line of its provider.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import ip_address
from math import ceil, floor
from typing import LiteralString, Protocol

from app.clients import LOCAL, Client, current_client
from chains.errors import SizzleError
from chains.models.lines import Bucket, CallLine

MINUTE_S = 60
MANY_CLIENTS = 10_000  # whose calls are counted; those that called last
BUSY_RETRY_S = 5
TOO_MANY_CALLS: LiteralString = "You have reached your limit per minute. Please try again in {seconds:,} s."
TOO_MANY_RUNS: LiteralString = "You have {most:,} active runs, the most allowed at a time. Please wait until one ends."
AT_CAPACITY: LiteralString = "The server is at capacity. Please try again in a few seconds."


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may do at a time and in a minute; None is no limit."""

    runs: int | None = None
    calls: int | None = None
    calls_per_minute: int | None = None


UNLIMITED = Limits()


@dataclass(frozen=True, slots=True)
class Quota:
    """How many of the client's calls in a minute remain, and in how many seconds all are available again."""

    limit: int
    remaining: int
    reset_s: float

    def headers(self) -> dict[str, str]:
        """The fields of draft-ietf-httpapi-ratelimit-headers-10."""
        return {
            "RateLimit-Policy": f'"calls";q={self.limit};w={MINUTE_S}',
            "RateLimit": f'"calls";r={self.remaining};t={ceil(self.reset_s)}',
        }


class RefusedError(SizzleError):
    """The client (429), or anybody (503), may start no more work now."""

    def __init__(self, template: LiteralString, retry_after_s: float, status: int = 429, **values: object) -> None:
        super().__init__(template, **values)
        self.status, self.retry_after = status, max(1, ceil(retry_after_s))

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after)}


class Quotas(Protocol):
    """The calls of each client in a minute."""

    async def take(self, client: Client, calls: int, limit: int) -> tuple[float, Quota]:
        """Takes the calls, at most all of the minute's, and returns 0, or returns the seconds until they fit.

        A negative number gives calls back.
        """
        ...


class OwnQuotas:
    """The quotas of this process."""

    def __init__(self) -> None:
        self._buckets = OrderedDict[str, Bucket]()

    async def take(self, client: Client, calls: int, limit: int) -> tuple[float, Quota]:
        bucket = self._buckets.setdefault(client.name, Bucket(limit, limit / MINUTE_S))
        self._buckets.move_to_end(client.name)
        if len(self._buckets) > MANY_CLIENTS:
            self._buckets.popitem(last=False)
        return bucket.take(min(calls, limit)), quota_of(limit, bucket.reset_s)


def quota_of(limit: int, reset_s: float) -> Quota:
    """Returns the quota of a client that has all of its calls again in `reset_s` seconds."""
    return Quota(limit, floor(limit * (1 - min(reset_s / MINUTE_S, 1)) + 1e-6), reset_s)


@dataclass(slots=True)
class Booking:
    """Calls of a request that may begin without being counted again, and the client's quota after they were counted.

    `counted` can be less, because at most all calls of a minute are.
    """

    calls: int = 0
    counted: int = 0
    quota: Quota | None = None


_booking = ContextVar[Booking | None]("booking", default=None)


@contextmanager
def booking(calls: int = 0) -> Generator[Booking]:
    """Within the block, and in tasks created there, this many calls count as booked."""
    booked = Booking(calls)
    token = _booking.set(booked)
    try:
        yield booked
    finally:
        _booking.reset(token)


class Admission:
    """Admits clients' work. At most `most_calls` calls run at a time in this process, and as many wait."""

    def __init__(
        self,
        limits_of: Callable[[Client], Limits] = lambda _: UNLIMITED,
        most_calls: int | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        self._limits_of, self._most_calls = limits_of, most_calls
        self._quotas = quotas or OwnQuotas()
        self._line = CallLine(
            current_client, slots=most_calls, most_of=lambda client: limits_of(client).calls, is_polite=self.is_polite
        )

    def caller(self) -> Client:
        return current_client()

    def is_polite(self, caller: Client) -> bool:
        """Whether the client has limits at all, and so leaves room for others."""
        return self._limits_of(caller) != UNLIMITED

    def runs_of(self, client: Client) -> int | None:
        """Returns how many runs the client may have at a time; None is no limit."""
        return self._limits_of(client).runs

    async def book(self, calls: int) -> None:
        """Counts the calls that the current request costs, before any is made. Raises `RefusedError`."""
        if self._most_calls is not None and self._line.waiting >= self._most_calls:
            raise RefusedError(AT_CAPACITY, BUSY_RETRY_S, 503)
        client, booked = current_client(), _booking.get() or Booking()
        _booking.set(booked)
        if (limit := self._limits_of(client).calls_per_minute) is not None:
            wait_s, quota = await self._quotas.take(client, calls, limit)
            booked.quota = quota
            if wait_s:
                raise RefusedError(TOO_MANY_CALLS, wait_s, seconds=max(1, ceil(wait_s)))
            booked.counted += min(calls, limit)
        booked.calls += calls

    async def give_back(self) -> None:
        """Gives the client back what the current request has booked and not called, because it is refused."""
        client, booked = current_client(), _booking.get() or Booking()
        unused, booked.calls, booked.counted = min(booked.calls, booked.counted), 0, 0
        if unused and (limit := self._limits_of(client).calls_per_minute) is not None:
            _, booked.quota = await self._quotas.take(client, -unused, limit)

    @asynccontextmanager
    async def call(self, rank: int) -> AsyncGenerator[None]:
        """Waits until a call of the current client may begin, and counts it during the block."""
        await self._count()
        async with self._line.place(rank):
            try:
                yield
            except RefusedError:  # by the budget, so it is not made
                if booked := _booking.get():
                    booked.calls += 1
                raise

    async def _count(self) -> None:
        client, booked = current_client(), _booking.get()
        if booked and booked.calls > 0:
            booked.calls -= 1
        elif (limit := self._limits_of(client).calls_per_minute) is not None:
            while wait_s := (await self._quotas.take(client, 1, limit))[0]:  # noqa: ASYNC110  no event
                await asyncio.sleep(wait_s)


def too_many_runs(most: int) -> RefusedError:
    return RefusedError(TOO_MANY_RUNS, BUSY_RETRY_S, most=most)


def is_on_this_machine(client: Client) -> bool:
    """Whether the client uses this machine's own addresses, without a token."""
    if client.is_named:
        return False
    try:
        return ip_address(client.name).is_loopback
    except ValueError:
        return client == LOCAL

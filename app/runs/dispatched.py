"""Runs that workers write, in this process or in others. Every process reads, cancels and rewrites all of them."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from uuid import UUID

from typing_extensions import override

from app.admission import Admission, too_many_runs
from app.clients import Client
from app.models import Served
from app.runs.errors import CapacityError, PartBusyError
from app.runs.live import LiveRun
from app.runs.remaining import rewritten, whole
from app.runs.runs import Runs, log_start, start_of
from app.runs.state import RunState
from app.stores import (
    LogFullError,
    Rewrite,
    RunExistsError,
    TooManyRunsError,
    UnavailableError,
    UnknownRunError,
)
from app.stores.redis.log import RENEWALS, RedisEventLog
from chains.parts.composition import Request

RETRY_S = 1.0


class DispatchedRuns(Runs):
    """At most `limit` runs at a time in all processes, including those that wait for a worker.

    `own` are those that a worker in this process writes.
    """

    def __init__(
        self, served: Mapping[str, Served], log: RedisEventLog, limit: int = 500, admission: Admission | None = None
    ) -> None:
        super().__init__(served, log, limit, admission)
        self._shared_log = log
        self._start_lock = nullcontext()  # the store lets only one run begin with a key
        self._forgetting = set[asyncio.Task[None]]()
        self.own: Mapping[str, LiveRun] = {}

    @override
    async def _start(self, run_id: UUID, served: Served, request: Request, *, ephemeral: bool = False) -> UUID:
        if ephemeral:  # it ends with its connection; the others can be written by any process
            self._check_open()
        composition = served.composition
        parts = whole(composition, request).parts
        start = start_of(run_id, composition.name, request, parts)
        await self._check_room(start.client)
        await self._admission.book(len(parts))
        try:
            with self._within_capacity(start.client) as most:
                await self._shared_log.submit(str(run_id), start, self._limit, most, ephemeral=ephemeral)
        except RunExistsError:  # another process had the same idempotency key at the same time
            await self._admission.give_back()
            await self._exists(run_id, composition.name, request)
        else:
            log_start(start)
        return run_id

    @override
    async def rewrite(self, run_id: UUID, part: str) -> int:
        is_booked = False
        while True:
            seen = await self._shared_log.meta(str(run_id))
            rewrites = await self._log.rewrites(str(run_id))
            state = await self.state(run_id)
            composition = self._served[state.composition].composition
            remainder = rewritten(composition, state, part)
            if busy := _active_parts(state, rewrites).intersection(remainder.parts):
                names = [name for name in composition.names if name in busy]
                raise PartBusyError("Still being generated: {parts}.", parts=composition.titles(names))
            rewrite, count = Rewrite(remainder.parts, state.length), len(rewrites)
            if not is_booked:
                if state.status != "running":
                    await self._check_room(state.client)
                await self._admission.book(len(remainder.parts))
                is_booked = True
            with self._within_capacity(state.client) as most:
                if await self._shared_log.request_rewrite(str(run_id), seen, count, rewrite, self._limit, most):
                    return state.parts[part].attempt + 1

    async def _check_room(self, client: Client) -> None:
        """Refuses a run before it costs its client any calls. Others may take the room in the meantime."""
        with self._within_capacity(client) as most:
            await self._shared_log.check_room(client, self._limit, most)

    @contextmanager
    def _within_capacity(self, client: Client) -> Generator[int | None]:
        """Yields the limit of the client's runs. Raises `CapacityError` and `RefusedError`."""
        most = self._admission.runs_of(client)
        try:
            yield most
        except LogFullError:
            raise CapacityError.too_many_runs() from None
        except TooManyRunsError:
            raise too_many_runs(most or 0) from None

    @override
    async def check_composition(self, run_id: UUID, composition: str) -> None:
        run = self.own.get(str(run_id)) or await self._shared_log.meta(str(run_id))
        if run.composition is None:
            await super().check_composition(run_id, composition)
        elif run.composition != composition:
            raise UnknownRunError

    @override
    async def waiting_count(self) -> int:
        try:
            return await self._shared_log.waiting_count()
        except UnavailableError:
            return 0

    @override
    async def cancel(self, run_id: UUID) -> None:
        if run := self.own.get(str(run_id)):
            run.cancel()  # closes its calls even if the store does not answer
        await self._shared_log.end(str(run_id), "cancelled")

    @override
    async def forget(self, run_id: UUID) -> None:
        if run := self.own.get(str(run_id)):
            return run.forget()
        forgetting = asyncio.create_task(self._forget(str(run_id)), name="forget")
        self._forgetting.add(forgetting)
        forgetting.add_done_callback(self._forgetting.discard)
        return None

    async def _forget(self, run_id: str) -> None:
        """Tries again until the store answers. Otherwise another process would write the run to its end for nobody."""
        while True:
            try:
                return await self._shared_log.forget(run_id)
            except UnavailableError:
                await asyncio.sleep(RETRY_S)

    @asynccontextmanager
    async def owning(self, lease_s: float) -> AsyncGenerator[None]:
        """Keeps the ephemeral runs of this process within the block, if it has no worker that does so."""
        renewing = asyncio.create_task(self._renew(lease_s / RENEWALS), name="ephemeral runs")
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])

    async def _renew(self, interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            with suppress(UnavailableError):
                await self._shared_log.renew("", [])


def _active_parts(state: RunState, rewrites: Iterable[Rewrite]) -> set[str]:
    """Returns the parts that are being written or are to be, although their state does not say so yet."""
    active = {part for each in rewrites for part in each.parts if state.last_end(part) <= each.after}
    if state.status == "running":
        active |= {name for name, part in state.parts.items() if part.state in {"waiting", "writing"}}
    return active

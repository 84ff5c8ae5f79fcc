"""A run is one execution of the chain for one request. Its events are in the event log.

A run outlives the connection that started it, and, if its log does, its process.
"""

import asyncio
import hmac
import logging
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from typing import LiteralString
from uuid import UUID, uuid4

from app.admission import Admission, booking, too_many_runs
from app.clients import Client, current_client, current_request_id, working_for
from app.models import Served
from app.runs.errors import CapacityError, IdempotencyKeyReusedError, PartBusyError, WrongKeyError
from app.runs.live import Ending, LiveRun, Stopping
from app.runs.remaining import rewritten, unfinished, whole
from app.runs.state import RunState, state_of
from app.stores import (
    MAX_BATCH,
    EventId,
    EventLog,
    EventLogError,
    ExpiredRunError,
    LogEntry,
    LogFullError,
    Rewrite,
    RunEnd,
    RunStart,
    UnavailableError,
    UnknownRunError,
)
from app.traces import traceparent
from chains.errors import OUR_SIDE
from chains.messages import Message
from chains.parts.composition import Request

logger = logging.getLogger(__name__)

MAX_TAKEOVERS = 10  # of a run whose processes die, possibly because of it, before a part ends
RESUME_AGAIN_S = 1.0  # after the store could not be written
NOT_OWNER: LiteralString = "Only the browser or program that started this run can stop it or regenerate its parts."


class Runs:
    """The runs of this process, at most `limit` of them at a time.

    Every method that takes a run id raises `UnknownRunError` and `ExpiredRunError`, except `forget`.
    """

    def __init__(
        self, served: Mapping[str, Served], log: EventLog, limit: int = 500, admission: Admission | None = None
    ) -> None:
        self._served, self._log, self._limit = served, log, limit
        self._admission = admission or Admission()
        self._live: dict[UUID, LiveRun] = {}
        self._lock = asyncio.Lock()  # for methods that check a run before they change it
        self._start_lock: AbstractAsyncContextManager[object] = self._lock
        self._resuming: asyncio.Task[None] | None = None
        self._is_closing = False

    async def start(
        self, composition: str, request: Request, key: str | None = None, *, ephemeral: bool = False
    ) -> UUID:
        """Starts a run of a composition. With the idempotency key of an existing run, returns that run's id instead.
        An ephemeral run is lost with this process.

        Raises `CapacityError`, `RefusedError` and `IdempotencyKeyReusedError`.
        """
        if not key:
            return await self._start(uuid4(), self._served[composition], request, ephemeral=ephemeral)
        async with self._start_lock:
            run_id = await self._id_for_key(key)
            if await self._exists(run_id, composition, request):
                return run_id
            return await self._start(run_id, self._served[composition], request)

    async def _start(self, run_id: UUID, served: Served, request: Request, *, ephemeral: bool = False) -> UUID:
        composition = served.composition
        remainder = whole(composition, request)
        start = start_of(run_id, composition.name, request, remainder.parts)
        self._check_capacity(start.client)
        await self._admission.book(len(remainder.parts))
        with self._registered(run_id, state_of(start, composition), is_ephemeral=ephemeral) as run:
            try:
                await self._log.begin(str(run_id), start, ephemeral=ephemeral)
            except LogFullError:
                raise CapacityError.too_many_runs() from None
        log_start(start)
        run.write(remainder.events(served.chain, {"run_id": run_id}), remainder.parts)
        return run_id

    async def resume(self) -> None:
        """Writes what is left of the runs that no process writes. Compositions that are not served have to wait.

        While the store has no room, the runs wait, too.
        """
        readable = [UUID(run_id) for run_id in await self._log.unfinished() if await self._is_readable(UUID(run_id))]
        if waiting := await self._resume_all(readable):
            logger.warning("%d runs wait until the store can be written.", len(waiting))
            self._resuming = asyncio.create_task(self._resume_later(waiting), name="resume")

    async def _is_readable(self, run_id: UUID) -> bool:
        try:
            await self.state(run_id)
        except UnknownRunError:
            logger.warning("Run %s cannot be resumed: its composition is not served, or has changed.", run_id)
        except EventLogError as error:
            logger.warning("Run %s cannot be resumed: %s.", run_id, type(error).__name__)
        else:
            return True
        return False

    async def _resume_all(self, run_ids: Iterable[UUID]) -> list[UUID]:
        """Returns those that the store could not continue."""
        waiting = list[UUID]()
        for run_id in run_ids:
            try:
                await self._resume(run_id)
            except UnavailableError:
                waiting.append(run_id)
            except (EventLogError, ValueError) as error:
                logger.warning("Run %s cannot be resumed: %s.", run_id, type(error).__name__)
        return waiting

    async def _resume_later(self, waiting: Sequence[UUID]) -> None:
        while waiting:
            await asyncio.sleep(RESUME_AGAIN_S)
            waiting = await self._resume_all(waiting)

    async def _resume(self, run_id: UUID) -> None:
        takeovers = await self._log.take_over(str(run_id))
        state = await self.state(run_id)
        if takeovers > MAX_TAKEOVERS:
            logger.error("Run %s is given up: %d processes died with it.", run_id, takeovers - 1)
            message = Message(OUR_SIDE).in_language(state.request.language)
            return await self._log.append(str(run_id), RunEnd("failed", state.active_ms, message))
        served = self._served[state.composition]
        remainder = unfinished(served.composition, state, await self._log.rewrites(str(run_id)), attempts_lost=1)
        with self._registered(run_id, state) as run, working_for(state.client), booking(len(remainder.parts)):
            run.write(remainder.events(served.chain), remainder.parts)
        return None

    async def rewrite(self, run_id: UUID, part: str) -> int:
        """Regenerates a part and the parts made from it, in an active or a finished run.

        Returns the number of the part's next attempt. Raises `CapacityError`, `RefusedError`, `UnknownPartError` and
        `PartBusyError`.
        """
        async with self._lock:
            run, state = await self._settled_state(run_id)
            served = self._served[state.composition]
            composition = served.composition
            remainder = rewritten(composition, state, part)
            self._check_open()
            if run and (busy := run.active_parts.intersection(remainder.parts)):
                names = [name for name in composition.names if name in busy]
                raise PartBusyError("Still being generated: {parts}.", parts=composition.titles(names))
            if not run:
                self._check_capacity(state.client)
            await self._admission.book(len(remainder.parts))
            run = run or await self._reopened(run_id, state)
            await self._log.add_rewrite(str(run_id), Rewrite(remainder.parts, state.length))
            run.write(remainder.events(served.chain), remainder.parts)
            return state.parts[part].attempt + 1

    async def _settled_state(self, run_id: UUID) -> tuple[LiveRun | None, RunState]:
        """Returns the run, if it is active, and a state in which the inactive parts are final.

        Raises `PartBusyError` if the run is being stopped.
        """
        while True:
            run = self._live.get(run_id)
            match run and run.phase:
                case Stopping() | Ending(Stopping()):
                    raise PartBusyError("The run is being stopped. Please try again in a moment.")
                case Ending() if run:
                    await run.ended.wait()
                    continue
                case _:
                    pass
            active_parts = set(run.active_parts) if run else set[str]()
            state = await self.state(run_id)
            if self._live.get(run_id) is run and not (run and (run.is_over or run.active_parts != active_parts)):
                return run, state

    def follow(self, run_id: UUID, last: EventId | None = None) -> AsyncGenerator[list[LogEntry]]:
        """Yields the run's events after `last` in batches, as they arrive."""
        return self._log.follow(str(run_id), last)

    async def is_complete(self, run_id: UUID, last: EventId) -> bool:
        """Whether `last` is the final event of a finished run."""
        return await self._log.is_complete(str(run_id), last)

    async def state(self, run_id: UUID) -> RunState:
        """Returns the current state of the run."""
        events = await self._log.read(str(run_id))
        start = events[0].event
        assert isinstance(start, RunStart)  # noqa: S101  every log begins with it
        composition = self._served[start.composition].composition
        if not set(start.parts) <= set(composition.names):
            raise UnknownRunError  # the composition has changed since
        state, count = state_of(start, composition), 0
        while events:
            state.add(events)
            count += len(events)
            # if the log is reopened now, the end event is gone
            if len(events) < MAX_BATCH or isinstance(events[-1].event, RunEnd):
                break
            events = await self._log.read(str(run_id), count)
        return state

    async def check_composition(self, run_id: UUID, composition: str) -> None:
        """Raises `UnknownRunError` if the run is another composition's."""
        first, *_ = await self._log.read(str(run_id))
        if isinstance(first.event, RunStart) and first.event.composition != composition:
            raise UnknownRunError

    async def cancel(self, run_id: UUID) -> None:
        """Closes the run's calls to providers and ends it. A finished run is unchanged."""
        if run := self._live.get(run_id):
            run.cancel()
            await run.ended.wait()
        else:
            await self._log.read(str(run_id))

    async def key_of(self, run_id: UUID) -> str:
        """Returns the key that is needed to cancel the run or regenerate its parts. It is not stored."""
        return (await self._derived(b"run key", run_id.bytes)).hex()

    async def check_key(self, run_id: UUID, key: str) -> None:
        """Raises `WrongKeyError` if this is not the key of the run."""
        if hmac.compare_digest(key.encode(), (await self.key_of(run_id)).encode()):
            return
        await self._log.read(str(run_id))
        raise WrongKeyError(NOT_OWNER)

    async def forget(self, run_id: UUID) -> None:
        """Cancels the run and drops its log after its last event."""
        if run := self._live.get(run_id):
            run.forget()
            await run.ended.wait()
        else:
            await self._log.forget(str(run_id))

    @property
    def is_closing(self) -> bool:
        """Whether no more runs can be started, because the process is being stopped."""
        return self._is_closing

    async def waiting_count(self) -> int:
        """How many runs wait for a worker."""
        return 0

    def close(self) -> None:
        """Rejects new runs; active ones continue."""
        self._is_closing = True

    async def aclose(self) -> None:
        """Closes all calls. Runs whose log outlives this process are left to the next one, the others cancelled."""
        self.close()
        if self._resuming:
            self._resuming.cancel()
            await asyncio.wait([self._resuming])
        runs = list(self._live.values())
        for run in runs:
            if self._log.outlives_process:
                run.release()
            else:
                run.cancel()
        for run in runs:
            await run.ended.wait()

    @contextmanager
    def _registered(self, run_id: UUID, state: RunState, *, is_ephemeral: bool = False) -> Generator[LiveRun]:
        """Registers an active run, and drops it if the block raises."""
        composition = self._served[state.composition].composition
        on_finished = partial(self._live.pop, run_id, None)
        run = self._live[run_id] = LiveRun(self._log, composition, state, on_finished, is_ephemeral=is_ephemeral)
        try:
            yield run
        except BaseException:
            run.abandon()
            raise

    def _check_capacity(self, client: Client) -> None:
        self._check_open()
        most = self._admission.runs_of(client)
        if most is not None and sum(run.client == client for run in self._live.values()) >= most:
            raise too_many_runs(most)
        if len(self._live) >= self._limit:
            raise CapacityError.too_many_runs()

    def _check_open(self) -> None:
        if self._is_closing:
            raise CapacityError("The server is shutting down. Please try again in a few seconds.", retry_after=2)

    async def _reopened(self, run_id: UUID, state: RunState) -> LiveRun:
        with self._registered(run_id, state) as run:
            await self._log.reopen(str(run_id))
        return run

    async def _id_for_key(self, key: str) -> UUID:
        """Derives the run id from the client and its key, so that no table of keys is needed and the id is secret."""
        value = f"{current_client().name} {key}".encode()
        return UUID(bytes=(await self._derived(b"idempotency key", value))[:16], version=4)

    async def _derived(self, label: bytes, value: bytes) -> bytes:
        """Derives 32 bytes from the store's secret. Each label has a key of its own (RFC 5869 §3.2)."""
        return hmac.digest(hmac.digest(await self._log.secret(), label, "sha256"), value, "sha256")

    async def _exists(self, run_id: UUID, composition: str, request: Request) -> bool:
        """Whether the run exists. Raises `IdempotencyKeyReusedError` if it has another request."""
        try:
            first, *_ = await self._log.read(str(run_id))
        except (UnknownRunError, ExpiredRunError):
            return False
        assert isinstance(first.event, RunStart)  # noqa: S101  every log begins with it
        if (first.event.composition, first.event.request) != (composition, request):
            raise IdempotencyKeyReusedError("This Idempotency-Key was used with another request.")
        return True


def start_of(run_id: UUID, composition: str, request: Request, parts: tuple[str, ...]) -> RunStart:
    """The first event of a run that the current client starts."""
    return RunStart(
        str(run_id), composition, request, parts, current_client(),
        traceparent(), current_request_id(), request.understood(),
    )  # fmt: skip


def log_start(start: RunStart) -> None:
    """Logs who has started which run."""
    logger.info("Run started.", extra={"run": start.run_id, "composition": start.composition})

"""A run is one execution of the chain for one request. Its events are in the event log.

A run outlives the connection that started it. The errors have user-facing messages:

RunError
├── CapacityError                 too many runs, or the server is shutting down
├── IdempotencyKeyReusedError     the key was sent with another request
├── WrongKeyError                 the run was started by somebody else
├── UnknownPartError              the run has no such part
└── PartBusyError                 the part is being generated, or lacks what it is made from
"""

import asyncio
import hmac
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from functools import partial
from typing import LiteralString
from uuid import UUID, uuid4

from app.models import Served
from app.runs.live import LiveRun
from app.runs.state import PartState, RunState, state_of
from app.stores import EventId, EventLog, ExpiredRunError, LogEntry, LogFullError, RunEnd, RunStart, UnknownRunError
from chains.errors import SizzleError
from chains.parts.composition import Composition, Request
from chains.parts.events import Draft, PartEvent, Proposal, Status
from chains.parts.requests import chosen_option
from chains.parts.stream import astream_parts
from chains.translations import Language

NOT_OWNER: LiteralString = "Only the browser or program that started this run can stop it or regenerate its parts."


class RunError(SizzleError):
    """Something cannot be done with a run; the message is user-facing."""


class CapacityError(RunError):
    """No run can be started now; retry after `retry_after` seconds."""

    def __init__(self, template: LiteralString, retry_after: int) -> None:
        super().__init__(template)
        self.retry_after = retry_after


class IdempotencyKeyReusedError(RunError):
    """The idempotency key was sent with another request."""


class WrongKeyError(RunError):
    """The run was started by somebody else, or its key was not sent."""


class UnknownPartError(RunError):
    """The run has no such part."""


class PartBusyError(RunError):
    """The part is being generated, or lacks what it is made from."""


class Runs:
    """The runs of this process, at most `limit` of them at a time.

    Every method that takes a run id raises `UnknownRunError` and `ExpiredRunError`, except `forget`.
    """

    def __init__(self, served: Mapping[str, Served], log: EventLog, limit: int = 500) -> None:
        self._served, self._log, self._limit = served, log, limit
        self._live: dict[UUID, LiveRun] = {}
        self._lock = asyncio.Lock()  # for methods that check a run before they change it
        self._is_closing = False

    async def start(
        self, composition: str, request: Request, key: str | None = None, *, ephemeral: bool = False
    ) -> UUID:
        """Starts a run of a composition. With the idempotency key of an existing run, returns that run's id instead.
        An ephemeral run is lost with this process.

        Raises `CapacityError` and `IdempotencyKeyReusedError`.
        """
        if not key:
            return await self._start(uuid4(), self._served[composition], request, ephemeral=ephemeral)
        async with self._lock:
            run_id = await self._id_for_key(key)
            if await self._exists(run_id, composition, request):
                return run_id
            return await self._start(run_id, self._served[composition], request)

    async def _start(self, run_id: UUID, served: Served, request: Request, *, ephemeral: bool = False) -> UUID:
        composition = served.composition
        parts, chain_input = _chain_input(composition, request)
        run = self._reserve(run_id, composition, request.language, parts)
        start = RunStart(str(run_id), composition.name, request, parts)
        try:
            await self._log.begin(str(run_id), start, ephemeral=ephemeral)
        except LogFullError:
            run.abandon()
            raise _full() from None
        except BaseException:
            run.abandon()
            raise
        run.write(astream_parts(served.chain, chain_input, {"run_id": run_id}), parts)
        return run_id

    async def rewrite(self, run_id: UUID, part: str) -> int:
        """Regenerates a part and the parts made from it, in an active or a finished run.

        Returns the number of the part's next attempt. Raises `CapacityError`, `UnknownPartError` and `PartBusyError`.
        """
        async with self._lock:
            run, state = await self._settled_state(run_id)
            served = self._served[state.composition]
            composition = served.composition
            parts = _with_dependents(composition, state, part)
            self._check_open()
            if run and (busy := run.active_parts.intersection(parts)):
                names = [name for name in composition.names if name in busy]
                raise PartBusyError("Still being generated: {parts}.", parts=composition.titles(names))
            draft = _draft(composition, state, part, parts)
            run = run or await self._reopened(run_id, composition, state)
            events = astream_parts(served.chain, draft)
            proposes = composition.choice is not None and composition.choice.name in parts
            run.write(events if proposes else _without_proposals(events), parts)
            return draft.attempts[part] + 1

    async def _settled_state(self, run_id: UUID) -> tuple[LiveRun | None, RunState]:
        """Returns the run, if it is active, and a state in which the inactive parts are final.

        Raises `PartBusyError` if the run is being stopped.
        """
        while True:
            run = self._live.get(run_id)
            if run and run.is_stopping:
                raise PartBusyError("The run is being stopped. Please try again in a moment.")
            if run and run.is_ending:
                await run.ended.wait()
                continue
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
        state, count = state_of(start, self._served[start.composition].composition), 0
        while events:
            state.add(events)
            count += len(events)
            if isinstance(events[-1].event, RunEnd):  # if the log is reopened now, the end event is gone
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

    def close(self) -> None:
        """Rejects new runs; active ones continue."""
        self._is_closing = True

    async def aclose(self) -> None:
        """Cancels all runs and waits until their calls are closed."""
        self.close()
        runs = list(self._live.values())
        for run in runs:
            run.cancel()
        for run in runs:
            await run.ended.wait()
        await self._log.aclose()

    def _reserve(
        self, run_id: UUID, composition: Composition, language: Language, parts: tuple[str, ...],
        ends: Mapping[str, Status] | None = None, elapsed_ms: int = 0,
    ) -> LiveRun:  # fmt: skip
        """Registers an active run. Raises `CapacityError`."""
        self._check_open()
        if len(self._live) >= self._limit:
            raise _full()
        on_finished = partial(self._live.pop, run_id, None)
        run = self._live[run_id] = LiveRun(
            str(run_id), self._log, composition, parts, on_finished, ends, elapsed_ms, language
        )
        return run

    def _check_open(self) -> None:
        if self._is_closing:
            raise CapacityError("The server is shutting down. Please try again in a few seconds.", retry_after=2)

    async def _reopened(self, run_id: UUID, composition: Composition, state: RunState) -> LiveRun:
        language, parts, ends = state.request.language, tuple(state.parts), state.ends()
        run = self._reserve(run_id, composition, language, parts, ends, state.total_ms or 0)
        try:
            await self._log.reopen(str(run_id))
        except BaseException:
            run.abandon()
            raise
        return run

    async def _id_for_key(self, key: str) -> UUID:
        """Derives the run id from the key, so that no table of keys is needed and nobody else can guess the id."""
        return UUID(bytes=(await self._derived(b"idempotency key", key.encode()))[:16], version=4)

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


def _full() -> CapacityError:
    return CapacityError("The server is at capacity. Please try again in a few seconds.", retry_after=5)


def _chain_input(composition: Composition, request: Request) -> tuple[tuple[str, ...], Request | Draft]:
    """Returns the parts of a run and the chain's input. With a given option there is no proposal."""
    choice, option = composition.choice, chosen_option(composition, request)
    if not choice or not option:
        return composition.names, request
    parts = tuple(name for name in composition.names if name != choice.name)
    return parts, Draft(request, (option,))


def _with_dependents(composition: Composition, state: RunState, part: str) -> set[str]:
    """Returns the part and the parts made from it. Raises `UnknownPartError`."""
    if part not in state.parts:
        raise UnknownPartError("This run was started with a given option, so it proposes no others.")
    return {part, *(each for each in composition.dependents(part) if each in state.parts)}


def _draft(composition: Composition, state: RunState, part: str, parts: Collection[str]) -> Draft:
    """Returns a draft without these parts. Raises `PartBusyError` if the rest is not enough for `part`."""
    choice = composition.choice.name if composition.choice else None
    for need in composition.needs(part):
        if not (state.options if need == choice else _is_usable(state.parts[need])):
            raise PartBusyError(
                "This part is made from “{part}”. Regenerate that instead.", part=composition.titles([need])
            )
    texts = {name: each.text for name, each in state.parts.items() if name not in parts}
    previous_texts = {name: state.parts[name].text for name in parts if name != choice}
    attempts = {name: each.attempt for name, each in state.parts.items()}
    options = () if choice in parts else state.options
    return Draft(state.request, options, state.picked or 0, texts, attempts, previous_texts)


def _is_usable(part: PartState) -> bool:
    """Whether others can be made from the part: a text that reached its token limit is enough, a broken one is not."""
    broke_off = part.state == "cut_off" and not part.finish_reason
    return part.state != "failed" and not broke_off and bool(part.text.strip())


async def _without_proposals(events: AsyncGenerator[PartEvent]) -> AsyncGenerator[PartEvent]:
    """Drops the proposals, because the pick is unchanged."""
    async with aclosing(events):
        async for event in events:
            if not isinstance(event, Proposal):
                yield event

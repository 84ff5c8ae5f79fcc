"""Runs: one execution of the chain for one request. What happens in a run is in its event log.

A run outlives the connection that began it: it goes on whether or not anybody reads. What can't be done, in words for
people:

RunRefusal
├── Unavailable      no run can be begun now: too many go on, or the server is being stopped
├── KeyReused        the idempotency key was sent with another request
├── WrongKey         only who began the run may stop it or have parts written again
├── NoSuchPart       the run has no such part
└── NotNow           the part can't be written again, for it is being written, or for lack of what it is made from
"""

import asyncio
import hmac
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from functools import partial
from secrets import token_bytes
from typing import Any, LiteralString
from uuid import UUID, uuid4

from langchain_core.runnables import RunnableLambda

from app.eventlog import EventId, EventLog, ExpiredRun, LogFull, Logged, RunEnd, RunStart, UnknownRun
from app.live_run import PROPOSED, LiveRun
from app.run_state import PartState, RunState, state_of
from chains.errors import SizzleError
from chains.parts.stream import astream_fragments
from chains.recipe.markdown import titles_of
from chains.recipe.request import (
    DEPENDANTS,
    PARTS,
    Draft,
    Language,
    Part,
    Proposal,
    Recipe,
    RecipeRequest,
    RunRequest,
    Status,
    Update,
)

NO_DISH = (Recipe("", ""),)  # for a part that needs none: it keeps the chain from proposing any
OTHERS_RUN: LiteralString = (
    "Only the browser or program that began this recipe can stop it or have parts written again."
)
MADE_FROM_DISH: tuple[Part, ...] = ("ingredients", "intro", "sides", "steps")


class RunRefusal(SizzleError):
    """What can't be done with a run; the message is for people."""


class Unavailable(RunRefusal):
    """No run can be begun now; in `retry_after` seconds it may be otherwise."""

    def __init__(self, template: LiteralString, retry_after: int) -> None:
        super().__init__(template)
        self.retry_after = retry_after


class KeyReused(RunRefusal):
    """The idempotency key was sent with another request."""


class WrongKey(RunRefusal):
    """The run was begun by somebody else, or its key was not sent along."""


class NoSuchPart(RunRefusal):
    """The run has no such part."""


class NotNow(RunRefusal):
    """The part can't be written again, for it is being written, or for lack of what it is made from."""


class Runs:
    """The runs of this process, of which at most `limit` go on at a time. Their logs may be elsewhere.

    All that takes a run's id raises `UnknownRun` and `ExpiredRun`, but for `forget`.
    """

    def __init__(self, chain: RunnableLambda[Any, Any], log: EventLog, limit: int = 500) -> None:
        self._chain, self._log, self._limit = chain, log, limit
        self._live: dict[UUID, LiveRun] = {}
        self._turn = asyncio.Lock()  # for what looks at a run before it changes it
        self._secret = token_bytes(32)
        self._key_secret = token_bytes(32)  # not the one of the ids, which an idempotency key of choice would reveal
        self._is_closing = False

    async def start(self, request: RecipeRequest, key: str | None = None) -> UUID:
        """Starts writing a recipe. With the idempotency key of a run that is kept it is that run, not a second one.

        Raises `Unavailable` and `KeyReused`.
        """
        if not key:
            return await self._start(uuid4(), request)
        async with self._turn:
            run_id = self._named(key)
            return run_id if await self._is_kept(run_id, request) else await self._start(run_id, request)

    async def _start(self, run_id: UUID, request: RecipeRequest) -> UUID:
        parts, asked = _to_write(request)
        run = self._admit(run_id, request.language, parts)
        try:
            await self._log.begin(str(run_id), RunStart(str(run_id), request, parts))
        except LogFull:
            run.give_up()
            raise _full() from None
        except BaseException:
            run.give_up()
            raise
        run.write(astream_fragments(self._chain, asked, {"run_id": run_id}), parts)
        return run_id

    async def rewrite(self, run_id: UUID, part: Part) -> int:
        """Has a part and what is made from it written again, in a run that goes on or one that has ended.

        Returns the number of the part's coming attempt. Raises `Unavailable`, `NoSuchPart` and `NotNow`.
        """
        async with self._turn:
            run, state = await self._at_rest(run_id)
            parts = _written_with(state, part)
            self._check_open()
            if run and (busy := run.under_way.intersection(parts)):
                raise NotNow("Still being written: {parts}.", parts=titles_of(part for part in PARTS if part in busy))
            draft = _draft(state, part, parts)
            run = run or await self._reopened(run_id, state)
            updates = astream_fragments(self._chain, draft)
            run.write(updates if part == PROPOSED else _but_proposals(updates), parts)
            return draft.attempts[part] + 1

    async def _at_rest(self, run_id: UUID) -> tuple[LiveRun | None, RunState]:
        """The run, if it goes on, and its state, in which the parts that are not under way are as they stay.

        Raises `NotNow` for one that is being stopped.
        """
        while True:
            run = self._live.get(run_id)
            if run and run.is_stopping:
                raise NotNow("The run is being stopped: try again in a moment.")
            if run and run.is_ending:
                await run.ended.wait()
                continue
            under_way = set(run.under_way) if run else set[Part]()
            state = await self.state(run_id)
            if self._live.get(run_id) is run and not (run and (run.is_over or run.under_way != under_way)):
                return run, state

    def follow(self, run_id: UUID, last: EventId | None = None) -> AsyncGenerator[list[Logged]]:
        """The run's events behind `last`, as they come, those that came together in one list."""
        return self._log.follow(str(run_id), last)

    async def is_read(self, run_id: UUID, last: EventId) -> bool:
        """Whether `last` is the run's end."""
        return await self._log.is_read(str(run_id), last)

    async def state(self, run_id: UUID) -> RunState:
        """What the run has come to so far."""
        events = await self._log.read(str(run_id))
        start = events[0].event
        assert isinstance(start, RunStart)  # noqa: S101  each log begins with it
        state, count = state_of(start), 0
        while events:
            state.add(events)
            count += len(events)
            if isinstance(events[-1].event, RunEnd):  # which is not there any more if the log is reopened now
                break
            events = await self._log.read(str(run_id), count)
        return state

    async def cancel(self, run_id: UUID) -> None:
        """Closes the run's calls to the providers and ends it; one that has ended stays as it is."""
        if run := self._live.get(run_id):
            run.cancel()
            await run.ended.wait()
        else:
            await self._log.read(str(run_id))

    def key_of(self, run_id: UUID) -> str:
        """The key that its owner needs to stop the run or to have parts written again. It is stored nowhere."""
        return hmac.new(self._key_secret, run_id.bytes, "sha256").hexdigest()

    async def check_key(self, run_id: UUID, key: str) -> None:
        """Raises `WrongKey` if this is not the key of the run, which is there."""
        if hmac.compare_digest(key.encode(), self.key_of(run_id).encode()):
            return
        await self._log.read(str(run_id))
        raise WrongKey(OTHERS_RUN)

    async def forget(self, run_id: UUID) -> None:
        """Cancels the run and drops its log, as soon as its last event is written."""
        if run := self._live.get(run_id):
            run.forget()
            await run.ended.wait()
        else:
            await self._log.forget(str(run_id))

    def close(self) -> None:
        """From now on no run is begun; those that go on do."""
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

    def _admit(
        self, run_id: UUID, language: Language, parts: tuple[Part, ...],
        ends: Mapping[Part, Status] | None = None, spent_ms: int = 0,
    ) -> LiveRun:  # fmt: skip
        """A run that has its place among those that go on. Raises `Unavailable`."""
        self._check_open()
        if len(self._live) >= self._limit:
            raise _full()
        gone = partial(self._live.pop, run_id, None)
        run = self._live[run_id] = LiveRun(str(run_id), self._log, parts, gone, ends, spent_ms, language)
        return run

    def _check_open(self) -> None:
        if self._is_closing:
            raise Unavailable("The server is being stopped: try again in a few seconds.", retry_after=2)

    async def _reopened(self, run_id: UUID, state: RunState) -> LiveRun:
        run = self._admit(run_id, state.request.language, tuple(state.parts), state.ends(), state.total_ms or 0)
        try:
            await self._log.reopen(str(run_id))
        except BaseException:
            run.give_up()
            raise
        return run

    def _named(self, key: str) -> UUID:
        """The id of the run with this key: no table of keys is needed, and nobody else can tell it."""
        return UUID(bytes=hmac.digest(self._secret, key.encode(), "sha256")[:16], version=4)

    async def _is_kept(self, run_id: UUID, request: RecipeRequest) -> bool:
        """Whether there is a run of this id. Raises `KeyReused` if it is another request's."""
        try:
            first, *_ = await self._log.read(str(run_id))
        except (UnknownRun, ExpiredRun):
            return False
        assert isinstance(first.event, RunStart)  # noqa: S101  each log begins with it
        if first.event.request != request:
            raise KeyReused("This key was sent with another request before.")
        return True


def _full() -> Unavailable:
    return Unavailable("The kitchen is full: as many recipes as can be are being written.", retry_after=5)


def _to_write(request: RecipeRequest) -> tuple[tuple[Part, ...], RecipeRequest | Draft]:
    """The parts of a run, and what the chain is asked for: a dish that was chosen leaves no ideas beside it."""
    if not isinstance(request, RunRequest) or not (dish := request.recipe):
        return PARTS, request
    parts: tuple[Part, ...] = tuple(part for part in PARTS if part != PROPOSED)
    return parts, Draft(request, (Recipe(dish.name, dish.intro),), texts={PROPOSED: ""})


def _written_with(state: RunState, part: Part) -> set[Part]:
    """The part and what is made from it. Raises `NoSuchPart`."""
    if part not in state.parts:
        raise NoSuchPart("The dish of this run was chosen by its cook: there are no other ideas.")
    return {part, *DEPENDANTS.get(part, ())}


def _draft(state: RunState, part: Part, parts: Collection[Part]) -> Draft:
    """What the run holds but for these parts. Raises `NotNow` where that is not enough to write `part`."""
    if part in MADE_FROM_DISH and not state.recipes:
        raise NotNow("There is no dish yet: have “{part}” written again instead.", part=titles_of([PROPOSED]))
    if part == "steps" and not _is_whole_enough(state.parts["ingredients"]):
        raise NotNow("The steps are made from the ingredients: have the ingredients written again instead.")
    texts: dict[Part, str] = {kept: held.text for kept, held in state.parts.items() if kept not in parts}
    if PROPOSED not in state.parts:
        texts[PROPOSED] = ""
    former: dict[Part, str] = {again: state.parts[again].text for again in parts if again != PROPOSED}
    attempts: dict[Part, int] = {begun: held.attempt for begun, held in state.parts.items()}
    recipes = () if part == PROPOSED else state.recipes or NO_DISH
    return Draft(state.request, recipes, state.picked or 0, texts, attempts, former)


def _is_whole_enough(ingredients: PartState) -> bool:
    """Whether steps can be made from them: a list that reached its limit will do, one that broke off will not."""
    broke_off = ingredients.state == "cut_off" and not ingredients.finish_reason
    return ingredients.state != "failed" and not broke_off and bool(ingredients.text.strip())


async def _but_proposals(updates: AsyncGenerator[Update]) -> AsyncGenerator[Update]:
    """The updates without the dish, which is known."""
    async with aclosing(updates):
        async for update in updates:
            if not isinstance(update, Proposal):
                yield update

"""The parts of a run that are still to be written: all of a new run, those of a rewrite, or those of a dead process."""

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig, RunnableLambda

from app.runs.errors import PartBusyError, UnknownPartError
from app.runs.state import PartState, RunState
from app.stores import Rewrite
from chains.messages import Message
from chains.parts.composition import Composition, Request
from chains.parts.events import Draft, PartEnd, PartEvent, Proposal
from chains.parts.requests import chosen_option
from chains.parts.stream import astream_parts


@dataclass(frozen=True, slots=True)
class Remainder:
    """The parts that are to be written, and the chain's input.

    `ends` are those of other parts, which are logged first. With `proposes` the options are proposed, too.
    """

    parts: tuple[str, ...]
    chain_input: Request | Draft
    proposes: bool
    ends: tuple[PartEnd, ...] = ()

    async def events(
        self, chain: RunnableLambda[Any, Any], config: RunnableConfig | None = None
    ) -> AsyncGenerator[PartEvent]:
        """Writes the parts. Without proposing, the pick is unchanged, so it is not logged again."""
        for end in self.ends:
            yield end
        async with aclosing(astream_parts(chain, self.chain_input, config)) as events:
            async for event in events:
                if self.proposes or not isinstance(event, Proposal):
                    yield event


def whole(composition: Composition, request: Request) -> Remainder:
    """All parts of a new run. With a given option nothing is proposed, except that option."""
    choice, option = composition.choice, chosen_option(composition, request)
    if not choice or not option:
        return Remainder(composition.names, request, proposes=True)
    parts = tuple(name for name in composition.names if name != choice.name)
    return Remainder(parts, Draft(request, (option,)), proposes=True)


def rewritten(composition: Composition, state: RunState, part: str) -> Remainder:
    """A part that has ended, and the parts made from it. Raises `UnknownPartError` and `PartBusyError`."""
    if part not in state.parts:
        raise UnknownPartError("This run was started with a given option, so it proposes no others.")
    parts = {part, *(each for each in composition.dependents(part) if each in state.parts)}
    if need := _missing_need(composition, state, part, ()):
        raise PartBusyError(
            "This part is made from “{part}”. Regenerate that instead.", part=composition.titles([need])
        )
    return _remainder(composition, state, parts)


def requested(composition: Composition, state: RunState, rewrite: Rewrite) -> Remainder:
    """The parts of a rewrite that another process has checked and stored."""
    return _remainder(composition, state, rewrite.parts)


def unfinished(
    composition: Composition, state: RunState, rewrites: Iterable[Rewrite] = (), attempts_lost: int = 0
) -> Remainder:
    """What another process left: parts that have ended stay as they are, the others begin again.

    The log may lack this many `attempts_lost` of a part, although its readers have seen them.
    If the pick is in the log, it is kept, and only the missing options are proposed.
    """
    missing = {name for name, part in state.parts.items() if part.state in {"waiting", "writing"}}
    missing |= {part for each in rewrites for part in each.parts if state.last_end(part) <= each.after}
    ends: list[PartEnd] = []
    for name in composition.call_order:
        if name in missing and (need := _missing_need(composition, state, name, missing)):
            ends.append(_dependency_failed(composition, state, name, need))
            missing.discard(name)
    return _remainder(
        composition, state, missing, ends, attempts_lost, is_picked=_is_picked(composition, state, rewrites)
    )


def _remainder(
    composition: Composition,
    state: RunState,
    parts: Collection[str],
    ends: Iterable[PartEnd] = (),
    attempts_lost: int = 0,
    *,
    is_picked: bool = False,
) -> Remainder:
    choice = composition.choice.name if composition.choice else None
    proposes = choice in parts
    draft = Draft(
        state.request,
        state.options if is_picked or not proposes else (),
        state.picked or 0,
        texts={name: state.text_of(name) for name in composition.names if name not in parts},
        attempts=_attempts(state, parts, attempts_lost),
        previous_texts={name: state.text_of(name) for name in parts if name != choice},
        proposes_more=proposes,
    )
    ordered = tuple(name for name in composition.names if name in parts)
    return Remainder(ordered, draft, proposes, tuple(ends))


def _attempts(state: RunState, parts: Collection[str], lost: int) -> Mapping[str, int]:
    return {name: max(part.attempt, lost if name in parts else 0) for name, part in state.parts.items()}


def _is_picked(composition: Composition, state: RunState, rewrites: Iterable[Rewrite]) -> bool:
    """Whether the options in the log are those of the proposal that was under way."""
    choice = composition.choice
    asked_after = max((each.after for each in rewrites if choice and choice.name in each.parts), default=0)
    return bool(state.options) and state.last_proposal > asked_after


def _missing_need(composition: Composition, state: RunState, part: str, coming: Collection[str]) -> str | None:
    """Returns the first part that this one needs and that is neither usable nor being written."""
    choice = composition.choice.name if composition.choice else None
    for need in composition.needs(part):
        if need not in coming and not (state.options if need == choice else _is_usable(state.parts.get(need))):
            return need
    return None


def _is_usable(part: PartState | None) -> bool:
    """Whether others can be made from the part: a text that reached its token limit is enough, a broken one is not."""
    if not part or part.state == "failed":
        return False
    broke_off = part.state == "cut_off" and not part.finish_reason
    return not broke_off and bool(part.text.strip())


def _dependency_failed(composition: Composition, state: RunState, part: str, need: str) -> PartEnd:
    message = Message("Needs “{part}”, which failed.", part=composition.titles([need]))
    return PartEnd(part, "failed", message=message.in_language(state.request.language))

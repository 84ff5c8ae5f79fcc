"""What a run has come to so far: its log's events, added up."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from app.eventlog import Logged, RunEnd, RunStart, RunStatus
from chains.messages import Message
from chains.recipe.request import (
    Fragment,
    Part,
    PartEnd,
    PartStart,
    Proposal,
    Recipe,
    RecipeRequest,
    RunRequest,
    Status,
)

STOPPED = Message("The run was stopped before the end.")


@dataclass(slots=True)
class PartState:
    """A part as it was last begun: what it holds, and how it ended. Attempt 0 is one that was never begun."""

    state: Literal["waiting", "writing"] | Status = "waiting"
    attempt: int = 0
    text: str = ""
    provider: str | None = None
    model: str | None = None
    finish_reason: str | None = None
    ttft_ms: int | None = None
    tokens: int | None = None
    tokens_per_s: float | None = None
    message: str | None = None


@dataclass(slots=True)
class RunState:
    """A run up to its event `last_event_id`. `picked` is the index of the recipe that is being written.

    What a part held is not told while an attempt at it is under way, and holds again if that ends without a word.
    """

    run_id: str
    request: RecipeRequest
    status: Literal["running"] | RunStatus = "running"
    recipes: tuple[Recipe, ...] = ()
    picked: int | None = None
    parts: dict[Part, PartState] = field(default_factory=dict[Part, PartState])
    total_ms: int | None = None
    message: str | None = None
    last_event_id: str = ""
    _former: dict[Part, str] = field(default_factory=dict[Part, str])  # orjson leaves it out, as its name begins with _

    def add(self, events: Iterable[Logged]) -> None:
        """Adds what came next. Pieces of text are put together by part, and not one by one."""
        texts: dict[Part, list[str]] = {}
        for logged in events:
            event = logged.event
            if isinstance(event, Fragment):
                texts.setdefault(event.part, []).append(event.text)
            else:
                self._add_text(texts)
                self._add(event)
            self.last_event_id = str(logged.id)
        self._add_text(texts)

    def ends(self) -> dict[Part, Status]:
        """How those parts ended that did."""
        ends: dict[Part, Status] = {}
        for part, held in self.parts.items():
            if held.state != "waiting" and held.state != "writing":
                ends[part] = held.state
        return ends

    def _add_text(self, texts: dict[Part, list[str]]) -> None:
        for part, pieces in texts.items():
            self.parts[part].text += "".join(pieces)
            self._former.pop(part, None)
        texts.clear()

    def _add(self, event: object) -> None:
        match event:
            case Proposal(recipes, picked):
                self.recipes, self.picked = recipes, picked
            case PartStart(part, attempt, provider, model):
                self._former[part] = self.parts[part].text or self._former.get(part, "")
                self.parts[part] = PartState("writing", attempt, provider=provider, model=model)
            case PartEnd(part, status, finish_reason, ttft_ms, tokens, tokens_per_s, message):
                self._restore(part)
                written = self.parts[part]
                self.parts[part] = PartState(
                    status, written.attempt, written.text, written.provider, written.model,
                    finish_reason, ttft_ms, tokens, tokens_per_s, message,
                )  # fmt: skip
            case RunEnd(status, total_ms, message):
                self.status, self.total_ms, self.message = status, total_ms, message
                self._stop()
            case _:
                pass

    def _stop(self) -> None:
        """What was under way at the run's end will not go on."""
        for part, held in self.parts.items():
            if held.state == "writing":
                self._restore(part)
                held.state, held.message = "cut_off", STOPPED.in_language(self.request.language)

    def _restore(self, part: Part) -> None:
        self.parts[part].text = self._former.pop(part, "") or self.parts[part].text


def state_of(start: RunStart) -> RunState:
    """A run that has just begun."""
    state = RunState(start.run_id, start.request, parts={part: PartState() for part in start.parts})
    if isinstance(start.request, RunRequest) and (dish := start.request.recipe):
        state.recipes, state.picked = (Recipe(dish.name, dish.intro),), 0
    return state

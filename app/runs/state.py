"""The state of a run, accumulated from the events of its log."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from app.clients import LOCAL, Client
from app.stores import EventId, LogEntry, RunEnd, RunStart, RunStatus, Usage
from chains.messages import Message
from chains.parts.composition import Composition, Request
from chains.parts.events import Alternate, Fragment, Option, PartEnd, PartStart, Proposal, Status
from chains.parts.requests import chosen_option

STOPPED = Message("The run was stopped before it finished.")


@dataclass(slots=True)
class PartState:
    """The latest attempt at a part: its text and how it ended. Attempt 0 means that it has not started."""

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
    """A run up to the event `last_event_id`. `picked` is the index of the picked option.

    While a part is being regenerated its previous text is hidden; it returns if the attempt produces none.
    """

    run_id: str
    composition: str
    request: Request
    understood: Mapping[str, str | float] = field(default_factory=dict[str, str | float])
    status: Literal["running"] | RunStatus = "running"
    options: tuple[Option, ...] = ()
    picked: int | None = None
    parts: dict[str, PartState] = field(default_factory=dict[str, PartState])
    total_ms: int | None = None
    message: str | None = None
    usage: Usage | None = None
    last_event_id: str = ""
    # orjson skips names with an underscore
    _previous_texts: dict[str, str] = field(default_factory=dict[str, str])
    _last_ends: dict[str, int] = field(default_factory=dict[str, int])
    _last_proposal: int = 0
    _last_at_ms: int = 0
    _client: Client = LOCAL
    _traceparent: str | None = None
    _request_id: str | None = None

    def add(self, events: Iterable[LogEntry]) -> None:
        """Adds the next events. Fragments are joined by part before they are added."""
        texts: dict[str, list[str]] = {}
        last: LogEntry | None = None
        for entry in events:
            event = entry.event
            if isinstance(event, Fragment | Alternate):
                texts.setdefault(event.part, []).append(event.text)
            else:
                self._add_text(texts)
                self._add(event, entry.id.seq)
            last = entry
        self._add_text(texts)
        if last:
            self.last_event_id, self._last_at_ms = str(last.id), last.at_ms

    def text_of(self, part: str) -> str:
        """Returns the text of a part, or the previous one while that is hidden."""
        return self.parts[part].text or self._previous_texts.get(part, "") if part in self.parts else ""

    @property
    def length(self) -> int:
        """The number of events, without the end."""
        seq = EventId.parse(self.last_event_id).seq if self.last_event_id else 0
        return seq if self.status == "running" else seq - 1

    @property
    def active_ms(self) -> int:
        """How long the run was active, as far as its log says."""
        return self._last_at_ms if self.total_ms is None else self.total_ms

    @property
    def client(self) -> Client:
        """The client that started the run."""
        return self._client

    @property
    def traceparent(self) -> str | None:
        """The trace that the run's first request continued."""
        return self._traceparent

    @property
    def request_id(self) -> str | None:
        """The id of the run's first request."""
        return self._request_id

    def last_end(self, part: str) -> int:
        """Returns the number of the part's last end, or 0."""
        return self._last_ends.get(part, 0)

    @property
    def last_proposal(self) -> int:
        """The number of the last proposal, or 0."""
        return self._last_proposal

    def ends(self) -> dict[str, Status]:
        """Returns the status of each part that has ended."""
        ends: dict[str, Status] = {}
        for name, part in self.parts.items():
            if part.state != "waiting" and part.state != "writing":
                ends[name] = part.state
        return ends

    def stop_others(self, active: Collection[str]) -> None:
        """Marks the parts that were not finished when the run ended, except those that are written again."""
        for name, part in self.parts.items():
            if name not in active and part.state in {"waiting", "writing"}:
                self._stop(name)

    def _add_text(self, texts: dict[str, list[str]]) -> None:
        for part, pieces in texts.items():
            self.parts[part].text += "".join(pieces)
            self._previous_texts.pop(part, None)
        texts.clear()

    def _add(self, event: object, seq: int) -> None:
        match event:
            case Proposal(options, picked):
                self.options, self.picked, self._last_proposal = options, picked, seq
            case PartStart(part, attempt, provider, model):
                self._previous_texts[part] = self.parts[part].text or self._previous_texts.get(part, "")
                self.parts[part] = PartState("writing", attempt, provider=provider, model=model)
            case PartEnd(part, status, finish_reason, ttft_ms, tokens, tokens_per_s, message):
                self._restore(part)
                self._last_ends[part] = seq
                attempt = self.parts[part]
                self.parts[part] = PartState(
                    status, attempt.attempt, attempt.text, attempt.provider, attempt.model,
                    finish_reason, ttft_ms, tokens, tokens_per_s, message,
                )  # fmt: skip
            case RunEnd(status, total_ms, message, usage):
                self.status, self.total_ms, self.message, self.usage = status, total_ms, message, usage
                for name in [name for name, part in self.parts.items() if part.state == "writing"]:
                    self._stop(name)
            case _:
                pass

    def _stop(self, name: str) -> None:
        """Marks a part as cut off by the end of the run."""
        self._restore(name)
        part = self.parts[name]
        part.state, part.message = "cut_off", STOPPED.in_language(self.request.language)

    def _restore(self, part: str) -> None:
        self.parts[part].text = self._previous_texts.pop(part, "") or self.parts[part].text


def state_of(start: RunStart, composition: Composition) -> RunState:
    """The state of a run that has just begun."""
    parts = {part: PartState() for part in start.parts}
    state = RunState(
        start.run_id,
        start.composition,
        start.request,
        start.understood,
        parts=parts,
        _client=start.client,
        _traceparent=start.traceparent,
        _request_id=start.request_id,
    )
    if option := chosen_option(composition, start.request):
        state.options, state.picked = (option,), 0
    return state

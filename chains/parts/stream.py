"""astream_parts(): the only reader of LangChain's events."""

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, cast

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.runnables.schema import StreamEvent

from chains.finish_reasons import CUT_OFF, NO_REASON, FinishReason, finish_reason_in
from chains.messages import Message
from chains.parts.compose import PartOutput
from chains.parts.composition import Request
from chains.parts.events import Alternate, Draft, Failed, Fragment, PartEnd, PartEvent, PartStart, Proposal, Status
from chains.surrogates import replaced
from chains.translations import Language


async def astream_parts(
    chain: RunnableLambda[Any, Any], request: Request | Draft, config: RunnableConfig | None = None
) -> AsyncGenerator[PartEvent]:
    """Streams part events while `chain` runs. For a `Draft`, only its missing parts are generated.

    Each generated part has a `PartStart` for each attempt, `Fragment`s, and exactly one `PartEnd`. There is a
    `Proposal` for the pick and for each further option, each of which is also an `Alternate`. Close the generator
    (`contextlib.aclosing`) to close the calls to the providers.

    `chain` must be a RunnableLambda: closing the stream of a RunnableParallel leaves its branches running, and a
    binding (`with_config`) inherits the outer run's callbacks even when `config` has callbacks of its own.
    """
    events = chain.astream_events(request, config, version="v2")
    translator = EventTranslator(request if isinstance(request, Draft) else Draft(request))
    async with aclosing(cast(AsyncGenerator[StreamEvent], events)):
        async for event in events:
            for part_event in translator.translate(event):
                yield part_event


@dataclass
class ModelCall:
    """A call to a model for a part. Times are in seconds, on the process's clock."""

    part: str
    provider: str
    model: str
    started: float
    first_token: float | None = None
    tokens: int | None = None
    finish_reason: FinishReason | None = None
    is_proposal: bool = False
    texts: list[str] = field(default_factory=list[str])


class EventTranslator:
    """Translates LangChain's events into part events."""

    def __init__(self, draft: Draft) -> None:
        self._attempts, self._previous_texts = Counter(draft.attempts), draft.previous_texts
        self._language: Language = draft.request.language
        self._calls: dict[str, ModelCall] = {}  # by LangChain's run id
        self._attempted: dict[str, list[ModelCall]] = {}  # by part
        self._alternates: list[Alternate] = []

    def translate(self, event: StreamEvent) -> Sequence[PartEvent]:
        fields = cast(dict[str, Any], event)
        if fields["event"] == "on_chat_model_stream":  # nearly every event; pattern matching costs more
            call = self._calls.get(fields["run_id"])
            return self._on_token(call, fields["data"]["chunk"]) if call else []
        match fields:
            case {"event": "on_chat_model_start", "run_id": run_id, "metadata": {"part": str(part)} as metadata}:
                self._calls[run_id] = call = _call(part, metadata)
                return [] if metadata.get("hedge") else self._start_attempt(call)
            case {"event": "on_chat_model_end", "run_id": run_id, "data": {"output": AIMessage() as message}}:
                return self._on_answer(run_id, message)
            case {"event": "on_custom_event", "data": Proposal() as proposal}:
                return [proposal]
            case {"event": "on_custom_event", "data": Alternate() as alternate}:
                self._alternates.append(alternate)
                return [alternate] if alternate.part in self._attempted else []  # otherwise after the start
            # `compose` returns a PartOutput for each part instead of dispatching a custom event as `part()` does, which
            # takes 0.1 ms each. The type distinguishes the end of a part from the ends of all other runs.
            case {"event": "on_chain_end", "data": {"output": PartOutput(part, value)}}:
                return self._on_end(part, value)
            case {"event": "on_custom_event", "data": PartOutput(part, value)}:
                return self._on_end(part, value)
            case _:
                return []

    def _start_attempt(self, call: ModelCall) -> list[PartEvent]:
        """Starts an attempt: its text replaces the part's."""
        part = call.part
        self._attempts[part] += 1
        self._attempted.setdefault(part, []).append(call)
        # options of earlier attempts and of the draft count
        alternates = [alternate for alternate in self._alternates if alternate.part == part]
        return [PartStart(part, self._attempts[part], call.provider, call.model), *alternates]

    def _on_token(self, call: ModelCall, chunk: AIMessage) -> list[PartEvent]:
        text = _text(chunk)
        if not text:
            return self._retract(call) if chunk.response_metadata.get("retracted") else []
        started: list[PartEvent] = []
        if call is not self._attempted[call.part][-1]:  # a hedge: the first call to produce a token wins
            if call in self._attempted[call.part] or self._attempted[call.part][-1].first_token:
                return []
            started = self._start_attempt(call)
        call.first_token = call.first_token or perf_counter()
        if call.is_proposal:  # its JSON is not shown: options are events of their own
            return started
        call.texts.append(replaced(text))
        return [*started, Fragment(call.part, call.texts[-1])]

    def _retract(self, call: ModelCall) -> list[PartEvent]:
        """Starts the part again, because the text so far was the model's thinking."""
        if call is not self._attempted[call.part][-1]:
            return []
        call.texts.clear()
        return self._start_attempt(call)

    def _on_answer(self, run_id: str, message: AIMessage) -> list[PartEvent]:
        if call := self._calls.get(run_id):
            call.finish_reason = finish_reason_in(message.response_metadata)
            call.tokens = message.usage_metadata["output_tokens"] if message.usage_metadata else None
        return []

    def _on_end(self, part: str, value: Any) -> list[PartEvent]:
        calls = self._attempted.get(part, [])
        if not isinstance(value, Failed):
            return [_part_end(part, calls[-1], self._language) if calls else PartEnd(part, "ok")]
        status: Status = "cut_off" if value.cut_off else "failed"
        restored = _restored(part, calls, self._previous_texts.get(part, ""))
        return [*restored, PartEnd(part, status, message=value.message)]


def _call(part: str, metadata: dict[str, Any]) -> ModelCall:
    model = metadata.get("model") or metadata.get("ls_model_name", "")
    provider = metadata.get("provider") or metadata.get("ls_provider", "")
    is_proposal = bool(metadata.get("is_proposal"))
    return ModelCall(part, provider, model, perf_counter(), is_proposal=is_proposal)


def _text(chunk: AIMessage) -> str:
    return chunk.content if isinstance(chunk.content, str) else chunk.text  # which is a subclass of str


def _restored(part: str, calls: Sequence[ModelCall], previous_text: str) -> list[Fragment]:
    """Restores the longest earlier text if the last attempt produced none."""
    texts = [previous_text, *("".join(call.texts) for call in calls)]
    if not calls or texts[-1]:
        return []
    longest = max(texts, key=len)
    return [Fragment(part, longest)] if longest else []


def _part_end(part: str, call: ModelCall, language: Language) -> PartEnd:
    """Returns the end of a part that has text: `ok` only if the provider completed the answer."""
    now, first, reason = perf_counter(), call.first_token or call.started, call.finish_reason
    rate = round((call.tokens - 1) / (now - first), 1) if call.tokens and now > first else None
    ttft_ms = round((first - call.started) * 1000)
    if reason not in CUT_OFF or call.is_proposal:  # the options are complete in any case
        note = None if reason else Message(NO_REASON).in_language(language)
        return PartEnd(part, "ok", reason, ttft_ms, call.tokens, rate, note)
    return PartEnd(part, "cut_off", reason, ttft_ms, call.tokens, rate, Message(CUT_OFF[reason]).in_language(language))

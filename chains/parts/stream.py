"""astream_fragments(): the only reader of LangChain's events."""

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, LiteralString, cast

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.runnables.schema import StreamEvent

from chains.finish_reasons import FinishReason, finish_reason_in
from chains.messages import Message
from chains.parts.choice import Shortlist
from chains.recipe.request import (
    PARTS,
    Draft,
    Failed,
    Fragment,
    Language,
    Part,
    PartEnd,
    PartStart,
    Recipe,
    RecipeRequest,
    Step,
    Update,
    valid,
)

CUT_OFF: dict[FinishReason | None, LiteralString] = {
    "length": "Cut off at the limit of tokens set for it.",
    "content_filter": "Cut off by the provider's content filter.",
}
NO_REASON: LiteralString = "The provider did not say why its answer ended."
BROKEN_OFF: LiteralString = "The provider broke off before the end."


async def astream_fragments(
    chain: RunnableLambda[Any, Any], request: RecipeRequest | Draft, config: RunnableConfig | None = None
) -> AsyncGenerator[Update]:
    """What happens while `chain` writes the recipe for `request`, or what a draft lacks, each as soon as it happens.

    For each part that is written: a `PartStart` for each attempt, when a model is asked, `Fragment`s, and exactly one
    `PartEnd`; `Proposal` at the pick and again with each further recipe. Close it (`contextlib.aclosing`) to close the
    calls to the providers.

    `chain` is a lambda, for a `RunnableParallel` that is streamed leaves its branches running when it is closed, and a
    binding (`with_config`) lets handlers of a run around it in, though `config` has callbacks of its own.
    """
    events = chain.astream_events(request, config, version="v2")
    reader = _Reader(request if isinstance(request, Draft) else Draft(request))
    async with aclosing(cast(AsyncGenerator[StreamEvent], events)):
        async for event in events:
            for update in reader.read(event):
                yield update


@dataclass
class _Call:
    """A call to a model on behalf of a part: when, and how it went on. Seconds of the process's clock."""

    part: Part
    provider: str
    model: str
    asked: float
    first: float | None = None
    tokens: int | None = None
    finish_reason: FinishReason | None = None
    texts: list[str] = field(default_factory=list[str])


class _Reader:
    """Relabels LangChain's events, which name runs, as updates, which name parts."""

    def __init__(self, draft: Draft) -> None:
        self._attempts, self._former = Counter(draft.attempts), draft.former
        self._language: Language = draft.request.language
        self._calls: dict[str, _Call] = {}  # by LangChain's id of the run
        self._tries: dict[Part, list[_Call]] = {}  # the attempts at each part
        self._ended: set[Part] = set()
        self._shortlist: Shortlist | None = None
        self._alternates: list[Update] = []

    def read(self, event: StreamEvent) -> list[Update]:
        told = cast(dict[str, Any], event)
        if told["event"] == "on_chat_model_stream":  # nearly all are, and a match of patterns costs more
            return self._token(self._calls[told["run_id"]], told["data"]["chunk"])
        match told:
            case {"event": "on_chat_model_start", "run_id": run_id, "metadata": {"step": step} as metadata}:
                self._calls[run_id] = call = _Call(
                    _part(step), metadata["provider"], metadata["model"], asked=perf_counter()
                )
                return [] if metadata.get("hedge") else self._begin(call)
            case {"event": "on_chat_model_end", "run_id": run_id, "data": {"output": AIMessage() as message}}:
                return self._answered(self._calls[run_id], message)
            case {"event": "on_chain_end", "name": "pick", "data": {"output": {"shortlist": shortlist}}}:
                return self._pick(shortlist)
            case {"event": "on_chain_stream", "name": "alternates", "data": {"chunk": [Recipe() as recipe]}}:
                return self._alternate(recipe)
            case {"event": "on_chain_end", "name": part, "data": {"output": output}} if part in PARTS:
                return self._end(part, output)
            case _:
                return []

    def _begin(self, call: _Call) -> list[Update]:
        """An attempt at the part by this call, whose text is the part's from now on."""
        part = call.part
        self._attempts[part] += 1
        self._tries.setdefault(part, []).append(call)
        # the ideas of an earlier attempt still hold
        held = self._alternates if part == "alternates" else []
        return [PartStart(part, self._attempts[part], call.provider, call.model), *held]

    def _token(self, call: _Call, chunk: AIMessage) -> list[Update]:
        text = _text(chunk)
        if not text:
            return self._retract(call) if chunk.response_metadata.get("retracted") else []
        begun: list[Update] = []
        if call is not self._tries[call.part][-1]:  # one of two of which the first to write goes on
            if call in self._tries[call.part] or self._tries[call.part][-1].first:
                return []
            begun = self._begin(call)
        call.first = call.first or perf_counter()
        if call.part == "alternates":  # JSON is no text for people: its recipes come as they are complete
            return begun
        call.texts.append(valid(text))
        return [*begun, Fragment(call.part, call.texts[-1])]

    def _retract(self, call: _Call) -> list[Update]:
        """What the call wrote was thinking: the part begins again."""
        if call is not self._tries[call.part][-1]:
            return []
        call.texts.clear()
        return self._begin(call)

    def _answered(self, call: _Call, message: AIMessage) -> list[Update]:
        call.finish_reason = finish_reason_in(message.response_metadata)
        call.tokens = message.usage_metadata["output_tokens"] if message.usage_metadata else None
        return []

    def _pick(self, shortlist: Shortlist) -> list[Update]:
        self._shortlist = shortlist
        return [shortlist.proposal()] if shortlist.has_pick else []

    def _alternate(self, recipe: Recipe) -> list[Update]:
        fragment = Fragment("alternates", f"{recipe.name}: {recipe.intro}\n", recipe)
        self._alternates.append(fragment)
        return [*([self._shortlist.proposal()] if self._shortlist else []), fragment]

    def _end(self, part: Part, output: Any) -> list[Update]:
        if part in self._ended:  # a part and the branch in it end under one name
            return []
        calls = self._tries.get(part, [])
        if not calls and not isinstance(output, Failed):  # it was kept
            return []
        self._ended.add(part)
        if isinstance(output, Failed):
            return [
                *_kept(part, calls, self._former.get(part, "")),
                PartEnd(part, "cut_off" if output.cut_off else "failed", message=output.message),
            ]
        return [_written(part, calls[-1], self._language)]


def _text(chunk: AIMessage) -> str:
    return chunk.content if isinstance(chunk.content, str) else chunk.text  # which is a type of its own


def _part(step: Step) -> Part:
    """The part that a step writes: the proposal's recipes are the alternates, but for the picked one."""
    return "alternates" if step == "proposal" else step


def _kept(part: Part, calls: Sequence[_Call], former: str) -> list[Update]:
    """The longest text of a part's attempts once more, if the last of them, which took its place, wrote nothing."""
    texts = [former, *("".join(call.texts) for call in calls)]
    if not calls or texts[-1]:
        return []
    longest = max(texts, key=len)
    return [Fragment(part, longest)] if longest else []


def _written(part: Part, call: _Call, language: Language) -> PartEnd:
    """How a part ended that has text: `ok` only if the provider said that it had come to its end."""
    now, first, reason = perf_counter(), call.first or call.asked, call.finish_reason
    rate = round((call.tokens - 1) / (now - first), 1) if call.tokens and now > first else None
    ttft_ms = round((first - call.asked) * 1000)
    if reason not in CUT_OFF or part == "alternates":  # whose recipes are whole, whatever follows them
        note = None if reason else Message(NO_REASON).in_language(language)
        return PartEnd(part, "ok", reason, ttft_ms, call.tokens, rate, note)
    return PartEnd(part, "cut_off", reason, ttft_ms, call.tokens, rate, Message(CUT_OFF[reason]).in_language(language))

"""astream_fragments(): the only reader of LangChain's events."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast

from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables.schema import StreamEvent

from chains.schema import PARTS, Failed, Fragment, Part, PartEnd, PartStart, Recipe, RecipeRequest, Step, Update, valid
from chains.shortlist import Shortlist

CUT_OFF = {
    "length": "Cut off at the limit of tokens set for it.",
    "content_filter": "Cut off by the provider's content filter.",
    None: "The provider broke off before the end.",
}


async def astream_fragments(
    chain: Runnable[RecipeRequest, Any], request: RecipeRequest, config: RunnableConfig | None = None
) -> AsyncGenerator[Update]:
    """What happens while `chain` writes the recipe for `request`, each as soon as it happens.

    For each part: `PartStart` when its model is asked, `Fragment`s, and exactly one `PartEnd`; `Proposal` at the pick
    and again with each further recipe. Close it (`contextlib.aclosing`) to close the calls to the providers.
    """

    # Run whole, as a coroutine: a RunnableParallel that is streamed leaves its branches running when it is closed.
    async def whole(request: RecipeRequest, config: RunnableConfig) -> Any:
        return await chain.ainvoke(request, config)

    events = RunnableLambda(whole).astream_events(request, config, version="v2")
    reader = _Reader()
    async with aclosing(cast(AsyncGenerator[StreamEvent], events)):
        async for event in events:
            for update in reader.read(event):
                yield update


@dataclass
class _Writing:
    """A part whose model was asked: when, and how it went on. Seconds of the process's clock."""

    asked: float
    first: float | None = None
    tokens: int | None = None
    finish_reason: str | None = None


class _Reader:
    """Relabels LangChain's events, which name runs, as updates, which name parts."""

    def __init__(self) -> None:
        self._writing: dict[Part, _Writing] = {}
        self._ended: set[Part] = set()
        self._shortlist: Shortlist | None = None

    def read(self, event: StreamEvent) -> list[Update]:
        told = cast(dict[str, Any], event)
        if told["event"] == "on_chat_model_stream":  # nearly all are, and a match of patterns costs more
            return self._token(_part(told["metadata"]["step"]), told["data"]["chunk"].text)
        match told:
            case {"event": "on_chat_model_start", "metadata": {"step": step, "provider": provider, "model": model}}:
                return self._asked(_part(step), provider, model)
            case {"event": "on_chat_model_end", "metadata": {"step": step}, "data": {"output": AIMessage() as message}}:
                return self._answered(self._writing[_part(step)], message)
            case {"event": "on_chain_end", "name": "pick", "data": {"output": {"shortlist": shortlist}}}:
                return self._pick(shortlist)
            case {"event": "on_chain_stream", "name": "alternates", "data": {"chunk": [Recipe() as recipe]}}:
                return self._alternate(recipe)
            case {"event": "on_chain_end", "name": part, "data": {"output": output}} if part in PARTS:
                return self._end(part, output)
            case _:
                return []

    def _asked(self, part: Part, provider: str, model: str) -> list[Update]:
        if part in self._writing:  # the proposal, once more
            return []
        self._writing[part] = _Writing(asked=perf_counter())
        return [PartStart(part, 1, provider, model)]

    def _token(self, part: Part, text: str) -> list[Update]:
        if not text:
            return []
        writing = self._writing[part]
        writing.first = writing.first or perf_counter()
        # the proposal's JSON is no text for people: its recipes come as they are complete
        return [] if part == "alternates" else [Fragment(part, valid(text))]

    def _answered(self, writing: _Writing, message: AIMessage) -> list[Update]:
        writing.finish_reason = message.response_metadata.get("finish_reason")
        writing.tokens = message.usage_metadata["output_tokens"] if message.usage_metadata else None
        return []

    def _pick(self, shortlist: Shortlist) -> list[Update]:
        if self._shortlist:  # each branch that waits for the pick has it
            return []
        self._shortlist = shortlist
        return [shortlist.proposal()] if shortlist.has_pick else []

    def _alternate(self, recipe: Recipe) -> list[Update]:
        text = f"{recipe.name}: {recipe.intro}\n"
        proposal: list[Update] = [self._shortlist.proposal()] if self._shortlist else []
        return [*proposal, Fragment("alternates", text, recipe)]

    def _end(self, part: Part, output: Any) -> list[Update]:
        if part in self._ended:  # a part and the branch in it end under one name
            return []
        self._ended.add(part)
        writing = self._writing.get(part)
        if isinstance(output, Failed):
            return [PartEnd(part, "failed", message=output.message)]
        return [_written(part, writing) if writing else PartEnd(part, "ok")]


def _part(step: Step) -> Part:
    """The part that a step writes: the proposal's recipes are the alternates, but for the picked one."""
    return "alternates" if step == "proposal" else step


def _written(part: Part, writing: _Writing) -> PartEnd:
    """How a part ended that has text: `ok` only if the provider said that it had come to its end."""
    now, first, reason = perf_counter(), writing.first or writing.asked, writing.finish_reason
    rate = round((writing.tokens - 1) / (now - first), 1) if writing.tokens and now > first else None
    ttft_ms = round((first - writing.asked) * 1000)
    if reason == "stop" or part == "alternates":  # whose recipes are whole, whatever comes behind them
        return PartEnd(part, "ok", reason, ttft_ms, writing.tokens, rate)
    return PartEnd(part, "cut_off", reason, ttft_ms, writing.tokens, rate, CUT_OFF.get(reason, CUT_OFF[None]))

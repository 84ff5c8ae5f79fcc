"""The race: how fast each model answers the same question, with the definitions of thefastest.ai.

In each round every model is called once, one after the other, so that calls do not slow each other down and a slow
minute of the network affects all models. A call before the first round opens the connection and is not counted.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from math import inf
from statistics import median
from time import perf_counter
from typing import cast

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import UsageMetadata

from chains.errors import ProviderError, explained
from chains.finish_reasons import CUT_OFF, finish_reason_in
from chains.messages import Message
from chains.models.chat import ProviderChat
from chains.parts.events import Failed
from chains.translations import Language

# short, so that no model needs time to read it
PROMPT = "What can I cook for two with beef, onions and peppers? Write the steps of a recipe that takes 30 minutes."
# Long enough to measure a rate; most models finish earlier. Groq's free tier counts this limit, not the actual tokens,
# against its 8,000 tokens a minute.
MAX_TOKENS = 500
TEMPERATURE = 0  # so that the answer is the same in every round
DEADLINE_S = 60.0  # for one call; enough for 10 tokens a second


@dataclass(frozen=True, slots=True)
class Entrant:
    """A model to measure: its name and its provider's name in the registry, and the provider's display name."""

    model: str
    provider: str
    label: str


@dataclass(frozen=True, slots=True)
class RaceStart:
    """The models to measure, and the number of rounds."""

    entrants: tuple[Entrant, ...]
    rounds: int


@dataclass(frozen=True, slots=True)
class CallStart:
    """A model is called. Round 0 opens the connection and is not counted."""

    model: str
    round: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The measurements of one round, or the medians of several, in milliseconds since the request.

    `tokens` is the provider's count for the text, without any reasoning before it; `tokens_per_s` is
    (tokens - 1) / (end - first token). Both are None if the provider reports no count.
    """

    ttft_ms: float
    total_ms: float
    tokens: int | None = None
    tokens_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class RoundEnd:
    """A model's figures of one round, with the best and the medians of its rounds so far."""

    model: str
    round: int
    figures: Figures
    best: Figures
    median: Figures


@dataclass(frozen=True, slots=True)
class Result:
    """All figures of a model. A model that failed has a reason for users and is not called again.

    `best` is the round with the shortest time to the first token; `median` has the median of each figure.
    """

    model: str
    rounds: tuple[Figures, ...]
    best: Figures | None
    median: Figures | None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class RaceEnd:
    """The models by their best time to the first token, then those that failed. Always the last event."""

    ranking: tuple[str, ...]


Progress = RaceStart | CallStart | RoundEnd | Result | RaceEnd


async def race(
    models: Mapping[str, ProviderChat], rounds: int = 3, deadline_s: float = DEADLINE_S, language: Language = "en"
) -> AsyncGenerator[Progress]:
    """Measures the models and yields the progress of each call. Close it (`aclosing`) to close the running call.

    A model that fails, or whose call takes longer than `deadline_s` seconds, is not called again; the reason is in
    `language`.
    """
    yield RaceStart(entrants(models), rounds)
    measured: dict[str, list[Figures]] = {name: [] for name in models}
    results: dict[str, Result] = {}
    for number in range(rounds + 1):
        for name in [name for name in models if name not in results]:
            yield CallStart(name, number)
            answered = await _call(models[name], deadline_s, language)
            if isinstance(answered, Figures) and number:
                measured[name].append(answered)
                yield RoundEnd(name, number, answered, _best(measured[name]), _median(measured[name]))
            if isinstance(answered, Failed) or number == rounds:
                results[name] = _result(name, measured[name], answered)
                yield results[name]
    yield RaceEnd(tuple(sorted(results, key=lambda name: _rank(results[name]))))


def entrants(models: Mapping[str, ProviderChat]) -> tuple[Entrant, ...]:
    """Returns the models as entrants."""
    return tuple(Entrant(name, (model.metadata or {})["provider"], model.label) for name, model in models.items())


async def _call(model: ProviderChat, deadline_s: float, language: Language) -> Figures | Failed:
    try:
        async with asyncio.timeout(deadline_s):
            return await _measured(model)
    except TimeoutError:
        late = Message(
            "{label} took longer than {seconds:g} seconds for one answer: try again.",
            label=model.label,
            seconds=deadline_s,
        )
        return Failed(late.in_language(language))
    except Exception as error:  # noqa: BLE001  it fails alone
        return Failed(explained(error).message_in(language))


async def _measured(model: ProviderChat) -> Figures:
    """Calls the model and reads its answer to the end. Raises `ProviderError` if it is incomplete."""
    started = ended = perf_counter()
    first, tokens, reason = None, None, None
    answer = model.astream(PROMPT, max_tokens=min(MAX_TOKENS, model.max_output), temperature=TEMPERATURE)
    async with aclosing(cast(AsyncGenerator[AIMessageChunk], answer)) as chunks:
        async for chunk in chunks:
            if chunk.text or chunk.response_metadata or chunk.usage_metadata:
                ended = perf_counter()  # the last one is empty, and LangChain first merges all chunks for it
            first = first or (ended if chunk.text else None)
            reason = finish_reason_in(chunk.response_metadata) or reason
            tokens = _tokens(chunk.usage_metadata) if chunk.usage_metadata else tokens
    if reason == "content_filter":
        raise ProviderError(CUT_OFF[reason])
    return _figures(started, first or ended, ended, tokens)


def _tokens(usage: UsageMetadata) -> int:
    """Returns the number of the text's tokens, without the reasoning that precedes it."""
    return usage["output_tokens"] - usage.get("output_token_details", {}).get("reasoning", 0)


def _figures(started: float, first: float, ended: float, tokens: int | None) -> Figures:
    rate = round((tokens - 1) / (ended - first), 1) if tokens and tokens > 1 and ended > first else None
    return Figures(round((first - started) * 1000, 1), round((ended - started) * 1000, 1), tokens, rate)


def _result(name: str, rounds: Sequence[Figures], last: Figures | Failed) -> Result:
    failure = last.message if isinstance(last, Failed) else None
    if not rounds:
        return Result(name, (), None, None, failure)
    return Result(name, tuple(rounds), _best(rounds), _median(rounds), failure)


def _best(rounds: Sequence[Figures]) -> Figures:
    return min(rounds, key=lambda figures: figures.ttft_ms)


def _median(rounds: Sequence[Figures]) -> Figures:
    tokens = [figures.tokens for figures in rounds if figures.tokens is not None]
    rates = [figures.tokens_per_s for figures in rounds if figures.tokens_per_s is not None]
    return Figures(
        round(median(figures.ttft_ms for figures in rounds), 1),
        round(median(figures.total_ms for figures in rounds), 1),
        round(median(tokens)) if tokens else None,
        round(median(rates), 1) if rates else None,
    )


def _rank(result: Result) -> tuple[bool, float]:
    return result.failure is not None, result.best.ttft_ms if result.best else inf

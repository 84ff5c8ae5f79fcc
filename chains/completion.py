"""A plain completion: one question to one model, its text as it comes."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from typing import Annotated, cast

from langchain_core.prompts import ChatPromptTemplate
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chains.models.chat import ProviderChat
from chains.models.timeouts import timeout_stream
from chains.parts.parsers import WholeText
from chains.recipe.request import Question

DEADLINE_S = 300
PROMPT = ChatPromptTemplate([("human", "{query}")])


class CompletionRequest(BaseModel):
    """A question to one model. The answer stops before the first of the `stop` markers that comes to its end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: Question = Field(description="The question: 1 to 20,000 characters.")
    model: str | None = Field(
        default=None, description="The name of a model that has a key, as `sizzle models` lists them, or nothing."
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description="The most tokens to be written: from 1 to what the model can write."
    )
    stop: tuple[Annotated[str, StringConstraints(min_length=1, max_length=100)], ...] = Field(
        default=(), max_length=8, description="A marker to stop before: 1 to 100 characters, at most 8 markers."
    )


async def astream_completion(model: ProviderChat, asked: CompletionRequest) -> AsyncGenerator[str]:
    """The answer piece by piece, none of them empty. Close it (`contextlib.aclosing`) to close the call.

    Raises `PromptTooLongError` and `ProviderError`. The latter also follows text that was cut off, except at the
    request's own `max_tokens`.
    """
    limited = model.bind(max_tokens=asked.max_tokens) if asked.max_tokens else model
    parser = WholeText(accepts_limit=asked.max_tokens is not None)
    answered = PROMPT | limited | parser
    pieces = timeout_stream(DEADLINE_S, cast(AsyncGenerator[str], answered.astream({"query": asked.query})))
    async with aclosing(pieces), aclosing(until(asked.stop, pieces)) as told:
        async for text in told:
            yield text


def check_window(model: ProviderChat, asked: CompletionRequest) -> None:
    """Raises `PromptTooLongError` if the question and the longest answer don't fit the model's window."""
    model.check_window(PROMPT.format_messages(query=asked.query), asked.max_tokens)


async def until(markers: Collection[str], pieces: AsyncIterator[str]) -> AsyncGenerator[str]:
    """The text before the marker that is the first to be complete, however the text is cut into pieces.

    What may be the beginning of a marker is held back until it is known. Of two that end at the same place the longer
    one counts.
    """
    held = ""
    async for piece in pieces:
        held += piece
        if (end := _end(held, markers)) is not None:
            held = held[:end]
            break
        ready = len(held) - _begun(held, markers)
        if ready:
            yield held[:ready]
            held = held[ready:]
    if held:
        yield held


def _end(text: str, markers: Collection[str]) -> int | None:
    """Where the first complete marker starts."""
    found = [(text.find(marker) + len(marker), -len(marker)) for marker in markers if marker in text]
    return sum(min(found)) if found else None


def _begun(text: str, markers: Collection[str]) -> int:
    """How many characters at the text's end may be the beginning of a marker."""
    lengths = (length for marker in markers for length in range(1, len(marker)) if text.endswith(marker[:length]))
    return max(lengths, default=0)

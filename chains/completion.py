"""Plain completions: one question to one model, streamed."""

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
    """A question to one model. The answer ends before the first complete `stop` marker."""

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


async def astream_completion(model: ProviderChat, request: CompletionRequest) -> AsyncGenerator[str]:
    """Yields the answer in pieces that are never empty. Close it (`contextlib.aclosing`) to close the call.

    Raises `PromptTooLongError` and `ProviderError`. The latter also follows text that was cut off, except at the
    request's own `max_tokens`.
    """
    limited = model.bind(max_tokens=request.max_tokens) if request.max_tokens else model
    parser = WholeText(accepts_limit=request.max_tokens is not None)
    chain = PROMPT | limited | parser
    pieces = timeout_stream(DEADLINE_S, cast(AsyncGenerator[str], chain.astream({"query": request.query})))
    async with aclosing(pieces), aclosing(until(request.stop, pieces)) as texts:
        async for text in texts:
            yield text


def check_window(model: ProviderChat, request: CompletionRequest) -> None:
    """Raises `PromptTooLongError` if the question and the longest answer don't fit the model's window."""
    model.check_window(PROMPT.format_messages(query=request.query), request.max_tokens)


async def until(markers: Collection[str], pieces: AsyncIterator[str]) -> AsyncGenerator[str]:
    """Yields the text before the first complete marker, however the text is divided into pieces.

    Text that may be the beginning of a marker is buffered. If two markers end at the same place, the longer one counts.
    """
    buffered = ""
    async for piece in pieces:
        buffered += piece
        if (end := _first_marker(buffered, markers)) is not None:
            buffered = buffered[:end]
            break
        ready = len(buffered) - _partial_marker_length(buffered, markers)
        if ready:
            yield buffered[:ready]
            buffered = buffered[ready:]
    if buffered:
        yield buffered


def _first_marker(text: str, markers: Collection[str]) -> int | None:
    """Returns where the first complete marker starts."""
    ends_and_starts = [(text.find(each) + len(each), text.find(each)) for each in markers if each in text]
    return min(ends_and_starts)[1] if ends_and_starts else None


def _partial_marker_length(text: str, markers: Collection[str]) -> int:
    """Returns how many characters at the text's end may be the beginning of a marker."""
    lengths = (length for marker in markers for length in range(1, len(marker)) if text.endswith(marker[:length]))
    return max(lengths, default=0)

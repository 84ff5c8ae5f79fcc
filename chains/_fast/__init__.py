"""Private API of LangChain and pydantic, used for speed only.

`runnables` and `tokens` list what they rely on and how much it saves, and check at import that it exists. If something
is missing, or with `SIZZLE_FAST=false`, the public API does the same, slower.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from langchain_core.callbacks import AsyncCallbackHandler, AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import Runnable

logger = logging.getLogger(__name__)


class InlineHandler(AsyncCallbackHandler):
    """A callback handler that neither waits nor fails, so that it is called without a task of its own."""

    run_inline = True


@dataclass(frozen=True)
class Acceleration:
    """How chains run (`wrap`), how tokens reach callback handlers, and how their chunks are made."""

    wrap: Callable[[Runnable[Any, Any]], Runnable[Any, Any]]
    dispatch_tokens: Callable[[AsyncCallbackManagerForLLMRun, AsyncIterator[AIMessageChunk]], Awaitable[None]]
    text_chunk: Callable[[str], AIMessageChunk]
    generation: Callable[[AIMessageChunk], ChatGenerationChunk]


async def _dispatch(run: AsyncCallbackManagerForLLMRun, chunks: AsyncIterator[AIMessageChunk]) -> None:
    async for chunk in chunks:
        await run.on_llm_new_token(str(chunk.content), chunk=_generation(chunk))


def _text_chunk(text: str) -> AIMessageChunk:
    return AIMessageChunk(content=text)


def _generation(chunk: AIMessageChunk) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=chunk)


PLAIN = Acceleration(lambda chain: chain, _dispatch, _text_chunk, _generation)


@cache
def acceleration(enabled: bool = True) -> Acceleration:
    """Returns the fast path if it is enabled and the installed versions support it, otherwise the public API."""
    if not enabled:
        return PLAIN
    try:
        from chains._fast import runnables, tokens
    except (ImportError, AttributeError) as error:
        logger.warning("Running without the fast path, because this version of LangChain lacks it: %s", error)
        return PLAIN
    return Acceleration(runnables.fast, tokens.dispatch_tokens, tokens.text_chunk, tokens.generation_of)

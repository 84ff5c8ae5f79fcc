"""How LangChain's handlers are told of a call's text, chunk by chunk, for less than LangChain's own way takes.

A chunk is made without validation: 2 µs, not 5 to 8. The handler of `astream_events` taps the chunks, where it was told
of each: 0.87 of a token's CPU at 80 tokens a second, 0.96 at 500. Our own are called without LangChain's look at them.
"""

from collections.abc import AsyncIterator
from typing import Any, TypeGuard

from langchain_core.callbacks import AsyncCallbackHandler, AsyncCallbackManagerForLLMRun, BaseCallbackHandler
from langchain_core.callbacks.manager import ahandle_event
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tracers._streaming import _StreamingCallbackHandler  # pyright: ignore[reportPrivateUsage]
from pydantic import BaseModel

ASTREAM_EVENTS = "langchain_core.tracers.event_stream"  # where its handler is from


async def dispatch_tokens(run: AsyncCallbackManagerForLLMRun, chunks: AsyncIterator[AIMessageChunk]) -> None:
    """Tells the handlers of each chunk, to the last.

    That of `astream_events` taps them, as it does the stream of a chain: it puts together once what its events share,
    which it does for each token that it is told of, with the ids of all runs above written out. It makes no events of a
    second call that is given the id of the first.
    """
    tapped = chunks
    for handler in filter(_makes_events, run.handlers):
        tapped = handler.tap_output_aiter(run.run_id, tapped)
    others = [handler for handler in run.handlers if not _makes_events(handler)]
    for source in (tapped, chunks):  # a tap that knows of no such run lets go behind the first
        async for chunk in source:
            for handler in others:
                await _dispatch(handler, run, chunk)


async def _dispatch(handler: BaseCallbackHandler, run: AsyncCallbackManagerForLLMRun, chunk: AIMessageChunk) -> None:
    """Tells a handler of new text: one that waits for nothing without LangChain's look at it."""
    about: dict[str, Any] = {"run_id": run.run_id, "parent_run_id": run.parent_run_id, "tags": run.tags}
    text, generation = str(chunk.content), generation_of(chunk)
    if is_inline(handler):
        await handler.on_llm_new_token(text, chunk=generation, **about)
    else:
        await ahandle_event([handler], "on_llm_new_token", "ignore_llm", text, chunk=generation, **about)


def is_inline(handler: BaseCallbackHandler) -> TypeGuard[AsyncCallbackHandler]:
    """Whether it is ours or that of `astream_events`, which neither wait nor fail and are told of everything."""
    return _makes_events(handler) or (
        type(handler).__module__.startswith("chains.") and isinstance(handler, AsyncCallbackHandler)
    )


def _makes_events(handler: BaseCallbackHandler) -> TypeGuard[_StreamingCallbackHandler[AIMessageChunk]]:
    return type(handler).__module__ == ASTREAM_EVENTS


def text_chunk(text: str) -> AIMessageChunk:
    """`AIMessageChunk(content=text)`, unvalidated, for it is made for each token.

    Pydantic's `model_construct` saves nothing of that, and its `model_copy` half as much.
    """
    chunk = AIMessageChunk.__new__(AIMessageChunk)
    fields: dict[str, Any] = {
        **_SILENCE,
        "content": text,
        "additional_kwargs": {},  # this and the next are not silence's own, which would be everybody's
        "response_metadata": {},
        "tool_calls": [],
        "invalid_tool_calls": [],
        "tool_call_chunks": [],
    }
    _fill(chunk, fields, {"content"}, {})
    return chunk


def generation_of(chunk: AIMessageChunk) -> ChatGenerationChunk:
    """`ChatGenerationChunk(message=chunk)`, unvalidated."""
    generation = ChatGenerationChunk.__new__(ChatGenerationChunk)
    _fill(generation, {**_SILENT, "text": chunk.content, "message": chunk}, {"message", "text"}, None)
    return generation


_SILENCE = AIMessageChunk(content="").__dict__
_SILENT = ChatGenerationChunk(message=AIMessageChunk(content="")).__dict__


def _fill(model: BaseModel, fields: dict[str, Any], given: set[str], extra: dict[str, Any] | None) -> None:
    """What pydantic does behind a validation."""
    object.__setattr__(model, "__dict__", fields)
    object.__setattr__(model, "__pydantic_fields_set__", given)
    object.__setattr__(model, "__pydantic_extra__", extra)
    object.__setattr__(model, "__pydantic_private__", None)

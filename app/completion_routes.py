"""`GET /completion`: one model's answer as it is written, in the two shapes that front ends know."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Send
from typing_extensions import override

from app.disconnect import unless_gone
from app.event_source import EventSource
from app.openapi import errors, events_of
from app.origins import refuse_foreign_pages
from app.refusals import BadInput
from chains.completion import astream_completion, check_window
from chains.errors import PromptTooLong, SizzleError
from chains.providers import ProviderChat
from chains.schema import CompletionRequest

HEADERS = {"X-Content-Type-Options": "nosniff"}
LAST_WORDS_S = 0.3  # a browser drops what it has not read when the connection breaks
DONE = b"data: [DONE]\n\n"

router = APIRouter()


@router.get(
    "/completion",
    response_class=PlainTextResponse,
    dependencies=[Depends(refuse_foreign_pages)],
    responses={200: {"content": events_of()}} | errors(403, 502),
)
async def completion(asked: Annotated[CompletionRequest, Query()], request: Request) -> Response:
    """Streams the answer as plain text, or, where `text/event-stream` is accepted, as `data: {"response": "…"}`."""
    pieces = astream_completion(_model(request.app.state.models.completing, asked), asked)
    if "text/event-stream" in request.headers.get("accept", ""):
        return EventSource(_events(pieces), keep_alive_s=request.app.state.keep_alive_s)
    first = await unless_gone(request, anext(pieces, ""))  # so that what fails at once is a 502
    return PlainTextStream(_rest(first, pieces))


@router.head("/completion", include_in_schema=False)
async def completion_head(asked: Annotated[CompletionRequest, Query()], request: Request) -> Response:
    """What the answer to a GET would be like; no model is called."""
    _model(request.app.state.models.completing, asked)
    is_event_stream = "text/event-stream" in request.headers.get("accept", "")
    media_type = "text/event-stream" if is_event_stream else "text/plain"
    return StreamingResponse(iter(()), media_type=media_type, headers=HEADERS)


class PlainTextStream(StreamingResponse):
    """Text that says at its end if it was broken off, and then lacks the last chunk, so as not to pass for whole."""

    def __init__(self, pieces: AsyncGenerator[str]) -> None:
        super().__init__(pieces, media_type="text/plain", headers=HEADERS)
        self._pieces = pieces

    @override
    async def stream_response(self, send: Send) -> None:
        try:
            async with aclosing(self._pieces):
                await super().stream_response(send)
        except SizzleError as error:
            last_words = f"\n\n[{error}]".encode()
            await send({"type": "http.response.body", "body": last_words, "more_body": True})
            await asyncio.sleep(LAST_WORDS_S)


async def _rest(first: str, pieces: AsyncGenerator[str]) -> AsyncGenerator[str]:
    async with aclosing(pieces):
        yield first
        async for text in pieces:
            yield text


async def _events(pieces: AsyncGenerator[str]) -> AsyncGenerator[bytes]:
    """Always ends in `[DONE]`, even behind an error: an `EventSource` that is not told so would ask again."""
    try:
        async with aclosing(pieces):
            async for text in pieces:
                yield _event({"response": text})
    except SizzleError as error:
        yield _event({"error": str(error)})
    yield DONE


def _event(fields: Mapping[str, str]) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(fields)


def _model(models: Mapping[str, ProviderChat], asked: CompletionRequest) -> ProviderChat:
    """The model that is asked for, or the first. Raises `BadInput` if there is none, or the answer can't fit it."""
    name = asked.model or next(iter(models))
    if name not in models:
        raise BadInput("model", f"There is no model {name!r} with a key.", f"One of {', '.join(models)}.")
    model = models[name]
    if asked.max_tokens and asked.max_tokens > model.max_output:
        raise BadInput("max_tokens", f"{name} can't write as many tokens.", f"From 1 to {model.max_output:,}.")
    try:
        check_window(model, asked)
    except PromptTooLong as error:
        raise BadInput("query", str(error), "A shorter question, fewer max_tokens or a larger model.") from None
    return model

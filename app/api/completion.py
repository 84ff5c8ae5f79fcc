"""`GET /completion`: streams one model's answer as plain text or as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Send
from typing_extensions import override

from app.api.deps import KeepAliveS, ModelsDep
from app.api.openapi import errors, events_of
from app.server.accept import weights
from app.server.disconnect import run_until_disconnect
from app.server.errors import InvalidFieldError, describe_query
from app.server.event_source import EventSourceResponse
from app.server.languages import language_of
from app.wires.frames import DONE, json_frame
from chains.completion import CompletionRequest, astream_completion, check_window
from chains.errors import PromptTooLongError, SizzleError
from chains.messages import Message
from chains.models.chat import ProviderChat
from chains.translations import Language

HEADERS = {"X-Content-Type-Options": "nosniff"}
ERROR_DELAY_S = 0.3  # a browser drops unread data when the connection is aborted
SHORTER = Message("A shorter question, fewer max_tokens or a larger model.")

router = APIRouter()


@router.get(
    "/completion",
    response_class=PlainTextResponse,
    responses={200: {"content": events_of()}} | errors(403, 429, 502, 503),
)
async def completion(
    params: Annotated[CompletionRequest, Query()], models: ModelsDep, keep_alive_s: KeepAliveS, request: Request
) -> Response:
    """Streams the answer as plain text, or, where `text/event-stream` is accepted, as `data: {"response": "…"}`."""
    model = _model(models.completion_models, params)
    await models.admission.book(1)
    pieces = astream_completion(model, params)
    language = language_of(request)
    if _prefers_events(request):
        return EventSourceResponse(_events(pieces, language), keep_alive_s=keep_alive_s)
    first = await run_until_disconnect(request, anext(pieces, ""))  # so that an immediate failure is a 502
    return PlainTextStream(_rest(first, pieces), language)


@router.head("/completion", include_in_schema=False)
async def completion_head(
    params: Annotated[CompletionRequest, Query()], models: ModelsDep, request: Request
) -> Response:
    """Returns the headers of the GET without calling a model."""
    _model(models.completion_models, params)
    media_type = "text/event-stream" if _prefers_events(request) else "text/plain"
    return StreamingResponse(iter(()), media_type=media_type, headers=HEADERS)


def _prefers_events(request: Request) -> bool:
    """Whether `Accept` names `text/event-stream`, and not `text/plain` with a greater weight."""
    accepted = weights(request.headers.get("accept", ""))
    events, text = (accepted.get(media_type, 0.0) for media_type in ("text/event-stream", "text/plain"))
    return events > 0 and events >= text


describe_query(completion, CompletionRequest)
describe_query(completion_head, CompletionRequest)


class PlainTextStream(StreamingResponse):
    """Plain text. On failure it ends with the reason, and the body is left incomplete so that the client notices."""

    def __init__(self, pieces: AsyncGenerator[str], language: Language) -> None:
        super().__init__(pieces, media_type="text/plain", headers=HEADERS)
        self._pieces = pieces
        self._language: Language = language

    @override
    async def stream_response(self, send: Send) -> None:
        try:
            async with aclosing(self._pieces):
                await super().stream_response(send)
        except SizzleError as error:
            reason = f"\n\n[{error.message_in(self._language)}]".encode()
            await send({"type": "http.response.body", "body": reason, "more_body": True})
            await asyncio.sleep(ERROR_DELAY_S)


async def _rest(first: str, pieces: AsyncGenerator[str]) -> AsyncGenerator[str]:
    async with aclosing(pieces):
        yield first
        async for text in pieces:
            yield text


async def _events(pieces: AsyncGenerator[str], language: Language) -> AsyncGenerator[bytes]:
    """Always ends with `[DONE]`, even after an error; otherwise an `EventSource` would send the request again."""
    try:
        async with aclosing(pieces):
            async for text in pieces:
                yield json_frame({"response": text})
    except SizzleError as error:
        yield json_frame({"error": error.message_in(language)})
    yield DONE


def _model(models: Mapping[str, ProviderChat], params: CompletionRequest) -> ProviderChat:
    """Returns the named model, or the first. Raises `InvalidFieldError` if it is unknown or too small."""
    name = params.model or next(iter(models))
    if name not in models:
        unknown = Message("There is no model {name!r} with a key.", name=name)
        raise InvalidFieldError("model", unknown, Message("One of {names}.", names=", ".join(models)))
    model = models[name]
    if params.max_tokens and params.max_tokens > model.max_output:
        short = Message("{name} can't write that many tokens.", name=name)
        raise InvalidFieldError("max_tokens", short, Message("From 1 to {most:,}.", most=model.max_output))
    try:
        check_window(model, params)
    except PromptTooLongError as error:
        raise InvalidFieldError("query", error.message, SHORTER) from None
    return model

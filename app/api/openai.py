"""OpenAI-compatible routes: a chat completion is a composition as Markdown in reading order.

The formats follow OpenAI's API reference ("Chat", "Streaming", "Errors").
"""

import re
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from uuid import uuid4

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.runnables import RunnableConfig
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.admission import Admission
from app.api.chat_tasks import query_in, task_answer
from app.api.conversation import PlainReply, Reader, request_of
from app.api.openai_errors import ApiError, api_errors, openai_error_response
from app.api.openai_requests import ChatRequest
from app.api.openapi import AppWithout422
from app.api.readers import reader_of
from app.compositions import ROOT, place_of
from app.models import Served
from app.server.disconnect import client_closed_request, run_until_disconnect
from app.server.event_source import EventSourceResponse
from app.server.languages import language_of
from app.server.telemetry import TELEMETRY
from app.wires.frames import DONE, json_frame
from chains.completion import DEADLINE_S, until
from chains.errors import ProviderError, SizzleError
from chains.messages import Message
from chains.models.timeouts import timeout_stream
from chains.parts.composition import Request as CompositionRequest
from chains.parts.events import PartEnd
from chains.parts.markdown import MarkdownWriter
from chains.parts.stream import astream_parts
from chains.translations import Language, language_in
from chains.validation import validation_message

FinishReason = Literal["stop", "length", "content_filter"]

COMPLETION = {
    "description": "A chat completion, or with `stream` its chunks as server-sent events, then `[DONE]`.",
    "content": {
        kind: {"schema": {"type": "object", "properties": {"object": {"const": name}}}}
        for kind, name in (("application/json", "chat.completion"), ("text/event-stream", "chat.completion.chunk"))
    },
}


class Text(Protocol):
    """The content of a chat completion. The finish reason and the usage are valid after the last piece."""

    @property
    def finish_reason(self) -> FinishReason: ...

    @property
    def usage(self) -> dict[str, int]: ...

    def pieces(self) -> AsyncGenerator[str]: ...


@dataclass(frozen=True)
class Answer:
    """A chat completion: its text up to the first `stop` sequence."""

    model: str
    text: Text
    stop: Sequence[str] = ()
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid4().hex}", init=False)
    created: int = field(default_factory=lambda: int(time.time()), init=False)

    async def pieces(self) -> AsyncGenerator[str]:
        async with aclosing(self.text.pieces()) as pieces:
            async for text in until(self.stop, pieces) if self.stop else pieces:
                yield text

    def head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


@dataclass(frozen=True)
class PlainText:
    """A fixed text, without a call to a model."""

    text: str
    finish_reason: FinishReason = "stop"

    @property
    def usage(self) -> dict[str, int]:
        return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}

    async def pieces(self) -> AsyncGenerator[str]:
        yield self.text


@dataclass
class CompositionText:
    """A composition as Markdown in reading order, from `model`, or from the models chosen by the settings."""

    served: Served
    model: str
    request: CompositionRequest
    finish_reason: FinishReason = field(default="stop", init=False)
    _usage: UsageMetadataCallbackHandler = field(
        default_factory=lambda: _inline(UsageMetadataCallbackHandler()), init=False
    )

    async def pieces(self) -> AsyncGenerator[str]:
        """Raises `ProviderError` at the end if the choice failed."""
        composition = self.served.composition
        choice = composition.choice.name if composition.choice else None
        writer, failure = MarkdownWriter(composition, self.request.language), None
        configurable = {} if self.model == place_of(composition).model else {"model": self.model}
        config: RunnableConfig = {"callbacks": [self._usage], "configurable": configurable}
        part_events = astream_parts(self.served.configurable_chain, self.request, config)
        async with aclosing(timeout_stream(DEADLINE_S, part_events)) as events:
            async for event in events:
                match event:
                    case PartEnd(part, "failed", message=message) if part == choice:
                        failure = message
                    case PartEnd(finish_reason="content_filter"):
                        self.finish_reason = "content_filter"
                    case PartEnd(status="cut_off" | "failed"):  # OpenAI has no other value for an incomplete answer
                        self.finish_reason = "length"
                    case _:
                        pass
                if text := writer.write(event):
                    yield text
        if failure:
            raise ProviderError("{message}", message=failure)

    @property
    def usage(self) -> dict[str, int]:
        """The tokens of all calls, as counted by the providers."""
        usages = self._usage.usage_metadata.values()
        prompt, completion = (sum(usage[kind] for usage in usages) for kind in ("input_tokens", "output_tokens"))
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def openai_app(
    served: Mapping[str, Served], owners: Mapping[str, str], keep_alive_s: float, admission: Admission
) -> FastAPI:
    """Returns the application under `/v1`. `owners` has the `owned_by` of each model."""
    app = AppWithout422(title="Sizzle, OpenAI-compatible", docs_url=None, redoc_url=None, telemetry=TELEMETRY)
    app.include_router(_models(owners))
    app.include_router(_completions(served, owners, keep_alive_s, admission))
    for error in (ApiError, RequestValidationError, SizzleError, HTTPException):
        app.add_exception_handler(error, openai_error_response)
    app.add_exception_handler(ClientDisconnect, client_closed_request)
    return app


def _models(owners: Mapping[str, str]) -> APIRouter:
    routes = APIRouter()
    entries = {name: _model_entry(name, owner) for name, owner in owners.items()}

    @routes.get("/models")
    @routes.get("/models/", include_in_schema=False)
    async def list_models() -> dict[str, object]:
        return {"object": "list", "data": list(entries.values())}

    @routes.get("/models/{name:path}", responses=api_errors(404))  # ids may contain slashes
    async def model(name: str) -> dict[str, object]:
        name = name if name in owners else name.removesuffix("/")
        _require(name, owners)
        return entries[name]

    return routes


def _completions(
    served: Mapping[str, Served], owners: Mapping[str, str], keep_alive_s: float, admission: Admission
) -> APIRouter:
    routes = APIRouter()

    @routes.post(
        "/chat/completions",
        responses={200: COMPLETION} | api_errors(400, 401, 403, 404, 413, 415, 421, 429, 502, 503),
    )
    @routes.post("/chat/completions/", include_in_schema=False)
    async def chat_completions(body: ChatRequest, request: Request) -> Response:
        _require(body.model, owners)
        if re.search(r"[^\W\d_]", text := "".join(body.texts("user")[-1:])):
            request.state.language = language_in(text)
        language = language_of(request)
        answer = _answer(served, body, language)
        if isinstance(answer.text, CompositionText):
            await admission.book(len(answer.text.served.composition.parts))
        if not body.stream:
            return JSONResponse(await run_until_disconnect(request, _whole(answer)))
        pieces = answer.pieces()
        first = await run_until_disconnect(request, anext(pieces, ""))
        return EventSourceResponse(
            _chunks(answer, first, pieces, body.wants_usage, language), keep_alive_s=keep_alive_s
        )

    return routes


def _model_entry(name: str, owner: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}


def _inline(counter: UsageMetadataCallbackHandler) -> UsageMetadataCallbackHandler:
    counter.run_inline = True  # otherwise LangChain calls it in a thread for every token
    return counter


def _require(model: str, owners: Mapping[str, str]) -> None:
    if model not in owners:
        message = Message("There is no model {name!r}. Available models: {names}.", name=model, names=", ".join(owners))
        raise ApiError(404, message, "model", "model_not_found")


def _answer(served: Mapping[str, Served], body: ChatRequest, language: Language) -> Answer:
    """Returns a composition or a fixed text. Raises `ApiError` if the request is for neither."""
    each = _served_as(body.model, served)
    reader = reader_of(each.composition)
    _require_supported(body, language)
    _require_user_message(body, reader)
    try:
        _answer_task(body, reader, language)
        request = _seeded(_request(body, reader, language), body.seed)
    except PlainReply as reply:
        return Answer(body.model, PlainText(reply.text))
    return Answer(body.model, CompositionText(each, body.model, request), body.stop or ())


def _require_supported(body: ChatRequest, language: Language) -> None:
    if refusal := body.refusal():
        name, reason = refusal
        message = Message("{field}: {wrong}.", field=name, wrong=reason.in_language(language))
        raise ApiError(400, message, name, "unsupported_parameter")


def _require_user_message(body: ChatRequest, reader: Reader[Any]) -> None:
    if not body.texts("user"):
        raise ApiError(400, reader.no_user_message(), "messages", "invalid_value")


def _answer_task(body: ChatRequest, reader: Reader[Any], language: Language) -> None:
    """Raises `PlainReply` if the last message is a front end's task. NextChat sends one as a system message."""
    last = body.messages[-1]
    system = "\n".join(body.texts("system", "developer"))
    tasks = [last.text] if last.role == "system" else []
    if (text := task_answer(reader, system, [*body.texts("user"), *tasks], language)) is not None:
        raise PlainReply(text)


def _request(body: ChatRequest, reader: Reader[CompositionRequest], language: Language) -> CompositionRequest:
    try:
        return request_of(reader, [query_in(text) for text in body.texts("user")])
    except ValidationError as error:
        raise _unreadable(error, reader, language) from None


def _seeded(request: CompositionRequest, seed: int | None) -> CompositionRequest:
    return request if seed is None else request.model_copy(update={"seed": seed % 2**53})


def _served_as(model: str, served: Mapping[str, Served]) -> Served:
    """Returns the composition of a model. Models of the registry write the one at the root."""
    by_model = {place_of(each.composition).model: each for each in served.values()}
    return by_model.get(model, by_model[ROOT.model])


def _unreadable(error: ValidationError, reader: Reader[Any], language: Language) -> ApiError:
    problem = error.errors()[0]
    field = str(problem["loc"][0]) if problem["loc"] else "body"
    message = reader.invalid(field, validation_message(problem, language), language)
    return ApiError(400, message, "messages", "invalid_value")


async def _whole(answer: Answer) -> dict[str, Any]:
    async with aclosing(answer.pieces()) as pieces:
        text = "".join([piece async for piece in pieces])
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.text.finish_reason}
    return {**answer.head("chat.completion"), "choices": [choice], "usage": answer.text.usage}


async def _chunks(
    answer: Answer, first: str, rest: AsyncGenerator[str], wants_usage: bool, language: Language
) -> AsyncGenerator[bytes]:
    """Yields the role, the content, the finish reason and the usage. After an error there is no `[DONE]`."""
    head = answer.head("chat.completion.chunk") | ({"usage": None} if wants_usage else {})

    def chunk(delta: Mapping[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return json_frame({**head, "choices": [choice]})

    async with aclosing(rest):
        yield chunk({"role": "assistant", "content": ""})
        yield chunk({"content": first})
        try:
            async for text in rest:
                yield chunk({"content": text})
        except SizzleError as error:
            yield json_frame(ApiError(502, error.message).body(language))
            return
        yield chunk({}, answer.text.finish_reason)
        if wants_usage:
            yield json_frame({**head, "choices": [], "usage": answer.text.usage})
        yield DONE

"""The OpenAI-compatible face: any client of chat completions can have a recipe, as Markdown in reading order.

The source of the shapes is OpenAI's API reference ("Chat", "Streaming", "Errors").
"""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

import orjson
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.runnables import RunnableConfig, RunnableLambda
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.disconnect import gone, unless_gone
from app.event_source import EventSource
from app.origins import refuse_foreign_pages
from chains.completion import DEADLINE_S
from chains.deadline import within
from chains.errors import ProviderError, SizzleError
from chains.free_text import request_in
from chains.markdown import MarkdownWriter
from chains.schema import PartEnd, RecipeRequest
from chains.streaming import astream_fragments

AS_SET = "sizzle"  # the model of that name: each step's as the settings chose it
DONE = b"data: [DONE]\n\n"
HOW_TO_ASK = (
    "Name the ingredients on hand and the time in the last user message, for example: beef, onions; 30 minutes."
)


class TextPart(BaseModel):
    type: Literal["text"]
    text: str


class Message(BaseModel):
    role: str
    content: str | list[TextPart] | None = None

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content or [])


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    """What is read of a request; parameters of sampling are the steps' own, and a client's make no difference."""

    model: str
    messages: list[Message] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    tools: list[object] | None = Field(default=None, max_length=0)

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


@dataclass(eq=False)
class ApiError(Exception):
    """An answer in OpenAI's form for errors."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None

    @property
    def body(self) -> dict[str, Any]:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


@dataclass
class Answer:
    """One recipe as a chat completion: its text while it is written, then why it ended and what it took."""

    chain: RunnableLambda[Any, Any]
    asked: RecipeRequest
    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    finish_reason: Literal["stop", "length", "content_filter"] = "stop"
    _counted: UsageMetadataCallbackHandler = field(default_factory=lambda: _inline(UsageMetadataCallbackHandler()))

    async def pieces(self) -> AsyncGenerator[str]:
        """Markdown in reading order. Raises `ProviderError` at the end if there is no recipe."""
        writer, failure = MarkdownWriter(self.asked.language), None
        chosen = {} if self.model == AS_SET else {"model": self.model}
        config: RunnableConfig = {"callbacks": [self._counted], "configurable": chosen}
        written = astream_fragments(self.chain, self.asked, config)
        async with aclosing(within(DEADLINE_S, written)) as updates:
            async for update in updates:
                match update:
                    case PartEnd("alternates", "failed", message=message):
                        failure = message
                    case PartEnd(finish_reason="content_filter"):
                        self.finish_reason = "content_filter"
                    case PartEnd(status="cut_off" | "failed"):  # the protocol has no other word for an answer cut short
                        self.finish_reason = "length"
                    case _:
                        pass
                if text := writer.write(update):
                    yield text
        if failure:
            raise ProviderError(failure)

    @property
    def usage(self) -> dict[str, int]:
        """The tokens of all calls together, as the providers count them."""
        counted = self._counted.usage_metadata.values()
        prompt, completion = (sum(usage[kind] for usage in counted) for kind in ("input_tokens", "output_tokens"))
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    def head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def openai_app(chain: RunnableLambda[Any, Any], owners: Mapping[str, str], keep_alive_s: float) -> FastAPI:
    """The routes under `/v1`. `owners` says of each model, and of `AS_SET`, whose it is."""
    app = FastAPI(title="Sizzle, OpenAI-compatible", docs_url=None, redoc_url=None)
    entries = {name: _model_entry(name, owner) for name, owner in owners.items()}

    @app.get("/models")
    async def list_models() -> dict[str, object]:
        return {"object": "list", "data": list(entries.values())}

    @app.get("/models/{name}")
    async def model(name: str) -> dict[str, object]:
        _require(name, owners)
        return entries[name]

    @app.post("/chat/completions", dependencies=[Depends(refuse_foreign_pages)])
    async def chat_completions(body: ChatRequest, request: Request) -> Response:
        _require(body.model, owners)
        answer = Answer(chain, _asked(body), body.model)
        if not body.stream:
            return JSONResponse(await unless_gone(request, _whole(answer)))
        pieces = answer.pieces()
        first = await unless_gone(request, anext(pieces))
        return EventSource(_chunks(answer, first, pieces, body.wants_usage), keep_alive_s=keep_alive_s)

    for error in (ApiError, RequestValidationError, SizzleError, HTTPException):
        app.add_exception_handler(error, _in_openais_form)
    app.add_exception_handler(ClientDisconnect, gone)
    return app


def _model_entry(name: str, owner: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}


def _inline(counter: UsageMetadataCallbackHandler) -> UsageMetadataCallbackHandler:
    counter.run_inline = True  # else it is called in a thread, for every token
    return counter


def _require(model: str, known: Mapping[str, str]) -> None:
    if model not in known:
        message = f"There is no model {model!r} here; there are: {', '.join(known)}."
        raise ApiError(404, message, "model", "model_not_found")


def _asked(body: ChatRequest) -> RecipeRequest:
    said = [message.text for message in body.messages if message.role == "user"]
    if not said:
        raise ApiError(400, f"There is no message of the role 'user'. {HOW_TO_ASK}", "messages", "invalid_value")
    try:
        return request_in(said[-1])
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        field = {"ingredientsOnHand": "ingredients", "prepTime": "time"}.get(name, name)
        wrong = problem["msg"].removeprefix("Value error, ")
        raise ApiError(400, f"{field}: {wrong}. {HOW_TO_ASK}", "messages", "invalid_value") from None


async def _whole(answer: Answer) -> dict[str, Any]:
    async with aclosing(answer.pieces()) as pieces:
        text = "".join([piece async for piece in pieces])
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
    return {**answer.head("chat.completion"), "choices": [choice], "usage": answer.usage}


async def _chunks(answer: Answer, first: str, rest: AsyncGenerator[str], wants_usage: bool) -> AsyncGenerator[bytes]:
    """The role, the content piece by piece, why it ended, and the usage; behind an error there is no `[DONE]`."""
    head = answer.head("chat.completion.chunk") | ({"usage": None} if wants_usage else {})

    def chunk(delta: Mapping[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _event({**head, "choices": [choice]})

    async with aclosing(rest):
        yield chunk({"role": "assistant", "content": ""})
        yield chunk({"content": first})
        try:
            async for text in rest:
                yield chunk({"content": text})
        except SizzleError as error:
            yield _event(ApiError(502, str(error)).body)
            return
        yield chunk({}, answer.finish_reason)
        if wants_usage:
            yield _event({**head, "choices": [], "usage": answer.usage})
        yield DONE


def _event(fields: Mapping[str, Any]) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(fields)


async def _in_openais_form(request: Request, error: Exception) -> JSONResponse:
    told = _api_error(request, error)
    return JSONResponse(told.body, told.status, error.headers if isinstance(error, HTTPException) else None)


def _api_error(request: Request, error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case SizzleError():
            return ApiError(502, str(error))
        case RequestValidationError():
            problem = error.errors()[0]
            names = [str(place) for place in problem["loc"][1:] if isinstance(place, str)] or ["body"]
            return ApiError(400, f"{'.'.join(names)}: {problem['msg']}.", names[0], "invalid_value")
        case HTTPException(status_code=status, detail=detail):
            code = "unknown_url" if status in (404, 405) else None
            return ApiError(status, f"{detail} ({request.method} {request.url.path})", code=code)
        case _:
            raise error

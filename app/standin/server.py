"""The wire: OpenAI's chat completions, streamed or whole, paced like a provider's.

The source of the shapes is OpenAI's API reference ("Chat", "Streaming", "Errors").
"""

import asyncio
import itertools
import logging
import re
import socket
import sys
import threading
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import orjson
import uvicorn
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from app.standin.cook import reply

MODEL_ID = "sizzle-stand-in"
FINGERPRINT = "rule-based-stand-in"
MODEL: dict[str, Any] = {
    "id": MODEL_ID,
    "object": "model",
    "created": 1_700_000_000,
    "owned_by": "sizzle (rule-based stand-in)",
    "description": "A rule-based stand-in, not a language model: it composes recipes from templates.",
}

_TOKEN = re.compile(r"\s?[가-힣]{1,2}|\s?[^\W\d_가-힣]{1,5}|\s?\d{1,3}|\s?[^\w\s]|\s+|.", re.DOTALL)
_UNPACED_BATCH = 8
_TYPES = {401: "authentication_error", 404: "invalid_request_error", 405: "invalid_request_error"}
logger = logging.getLogger(__name__)


@dataclass(eq=False)  # not frozen: Starlette clears the traceback of what it handles
class ApiError(Exception):
    """An answer in OpenAI's form for errors."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None


class TextPart(BaseModel):
    type: Literal["text"]
    text: StrictStr


class Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: StrictStr | list[TextPart] | None = None

    @property
    def text(self) -> str:
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        return "".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    include_usage: StrictBool = False


class Completion(BaseModel):
    """The body of a request; parameters that make no difference here are accepted and ignored."""

    model_config = ConfigDict(extra="ignore")

    model: StrictStr
    messages: list[Message] = Field(min_length=1)
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: StrictInt | None = Field(None, ge=1)
    max_completion_tokens: StrictInt | None = Field(None, ge=1)
    stop: StrictStr | Annotated[list[StrictStr], Field(max_length=4)] | None = None
    seed: StrictInt | None = None
    n: StrictInt | None = None

    @property
    def stops(self) -> list[str]:
        markers = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [marker for marker in markers if marker]

    @property
    def limit(self) -> int | None:
        return min(filter(None, (self.max_tokens, self.max_completion_tokens)), default=None)


@dataclass(frozen=True)
class Pace:
    """How fast tokens come: `ttft` seconds to the first, then `rate` a second; a rate of 0 means unlimited."""

    ttft: float
    rate: float

    def due(self, token: int) -> float:
        """When a token is due, in seconds since the request came."""
        return self.ttft + (token / self.rate if self.rate else 0.0)

    async def batches(self, tokens: Sequence[str]) -> AsyncIterator[Sequence[str]]:
        """The tokens as they fall due, by an absolute schedule: a late wake-up is caught up, not added."""
        clock = asyncio.get_running_loop().time
        start, sent = clock(), 0
        await asyncio.sleep(self.ttft)
        while sent < len(tokens):
            elapsed = clock() - start
            ready = sent + _UNPACED_BATCH if not self.rate else int((elapsed - self.ttft) * self.rate) + 1
            if ready > sent:
                yield tokens[sent:ready]
                sent = ready
            else:
                await asyncio.sleep(self.due(sent) - elapsed)


@dataclass(frozen=True)
class Answer:
    """What will be sent: the text cut into tokens, and why it ends."""

    id: str
    created: int
    tokens: list[str]
    finish_reason: Literal["stop", "length"]
    prompt_tokens: int
    head: dict[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        head = {"id": self.id, "created": self.created, "model": MODEL_ID, "system_fingerprint": FINGERPRINT}
        object.__setattr__(self, "head", head)

    @property
    def usage(self) -> dict[str, int]:
        written = len(self.tokens)
        total = self.prompt_tokens + written
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": written, "total_tokens": total}

    def whole(self) -> bytes:
        message = {"role": "assistant", "content": "".join(self.tokens), "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason, "logprobs": None}
        return orjson.dumps({**self.head, "object": "chat.completion", "choices": [choice], "usage": self.usage})

    def chunk(self, delta: Mapping[str, str], finish_reason: str | None = None) -> bytes:
        return self._event([{"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}])

    def usage_chunk(self) -> bytes:
        return self._event([], usage=self.usage)

    def _event(self, choices: list[dict[str, Any]], **more: object) -> bytes:
        chunk = {**self.head, "object": "chat.completion.chunk", "choices": choices, **more}
        return b"data: " + orjson.dumps(chunk) + b"\n\n"


def tokenize(text: str) -> list[str]:
    """Pieces of about four letters or one to three syllables; joined they are the text again."""
    return _TOKEN.findall(text)


async def _streamed(answer: Answer, pace: Pace, include_usage: bool) -> AsyncIterator[bytes]:
    opening = answer.chunk({"role": "assistant", "content": ""})
    async for tokens in pace.batches(answer.tokens):
        yield opening + b"".join(answer.chunk({"content": token}) for token in tokens)
        opening = b""
    yield opening + answer.chunk({}, answer.finish_reason)
    if include_usage:
        yield answer.usage_chunk()
    yield b"data: [DONE]\n\n"


async def _whole(answer: Answer, pace: Pace) -> AsyncIterator[bytes]:
    await asyncio.sleep(pace.due(max(0, len(answer.tokens) - 1)))
    yield answer.whole()


def _error(status: int, message: str, param: str | None, code: str | None) -> Response:
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return JSONResponse({"error": {"message": message, "type": kind, "param": param, "code": code}}, status)


async def _api_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return _error(error.status, error.message, error.param, error.code)


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = {404: "unknown_url", 405: "method_not_supported"}.get(error.status_code)
    message = f"{error.detail} ({request.method} {request.url.path})"
    response = _error(error.status_code, message, None, code)
    response.headers.update(error.headers or {})
    return response


def _require_key(request: Request) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise ApiError(401, "No API key: send one as 'Authorization: Bearer KEY'. Any will do.", code="invalid_api_key")


def _require_model(model: str) -> None:
    if model != MODEL_ID:
        raise ApiError(404, f"The model '{model}' does not exist; '{MODEL_ID}' does.", "model", "model_not_found")


async def _body(request: Request) -> Completion:
    try:
        parsed = Completion.model_validate(orjson.loads(await request.body()))
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"The body is not valid JSON: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        param = str(first["loc"][0]) if first["loc"] else None
        where = ".".join(str(step) for step in first["loc"])
        raise ApiError(400, f"{where or 'body'}: {first['msg']}", param, "invalid_value") from None
    if parsed.n not in (None, 1):
        raise ApiError(400, "n: only 1 is supported.", "n", "unsupported_value")
    return parsed


def _answer(body: Completion, number: int, seed: int) -> Answer:
    system = "\n".join(message.text for message in body.messages if message.role in ("system", "developer"))
    human = "\n".join(message.text for message in body.messages if message.role == "user")
    text = reply(system, human, seed if body.seed is None else body.seed)
    text = text[: min((text.find(stop) for stop in body.stops if stop in text), default=len(text))]
    tokens = tokenize(text)
    cut = body.limit is not None and len(tokens) > body.limit
    return Answer(
        id=f"chatcmpl-standin-{number}",
        created=MODEL["created"],
        tokens=tokens[: body.limit] if cut else tokens,
        finish_reason="length" if cut else "stop",
        prompt_tokens=sum(len(tokenize(message.text)) for message in body.messages),
    )


def standin_app(*, ttft_ms: float = 250, tokens_per_s: float = 80, seed: int = 0) -> Starlette:
    """The server as an ASGI app. `tokens_per_s` of 0 means unlimited."""
    pace = Pace(ttft_ms / 1000, tokens_per_s)
    numbers = itertools.count(1)

    async def completions(request: Request) -> Response:
        _require_key(request)
        body = await _body(request)
        _require_model(body.model)
        answer = _answer(body, next(numbers), seed)
        # Both are streaming responses, because Starlette stops those at once when the client goes away.
        if not body.stream:
            return StreamingResponse(_whole(answer, pace), media_type="application/json")
        include_usage = body.stream_options is not None and body.stream_options.include_usage
        headers = {"cache-control": "no-cache"}
        return StreamingResponse(
            _streamed(answer, pace, include_usage), headers=headers, media_type="text/event-stream"
        )

    async def models(request: Request) -> Response:
        _require_key(request)
        return JSONResponse({"object": "list", "data": [MODEL]})

    async def model(request: Request) -> Response:
        _require_key(request)
        _require_model(request.path_params["id"])
        return JSONResponse(MODEL)

    routes = [
        Route("/v1/chat/completions", completions, methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/models/{id:path}", model),
    ]
    return Starlette(routes=routes, exception_handlers={ApiError: _api_error, HTTPException: _http_error})


class _Server(uvicorn.Server):
    """Says when it accepts, and on exit hangs up on open streams instead of waiting for their ends."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.close()
        await super().shutdown(sockets)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            super().run(sockets)
        finally:
            self.ready.set()


def _bind(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def _url(host: str, sock: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{sock.getsockname()[1]}/v1"


def _server(app: Starlette) -> _Server:
    # no log_config: uvicorn's would take the place of that of the server around it
    return _Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))


@contextmanager
def serving(
    *, host: str = "127.0.0.1", port: int = 0, ttft_ms: float = 250, tokens_per_s: float = 80, seed: int = 0
) -> Generator[str, None, None]:
    """Serves from a thread of its own and yields the base URL, which ends in `/v1`. Port 0 lets the system pick.

    Raises `OSError` when the port is taken. On exit open streams are cut off.
    """
    with _bind(host, port) as sock:
        server = _server(standin_app(ttft_ms=ttft_ms, tokens_per_s=tokens_per_s, seed=seed))
        thread = threading.Thread(target=server.run, args=([sock],), name="stand-in", daemon=True)
        thread.start()
        server.ready.wait()
        if not server.started:
            raise RuntimeError("The stand-in did not start; its log says why.")
        base_url = _url(host, sock)
        logger.info("rule-based stand-in (not a language model) at %s", base_url)
        try:
            yield base_url
        finally:
            server.should_exit = True
            thread.join()


def run(host: str, port: int, ttft_ms: float, tokens_per_s: float, seed: int) -> None:
    """Serves in the foreground until it is interrupted."""
    with _bind(host, port) as sock, suppress(KeyboardInterrupt):
        sys.stdout.write(f"Rule-based stand-in (not a language model), model {MODEL_ID}, at {_url(host, sock)}\n")
        sys.stdout.flush()
        _server(standin_app(ttft_ms=ttft_ms, tokens_per_s=tokens_per_s, seed=seed)).run([sock])

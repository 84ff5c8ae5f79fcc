"""OpenAI's chat completions, streamed or in one response, at a set pace.

The source of the shapes is OpenAI's API reference ("Chat", "Streaming", "Errors").
"""

import asyncio
import itertools
import logging
import socket
import sys
import threading
from asyncio import Protocol
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from app.standin.answer import CREATED, MODEL_ID, Answer, tokenize
from app.standin.body import ApiError, Completion, read_body
from app.standin.conversation import reply
from app.standin.tools import Call

MODEL: dict[str, Any] = {
    "id": MODEL_ID,
    "object": "model",
    "created": CREATED,
    "owned_by": "sizzle (rule-based stand-in)",
    "description": "A rule-based stand-in, not a language model: it composes recipes from templates.",
}

MAX_BODY = 4 * 1024 * 1024  # bytes
_UNPACED_BATCH = 8
_TYPES = {401: "authentication_error", 404: "invalid_request_error", 405: "invalid_request_error"}
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """The pace of tokens: `ttft` seconds to the first, then `rate` per second; 0 means unlimited."""

    ttft: float
    rate: float

    def due(self, token: int) -> float:
        """Returns when a token is due, in seconds since the request."""
        return self.ttft + (token / self.rate if self.rate else 0.0)

    async def batches(self, tokens: Sequence[str]) -> AsyncIterator[Sequence[str]]:
        """Yields the tokens by an absolute schedule, so that delays do not add up."""
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


async def _streamed(answer: Answer, pace: Pace, include_usage: bool) -> AsyncIterator[bytes]:
    opening = answer.opening()
    async for tokens in pace.batches(answer.tokens):
        yield opening + b"".join(map(answer.token, tokens))
        opening = b""
    yield opening + answer.closing()
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


def _require_key(request: Request, is_valid: Callable[[str], bool]) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise ApiError(401, "No API key: send one as 'Authorization: Bearer KEY'. Any will do.", code="invalid_api_key")
    if not is_valid(key.strip()):
        raise ApiError(401, "This API key is not valid.", code="invalid_api_key")


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise ApiError(413, f"The body is too large: the limit is {MAX_BODY:,} bytes.")
    return bytes(body)


def _require_model(model: str) -> None:
    if model != MODEL_ID:
        raise ApiError(404, f"The model '{model}' does not exist; '{MODEL_ID}' does.", "model", "model_not_found")


def _answer(body: Completion, number: int, seed: int) -> Answer:
    result = reply(body, seed)
    text, tool = (result.arguments, result.tool) if isinstance(result, Call) else (_before(body.stops, result), None)
    tokens = tokenize(text)
    cut = body.limit is not None and len(tokens) > body.limit
    return Answer(
        number=number,
        tokens=tokens[: body.limit] if cut else tokens,
        finish_reason="length" if cut else "tool_calls" if tool else "stop",
        prompt_tokens=sum(len(tokenize(message.text)) for message in body.messages),
        tool=tool,
    )


def _before(stops: Sequence[str], text: str) -> str:
    return text[: min((text.find(stop) for stop in stops if stop in text), default=len(text))]


def standin_app(
    *, ttft_ms: float = 250, tokens_per_s: float = 80, seed: int = 0, is_valid_key: Callable[[str], bool] = bool
) -> Starlette:
    """Returns the server as an ASGI app. A `tokens_per_s` of 0 means unlimited."""
    pace = Pace(ttft_ms / 1000, tokens_per_s)
    numbers = itertools.count(1)

    async def completions(request: Request) -> Response:
        _require_key(request, is_valid_key)
        body = read_body(await _body(request))
        _require_model(body.model)
        answer = _answer(body, next(numbers), seed)
        # Both are streaming responses, because Starlette cancels those when the client disconnects.
        if not body.stream:
            return StreamingResponse(_whole(answer, pace), media_type="application/json")
        include_usage = body.stream_options is not None and body.stream_options.include_usage
        headers = {"cache-control": "no-cache"}
        return StreamingResponse(
            _streamed(answer, pace, include_usage), headers=headers, media_type="text/event-stream"
        )

    async def models(request: Request) -> Response:
        _require_key(request, is_valid_key)
        return JSONResponse({"object": "list", "data": [MODEL]})

    async def model(request: Request) -> Response:
        _require_key(request, is_valid_key)
        _require_model(request.path_params["id"])
        return JSONResponse(MODEL)

    routes = [
        Route("/v1/chat/completions", completions, methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/models/{id:path}", model),
    ]
    return Starlette(routes=routes, exception_handlers={ApiError: _api_error, HTTPException: _http_error})


class _Server(uvicorn.Server):
    """Signals when it accepts connections, and on exit closes open streams at once."""

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
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")


def _url(host: str, sock: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{sock.getsockname()[1]}/v1"


def _server(app: Starlette, http: type[Protocol] | Literal["auto"] = "auto") -> _Server:
    # no log_config or access_log, because both would change the logging of the enclosing server
    # longer than Sizzle keeps idle connections, so that none is closed just when it is reused
    keep_s = 75
    return _Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_keep_alive=keep_s, http=http))


@contextmanager
def _unlogged(thread: threading.Thread) -> Generator[None]:
    """Keeps messages of this thread's server out of the log, which is about the main server."""

    def is_of_another(record: logging.LogRecord) -> bool:
        return record.thread != thread.ident or record.levelno >= logging.WARNING

    loggers = [logging.getLogger(f"uvicorn.{name}") for name in ("error", "access")]
    for uvicorns in loggers:
        uvicorns.addFilter(is_of_another)
    try:
        yield
    finally:
        for uvicorns in loggers:
            uvicorns.removeFilter(is_of_another)


@contextmanager
def serving(
    *, host: str = "127.0.0.1", port: int = 0, ttft_ms: float = 250, tokens_per_s: float = 80, seed: int = 0
) -> Generator[str, None, None]:
    """Serves from its own thread and yields the base URL, which ends in `/v1`. Port 0 lets the system pick one.

    Raises `OSError` when the port is taken. On exit open streams are cut off.
    """
    with _bind(host, port) as sock, ExitStack() as stack:
        server = _server(standin_app(ttft_ms=ttft_ms, tokens_per_s=tokens_per_s, seed=seed))
        thread = threading.Thread(target=server.run, args=([sock],), name="stand-in", daemon=True)
        stack.enter_context(_unlogged(thread))
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


def run(
    sockets: list[socket.socket], where: str, ttft_ms: float, tokens_per_s: float, seed: int,
    is_valid_key: Callable[[str], bool] = bool,
    http: type[Protocol] | Literal["auto"] = "auto",
) -> None:  # fmt: skip
    """Serves in the foreground until interrupted. `where` says at which address, and for whom."""
    with suppress(KeyboardInterrupt):
        sys.stdout.write(f"Rule-based stand-in (not a language model), model {MODEL_ID}, at {where}\n")
        sys.stdout.flush()
        app = standin_app(ttft_ms=ttft_ms, tokens_per_s=tokens_per_s, seed=seed, is_valid_key=is_valid_key)
        _server(app, http).run(sockets)

"""Real servers on loopback for the tests: any ASGI app in its own thread, and a provider that follows a script."""

import asyncio
import itertools
import json
import socket
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from string import Formatter
from typing import Any, Protocol, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from app.settings import Settings
from chains.parts.composition import Choice, Composition
from chains.recipe.composition import RECIPE

COOKIE = {"Set-Cookie": "session=leak; Path=/"}  # must not be sent back
RECIPES = [
    {"name": "Pepper Steak", "intro": "Quick and hot."},
    {"name": "Beef Soup", "intro": "Slow & warm."},
    {"name": "Onion Tart", "intro": "Crisp."},
]


class Gate:
    """Makes a script wait until it is opened, from any thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def open(self) -> None:
        self._event.set()

    async def passed(self) -> None:
        while not self._event.is_set():  # noqa: ASYNC110  the event belongs to another thread's loop
            await asyncio.sleep(0.002)


@dataclass(frozen=True)
class Finish:
    """Ends an answer with this finish_reason; None ends the stream without one."""

    reason: str | None


@dataclass(frozen=True)
class Refuse:
    """Answers with an HTTP status and a body with the provider's own words."""

    status: int
    body: str = '{"error": {"message": "provider words sk-canary-1234"}}'


def settings_from(**values: Any) -> Settings:
    """Settings from plain values, as in the environment."""
    return Settings(**values)


PARTS = RECIPE.names
PROMPTS = {"proposal" if part is RECIPE.choice else part.name: RECIPE.prompt(part.name) for part in RECIPE.parts}

T = TypeVar("T")
Script = list[str | bytes | Gate | Finish | Refuse]


@dataclass
class Provider:
    """An OpenAI-compatible provider that answers each step with a script and records the calls.

    A step is named after its part; that of the recipe's `Choice` is `proposal`.
    """

    scripts: Mapping[str, Script | list[Script]] = field(default_factory=dict)
    compositions: Collection[Composition] = (RECIPE,)
    calls: list[dict[str, Any]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    url: str = ""
    most_at_once: int = 0
    open_streams: int = 0

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/v1/chat/completions", self._answer, methods=["POST"])])

    async def _answer(self, request: Request) -> Response:
        body = json.loads(await request.body())
        step = step_of(body["messages"][-1]["content"], self.compositions)
        url = request.url
        call = {"step": step, "path": url.path, "query": url.query, "headers": dict(request.headers), "body": body}
        self.calls.append(call)
        script = self._script(step)
        if script and isinstance(script[0], Refuse):
            return Response(script[0].body, script[0].status, media_type="application/json")
        if not body.get("stream"):
            text = "".join(move for move in script if isinstance(move, str))
            message = {"role": "assistant", "content": text}
            return JSONResponse({"id": "c", "model": "m", "choices": [{"message": message, "finish_reason": "stop"}]})
        return StreamingResponse(self._stream(step, script), media_type="text/event-stream", headers=COOKIE)

    def _script(self, step: str) -> Script:
        script = self.scripts.get(step, default_script(step, self.compositions))
        if script and isinstance(script[0], list):
            calls = sum(call["step"] == step for call in self.calls)
            return script[min(calls, len(script)) - 1]  # type: ignore[return-value]
        return script  # type: ignore[return-value]

    async def _stream(self, step: str, script: Script) -> AsyncIterator[bytes]:
        self.open_streams += 1
        self.most_at_once = max(self.most_at_once, self.open_streams)
        try:
            yield chunk({"role": "assistant", "content": ""})
            for move in [*script, *([] if script and isinstance(script[-1], Finish) else [Finish("stop")])]:
                match move:
                    case Gate():
                        await move.passed()
                    case Finish(None):
                        return
                    case Finish(reason):
                        yield chunk({}, reason)
                        yield b"data: [DONE]\n\n"
                    case bytes():
                        yield move
                    case text:
                        yield chunk({"content": text})
        except asyncio.CancelledError:
            self.closed.append(step)
            raise
        finally:
            self.open_streams -= 1


def apart(*texts: str) -> Script:
    """Chunks that are not merged although they arrive together, because each has a usage."""
    return [
        chunk({"content": text}, usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2})
        for text in texts
    ]


def default_script(step: str, compositions: Collection[Composition] = (RECIPE,)) -> Script:
    if step == "proposal":
        return _in_pieces(RECIPES)
    choices = {each.choice.name: each.choice for each in compositions if each.choice and each is not RECIPE}
    if step in choices:
        return _in_pieces(options_of(choices[step]))
    return [f"{step} ", "one, ", f"{step} two."]


def options_of(choice: Choice) -> list[dict[str, str]]:
    """Three options: the text of each field is its name and the option's number."""
    return [{field: f"{field} {number}" for field in choice.fields.values()} for number in (1, 2, 3)]


def _in_pieces(options: list[dict[str, str]]) -> Script:
    text = json.dumps(options)
    return [text[start : start + 12] for start in range(0, len(text), 12)]


def step_of(prompt: str, compositions: Collection[Composition] = (RECIPE,)) -> str:
    """The step whose task is in the prompt. Any other prompt is a plain completion's."""
    parts = (part for composition in compositions for part in composition.parts)
    found = next((part for part in parts if _task(part.prompt) in prompt), None)
    return "proposal" if found is RECIPE.choice else found.name if found else "completion"


@cache
def _task(template: str) -> str:
    """The longest text of the template without a variable."""
    return max((literal for literal, *_ in Formatter().parse(template)), key=len)


def chunk(delta: dict[str, str], finish_reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}
    return f"data: {json.dumps(chunk)}\n\n".encode()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs it in its own thread, because the browser's tests leave a loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


class _Server(uvicorn.Server):
    """Uvicorn checks only ten times a second whether to stop, but most test servers live no longer than that."""

    async def main_loop(self) -> None:
        ticks = itertools.count()
        while not await self.on_tick(next(ticks)):  # noqa: ASYNC110  as it does itself
            await asyncio.sleep(0.01)


@contextmanager
def serving(app: Any, sndbuf: int | None = None, **options: Any) -> Iterator[str]:
    """Serves the app on a port that the system picks, until the block ends.

    `sndbuf` is the size of the send buffer. The options are Uvicorn's.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if sndbuf:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1, lifespan="auto", **options)
        server = _Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                threading.Event().wait(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


class StreamServer(Protocol):
    """A server that reads and writes the bytes of connections itself."""

    async def connected(self, reader: StreamReader, writer: StreamWriter) -> None: ...

    async def aclose(self) -> None: ...


@contextmanager
def serving_streams(server: StreamServer) -> Iterator[str]:
    """Serves it in its own thread, on a port that the system picks, until the block ends; yields its origin."""
    origin, ended = Future[str](), threading.Event()

    async def serve() -> None:
        async with await asyncio.start_server(server.connected, "127.0.0.1", 0) as listening:
            origin.set_result("http://{}:{}".format(*listening.sockets[0].getsockname()))
            while not ended.is_set():  # noqa: ASYNC110  the event belongs to another thread
                await asyncio.sleep(0.01)
            listening.close()  # so that no connection comes after this
            await server.aclose()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        yield origin.result(5)
    finally:
        ended.set()
        thread.join()


@contextmanager
def provider(
    scripts: Mapping[str, Script | list[Script]] | None = None, compositions: Collection[Composition] = (RECIPE,)
) -> Iterator[Provider]:
    """Serves a scripted provider. A step without a script gets a plausible answer."""
    scripted = Provider(scripts or {}, compositions)
    with serving(scripted.app()) as url:
        scripted.url = f"{url}/v1"
        yield scripted

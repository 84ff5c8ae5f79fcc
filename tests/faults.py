"""A provider that fails in every way that providers do: a raw server, for no framework sends half a chunk or a reset.

One server stands for all providers, each under a path of its own, so that a step's script goes on wherever the step is
asked again: its first answer is for the step's first call, the last one for all further calls.
"""

import asyncio
import json
import socket
import struct
import threading
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from tests.servers import default_script, step_of

CANARY = "sk-canary-7f3a9"  # in everything that a provider says and nobody may read
PING_S = 0.02
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: closing sends an RST


@dataclass(frozen=True)
class Good:
    """The good answer's first `pieces`, or all of it."""

    pieces: int | None = None


@dataclass(frozen=True)
class Reset:
    """Breaks the connection off with an RST."""


@dataclass(frozen=True)
class HangUp:
    """Closes the connection as if all were said."""


@dataclass(frozen=True)
class Stall:
    """Says nothing more, except for comments if it `pings`, until the caller hangs up."""

    pings: bool = False


Move = bytes | Good | Reset | HangUp | Stall
Answer = tuple[Move | Callable[[], bytes], ...]


@dataclass
class Call:
    """A call as the provider had it. Times in seconds of the process's clock; `closed` when the caller hung up."""

    provider: str
    step: str
    model: str
    headers: dict[str, str]
    prompt: str
    asked: float
    on_kept_connection: bool = False
    closed: float | None = None


def good_text(step: str) -> str:
    """What a step's part holds when all went well."""
    return "".join(str(piece) for piece in default_script(step))


def http_chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def event(body: Mapping[str, Any]) -> bytes:
    return http_chunk(b"data: %b\n\n" % json.dumps(body).encode())


def delta(content: str | None = None, finish_reason: str | None = None) -> bytes:
    said = {} if content is None else {"role": "assistant", "content": content}
    choice = {"index": 0, "delta": said, "finish_reason": finish_reason}
    return event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY_END = b"0\r\n\r\n"
ERROR = {"error": {"message": f"Incorrect API key provided: {CANARY}", "type": "server_error", "code": "overloaded"}}


def streamed(*moves: Move, finish: str | None = None) -> Answer:
    """An answer as a stream; without a `finish` it comes to a clean end that no finish_reason tells of."""
    ending = [delta(finish_reason=finish), http_chunk(b"data: [DONE]\n\n")] if finish else []
    return (HEAD, delta(""), *moves, *ending, BODY_END)


GOOD: Answer = streamed(Good(), finish="stop")


def whole(body: str, content_type: str, status: int = 200, *headers: str) -> bytes:
    """An answer that is no stream."""
    encoded = body.encode()
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Type: {content_type}", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(encoded)}", "", ""]).encode() + encoded


def refusal(status: int, *headers: str) -> Answer:
    """An HTTP error in OpenAI's form, with the provider's own words in body and headers."""
    return (whole(json.dumps(ERROR), "application/json", status, f"X-Served-For: {CANARY}", *headers),)


def refusal_until_a_date(status: int) -> Answer:
    """An error with a `Retry-After` that is a date (RFC 9110 §10.2.3), one to two seconds away."""

    def moment() -> bytes:
        (answer,) = refusal(status, f"Retry-After: {formatdate(int(time.time()) + 2, usegmt=True)}")
        assert isinstance(answer, bytes)
        return answer

    return (moment,)


HTML = f"<!doctype html><html><title>Bad gateway</title><p>upstream {CANARY}</html>\n"
LONG_LINE = b"data: " + CANARY.encode() + b"x" * 10_000_000

STATUSES_TRIED_AGAIN = (408, 429, 500, 502, 503, 504)
STATUSES_FINAL = (400, 401, 402, 403, 404, 413, 422)

# What can happen at any moment of a stream.
_IN_A_STREAM: dict[str, tuple[Move, ...]] = {
    "reset": (Reset(),),
    "hung up": (b"1f\r\ndata: {", HangUp()),  # in the middle of an HTTP chunk
    "stall": (Stall(),),
    "stall with pings": (Stall(pings=True),),
    "clean end": (),
    "half an object": (http_chunk(b'data: {"choices": [{"delta": {"content": "%b' % CANARY.encode()),),
    "half an object as an event": (http_chunk(b'data: {"choices": [{"delta": "%b\n\n' % CANARY.encode()),),
    "error event": (event(ERROR),),
    "x_groq error": (event({"id": "c", "choices": [], "x_groq": {"id": "r", "error": CANARY}}),),
    "HTML in the stream": (http_chunk(HTML.encode()),),
    "10 MB in one line": (http_chunk(LONG_LINE),),
}

# In place of a stream.
_INSTEAD: dict[str, Answer] = {
    "reset without a word": (Reset(),),
    "hung up without a word": (HangUp(),),
    "stall without a word": (Stall(),),
    "empty completion": streamed(finish="stop"),
    "white space": streamed(delta(" \n "), finish="stop"),
    "HTML": (whole(HTML, "text/html; charset=utf-8"),),
    "plain words": (whole(f"Service busy {CANARY}", "text/plain"),),
    "10 MB of text": (whole(CANARY + "x" * 10_000_000, "text/plain"),),
    "429 with 120": refusal(429, "Retry-After: 120"),
    "429 with nonsense": refusal(429, f"Retry-After: {CANARY}"),
}

# Each is worth another attempt, wherever that can be made at once.
FAULTS: dict[str, Answer] = {
    **{str(status): refusal(status) for status in STATUSES_TRIED_AGAIN},
    **_INSTEAD,
    **{f"{name} before the first token": streamed(*moves) for name, moves in _IN_A_STREAM.items()},
    **{f"{name} after the first token": streamed(Good(2), *moves) for name, moves in _IN_A_STREAM.items()},
}

# Those after which text is there that no finish_reason vouches for.
TRUNCATIONS = (
    "clean end after the first token",
    "half an object after the first token",
    "HTML in the stream after the first token",  # lines that name no field, which WHATWG HTML §9.2.6 has ignored
)

# The provider says when to come back, and that is soon.
FAULTS_WITH_A_TIME: dict[str, Answer] = {
    "429 with seconds": refusal(429, "Retry-After: 1"),
    "503 with seconds": refusal(503, "Retry-After: 1"),
    "429 with a date": refusal_until_a_date(429),
}

# The answer came to an end that the provider calls by its name.
CUTS: dict[str, Answer] = {reason: streamed(Good(2), finish=reason) for reason in ("length", "content_filter")}


class FaultServer:
    """Plays a script for each step, and remembers its calls; a step without a script gets the good answer."""

    def __init__(self, scripts: Mapping[str, Sequence[Answer]]) -> None:
        self.calls: list[Call] = []
        self.origin = ""
        self._scripts = scripts
        self._open: dict[asyncio.Task[Any], StreamWriter] = {}
        self._used: set[StreamWriter] = set()

    def play(self, scripts: Mapping[str, Sequence[Answer]]) -> None:
        """Begins again with these scripts."""
        self.calls.clear()
        self._scripts = scripts

    def url(self, provider: str) -> str:
        """The base URL under which it is this provider."""
        return f"{self.origin}/{provider}/v1"

    def of(self, step: str) -> list[Call]:
        """The step's calls, in order."""
        return [call for call in self.calls if call.step == step]

    def asked(self, step: str) -> list[str]:
        """Which providers the step was asked from, in order."""
        return [call.provider for call in self.of(step)]

    async def connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Answers the requests of a connection one after the other, until it is closed."""
        task = asyncio.current_task()
        assert task
        self._open[task] = writer
        call = None
        try:
            while True:
                call = await self._next_call(reader, writer)
                answer = self._answer(call.step)
                if call.on_kept_connection and isinstance(answer[0], Reset | HangUp):
                    self.calls.remove(call)  # it is sent again on a fresh connection: that one fails
                for move in answer:
                    await _play(move, call, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            if call:
                call.closed = time.monotonic()
        except _Left:
            pass
        finally:
            del self._open[task]
            writer.close()

    async def aclose(self) -> None:
        for writer in self._open.values():
            writer.transport.abort()
        await asyncio.gather(*self._open)

    def _answer(self, step: str) -> Answer:
        script = self._scripts.get(step, [GOOD])
        return script[min(len(self.of(step)), len(script)) - 1]

    async def _next_call(self, reader: StreamReader, writer: StreamWriter) -> Call:
        """Raises `IncompleteReadError` when the caller hangs up instead."""
        had_request = writer in self._used
        self._used.add(writer)
        while True:
            line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            if line.startswith("POST"):
                break
            await _send(whole('{"object": "list", "data": []}', "application/json"), writer)
            had_request = True
        asked = json.loads(await reader.readexactly(int(headers["content-length"])))
        prompt = asked["messages"][-1]["content"]
        call = Call(line.split("/")[1], step_of(prompt), asked["model"], headers, prompt, time.monotonic(), had_request)
        self.calls.append(call)
        return call


class _Left(Exception):
    """The provider closed the connection itself."""


async def _play(move: Move | Callable[[], bytes], call: Call, reader: StreamReader, writer: StreamWriter) -> None:
    """Raises `_Left` when the move closes the connection, `ConnectionError` when the caller has."""
    match move:
        case Good(pieces):
            for piece in default_script(call.step)[:pieces]:
                await _send(delta(str(piece)), writer)
        case Stall(pings):
            await _wait_for_the_caller_to_leave(reader, writer, pings)
        case Reset():
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            writer.transport.abort()
            raise _Left
        case HangUp():
            raise _Left
        case bytes():
            await _send(move, writer)
        case made:
            await _send(made(), writer)


async def _wait_for_the_caller_to_leave(reader: StreamReader, writer: StreamWriter, pings: bool) -> None:
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(PING_S if pings else None):
                await reader.read()
                raise ConnectionResetError
        await _send(http_chunk(b": ping\n\n"), writer)


async def _send(piece: bytes, writer: StreamWriter) -> None:
    writer.write(piece)
    await writer.drain()


@contextmanager
def faults(scripts: Mapping[str, Sequence[Answer]] | None = None) -> Iterator[FaultServer]:
    """The server in a thread of its own, on a port that the system picks, until the block ends."""
    server, started, ended = FaultServer(scripts or {}), threading.Event(), threading.Event()

    async def serve() -> None:
        listening = await asyncio.start_server(server.connected, "127.0.0.1", 0)
        async with listening:
            server.origin = "http://{}:{}".format(*listening.sockets[0].getsockname())
            started.set()
            while not ended.is_set():  # noqa: ASYNC110  the event belongs to another thread
                await asyncio.sleep(0.01)
            await server.aclose()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(5)
        yield server
    finally:
        ended.set()
        thread.join()


@contextmanager
def nobody() -> Iterator[str]:
    """A base URL at which connections are refused."""
    with socket.socket() as unheard:  # bound, so that nobody else takes the port, and not listening
        unheard.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unheard.getsockname()[1]}/v1"

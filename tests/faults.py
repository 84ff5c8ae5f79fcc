"""A provider that fails in every way that real providers do. It is a raw server, because no framework sends a reset.

One server plays all providers, each under its own path. A step's script is shared by all of them: its first answer is
for the first call of the step, and its last one for all further calls.
"""

import asyncio
import json
import socket
import struct
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from tests.servers import default_script, serving_streams, step_of

CANARY = "sk-canary-7f3a9"  # in all of the provider's words, which must not be repeated
PING_S = 0.02
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: closing sends an RST


@dataclass(frozen=True)
class Good:
    """The good answer's first `pieces`, or all of it."""

    pieces: int | None = None


@dataclass(frozen=True)
class Reset:
    """Resets the connection (RST)."""


@dataclass(frozen=True)
class HangUp:
    """Closes the connection in an orderly way."""


@dataclass(frozen=True)
class Stall:
    """Sends nothing more, except for comments if it `pings`, until the client hangs up."""

    pings: bool = False


Move = bytes | Good | Reset | HangUp | Stall
Answer = tuple[Move | Callable[[], bytes], ...]


@dataclass
class Call:
    """A received call. Times are seconds of the process's clock; `closed` is when the client hung up."""

    provider: str
    step: str
    model: str
    headers: dict[str, str]
    prompt: str
    received_at: float
    on_kept_connection: bool = False
    closed: float | None = None


def good_text(step: str) -> str:
    """The complete text of a step's part."""
    return "".join(str(piece) for piece in default_script(step))


def http_chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def event(body: Mapping[str, Any]) -> bytes:
    return http_chunk(b"data: %b\n\n" % json.dumps(body).encode())


def delta(content: str | None = None, finish_reason: str | None = None) -> bytes:
    content_fields = {} if content is None else {"role": "assistant", "content": content}
    choice = {"index": 0, "delta": content_fields, "finish_reason": finish_reason}
    return event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY_END = b"0\r\n\r\n"
ERROR = {"error": {"message": f"Incorrect API key provided: {CANARY}", "type": "server_error", "code": "overloaded"}}


def streamed(*moves: Move, finish: str | None = None) -> Answer:
    """A streamed answer. Without `finish` it ends in an orderly way, but without a finish_reason."""
    ending = [delta(finish_reason=finish), http_chunk(b"data: [DONE]\n\n")] if finish else []
    return (HEAD, delta(""), *moves, *ending, BODY_END)


GOOD: Answer = streamed(Good(), finish="stop")


def whole(body: str, content_type: str, status: int = 200, *headers: str) -> bytes:
    """An answer that is not a stream."""
    encoded = body.encode()
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Type: {content_type}", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(encoded)}", "", ""]).encode() + encoded


def refusal(status: int, *headers: str) -> Answer:
    """An HTTP error in OpenAI's format, with the provider's own words in body and headers."""
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

# Faults within a stream.
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

# Faults instead of a stream.
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

# After each of these another attempt is made at once.
FAULTS: dict[str, Answer] = {
    **{str(status): refusal(status) for status in STATUSES_TRIED_AGAIN},
    **_INSTEAD,
    **{f"{name} before the first token": streamed(*moves) for name, moves in _IN_A_STREAM.items()},
    **{f"{name} after the first token": streamed(Good(2), *moves) for name, moves in _IN_A_STREAM.items()},
}

# Faults after which there is text without a finish_reason.
TRUNCATIONS = (
    "clean end after the first token",
    "half an object after the first token",
    "HTML in the stream after the first token",  # lines without a field name are ignored, WHATWG HTML §9.2.6
)

# Faults with a short Retry-After.
FAULTS_WITH_A_TIME: dict[str, Answer] = {
    "429 with seconds": refusal(429, "Retry-After: 1"),
    "503 with seconds": refusal(503, "Retry-After: 1"),
    "429 with a date": refusal_until_a_date(429),
}

# Answers that were cut, with the reason.
CUTS: dict[str, Answer] = {reason: streamed(Good(2), finish=reason) for reason in ("length", "content_filter")}


class FaultServer:
    """Plays a script for each step and records the calls. A step without a script gets the good answer."""

    def __init__(self, scripts: Mapping[str, Sequence[Answer]]) -> None:
        self.calls: list[Call] = []
        self.origin = ""
        self._scripts = scripts
        self._open: dict[asyncio.Task[Any], StreamWriter] = {}
        self._used: set[StreamWriter] = set()

    def play(self, scripts: Mapping[str, Sequence[Answer]]) -> None:
        """Starts again with these scripts."""
        self.calls.clear()
        self._scripts = scripts

    def url(self, provider: str) -> str:
        """The base URL of this provider."""
        return f"{self.origin}/{provider}/v1"

    def of(self, step: str) -> list[Call]:
        """The calls of the step, in order."""
        return [call for call in self.calls if call.step == step]

    def providers_of(self, step: str) -> list[str]:
        """The providers that were called for the step, in order."""
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
                    self.calls.remove(call)  # it is sent again on a new connection, which fails
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
        """Raises `IncompleteReadError` if the client hangs up instead."""
        had_request = writer in self._used
        self._used.add(writer)
        while True:
            line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            if line.startswith("POST"):
                break
            await _send(whole('{"object": "list", "data": []}', "application/json"), writer)
            had_request = True
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        prompt = body["messages"][-1]["content"]
        call = Call(line.split("/")[1], step_of(prompt), body["model"], headers, prompt, time.monotonic(), had_request)
        self.calls.append(call)
        return call


class _Left(Exception):
    """The provider has closed the connection."""


async def _play(move: Move | Callable[[], bytes], call: Call, reader: StreamReader, writer: StreamWriter) -> None:
    """Raises `_Left` if the move closes the connection, `ConnectionError` if the client has closed it."""
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
    """Serves the fault server in its own thread, on a port that the system picks, until the block ends."""
    server = FaultServer(scripts or {})
    with serving_streams(server) as server.origin:
        yield server


@contextmanager
def nobody() -> Iterator[str]:
    """A base URL that refuses connections."""
    with socket.socket() as closed:  # bound, so that the port stays free, but not listening
        closed.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{closed.getsockname()[1]}/v1"

"""A fake provider: OpenAI's chat completions, streamed at a set pace from pre-encoded chunks.

`POST /pace` sets the pace of subsequent calls. `GET /calls` returns part and recipe of each call, when it was
requested and when its last token was sent, in seconds of the machine's clock, or null while it is open. Nothing, not
even the status line, is sent before the first token, and each event is a separate write unless the pace has bursts.
"""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from time import perf_counter
from typing import Any, cast

import httptools
import orjson
import uvloop

from benchmarks.prompts import number_of, part_of
from benchmarks.tokens import EVEN, tokens

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True)
class Pace:
    """Seconds to the first token, tokens per second (0: no limit), by model or for all, and tokens per call.

    Without a limit, `burst` tokens are written at a time.
    """

    ttft_s: float = 0.25
    tokens_per_s: float = 0
    by_model: Mapping[str, float] = field(default_factory=dict)
    lengths: Mapping[str, int] = field(default_factory=lambda: EVEN)
    burst: int = 1

    def interval_s(self, model: str) -> float:
        rate = self.by_model.get(model, self.tokens_per_s)
        return 1 / rate if rate else 0


class Provider:
    """The state shared by all connections."""

    def __init__(self) -> None:
        self.set_pace(Pace())

    def set_pace(self, pace: Pace) -> None:
        self.pace = pace
        self.calls: list[dict[str, Any]] = []


class Connection(asyncio.Protocol):
    """A keep-alive connection. Its requests are parsed by httptools and answered in turn."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._parser = httptools.HttpRequestParser(self)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast(asyncio.Transport, transport).write

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()
            self._finish()

    def on_message_begin(self) -> None:
        self._url, self._body = b"", b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        match self._url.rpartition(b"/")[2]:
            case b"completions":
                self._begin(orjson.loads(self._body))
            case b"pace":
                self._provider.set_pace(Pace(**orjson.loads(self._body)))
                self._write(whole(b"{}"))
            case b"calls":
                self._write(whole(orjson.dumps(self._provider.calls)))
            case _:
                self._write(whole(b'{"object":"list","data":[]}'))

    def _begin(self, body: dict[str, Any]) -> None:
        pace, model = self._provider.pace, body["model"]
        prompt = body["messages"][-1]["content"]
        part = part_of(prompt)
        length, interval = pace.lengths[part], pace.interval_s(model)
        self._call = {"part": part, "recipe": number_of(prompt), "requested": perf_counter(), "ended": None}
        self._provider.calls.append(self._call)
        if not body.get("stream"):
            self._later(pace.ttft_s + (length - 1) * interval, partial(self._answer, completion(part, length, model)))
            return
        wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        self._frames, self._tokens, self._sent = frames(part, length, model, wants_usage), length, 0
        self._first, self._interval = self._call["requested"] + pace.ttft_s, interval
        self._later(pace.ttft_s, self._send_due if interval else self._send_next)

    def _send_due(self) -> None:
        """Sends all tokens that are due, so that delays do not change the pace."""
        due = int((perf_counter() - self._first) / self._interval + 1.05)
        due = min(max(due, self._sent), self._tokens)
        for frame in self._frames[self._sent : due]:
            self._write(frame)
        self._sent = due
        if self._sent == self._tokens:
            self._end(self._frames[self._tokens :])
        else:
            self._later(self._first + self._sent * self._interval - perf_counter(), self._send_due)

    def _send_next(self) -> None:
        """Sends one token per turn of the loop, so that each is a separate write, or a burst."""
        until = min(self._sent + self._provider.pace.burst, self._tokens)
        self._write(b"".join(self._frames[self._sent : until]))
        self._sent = until
        if self._sent == self._tokens:
            self._end(self._frames[self._tokens :])
        else:
            self._timer = self._loop.call_soon(self._send_next)

    def _end(self, frames: tuple[bytes, ...]) -> None:
        for frame in frames:
            self._write(frame)
        self._finish()

    def _answer(self, answer: bytes) -> None:
        self._write(answer)
        self._finish()

    def _finish(self) -> None:
        self._call["ended"] = perf_counter()
        self._timer = None

    def _later(self, delay_s: float, act: Any) -> None:
        self._timer = self._loop.call_later(max(0, delay_s), act)


def whole(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@cache
def frames(part: str, length: int, model: str, wants_usage: bool) -> tuple[bytes, ...]:
    """Returns the response in HTTP chunks of one event. The first also has the role, and the last ones end it."""
    texts = tokens(part, length)
    role = HEAD + chunk(model, {"role": "assistant", "content": ""})
    encoded = [chunk(model, {"content": text}) for text in texts]
    usage = [event({**_base(model), "choices": [], "usage": _usage(length)})] if wants_usage else []
    ending = [chunk(model, {}, "stop"), *usage, http_chunk(b"data: [DONE]\n\n"), LAST_CHUNK]
    return (role + encoded[0], *encoded[1:], *ending)


@cache
def completion(part: str, length: int, model: str) -> bytes:
    message = {"role": "assistant", "content": "".join(tokens(part, length))}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {**_base(model), "object": "chat.completion", "choices": [choice], "usage": _usage(length)}
    return whole(orjson.dumps(body))


def chunk(model: str, delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return event({**_base(model), "choices": [choice]})


def event(body: dict[str, Any]) -> bytes:
    return http_chunk(b"data: %b\n\n" % orjson.dumps(body))


def http_chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def _base(model: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": model}


def _usage(length: int) -> dict[str, int]:
    return {"prompt_tokens": 100, "completion_tokens": length, "total_tokens": 100 + length}


async def serve() -> None:
    provider = Provider()
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        server = await asyncio.get_running_loop().create_server(lambda: Connection(provider), sock=listener)
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)  # noqa: T201
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())

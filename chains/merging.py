"""Reads a provider's stream in as few pieces as it has arrived in: tokens that came together become one chunk.

It adds no delay, for a read returns what is there; a server that is behind finds more there, so that a token costs it
less. It takes the place of the SDK's decoder and types, with which a token costs several times as much.
"""

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, cast

import httpx2
import orjson
from openai import APIError, AsyncOpenAI, AsyncStream
from typing_extensions import override

Chunk = dict[str, Any]

LONGEST_EVENT = 1024 * 1024  # bytes
DRAIN_S = 0.1  # to wait for the body's end behind `[DONE]`, without which its connection can't be used again
DONE = b"[DONE]"

_TEXT_ONLY = {"role", "content"}


async def merged_stream(client: AsyncOpenAI, payload: Mapping[str, Any]) -> "MergedStream":
    """A chat completion's stream. The request, its key and its errors are the SDK's own."""
    return await client.post("/chat/completions", body=payload, cast_to=object, stream=True, stream_cls=MergedStream)


class MergedStream(AsyncStream[Chunk]):
    """The chunks of a streamed answer, in order, neighbours that hold nothing but text merged.

    Raises, behind the text before it, `APIError` where the provider tells of a failure, and `ValueError` for what can't
    be read.
    """

    @override
    async def __stream__(self) -> AsyncIterator[Chunk]:
        if _kind_of(self.response) in ("text/html", "application/json"):
            raise ValueError("this is a page or a document, and no stream")
        received, decoder = _received(self.response), EventDecoder()
        try:
            async for piece in received:
                events = decoder.feed(piece)
                chunks, failure = self._read(events)
                for chunk in merged(chunks):
                    yield chunk
                if failure:
                    raise failure
                if DONE in events:
                    await _drain(received)
                    break
        finally:
            await self.response.aclose()

    def _read(self, events: Iterable[bytes]) -> tuple[list[Chunk], Exception | None]:
        """The chunks before the end or the failure, and the failure."""
        chunks: list[Chunk] = []
        for event in events:
            if event == DONE:
                break
            try:
                chunks.append(self._chunk(event))
            except (APIError, ValueError, AttributeError, TypeError) as failure:
                return chunks, failure
        return chunks, None

    def _chunk(self, event: bytes) -> Chunk:
        chunk = _loads(event)
        if not isinstance(chunk, dict):
            raise ValueError("a chunk is no object")
        known = cast(Chunk, chunk)
        groqs: Chunk = known.get("x_groq") or {}
        if known.get("error") or groqs.get("error"):
            raise APIError("the provider told of a failure in its stream", self.response.request, body=None)
        if not all(isinstance(delta.get("content"), str | None) for delta in _deltas(known)):
            raise ValueError("a chunk's content is no text")
        return known


def _loads(event: bytes) -> Any:
    try:
        return orjson.loads(event)
    except orjson.JSONDecodeError:
        # for it holds half an emoji, which JSON can and UTF-8 can't: a question mark then
        return orjson.loads(json.dumps(json.loads(event), ensure_ascii=False).encode(errors="replace"))


def merged(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """The chunks, of those that follow one another and hold nothing but text only the first, with the text of all."""
    first, texts = None, list[str]()
    for chunk in chunks:
        text = text_in(chunk)
        if text is not None:
            first = first or chunk
            texts.append(text)
            continue
        if first:
            yield _with_text(first, texts)
            first, texts = None, []
        yield chunk
    if first:
        yield _with_text(first, texts)


def text_in(chunk: Chunk) -> str | None:
    """The text of a chunk that holds nothing else, which is nearly every one."""
    choices: list[Chunk] | None = chunk.get("choices")
    if not choices or len(choices) > 1 or chunk.get("usage"):
        return None
    choice = choices[0]
    delta: Chunk = choice.get("delta") or {}
    if choice.get("finish_reason") or choice.get("logprobs") or not delta.keys() <= _TEXT_ONLY:
        return None
    return delta.get("content")


def content_of(chunk: Chunk) -> str:
    """All text of any chunk."""
    return "".join(delta.get("content") or "" for delta in _deltas(chunk))


def is_answer(chunk: Chunk) -> bool:
    """Whether the chunk holds text that can be seen, or a tool's call."""
    return bool(content_of(chunk).strip()) or any(delta.get("tool_calls") for delta in _deltas(chunk))


def is_progress(chunk: Chunk) -> bool:
    """Whether the chunk holds anything that was written, if only a model's reasoning or the reason of its end."""
    if any(value for delta in _deltas(chunk) for field, value in delta.items() if field != "role"):
        return True
    return finish_reason_of(chunk) is not None


def finish_reason_of(chunk: Chunk) -> str | None:
    """Why the answer ended, if the chunk says so."""
    choices: list[Chunk] = chunk.get("choices") or []
    return next((choice["finish_reason"] for choice in choices if choice.get("finish_reason")), None)


def _deltas(chunk: Chunk) -> list[Chunk]:
    choices: list[Chunk] = chunk.get("choices") or []
    return [choice.get("delta") or {} for choice in choices]


def _with_text(chunk: Chunk, texts: list[str]) -> Chunk:
    if len(texts) == 1:
        return chunk
    choice: Chunk = chunk["choices"][0]
    return {**chunk, "choices": [{**choice, "delta": {**choice["delta"], "content": "".join(texts)}}]}


def _kind_of(response: httpx2.Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _received(response: httpx2.Response) -> AsyncIterator[bytes]:
    """The body as it comes: without a coding of its content there is nothing that httpx2 need undo."""
    coded = "content-encoding" in response.headers
    return response.aiter_bytes() if coded else aiter(cast(AsyncIterable[bytes], response.stream))


async def _drain(received: AsyncIterator[bytes]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            async for _ in received:
                pass


class EventDecoder:
    """The data of server-sent events (WHATWG HTML §9.2.6), in whatever pieces their bytes come.

    Raises `ValueError` for an event of more than `LONGEST_EVENT` bytes.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._after_cr = False

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that are complete with this piece."""
        *events, self._rest = (self._rest + self._with_line_feeds(piece)).split(b"\n\n")
        if len(self._rest) > LONGEST_EVENT:
            raise ValueError("an event is too long")
        return [data for event in events if (data := _data(event))]

    def _with_line_feeds(self, piece: bytes) -> bytes:
        """The piece with a line feed for every end of a line, even one whose other half came before."""
        if self._after_cr and piece:
            self._after_cr, piece = False, piece.removeprefix(b"\n")
        if b"\r" not in piece:
            return piece
        self._after_cr = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _data(event: bytes) -> bytes:
    if event.startswith(b"data: ") and b"\n" not in event:
        return event[6:]
    lines = [line for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(line.removeprefix(b"data:").removeprefix(b" ") for line in lines)

"""Streams are decoded as OpenAI's own client decodes them, however they are divided into blocks."""

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import pairwise
from typing import Any, cast

import httpx2
import pytest
from hypothesis import given, settings, strategies as st
from openai import AsyncOpenAI, AsyncStream

from chains.models.answers import AnswerReader
from chains.models.sse import LONGEST_EVENT, Chunk, EventDecoder, Piece, PieceDecoder, merged
from chains.models.stream_failures import StreamFailure
from tests.amounts import cases
from tests.servers import run

TEXT = st.text(max_size=6) | st.sampled_from(["소고기", "🥘", "\r\n", "data: x\n\n", '"}', "\u2028"])
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def chunk(delta: Chunk, finish_reason: str | None = None, **more: Any) -> Chunk:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]} | more


def tool_call(arguments: str) -> Chunk:
    return {"tool_calls": [{"index": 0, "id": "t", "type": "function", "function": {"arguments": arguments}}]}


USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
CHUNKS = st.one_of(
    TEXT.map(lambda text: chunk({"content": text})),
    TEXT.map(lambda text: chunk({"role": "assistant", "content": text})),
    TEXT.map(lambda text: chunk({"content": text}, "")),
    TEXT.map(lambda text: chunk({"content": text}, "length")),
    TEXT.map(lambda text: chunk({"content": text}, usage=USAGE)),
    TEXT.map(lambda text: chunk({"content": None, "reasoning": text})),
    TEXT.map(lambda text: chunk(tool_call(text))),
    st.just(chunk({}, "stop")),
    st.just({**chunk({}), "choices": [], "usage": USAGE}),
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Chunk], bytes]:
    """Chunks, and the bytes of a stream that contains them, with comments and other fields in between."""
    chunks = draw(st.lists(CHUNKS, max_size=12))
    end, text = draw(ENDS), ""
    for data in [*(json.dumps(each, ensure_ascii=draw(st.booleans())) for each in chunks), "[DONE]"]:
        text += draw(st.sampled_from(["", f": ping{end}", f": ping{end}{end}", f"retry: 5{end}"]))
        text += draw(st.sampled_from(["data: ", "data:"])) + data + end + end
    return chunks, text.encode()


FAILURES = [
    '{"error": {"message": "sk-canary"}}',
    '{"x_groq": {"error": "sk-canary"}}',
    '{"object": "error", "message": "sk-canary", "code": 503}',
    '{"detail": "sk-canary"}',
    "{",
]


@st.composite
def failing(draw: st.DrawFn) -> tuple[list[Chunk], bytes]:
    """The chunks before a failure, and the bytes of a stream with another chunk after it."""
    chunks, body = draw(streams())
    before, _, after = body.rpartition(b"[DONE]")
    return chunks, before + draw(st.sampled_from(FAILURES)).encode() + after + draw(streams())[1]


@st.composite
def cut(draw: st.DrawFn, whole: st.SearchStrategy[tuple[list[Chunk], bytes]]) -> tuple[list[Chunk], list[bytes]]:
    """The chunks, and their stream in pieces that may end inside a character, a line ending or an event."""
    chunks, body = draw(whole)
    places = sorted({0, len(body), *draw(st.lists(st.integers(0, len(body)), max_size=20))})
    return chunks, [body[start:stop] for start, stop in pairwise(places)]


async def sdks(blocks: list[bytes]) -> list[Piece]:
    """The pieces as OpenAI's client decodes them."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=_each(blocks))

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        client = AsyncOpenAI(api_key="k", base_url="http://x/v1", http_client=http, max_retries=0)
        stream_cls = AsyncStream[object]
        async with await client.post("/c", body={}, cast_to=object, stream=True, stream_cls=stream_cls) as read:
            return [cast(Chunk, each) async for each in read]


def ours(*blocks: bytes) -> list[Piece]:
    return list(_fed(blocks))


def _fed(blocks: Iterable[bytes]) -> Iterator[Piece]:
    decoder = PieceDecoder()
    for block in blocks:
        pieces, failure = decoder.feed(block)
        yield from pieces
        if failure:
            raise failure


async def _each(blocks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for block in blocks:
        yield block


def joined(pieces: Iterable[Piece]) -> list[Piece]:
    """The pieces in order, with consecutive texts joined."""
    joined: list[Piece] = []
    for piece in map(_text_or_chunk, pieces):
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def _text_or_chunk(piece: Piece) -> Piece:
    if isinstance(piece, str):
        return piece
    choice = cast(Chunk, (piece["choices"] or [{}])[0])
    text_only = set[str](choice.get("delta", {"no": 1})) <= {"role", "content"} and not choice["finish_reason"]
    text: str | None = choice["delta"].get("content") if text_only and not piece.get("usage") else None
    return piece if text is None else text


@settings(deadline=None, max_examples=cases(300))
@given(cut(streams()))
def test_any_division_of_a_stream_is_decoded_as_by_the_sdk(stream: tuple[list[Chunk], list[bytes]]) -> None:
    """Text, finish_reason, usage and tool calls are the same and in the same order; no chunk is lost."""
    chunks, pieces = stream
    read = joined(ours(*pieces))
    assert read == joined(chunks)
    assert read == joined(run(sdks(pieces)))


@settings(deadline=None)
@given(cut(failing()))
def test_a_failure_loses_nothing_before_it(stream: tuple[list[Chunk], list[bytes]]) -> None:
    """All chunks before it are decoded, and none after it."""
    chunks, blocks = stream
    read: list[Piece] = []
    with pytest.raises((StreamFailure, ValueError), match=r"^(?!.*canary)"):
        read.extend(_fed(blocks))
    assert joined(read) == joined(chunks)


@given(st.lists(CHUNKS))
def test_consecutive_texts_are_merged(chunks: list[Chunk]) -> None:
    """As few chunks as possible are left."""
    pieces = [_text_or_chunk(each) for each in chunks]
    assert list(merged(pieces)) == list(merged(merged(pieces))) == joined(chunks)


def test_tokens_of_one_read_are_one_chunk() -> None:
    """A read with ten tokens is one chunk; ten reads are ten."""
    tokens = [f"data: {json.dumps(chunk({'content': str(n)}))}\n\n".encode() for n in range(10)]
    assert ours(b"".join(tokens)) == ["0123456789"]
    assert ours(*tokens) == list("0123456789")
    no_reason = b'"finish_reason": null', b'"finish_reason": ""'
    assert ours(b"".join(tokens).replace(*no_reason)) == ["0123456789"]


@pytest.mark.parametrize("half", [b"\\ud83d", b"\xed\xa0\xbd"])
def test_half_an_emoji_becomes_question_marks(half: bytes) -> None:
    """The text around it is unchanged, whether or not JSON escapes it."""
    answer = AnswerReader(1)
    [text], failure = answer.feed(b'data: {"choices": [{"delta": {"content": "Hot' + half + b'!"}}]}\n\n')
    assert failure is None
    assert isinstance(text, str)
    assert text.replace("?", "").replace("\ufffd", "") == "Hot!" != text


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_follows_the_text_before_it(failure: str) -> None:
    """This holds even if both arrive in one read. The failure does not repeat the provider's words."""
    body = f"data: {json.dumps(chunk({'content': 'beef'}))}\n\ndata: {failure}\n\n".encode()
    pieces, failed = PieceDecoder().feed(body)
    assert pieces == ["beef"]
    assert failed
    assert "canary" not in f"{failed!r} {failed.__context__!r}"


def test_an_endless_event_is_refused() -> None:
    """A line of more than a megabyte is refused before it is complete."""
    decoder = EventDecoder()
    assert decoder.feed(b"x" * LONGEST_EVENT) == []
    with pytest.raises(ValueError, match="too long"):
        decoder.feed(b"x")

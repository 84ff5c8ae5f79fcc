"""Our decoder against OpenAI's own clients for Python and Node, over the same bytes.

If a client reads an answer, ours reads the same text. `DIFFERENCES` lists the cases in which ours accepts more, or
refuses on purpose.
"""

import base64
import json
import os
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import httpx2
import pytest
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletionChunk

from tests.answers import BEEF, DONE, STOP, choice, read
from tests.servers import run
from tests.test_answers import BODIES

NODE = Path(__file__).parent / "node"

STREAMS: dict[str, bytes] = {
    **{name: body for name, (body, _) in BODIES.items()},
    "bytes that are not UTF-8": BEEF.replace(b"Beef.", b"Be\xffef.") + choice(**STOP) + DONE,
    "unknown fields": BEEF.replace(b'"index"', b'"padding": {"a": [1]}, "index"') + choice(**STOP) + DONE,
    "a field without a colon": b"data\n\n" + BEEF + DONE,
    "data over several lines": BEEF.replace(b'"choices"', b'\ndata: "choices"') + DONE,
    "two spaces after the colon": BEEF.replace(b"data: ", b"data:  ") + DONE,
    "no space after the colon": BEEF.replace(b"data: ", b"data:") + DONE,
    "mixed line endings": BEEF.replace(b"\n\n", b"\r\n\n") + BEEF.replace(b"\n\n", b"\r\n\r\n") + DONE,
    "nothing": b"",
}
BYTE_ORDER_MARK, HALVES, THINKING, DOCUMENT, MORE, FAILURE = (
    "Python's client loses the first event after a byte order mark, which WHATWG HTML §9.2.6 removes.",
    "Python's client returns the two halves of an emoji, which become one character in Node.",
    "Thinking is no part of the answer.",
    "The clients expect a stream; some servers send a whole completion, which is an answer, too.",
    "The clients ignore chunks in this form.",
    "The provider reports a failure, which the clients hand on as if it were a chunk.",
)
PYTHON_ONLY = (BYTE_ORDER_MARK, HALVES)
DIFFERENCES: dict[str, str] = {
    "a byte order mark": BYTE_ORDER_MARK,
    "a byte order mark after blank lines": BYTE_ORDER_MARK,
    "halves of an emoji in two chunks": HALVES,
    "a list of parts as content, thinking among them": THINKING,
    "parts of all kinds": THINKING,
    "thinking in tags": THINKING,
    "thinking whose tags are in pieces": THINKING,
    "thinking that is recognized by how it begins": THINKING,
    "thinking that is recognized at its end": THINKING,
    "thinking of Mistral's": THINKING,
    "thinking up to the limit": THINKING,
    "parts in lists of their own, and parts without a type": THINKING,
    "a whole text completion": DOCUMENT,
    "lines of JSON": MORE,
    "lines of JSON with blank lines between them": MORE,
    "lines of JSON without an end": MORE,
    "lines of Ollama's own API": FAILURE,
    "the text of a choice without a delta": MORE,
    "a whole completion": DOCUMENT,
    "a whole completion without a reason": DOCUMENT,
    "JSON without a field's name": MORE,
    "a list of chunks": MORE,
    "a document with an error": FAILURE,
    "a list with Google's error": FAILURE,
    "llama.cpp's": FAILURE,
    "a failure without a field's name": FAILURE,
    "a document that is something else": FAILURE,
    "events of another protocol": FAILURE,
    "a page": FAILURE,
    "a text": FAILURE,
    "OpenRouter's": FAILURE,
    "a reason that is an error": FAILURE,
    "an abort": FAILURE,
    "vLLM's": FAILURE,
    "FastAPI's": FAILURE,
    "an error event": FAILURE,
    "Bedrock's, which a field's name tells": FAILURE,
    "one without a success": FAILURE,
    "Groq's": FAILURE,
}


async def _each(blocks: Sequence[bytes]) -> AsyncIterator[bytes]:
    for block in blocks:
        yield block


async def _python(blocks: Sequence[bytes]) -> str | None:
    """The text that OpenAI's client for Python reads, or None if it fails."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=_each(blocks))

    text = ""
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        client = AsyncOpenAI(api_key="k", base_url="http://x/v1", http_client=http, max_retries=0)
        stream = await client.chat.completions.create(model="m", messages=[], stream=True)
        try:
            async for chunk in cast(AsyncStream[ChatCompletionChunk], stream):
                text += (chunk.choices[0].delta.content or "") if chunk and chunk.choices else ""
        except Exception:  # noqa: BLE001  whatever it is, the client reads no more
            return None
    return text


def _cuts(body: bytes) -> list[list[bytes]]:
    """The body as a whole and byte by byte."""
    return [[body], [body[place : place + 1] for place in range(len(body))]]


async def _all_of_python() -> list[str | None]:
    return [await _python(blocks) for body in STREAMS.values() for blocks in _cuts(body)]


def _all_of_node() -> list[str | None]:
    cuts = [blocks for body in STREAMS.values() for blocks in _cuts(body)]
    bodies = [[base64.b64encode(block).decode() for block in blocks] for blocks in cuts]
    command = ["node", str(NODE / "read-streams.mjs")]
    result = subprocess.run(command, input=json.dumps(bodies), capture_output=True, text=True, check=True)  # noqa: S603
    return json.loads(result.stdout)


def _ours(blocks: Sequence[bytes]) -> str | None:
    answer = read(*blocks)
    return None if answer.failure else answer.text


def _unequal(theirs: Sequence[str | None]) -> set[str]:
    """The bodies for which a client reads another text than ours. If a client fails, ours may read more."""
    cuts = [(name, blocks) for name, body in STREAMS.items() for blocks in _cuts(body)]
    pairs = zip(cuts, theirs, strict=True)
    return {name for (name, blocks), text in pairs if text is not None and text != _ours(blocks)}


def test_python_s_client_reads_no_more_than_ours() -> None:
    unequal = _unequal(run(_all_of_python()))
    assert unequal - DIFFERENCES.keys() == set()
    assert {name for name, reason in DIFFERENCES.items() if reason in PYTHON_ONLY} <= unequal


@pytest.mark.skipif(
    not (NODE / "node_modules").exists() and os.environ.get("CI") != "true",
    reason="needs `npm install` in tests/node",
)
def test_node_s_client_reads_no_more_than_ours() -> None:
    unequal = _unequal(_all_of_node())
    assert unequal == {name for name, reason in DIFFERENCES.items() if reason not in PYTHON_ONLY}

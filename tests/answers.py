"""Bodies of streamed answers, and what reading them should give."""

import json
from dataclasses import dataclass
from typing import Any

from chains.models.answers import RETRACTED, AnswerReader
from chains.models.stream_failures import StreamFailure

CANARY = "sk-canary-7f3a9"
STOP = {"finish_reason": "stop"}
DONE = b"data: [DONE]\n\n"


def event(**fields: Any) -> bytes:
    return f"data: {json.dumps(fields, ensure_ascii=False)}\n\n".encode()


def choice(content: Any = None, /, **fields: Any) -> bytes:
    """A chunk with one choice; without content its delta is empty."""
    delta = {} if content is None else {"content": content}
    return event(choices=[{"index": 0, "delta": delta, "finish_reason": None, **fields}])


def usage(tokens: Any) -> bytes:
    return event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": 0})


@dataclass
class Answer:
    """The result of reading a body. `failure` is a status or the error's name."""

    text: str
    reason: str | None
    is_complete: bool
    tokens: int | None = None
    failure: int | str | None = None


def read(*blocks: bytes, starts_with_thinking: bool = False) -> Answer:
    reader = AnswerReader(10, starts_with_thinking=starts_with_thinking)
    texts: list[str] = []
    failure = None
    for block in blocks:
        shown, failure = reader.feed(block)
        _show(shown, texts)
        if failure or reader.is_over:
            break
    shown, broken = reader.close()
    _show(shown, texts)
    failure = None if reader.is_complete else failure or broken
    name = failure.status or "StreamFailure" if isinstance(failure, StreamFailure) else failure and "ValueError"
    counted = reader.ending("m").usage_metadata
    return Answer("".join(texts), reader.reason, reader.is_complete, counted and counted["output_tokens"], name)


def _show(shown: list[Any], texts: list[str]) -> None:
    for piece in shown:
        if piece is RETRACTED:
            texts.clear()
        elif isinstance(piece, str):
            texts.append(piece)


def ok(text: str = "Beef.", reason: str | None = "stop", tokens: int | None = None) -> Answer:
    return Answer(text, reason, is_complete=True, tokens=tokens)


def failed(failure: int | str, text: str = "", reason: str | None = None) -> Answer:
    return Answer(text, reason, is_complete=False, failure=failure)


BEEF = choice("Beef.")

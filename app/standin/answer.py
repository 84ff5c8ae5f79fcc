"""Formats an answer, a text or a tool call, as one response or as the chunks of a stream."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

MODEL_ID = "sizzle-stand-in"
FINGERPRINT = "rule-based-stand-in"
CREATED = 1_700_000_000

_TOKEN = re.compile(r"\s?[가-힣]{1,2}|\s?[^\W\d_가-힣]{1,5}|\s?\d{1,3}|\s?[^\w\s]|\s+|.", re.DOTALL)


def tokenize(text: str) -> list[str]:
    """Splits a text into pieces of about four letters or one to three syllables."""
    return _TOKEN.findall(text)


@dataclass(frozen=True)
class Answer:
    """The tokens of a text or of a tool's arguments, and the finish reason."""

    number: int
    tokens: list[str]
    finish_reason: Literal["stop", "length", "tool_calls"]
    prompt_tokens: int
    tool: str | None = None
    head: dict[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        id = f"chatcmpl-standin-{self.number}"
        head = {"id": id, "created": CREATED, "model": MODEL_ID, "system_fingerprint": FINGERPRINT}
        object.__setattr__(self, "head", head)

    @property
    def usage(self) -> dict[str, int]:
        completion_tokens = len(self.tokens)
        total = self.prompt_tokens + completion_tokens
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": total}

    def _call(self, arguments: str) -> dict[str, Any]:
        id = f"call_standin_{self.number}"
        return {"id": id, "type": "function", "function": {"name": self.tool, "arguments": arguments}}

    def whole(self) -> bytes:
        text = "".join(self.tokens)
        message: dict[str, Any] = {"role": "assistant", "content": None if self.tool else text, "refusal": None}
        if self.tool:
            message["tool_calls"] = [self._call(text)]
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason, "logprobs": None}
        return orjson.dumps({**self.head, "object": "chat.completion", "choices": [choice], "usage": self.usage})

    def opening(self) -> bytes:
        if self.tool is None:
            return self._chunk({"role": "assistant", "content": ""})
        return self._chunk({"role": "assistant", "content": None, "tool_calls": [{"index": 0, **self._call("")}]})

    def token(self, token: str) -> bytes:
        if self.tool is None:
            return self._chunk({"content": token})
        return self._chunk({"tool_calls": [{"index": 0, "function": {"arguments": token}}]})

    def closing(self) -> bytes:
        return self._chunk({}, self.finish_reason)

    def usage_chunk(self) -> bytes:
        return self._event([], usage=self.usage)

    def _chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        return self._event([{"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}])

    def _event(self, choices: list[dict[str, Any]], **more: object) -> bytes:
        chunk = {**self.head, "object": "chat.completion.chunk", "choices": choices, **more}
        return b"data: " + orjson.dumps(chunk) + b"\n\n"

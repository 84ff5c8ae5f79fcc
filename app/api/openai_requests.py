"""The request for a chat completion, and the parameters that are rejected because they cannot be honored.

The fields are those of OpenAI's API reference ("Create chat completion"). Sampling and bookkeeping parameters and token
limits are accepted and ignored, because each step has its own.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, Field

from chains.messages import Message

MARKDOWN_ONLY = Message("the answer is Markdown; omit response_format or set its type to text")
NO_TOOLS = Message("not supported; omit it or set tool_choice to none")


class ChatMessage(BaseModel):
    """A message of the conversation. Content that is not text is ignored."""

    role: str
    content: Any = None

    @property
    def text(self) -> str:
        content = cast(object, self.content)
        parts = cast(list[object], content) if isinstance(content, list) else [content]
        return "\n".join(text for part in parts if (text := _text(part)))


def _text(part: object) -> str:
    if isinstance(part, dict):  # `text` in chat completions, `input_text` in the Responses API
        fields = cast(dict[str, object], part)
        part = fields.get("text") if fields.get("type") in ("text", "input_text", None) else None
    return part if isinstance(part, str) else ""


def _without_empty(value: object) -> object:
    """Returns a list of stop sequences. Front ends send an empty one for an empty field."""
    values = cast(list[object], value) if isinstance(value, list) else [value]
    return [each for each in values if each not in ("", None)]


class StreamOptions(BaseModel):
    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """The body of a request. Other fields are ignored."""

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    stop: Annotated[list[str], BeforeValidator(_without_empty), Field(max_length=4)] | None = None
    seed: int | None = None
    n: Literal[1] | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    tool_choice: Any = None
    function_call: Any = None
    response_format: Any = None
    logprobs: Literal[False] | None = None
    top_logprobs: Literal[0] | None = None
    modalities: list[Literal["text"]] | None = None
    audio: None = None

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def texts(self, *roles: str) -> Sequence[str]:
        """Returns the texts of all messages with these roles, in order."""
        return [message.text for message in self.messages if message.role in roles]

    def refusal(self) -> tuple[str, Message] | None:
        """Returns the first parameter that cannot be honored, and why."""
        for name, choice in (("tools", self.tool_choice), ("functions", self.function_call)):
            if getattr(self, name) and choice != "none":
                return name, NO_TOOLS
        for name in ("tool_choice", "function_call"):
            if getattr(self, name) not in (None, "none", "auto"):
                return name, NO_TOOLS
        if self.response_format is not None and _kind(self.response_format) != "text":
            return "response_format", MARKDOWN_ONLY
        return None


def _kind(response_format: object) -> object:
    return cast(dict[str, object], response_format).get("type") if isinstance(response_format, dict) else None

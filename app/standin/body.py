"""The body of OpenAI's chat completions, as far as it matters here, and its errors.

The source of the shapes is OpenAI's API reference ("Chat", "Function calling", "Errors").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

import orjson
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
)


@dataclass(eq=False)  # not frozen, because Starlette clears the traceback
class ApiError(Exception):
    """An error in OpenAI's format."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None


class TextPart(BaseModel):
    type: Literal["text"]
    text: StrictStr


class CalledFunction(BaseModel):
    name: StrictStr
    arguments: StrictStr


class ToolCall(BaseModel):
    id: StrictStr
    type: Literal["function"]
    function: CalledFunction


class Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: StrictStr | list[TextPart] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: StrictStr | None = None

    @property
    def text(self) -> str:
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        return "".join(part.text for part in self.content)


class Schema(BaseModel):
    """The parts of a JSON Schema that are used to fill in arguments."""

    type: StrictStr | list[StrictStr] | None = None
    description: str = ""
    properties: "dict[str, Schema]" = {}
    required: list[StrictStr] = []
    items: "Schema | bool | None" = None
    any_of: "list[Schema]" = Field(default=[], alias="anyOf")
    ref: StrictStr | None = Field(default=None, alias="$ref")
    defs: "dict[str, Schema]" = Field(default={}, alias="$defs")
    enum: Annotated[list[Any], Field(min_length=1)] | None = None
    const: Any = None
    default: Any = None
    minimum: FiniteFloat | None = None
    maximum: FiniteFloat | None = None

    @field_validator("properties", mode="before")
    @classmethod
    def _any_for_true(cls, properties: object) -> object:
        """In JSON Schema `true` accepts everything."""
        if not isinstance(properties, dict):
            return properties
        anything: dict[str, Any] = {}
        return {name: anything if each is True else each for name, each in cast("dict[str, Any]", properties).items()}


class Function(BaseModel):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$", strict=True)]
    description: StrictStr = ""
    parameters: Schema = Schema()

    @field_validator("parameters")
    @classmethod
    def _are_an_object(cls, parameters: Schema) -> Schema:
        if parameters.type not in ("object", None):
            raise ValueError('the schema of a function\'s parameters must have the type "object"')
        return parameters


class Tool(BaseModel):
    type: Literal["function"]
    function: Function


class FunctionName(BaseModel):
    name: StrictStr


class NamedTool(BaseModel):
    type: Literal["function"]
    function: FunctionName


class StreamOptions(BaseModel):
    include_usage: StrictBool = False


class Completion(BaseModel):
    """The body of a request. Other parameters are accepted and ignored."""

    model_config = ConfigDict(extra="ignore")

    model: StrictStr
    messages: list[Message] = Field(min_length=1)
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: StrictInt | None = Field(None, ge=1)
    max_completion_tokens: StrictInt | None = Field(None, ge=1)
    stop: StrictStr | Annotated[list[StrictStr], Field(max_length=4)] | None = None
    seed: StrictInt | None = None
    n: StrictInt | None = None
    tools: Annotated[list[Tool], Field(min_length=1, max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None

    @field_validator("messages")
    @classmethod
    def _every_call_has_its_result(cls, messages: list[Message]) -> list[Message]:
        open_calls: set[str] = set()
        for message in messages:
            if message.role == "tool":
                if message.tool_call_id not in open_calls:
                    raise ValueError("a message of role 'tool' must answer a 'tool_calls' before it, by 'tool_call_id'")
                open_calls.remove(message.tool_call_id)
            elif open_calls:
                break
            else:
                open_calls = {call.id for call in message.tool_calls or []}
        if open_calls:
            raise ValueError("each of 'tool_calls' must be followed by a message of role 'tool' with its id")
        return messages

    @property
    def stops(self) -> list[str]:
        markers = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [marker for marker in markers if marker]

    @property
    def limit(self) -> int | None:
        return min(filter(None, (self.max_tokens, self.max_completion_tokens)), default=None)

    @property
    def functions(self) -> list[Function]:
        return [tool.function for tool in self.tools or []]

    def texts_of(self, *roles: str) -> list[str]:
        return [message.text for message in self.messages if message.role in roles]

    @property
    def called(self) -> set[str]:
        """Returns the tools called since the last question."""
        last = max((at for at, message in enumerate(self.messages) if message.role == "user"), default=-1)
        calls = (call for message in self.messages[last + 1 :] for call in message.tool_calls or [])
        return {call.function.name for call in calls}

    @property
    def results(self) -> Sequence[str]:
        """Returns the results of tools at the end of the conversation."""
        last = max((at for at, message in enumerate(self.messages) if message.role != "tool"), default=-1)
        return [message.text for message in self.messages[last + 1 :]]


def read_body(body: bytes) -> Completion:
    """Raises `ApiError` with the name of the parameter."""
    try:
        parsed = Completion.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"The body is not valid JSON: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        param = str(first["loc"][0]) if first["loc"] else None
        where = ".".join(str(step) for step in first["loc"])
        raise ApiError(400, f"{where or 'body'}: {first['msg']}", param, "invalid_value") from None
    if parsed.n not in (None, 1):
        raise ApiError(400, "n: only 1 is supported.", "n", "unsupported_value")
    _check_choice(parsed)
    return parsed


def _check_choice(body: Completion) -> None:
    if body.tool_choice is None or body.tool_choice == "none":
        return
    if body.tools is None:
        raise ApiError(400, "tool_choice: only with tools.", "tool_choice", "invalid_value")
    named = body.tool_choice.function.name if isinstance(body.tool_choice, NamedTool) else None
    if named and named not in {function.name for function in body.functions}:
        raise ApiError(400, f"tool_choice: there is no tool named '{named}'.", "tool_choice", "invalid_value")

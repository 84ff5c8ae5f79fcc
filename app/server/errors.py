"""Error responses; validation errors are listed by field."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from typing import Any, LiteralString, cast

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from app.server.expected import expected_of
from app.server.languages import language_of
from chains.completion import CompletionRequest
from chains.errors import SizzleError
from chains.messages import Message
from chains.translations import Language
from chains.validation import validation_message

Expected = tuple[Message, Mapping[str, Message]]  # of a body, and of its fields


class HTTPError(HTTPException):
    """An HTTP error whose message is in the language of the request."""

    def __init__(
        self, status: int, template: LiteralString, headers: Mapping[str, str] | None = None, **values: object
    ) -> None:
        self.message = Message(template, **values)
        super().__init__(status, str(self.message), headers)


@dataclass(eq=False)  # not frozen, because Starlette clears the traceback
class InvalidFieldError(Exception):
    """An invalid field that pydantic cannot detect: what is wrong, and what is expected."""

    field: str
    message: Message
    expected: Message
    status: int = 422

    def in_language(self, language: Language) -> dict[str, str]:
        return _named(self.field, self.message, self.expected, language)


async def validation_error(request: Request, error: Exception) -> JSONResponse:
    """Answers with each invalid field, what is wrong and what is expected: 400 if the body is not JSON, else 422."""
    language = language_of(request)
    if isinstance(error, RequestValidationError):
        nothing: Expected = (Message(""), {})
        body, fields = cast(Expected, getattr(request.scope.get("endpoint"), "expected", nothing))
        problems = [_problem(problem, body, {**EXPECTED_FIELD, **fields}, language) for problem in error.errors()]
        return detail_response(problems, 400 if any(map(_is_no_json, error.errors())) else 422)
    assert isinstance(error, InvalidFieldError)  # noqa: S101  registered for this class only
    return detail_response([error.in_language(language)], error.status)


async def provider_error(request: Request, error: Exception) -> JSONResponse:
    """Answers 502 with our own message about the provider's failure."""
    return error_response(request, 502, cast(SizzleError, error).message)


def error_response(
    request: HTTPConnection, status: int, message: Message, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Returns the message as JSON, in the language of the request."""
    return detail_response(message.in_language(language_of(request)), status, headers)


def detail_response(detail: object, status: int, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Returns a detail, which depends on the language of the request, as JSON."""
    return JSONResponse({"detail": detail}, status, {"Vary": "Accept-Language", **(headers or {})})


def describe_body(endpoint: Callable[..., Any], model: type[BaseModel]) -> None:
    """Makes validation errors of this endpoint say what its body and the fields of `model` should be."""
    body = Message("A JSON object with {fields}.", fields=_names(model))
    _expect(endpoint, body, field_descriptions(model))


def describe_query(endpoint: Callable[..., Any], model: type[BaseModel]) -> None:
    """Makes validation errors of this endpoint name its query parameters."""
    _expect(endpoint, Message("{message}", message=f"{_names(model)}."), field_descriptions(model))


def describe_fields(endpoint: Callable[..., Any], model: type[BaseModel]) -> None:
    """Makes validation errors of this endpoint say what the fields of `model`, somewhere in its body, should be."""
    _expect(endpoint, Message(""), field_descriptions(model))


def describe_path(endpoint: Callable[..., Any], **values: Iterable[str]) -> None:
    """Makes validation errors of this endpoint list the values of its path parameters."""
    fields = {name: Message("One of {names}.", names=", ".join(each)) for name, each in values.items()}
    _expect(endpoint, Message(""), fields)


def _expect(endpoint: Callable[..., Any], body: Message, fields: Mapping[str, Message]) -> None:
    endpoint.expected = body, fields  # pyright: ignore[reportFunctionMemberAccess]


def _is_no_json(problem: Mapping[str, Any] | str) -> bool:
    return isinstance(problem, str) or problem["type"] == "json_invalid"  # a string is LangServe's form


def _problem(
    problem: Mapping[str, Any] | str, body: Message, fields: Mapping[str, Message], language: Language
) -> dict[str, str]:
    if isinstance(problem, str):  # LangServe's form for a body that is not JSON
        return _named("body", Message("{message}", message=problem), body, language)
    field, inner = _places(problem["loc"])
    where = f"{field}{inner}: " if inner else ""
    message = Message("{message}", message=f"{where}{validation_message(problem, language)}.")
    return _named(field, message, fields.get(field, body), language)


def _places(location: Sequence[str | int]) -> tuple[str, str]:
    """Returns the field and, as in `[0].name`, the place in it, without the types of a union that pydantic tried."""
    places = _from_name([place for place in location if place not in _PLACES])
    if places[0:1] in (["query"], ["input"], ["inputs"]):  # the place, not a field
        places = _from_name(places[1:]) or places[:1]
    field, *inner = places or ["body"]
    steps = (f"[{place}]" if isinstance(place, int) else f".{place}" for place in inner if not _is_type(place))
    return str(field), "".join(steps)


def _is_type(place: str | int) -> bool:
    return isinstance(place, str) and bool(_TYPE.fullmatch(place))


def _from_name(places: Sequence[str | int]) -> list[str | int]:
    return [*dropwhile(lambda place: isinstance(place, int), places)]


def _named(field: str, message: Message, expected: Message, language: Language) -> dict[str, str]:
    return {"field": field, "message": message.in_language(language), "expected": expected.in_language(language)}


def _names(model: type[BaseModel]) -> str:
    return ", ".join(field.alias or name for name, field in model.model_fields.items())


def field_descriptions(model: type[BaseModel]) -> dict[str, Message]:
    """Returns the description of each field, or its type and limits, by its name and by its alias."""
    is_described = all(field.description for field in model.model_fields.values())
    schema = {} if is_described else model.model_json_schema()
    return {
        key: _description(field) if field.description else expected_of(schema, field.alias or name)
        for name, field in model.model_fields.items()
        for key in (name, field.alias or name)
    }


def _description(field: FieldInfo) -> Message:
    """Its Korean form is in the catalogue or, for other compositions' fields, in the field's `x-ko`."""
    description = field.description or ""
    match field.json_schema_extra:
        case {"x-ko": {"description": str(korean)}}:
            return Message("{message}", message={"en": description, "ko": korean})
        case _:
            return Message(cast(LiteralString, _escaped(description)))


def _escaped(template: str) -> str:
    return template.replace("{", "{{").replace("}", "}}")


_PLACES = ("body", "header", "path", "__root__")
# pydantic's names of types; those of classes begin with a capital, and generic types have brackets
_TYPE = re.compile(r"str|int|float|bool|none|bytes|decimal|datetime|timedelta|dict|list|tuple|set|[A-Z].*|.*\W.*")
EXPECTED_FIELD = {
    **field_descriptions(CompletionRequest),
    "input": Message("A JSON object with the fields that the chain's input_schema names."),
    "inputs": Message("A list of at most 20 JSON objects with the fields that the chain's input_schema names."),
    "config": Message(
        'A JSON object: {{"configurable": {{"model": "…"}}}} with a model that config_schema names, or an empty one.'
    ),
}

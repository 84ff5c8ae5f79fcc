"""Refusals: what a caller is told when there is no answer, by field where it is the caller's to mend."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString, cast

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from app.languages import language_of
from chains.errors import SizzleError
from chains.messages import Message, validation_message
from chains.recipe.request import PARTS, CompletionRequest, Language, RecipeRequest, RunRequest, StepsRequest


class Refusal(HTTPException):
    """An answer of this HTTP status, with a message in the language of the request."""

    def __init__(
        self, status: int, template: LiteralString, headers: Mapping[str, str] | None = None, **values: object
    ) -> None:
        self.message = Message(template, **values)
        super().__init__(status, str(self.message), headers)


@dataclass(eq=False)  # not frozen: Starlette clears the traceback of what it handles
class BadInput(Exception):
    """A field that no model of ours can judge alone: what is wrong, and what is right."""

    field: str
    message: Message
    expected: Message

    def in_language(self, language: Language) -> dict[str, str]:
        return _named(self.field, self.message, self.expected, language)


async def bad_input(request: Request, error: Exception) -> JSONResponse:
    """422 that names each field, what is wrong with it, and what is right."""
    language = language_of(request)
    if isinstance(error, RequestValidationError):
        known = _KNOWN.get(request.url.path, Message(""))
        problems = [_complaint(problem, known, language) for problem in error.errors()]
        return JSONResponse({"detail": problems}, status_code=422)
    assert isinstance(error, BadInput)  # noqa: S101  registered for nothing else
    return JSONResponse({"detail": [error.in_language(language)]}, status_code=422)


async def failed_call(request: Request, error: Exception) -> JSONResponse:
    """502 with our own words about what a provider did."""
    return told(request, 502, cast(SizzleError, error).message)


def told(request: Request, status: int, message: Message, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer with this status and message, in the language of the request."""
    return JSONResponse({"detail": message.in_language(language_of(request))}, status, headers)


def _complaint(problem: Mapping[str, Any] | str, known: Message, language: Language) -> dict[str, str]:
    if isinstance(problem, str):  # as LangServe tells of a body that is no JSON
        return _named("body", Message("{message}", message=problem), known, language)
    names = [place for place in problem["loc"] if isinstance(place, str) and place not in _PLACES]
    if names[0:1] in (["query"], ["input"], ["inputs"]) and len(names) > 1:  # where it stood, and no field's name
        del names[0]
    field = names[0] if names else "body"
    message = Message("{message}", message=f"{validation_message(problem, language)}.")
    return _named(field, message, _RIGHT.get(field, known), language)


def _named(field: str, message: Message, expected: Message, language: Language) -> dict[str, str]:
    return {"field": field, "message": message.in_language(language), "expected": expected.in_language(language)}


def _names(asked: type[BaseModel]) -> str:
    return ", ".join(field.alias or name for name, field in asked.model_fields.items())


def described(asked: type[BaseModel]) -> dict[str, Message]:
    """What each field of the model may be, by the name that callers use."""
    return {
        field.alias or name: Message(cast(LiteralString, field.description or ""))
        for name, field in asked.model_fields.items()
    }


_PLACES = ("body", "header", "path", "__root__")
_OBJECT: LiteralString = "A JSON object with {fields}."
_RIGHT = {
    **described(StepsRequest),
    **described(RunRequest),
    **described(CompletionRequest),
    "part": Message("One of {names}.", names=", ".join(PARTS)),
    "input": Message("A JSON object with the fields that the chain's input_schema names."),
    "inputs": Message("A list of at most 20 JSON objects with the fields that the chain's input_schema names."),
    "config": Message(
        'A JSON object: {{"configurable": {{"model": "…"}}}} with a model that config_schema names, or an empty one.'
    ),
}
_KNOWN = {
    "/generate": Message(_OBJECT, fields=_names(RecipeRequest)),
    "/runs": Message(_OBJECT, fields=_names(RunRequest)),
    "/completion": Message("{message}", message=f"{_names(CompletionRequest)}."),
}

"""Refusals: what a caller is told when there is no answer, by field where it is the caller's to mend."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from chains.schema import CompletionRequest, RecipeRequest, StepsRequest


@dataclass(eq=False)  # not frozen: Starlette clears the traceback of what it handles
class BadInput(Exception):
    """A field that no model of ours can judge alone: what is wrong, and what is right."""

    field: str
    message: str
    expected: str


async def bad_input(_: Request, error: Exception) -> JSONResponse:
    """422 that names each field, what is wrong with it, and what is right."""
    if isinstance(error, RequestValidationError):
        return JSONResponse({"detail": [_complaint(problem) for problem in error.errors()]}, status_code=422)
    assert isinstance(error, BadInput)  # noqa: S101  registered for nothing else
    return JSONResponse({"detail": [asdict(error)]}, status_code=422)


async def failed_call(_: Request, error: Exception) -> JSONResponse:
    """502 with our own words about what a provider did."""
    return JSONResponse({"detail": str(error)}, status_code=502)


def _complaint(problem: Mapping[str, Any]) -> dict[str, str]:
    where, *names = [place for place in problem["loc"] if place != "__root__"] or ["body"]
    in_url = where == "query" and names  # which is also the name of a field
    names = [name for name in (names if in_url else [where, *names]) if isinstance(name, str) and name != "body"]
    field = names[0] if names else "body"
    known = ", ".join(_COMPLETION) if in_url else f"A JSON object with {', '.join(_ASKED)}"
    return {
        "field": field,
        "message": f"{problem['msg'].removeprefix('Value error, ')}.",
        "expected": _RIGHT.get(field, f"{known}."),
    }


def _described(asked: type[BaseModel]) -> dict[str, str]:
    return {field.alias or name: field.description or "" for name, field in asked.model_fields.items()}


_ASKED = _described(RecipeRequest)
_COMPLETION = _described(CompletionRequest)
_RIGHT = _described(StepsRequest) | _COMPLETION

"""Refusals: what a caller is told when there is no answer, by field where it is the caller's to mend."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from chains.schema import PARTS, CompletionRequest, RecipeRequest, RunRequest, StepsRequest


@dataclass(eq=False)  # not frozen: Starlette clears the traceback of what it handles
class BadInput(Exception):
    """A field that no model of ours can judge alone: what is wrong, and what is right."""

    field: str
    message: str
    expected: str


async def bad_input(request: Request, error: Exception) -> JSONResponse:
    """422 that names each field, what is wrong with it, and what is right."""
    if isinstance(error, RequestValidationError):
        known = _KNOWN.get(request.url.path, "")
        return JSONResponse({"detail": [_complaint(problem, known) for problem in error.errors()]}, status_code=422)
    assert isinstance(error, BadInput)  # noqa: S101  registered for nothing else
    return JSONResponse({"detail": [asdict(error)]}, status_code=422)


async def failed_call(_: Request, error: Exception) -> JSONResponse:
    """502 with our own words about what a provider did."""
    return JSONResponse({"detail": str(error)}, status_code=502)


def _complaint(problem: Mapping[str, Any] | str, known: str) -> dict[str, str]:
    if isinstance(problem, str):  # as LangServe tells of a body that is no JSON
        return {"field": "body", "message": problem, "expected": known}
    names = [place for place in problem["loc"] if isinstance(place, str) and place not in _PLACES]
    if names[0:1] in (["query"], ["input"], ["inputs"]) and len(names) > 1:  # where it stood, and no field's name
        del names[0]
    field = names[0] if names else "body"
    message = f"{problem['msg'].removeprefix('Value error, ')}."
    return {"field": field, "message": message, "expected": _RIGHT.get(field, known)}


def _described(asked: type[BaseModel]) -> dict[str, str]:
    return {field.alias or name: field.description or "" for name, field in asked.model_fields.items()}


_PLACES = ("body", "header", "path", "__root__")
_RIGHT = {
    **_described(StepsRequest),
    **_described(RunRequest),
    **_described(CompletionRequest),
    "part": f"One of {', '.join(PARTS)}.",
    "input": "A JSON object with the fields that the chain's input_schema names.",
    "inputs": "A list of at most 20 JSON objects with the fields that the chain's input_schema names.",
    "config": 'A JSON object: {"configurable": {"model": "…"}} with a model that config_schema names, or an empty one.',
}
_KNOWN = {
    "/generate": f"A JSON object with {', '.join(_described(RecipeRequest))}.",
    "/runs": f"A JSON object with {', '.join(_described(RunRequest))}.",
    "/completion": f"{', '.join(_described(CompletionRequest))}.",
}

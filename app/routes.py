"""The routes of the page and of `POST /generate`."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from sse_starlette import EventSourceResponse

from app.runs import Runs
from app.sse import wire_event
from chains.schema import RecipeRequest, StepsRequest

WEB = Path(str(files("app") / "web"))
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

router = APIRouter()


def _runs(request: Request) -> Runs:
    return request.app.state.runs


@router.get("/", include_in_schema=False)
async def page() -> FileResponse:
    return FileResponse(WEB / "index.html", headers=PAGE_HEADERS)


@router.get("/healthz")
async def health(request: Request) -> dict[str, object]:
    """That the server is up, which model writes each step, and whether the rule-based stand-in is among them."""
    return {"status": "ok", **request.app.state.about}


@router.post("/generate", response_class=EventSourceResponse)
async def generate(
    asked: RecipeRequest, request: Request, runs: Annotated[Runs, Depends(_runs)]
) -> EventSourceResponse:
    """Streams a recipe as `data: <code>|<text>` events; named events tell how the run goes on."""
    return EventSourceResponse(_follow_to_its_end(runs, asked), sep="\n", ping=request.app.state.keep_alive_s)


async def _follow_to_its_end(runs: Runs, asked: RecipeRequest) -> AsyncGenerator[bytes]:
    """A run that ends with its reader, who has no id to come back with."""
    run_id = runs.start(asked)
    try:
        async with aclosing(runs.follow(run_id)) as events:
            async for _, event in events:
                yield wire_event(event)
    finally:
        runs.forget(run_id)


async def bad_input(_: Request, error: Exception) -> JSONResponse:
    """422 that names each field, what is wrong with it, and what is right."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  registered for nothing else
    return JSONResponse({"detail": [_complaint(problem) for problem in error.errors()]}, status_code=422)


async def failed_call(_: Request, error: Exception) -> JSONResponse:
    """502 with our own words about what a provider did."""
    return JSONResponse({"detail": str(error)}, status_code=502)


def _complaint(problem: Mapping[str, Any]) -> dict[str, str]:
    names = [place for place in problem["loc"] if isinstance(place, str) and place not in ("body", "__root__")]
    field = names[0] if names else "body"
    right = _RIGHT.get(field, "A JSON object with " + ", ".join(_ASKED) + ".")
    return {"field": field, "message": f"{problem['msg'].removeprefix('Value error, ')}.", "expected": right}


def _described(asked: type[RecipeRequest]) -> dict[str, str]:
    return {field.alias or name: field.description or "" for name, field in asked.model_fields.items()}


_ASKED = _described(RecipeRequest)
_RIGHT = _described(StepsRequest)

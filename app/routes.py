"""The routes of the page and of `POST /generate`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse
from sse_starlette import EventSourceResponse
from starlette.background import BackgroundTask

from app.runs import Runs
from app.sse import wire_event
from chains.schema import RecipeRequest

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
async def page(request: Request) -> FileResponse:
    warmed = BackgroundTask(request.app.state.models.warmth.keep)  # while the cook is still typing
    return FileResponse(WEB / "index.html", headers=PAGE_HEADERS, background=warmed)


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
        async with aclosing(runs.follow(run_id)) as news:
            async for events in news:
                yield b"".join(wire_event(event) for _, event in events)
    finally:
        runs.forget(run_id)

"""The routes of the page."""

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from app.openapi import events_schema
from app.pages import WEB

router = APIRouter()


@router.get("/", include_in_schema=False)
@router.get("/r/{run_id}", include_in_schema=False)  # a run, which the page looks for
async def page(request: Request) -> FileResponse:
    warmed = BackgroundTask(request.app.state.models.warmth.keep)  # while the cook is still typing
    return FileResponse(WEB / "index.html", background=warmed)


@router.get("/docs", include_in_schema=False)
async def docs() -> FileResponse:
    return FileResponse(WEB / "docs" / "docs.html")


@router.get("/schema/events.json")
async def events() -> dict[str, object]:
    """The JSON Schema of the events of a run."""
    return events_schema()


@router.get("/healthz")
async def health(request: Request) -> dict[str, object]:
    """That the server is up, which model writes each step, and whether the rule-based stand-in is among them.

    `resting` has the seconds for which providers rest that failed too often.
    """
    state = request.app.state
    rests = {name: round(health.open_for_s, 1) for name, health in state.models.health.items() if health.open_for_s}
    return {"status": "ok", **state.about, "resting": rests}

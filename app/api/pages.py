"""The pages for developers, and the health check."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from app.api.deps import ModelsDep
from app.api.openapi import events_schema
from app.server.page import WEB

router = APIRouter()


@router.get("/docs", include_in_schema=False)
async def docs() -> FileResponse:
    return FileResponse(WEB / "docs" / "docs.html")


@router.get("/schema/events.json")
async def events() -> dict[str, object]:
    """Returns the JSON Schema of a run's events."""
    return events_schema()


@router.get("/livez")
async def alive() -> dict[str, str]:
    """Says that the process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def ready(request: Request, response: Response) -> dict[str, str]:
    """Says that models can be asked. While the server starts, or cannot reach its store, the status is 503."""
    if await request.app.state.opened.is_ready():
        return {"status": "ready"}
    response.status_code = 503
    return {"status": "not ready"}


@router.get("/healthz")
async def health(models: ModelsDep, request: Request) -> dict[str, object]:
    """Returns the model of each part, and whether the rule-based stand-in is among them.

    `resting` has the providers that are skipped after repeated failures, with the remaining seconds.
    """
    resting = {name: round(health.open_for_s, 1) for name, health in models.health.items() if health.open_for_s}
    return {"status": "ok", **request.app.state.about, "resting": resting}

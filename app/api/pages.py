"""The pages for developers, and the state of the models."""

from fastapi import APIRouter
from fastapi.responses import FileResponse

from app.api.deps import AboutDep, ModelsDep
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


@router.get("/healthz")
async def health(models: ModelsDep, about: AboutDep) -> dict[str, object]:
    """Returns the model of each part, and whether the rule-based stand-in is among them.

    `resting` has the providers that are skipped after repeated failures, with the remaining seconds.
    """
    resting = {name: round(health.open_for_s, 1) for name, health in models.health.items() if health.open_for_s}
    return {"status": "ok", **about, "resting": resting}

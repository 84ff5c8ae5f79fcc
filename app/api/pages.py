"""The pages for developers."""

from fastapi import APIRouter
from fastapi.responses import FileResponse

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

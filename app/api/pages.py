"""The pages for developers."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from app.api.openapi import events_schema
from app.server.page import WEB, page_response

router = APIRouter()


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    return page_response(WEB / "docs" / "docs.html", request.scope)


@router.get("/schema/events.json")
async def events() -> dict[str, object]:
    """Returns the JSON Schema of a run's events."""
    return events_schema()

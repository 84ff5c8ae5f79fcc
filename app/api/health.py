"""The health checks of a server and of a worker process."""

from fastapi import APIRouter, Response

from app.api.deps import OpenRunsDep

router = APIRouter()


@router.get("/livez")
async def alive() -> dict[str, str]:
    """Says that the process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def ready(opened: OpenRunsDep, response: Response) -> dict[str, str]:
    """Says that models can be asked. While the process starts, or cannot reach its store, the status is 503."""
    if await opened.is_ready():
        return {"status": "ready"}
    response.status_code = 503
    return {"status": "not ready"}

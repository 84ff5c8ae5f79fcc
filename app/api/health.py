"""The health checks of a server and of a worker process."""

from fastapi import APIRouter, Response

from app.api.deps import AboutDep, OpenRunsDep

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


@router.get("/healthz")
async def health(opened: OpenRunsDep, about: AboutDep) -> dict[str, object]:
    """Returns the model of each part, whether the rule-based stand-in is among them, and whether the store answers.

    `cooling_down` has the providers that are skipped after repeated failures, with the remaining seconds.
    """
    providers = opened.models.health.items()
    cooling_down = {name: round(provider.open_for_s, 1) for name, provider in providers if provider.open_for_s}
    store = {"store": opened.store, "store_answers": await opened.log.is_reachable()}
    return {"status": "ok", **about, "cooling_down": cooling_down, **store}

"""`GET /metrics` for Prometheus."""

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder

from app import metrics
from app.api.deps import OpenRunsDep
from app.runs.opening import OpenRuns

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
async def show(opened: OpenRunsDep, request: Request) -> Response:
    """Returns the metrics of this process, or with `--workers` of all processes."""
    await _measure(opened)
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(metrics.readable()), media_type=content_type)


async def _measure(opened: OpenRuns) -> None:
    """Sets the gauges."""
    metrics.waiting_runs.set(await opened.waiting_runs())
    metrics.store_up.labels(opened.store).set(await opened.log.is_reachable())
    for provider, health in opened.models.health.items():
        metrics.circuit_open.labels(provider).set(health.open_for_s > 0)

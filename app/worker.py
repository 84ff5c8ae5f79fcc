"""A worker process: it writes runs, and answers only whether it is alive and ready."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.runs.opening import NEEDS_REDIS, is_shared, open_runs
from app.server.shutdown import ShutdownNotifier
from app.settings import Settings
from chains.errors import ConfigError


def worker_app(settings: Settings) -> Starlette:
    """Returns the application of a worker. Raises `ConfigError` if its settings are invalid."""
    settings.check()
    if not is_shared(settings):
        raise ConfigError(f"sizzle worker {NEEDS_REDIS}")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        shutdown = ShutdownNotifier()
        async with open_runs(settings) as app.state.opened:
            with shutdown.on_signals(), shutdown.notify(app.state.opened.close):
                yield

    return Starlette(routes=[Route("/livez", _alive), Route("/readyz", _ready)], lifespan=lifespan)


async def _alive(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _ready(request: Request) -> Response:
    if await request.app.state.opened.is_ready():
        return JSONResponse({"status": "ready"})
    return JSONResponse({"status": "not ready"}, 503)

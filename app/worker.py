"""A worker process: it writes runs, and answers only how it is."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp

from app.access import access_of
from app.api import health, metrics
from app.api.refusals import refusal
from app.models import about
from app.runs.opening import NEEDS_REDIS, is_shared, open_runs
from app.server.clients import Clients
from app.server.guard import guarded
from app.server.head import HeadAsGet
from app.server.shutdown import ShutdownNotifier
from app.server.telemetry import TELEMETRY
from app.settings import Settings
from chains.errors import ConfigError


def worker_app(settings: Settings) -> ASGIApp:
    """Returns the application of a worker. Raises `ConfigError` if its settings are invalid."""
    settings.check()
    if not is_shared(settings):
        raise ConfigError(f"sizzle worker {NEEDS_REDIS}")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        shutdown = ShutdownNotifier()
        async with open_runs(settings) as app.state.opened:
            with shutdown.on_signals(), shutdown.notify(app.state.opened.close):
                yield

    app = FastAPI(lifespan=lifespan, openapi_url=None, telemetry=TELEMETRY)
    app.state.about = about(settings)
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.add_middleware(HeadAsGet)
    access = access_of(settings)
    return Clients(guarded(app, access, refusal), access.tokens)

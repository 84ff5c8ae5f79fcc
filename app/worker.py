"""A worker process: it writes runs, and answers only how it is."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.api import health
from app.models import about
from app.runs.opening import NEEDS_REDIS, is_shared, open_runs
from app.server.head import HeadAsGet
from app.server.shutdown import ShutdownNotifier
from app.settings import Settings
from chains.errors import ConfigError


def worker_app(settings: Settings) -> FastAPI:
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

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    app.state.about = about(settings)
    app.include_router(health.router)
    app.add_middleware(HeadAsGet)
    return app

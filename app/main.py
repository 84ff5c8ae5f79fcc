"""`create_app()` wires settings, models, chain, runs and routes together."""

import atexit
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.routing import Mount
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send
from typing_extensions import override

from app.access import access_of
from app.admission import Admission
from app.api import (
    completion,
    compositions,
    examples,
    generate,
    health,
    langserve,
    metrics,
    openai_errors,
    pages,
    race,
    runs,
    sign_in,
)
from app.api.budget_guard import BudgetGuard
from app.api.error_handlers import add_error_handlers
from app.api.langserve import SuppressReportedErrors, chains_app
from app.api.openai import openai_app
from app.api.openapi import DocumentedApp, describe_guard
from app.api.race_lock import RaceLock
from app.api.refusals import refusal
from app.compositions import place_of
from app.models import Models, Served, about
from app.runs.broadcasts import Broadcasts
from app.runs.errors import RunError
from app.runs.opening import open_runs
from app.server.body_limit import BodyLimit
from app.server.bookings import Bookings
from app.server.clients import Clients
from app.server.cors import ANY, ANY_WARNING
from app.server.garbage import collect_less_often
from app.server.guard import guarded
from app.server.head import HeadAsGet
from app.server.langsmith import prepare_langsmith
from app.server.logs import configure_logging
from app.server.page import WEB, Assets
from app.server.requests import RequestLog
from app.server.shutdown import ShutdownMiddleware, ShutdownNotifier
from app.server.stream_headers import StreamHeaders
from app.server.telemetry import TELEMETRY
from app.server.traffic import TrafficMeter
from app.settings import Settings, read_settings, wants_traces
from app.stores import EventLogError
from app.traces import start_tracing
from chains.parts.composition import Composition
from chains.recipe.request import RecipeRequest

logger = logging.getLogger(__name__)

MAX_BODY = 1024 * 1024  # bytes; enough for a chat's whole history


def create_app(settings: Settings | None = None) -> FastAPI:
    """Returns the server. Raises `ConfigError` if the settings, by default the environment's, are invalid."""
    settings = settings or read_settings()
    settings.check()
    app = SizzleApp(
        telemetry=TELEMETRY,
        title="Sizzle",
        version=version("sizzle"),
        lifespan=_lifespan(settings),
        docs_url=None,
        redoc_url=None,
    )
    app.state.about = about(settings)
    app.state.keep_alive_s = settings.keep_alive_s
    app.state.send_timeout_s = settings.send_timeout_s
    app.state.shutdown = ShutdownNotifier()
    app.state.access = access_of(settings)
    app.state.race_lock = RaceLock(is_open=settings.race or not settings.provider_keys())
    _add_routes(app, settings.load_compositions().values())
    add_error_handlers(app)
    app.add_exception_handler(EventLogError, runs.run_error)
    app.add_exception_handler(RunError, runs.run_error)
    app.add_middleware(SuppressReportedErrors)
    app.add_middleware(StreamHeaders)
    app.add_middleware(HeadAsGet)
    return app


def _add_routes(app: FastAPI, served: Collection[Composition]) -> None:
    for module in (health, metrics, pages, sign_in):
        app.include_router(module.router)
    for composition in served:
        prefix = place_of(composition).prefix
        app.include_router(compositions.router(composition, served), prefix=prefix)
        app.include_router(generate.router(composition), prefix=prefix)
        runs.include(app, composition, prefix)
        app.include_router(langserve.router(composition), prefix=prefix)
    for router in (completion.router, examples.router, openai_errors.hints, race.router):
        app.include_router(router)
    app.mount("/static", Assets(directory=WEB), name="static")


class SizzleApp(DocumentedApp):
    """A FastAPI application whose own middleware stays outermost when its user adds more."""

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app_root_path"] = scope.get("root_path", "")  # where it is mounted in another application, if it is
        await super().__call__(scope, receive, send)

    @override
    def build_middleware_stack(self) -> ASGIApp:
        limited = BodyLimit(Bookings(BudgetGuard(super().build_middleware_stack())), MAX_BODY)
        secured = guarded(limited, self.state.access, refusal)
        # outermost, because FastAPI's body limit replaces `receive`
        metered = TrafficMeter(Clients(RequestLog(secured), self.state.access.tokens), "/examples/broadcasts/")
        return ShutdownMiddleware(metered, self.state.shutdown, self.state.send_timeout_s)

    @override
    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            describe_guard(super().openapi(), needs_token=bool(self.state.access.tokens.current))
        return super().openapi()


def served_app() -> FastAPI:
    """Returns the server for a process of its own."""
    settings = read_settings().with_own_store()
    configure_logging(settings.log_format, settings.log_level)
    prepare_langsmith()
    if wants_traces():
        atexit.register(start_tracing())
    app = create_app(settings)
    RecipeRequest(ingredientsOnHand="rice")  # compiles patterns, so that no request waits for that
    collect_less_often()
    return app


def _lifespan(settings: Settings) -> Lifespan[FastAPI]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        if ANY in settings.origins():
            logger.warning(ANY_WARNING)
        async with (
            open_runs(settings) as opened,
            aclosing(Broadcasts(opened.models.completion_models)) as app.state.broadcasts,
        ):
            models = opened.models
            app.state.models, app.state.runs, app.state.opened = models, opened.runs, opened
            apps: dict[str, ASGIApp] = {
                **{_chains_path(each): _chains(each, models.admission) for each in models.served.values()},
                "/v1": openai_app(models.served, _owners(models), settings.keep_alive_s, models.admission),
            }
            shutdown: ShutdownNotifier = app.state.shutdown
            with _mounted(app, apps), shutdown.on_signals(), shutdown.notify(opened.close):
                yield

    return lifespan


@contextmanager
def _mounted(app: FastAPI, apps: Mapping[str, ASGIApp]) -> Generator[None]:
    """Mounts the applications within the block."""
    mounts = [Mount(path, mounted) for path, mounted in apps.items()]
    app.router.routes += mounts
    try:
        yield
    finally:
        for mount in mounts:
            app.router.routes.remove(mount)


def _chains_path(served: Served) -> str:
    return f"{place_of(served.composition).prefix}/chains"


def _chains(served: Served, admission: Admission) -> ASGIApp:
    return OnDemand(lambda: chains_app(served, admission))


class OnDemand:
    """Creates an application at its first request, because LangServe's takes a tenth of a second."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._make = cache(make)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._make()(scope, receive, send)


def _owners(models: Models) -> dict[str, str]:
    """Returns the `owned_by` of each model of `/v1`."""
    owners = {place_of(each.composition).model: _labels(each) for each in models.served.values()}
    return owners | {name: model.label for name, model in models.completion_models.items()}


def _labels(served: Served) -> str:
    return ", ".join(dict.fromkeys(model.label for model in served.models.values()))

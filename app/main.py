"""`create_app()` wires settings, models, chain, runs and routes together."""

import gc
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from langchain_core.runnables import RunnableLambda
from starlette.routing import Mount
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send
from typing_extensions import override

from app import completion_routes, examples, langserve_routes, openai_errors, race_routes, routes, run_routes
from app.broadcasts import Broadcasts
from app.closing import ShutdownMiddleware, ShutdownNotifier
from app.cors import ANY, ANY_WARNING, cors
from app.errors import add_error_handlers
from app.eventlog import EventLogError
from app.eventlog.memory import MemoryEventLog
from app.head import HeadAsGet
from app.langserve_routes import SuppressReportedErrors, chains_app
from app.middleware import BodyLimit, SecurityHeaders
from app.openai_routes import DEFAULT_MODEL, openai_app
from app.openapi import DocumentedApp
from app.pages import WEB
from app.runs import RunError, Runs
from app.settings import STANDIN, Settings, read_settings
from app.standin.server import serving
from app.stream_headers import StreamHeaders
from app.traffic import TrafficMeter
from chains.models.chat import ChatModels, ProviderChat
from chains.models.health import Health
from chains.models.registry import Registry
from chains.models.transport import ConnectionWarmer, http_clients
from chains.recipe.chain import ChatModel, recipe_chain
from chains.recipe.request import Part, RecipeRequest, Step

logger = logging.getLogger(__name__)

NO_MODEL = "The rule-based stand-in answers, not a language model"
SOME_BY_STANDIN = "The rule-based stand-in, not a language model, writes {steps}"
SET_A_KEY = ": set GROQ_API_KEY or FIREWORKS_API_KEY."
MAX_BODY = 1024 * 1024  # bytes; enough for a chat's whole history


def create_app(settings: Settings | None = None) -> FastAPI:
    """Returns the server. Raises `ConfigError` if the settings, by default the environment's, are invalid."""
    settings = settings or read_settings()
    settings.check()
    app = SizzleApp(
        title="Sizzle", version=version("sizzle"), lifespan=_lifespan(settings), docs_url=None, redoc_url=None
    )
    app.state.about = about(settings)
    app.state.keep_alive_s, app.state.send_timeout_s = settings.keep_alive_s, settings.send_timeout_s
    app.state.shutdown = ShutdownNotifier()
    app.state.origins = settings.origins()
    app.include_router(routes.router)
    app.include_router(run_routes.router)
    app.include_router(completion_routes.router)
    app.include_router(examples.router)
    app.include_router(langserve_routes.router)
    app.include_router(openai_errors.hints)
    app.state.race_lock = race_routes.RaceLock(is_open=settings.race or not settings.provider_keys())
    app.include_router(race_routes.router)
    app.mount("/static", Assets(directory=WEB), name="static")
    add_error_handlers(app)
    app.add_exception_handler(EventLogError, run_routes.run_error)
    app.add_exception_handler(RunError, run_routes.run_error)
    app.add_middleware(SuppressReportedErrors)
    app.add_middleware(StreamHeaders)
    app.add_middleware(HeadAsGet)
    return app


class SizzleApp(DocumentedApp):
    """A FastAPI application whose own middleware stays outermost when its user adds more."""

    @override
    def build_middleware_stack(self) -> ASGIApp:
        limited = BodyLimit(super().build_middleware_stack(), MAX_BODY)
        secured = SecurityHeaders(cors(limited, self.state.origins))
        # outermost, because FastAPI's body limit replaces `receive`
        metered = TrafficMeter(secured, "/examples/broadcasts/")
        return ShutdownMiddleware(metered, self.state.shutdown, self.state.send_timeout_s)


class Assets(StaticFiles):
    """Static files without the HTML pages, which have their own routes."""

    @override
    async def get_response(self, path: str, scope: Scope) -> Response:
        if path.lower().endswith(".html"):
            raise HTTPException(404)
        return await super().get_response(path, scope)


def served_app() -> FastAPI:
    """Returns the server for a process of its own, with the garbage collector tuned.

    Freezes the objects created at import so that the collector skips them, and collects less often, because finished
    runs leave few reference cycles.
    """
    app = create_app()
    RecipeRequest(ingredientsOnHand="rice")  # compiles patterns, so that no request waits for that
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    return app


def about(settings: Settings) -> dict[str, object]:
    """Returns the model of each step, and the steps that use the rule-based stand-in."""
    registry = settings.load_registry()
    chosen = settings.choose_models(registry)
    steps = _standin_steps(registry, chosen)
    return {"standin": bool(steps), "standin_steps": steps, "models": chosen}


def _lifespan(settings: Settings) -> Lifespan[FastAPI]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        if ANY in settings.origins():
            logger.warning(ANY_WARNING)
        async with (
            open_models(settings) as models,
            aclosing(_runs(settings, models)) as app.state.runs,
            aclosing(Broadcasts(models.completion_models)) as app.state.broadcasts,
        ):
            app.state.models = models
            apps: dict[str, ASGIApp] = {
                "/chains": OnDemand(
                    lambda: chains_app(models.configurable_recipe, models.configurable_models, app.state.origins)
                ),
                "/v1": openai_app(
                    models.configurable_recipe, _owners(models), app.state.origins, settings.keep_alive_s
                ),
            }
            shutdown: ShutdownNotifier = app.state.shutdown
            with _mounted(app, apps), shutdown.on_signals(), shutdown.notify(app.state.runs.close):
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


class OnDemand:
    """Creates an application at its first request, because LangServe's takes a tenth of a second."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._make = cache(make)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._make()(scope, receive, send)


def _runs(settings: Settings, models: "Models") -> Runs:
    log = MemoryEventLog(keep_s=settings.keep_runs_s, limit=2 * settings.max_runs)
    return Runs(models.recipe, log, settings.max_runs)


@dataclass(frozen=True)
class Models:
    """The models and the chains made of them.

    `default_models` are those that the settings choose, by step; `configurable_models` have the configurable field
    `model`. `completion_models` are all models by name, `health` is by the provider's name.
    """

    default_models: Mapping[Step, ProviderChat]
    configurable_models: Mapping[Step, ChatModel]
    completion_models: Mapping[str, ProviderChat]
    recipe: RunnableLambda[Any, dict[Part, Any]]
    configurable_recipe: RunnableLambda[Any, dict[Part, Any]]
    health: Mapping[str, Health]
    connection_warmer: ConnectionWarmer


def _owners(models: Models) -> dict[str, str]:
    """Returns the `owned_by` of each model of `/v1`."""
    labels = dict.fromkeys(model.label for model in models.default_models.values())
    return {DEFAULT_MODEL: ", ".join(labels)} | {name: model.label for name, model in models.completion_models.items()}


@asynccontextmanager
async def open_models(settings: Settings) -> AsyncGenerator[Models]:
    """Opens the models that the settings name, and runs the stand-in if it is one of them."""
    settings.check()
    registry = settings.load_registry()
    chosen, usable = settings.choose_models(registry), settings.usable_providers(registry)
    with ExitStack() as stack:
        if warning := _standin_warning(registry, chosen, has_key=bool(settings.provider_keys())):
            logger.warning(warning)
        if STANDIN in usable:
            registry = registry.at({STANDIN: stack.enter_context(_standin(settings))})
        keys, proxies = settings.provider_keys(), settings.provider_proxies(registry)
        async with http_clients() as http:
            yield _models(ChatModels(registry, chosen, keys, http, proxies), usable, settings)


def _standin_steps(registry: Registry, chosen: Mapping[Step, str]) -> list[Step]:
    return [step for step, name in chosen.items() if registry.models[name].provider == STANDIN]


def _standin_warning(registry: Registry, chosen: Mapping[Step, str], *, has_key: bool) -> str | None:
    """Returns a warning that names the stand-in's steps and the keys to set, or None if it has no steps."""
    steps = _standin_steps(registry, chosen)
    if not steps:
        return None
    warning = NO_MODEL if len(steps) == len(chosen) else SOME_BY_STANDIN.format(steps=", ".join(steps))
    return warning + ("." if has_key else SET_A_KEY)


def _models(factory: ChatModels, usable: Collection[str], settings: Settings) -> Models:
    recipe = partial(
        recipe_chain,
        others=factory.others(usable),
        deadline_s=settings.run_deadline_s,
        hedge_after_s=settings.hedge_after_s,
    )
    default_models = factory.as_chosen()
    configurable_models = factory.choosable(usable)
    return Models(
        default_models=default_models,
        configurable_models=configurable_models,
        completion_models=factory.completing(usable),
        recipe=recipe(default_models),
        configurable_recipe=recipe(configurable_models),
        health=factory.health,
        connection_warmer=ConnectionWarmer(factory.endpoints()),
    )


def _standin(settings: Settings) -> AbstractContextManager[str]:
    return serving(
        ttft_ms=settings.standin_ttft_ms, tokens_per_s=settings.standin_tokens_per_s, seed=settings.standin_seed
    )

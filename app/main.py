"""The application: create_app() wires settings, models, chain, runs and routes together."""

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
from app.closing import Closing, ClosingRequests
from app.cors import ANY, ANY_WARNING, cors
from app.errors import add_error_handlers
from app.eventlog import EventLogError
from app.eventlog.memory import MemoryEventLog
from app.head import HeadAsGet
from app.langserve_routes import Quiet, chains_app
from app.middleware import BodyLimit, SecurityHeaders
from app.openai_routes import AS_SET, openai_app
from app.openapi import DocumentedApp
from app.pages import WEB
from app.runs import RunRefusal, Runs
from app.settings import STANDIN, Settings, read_settings
from app.standin.server import serving
from app.stream_headers import StreamHeaders
from app.traffic import Metered
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
MAX_BODY = 1024 * 1024  # bytes; a chat's whole history may come along


def create_app(settings: Settings | None = None) -> FastAPI:
    """The server. Raises `ConfigError` if the settings, by default those of the environment, do not fit together."""
    settings = settings or read_settings()
    settings.check()
    app = SizzleApp(
        title="Sizzle", version=version("sizzle"), lifespan=_lifespan(settings), docs_url=None, redoc_url=None
    )
    app.state.about = about(settings)
    app.state.keep_alive_s, app.state.send_timeout_s = settings.keep_alive_s, settings.send_timeout_s
    app.state.closing = Closing()
    app.state.origins = settings.origins()
    app.include_router(routes.router)
    app.include_router(run_routes.router)
    app.include_router(completion_routes.router)
    app.include_router(examples.router)
    app.include_router(langserve_routes.router)
    app.include_router(openai_errors.outside)
    app.state.track = race_routes.Track(is_open=settings.race or not settings.provider_keys())
    app.include_router(race_routes.router)
    app.mount("/static", Assets(directory=WEB), name="static")
    add_error_handlers(app)
    app.add_exception_handler(EventLogError, run_routes.refused)
    app.add_exception_handler(RunRefusal, run_routes.refused)
    app.add_middleware(Quiet)
    app.add_middleware(StreamHeaders)
    app.add_middleware(HeadAsGet)
    return app


class SizzleApp(DocumentedApp):
    """A FastAPI application whose outermost layers are ours, whatever middleware its user adds."""

    @override
    def build_middleware_stack(self) -> ASGIApp:
        limited = BodyLimit(super().build_middleware_stack(), MAX_BODY)
        secured = SecurityHeaders(cors(limited, self.state.origins))
        # outermost, because it needs what the server itself gives it
        return ClosingRequests(Metered(secured, "/examples/broadcasts/"), self.state.closing, self.state.send_timeout_s)


class Assets(StaticFiles):
    """The files of a folder, except its pages: these have routes of their own."""

    @override
    async def get_response(self, path: str, scope: Scope) -> Response:
        if path.lower().endswith(".html"):
            raise HTTPException(404)
        return await super().get_response(path, scope)


def served_app() -> FastAPI:
    """The server as a process of its own, in which what is imported by now stays: no collection looks at it again.

    Others come more rarely, for most garbage is gone without them: a run that has ended is in few cycles.
    """
    app = create_app()
    RecipeRequest(ingredientsOnHand="rice")  # compiles patterns, so that no request waits for that
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    return app


def about(settings: Settings) -> dict[str, object]:
    """Which model writes each step, and which steps the rule-based stand-in writes."""
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
            kitchen(settings) as models,
            aclosing(_runs(settings, models)) as app.state.runs,
            aclosing(Broadcasts(models.completing)) as app.state.broadcasts,
        ):
            app.state.models = models
            faces: dict[str, ASGIApp] = {
                "/chains": OnDemand(lambda: chains_app(models.recipe_on_any, models.choosable, app.state.origins)),
                "/v1": openai_app(models.recipe_on_any, _owners(models), app.state.origins, settings.keep_alive_s),
            }
            closing: Closing = app.state.closing
            with _mounted(app, faces), closing.at_signals(), closing.telling(app.state.runs.close):
                yield

    return lifespan


@contextmanager
def _mounted(app: FastAPI, faces: Mapping[str, ASGIApp]) -> Generator[None]:
    """Within the block the applications are part of `app`."""
    mounts = [Mount(path, face) for path, face in faces.items()]
    app.router.routes += mounts
    try:
        yield
    finally:
        for mount in mounts:
            app.router.routes.remove(mount)


class OnDemand:
    """An application that is made at its first request: LangServe's takes a tenth of a second to make."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._make = cache(make)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._make()(scope, receive, send)


def _runs(settings: Settings, models: "Models") -> Runs:
    log = MemoryEventLog(keep_s=settings.keep_runs_s, limit=2 * settings.max_runs)
    return Runs(models.recipe, log, settings.max_runs)


@dataclass(frozen=True)
class Models:
    """A model for each step, as the settings chose it and with the configurable field `model`, and all by name.

    `recipe` and `recipe_on_any` are the chains made of the former; `health` is of the providers, by name.
    """

    chosen: Mapping[Step, ProviderChat]
    choosable: Mapping[Step, ChatModel]
    completing: Mapping[str, ProviderChat]
    recipe: RunnableLambda[Any, dict[Part, Any]]
    recipe_on_any: RunnableLambda[Any, dict[Part, Any]]
    health: Mapping[str, Health]
    warmth: ConnectionWarmer


def _owners(models: Models) -> dict[str, str]:
    """Who writes when the recipe, or a model by its name, is asked for."""
    writers = dict.fromkeys(model.label for model in models.chosen.values())
    return {AS_SET: ", ".join(writers)} | {name: model.label for name, model in models.completing.items()}


@asynccontextmanager
async def kitchen(settings: Settings) -> AsyncGenerator[Models]:
    """The models that the settings name, with their connections; where one is the stand-in, it runs for as long."""
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
    """What the stand-in writes, if anything, and what to set for a model instead."""
    steps = _standin_steps(registry, chosen)
    if not steps:
        return None
    written = NO_MODEL if len(steps) == len(chosen) else SOME_BY_STANDIN.format(steps=", ".join(steps))
    return written + ("." if has_key else SET_A_KEY)


def _models(made: ChatModels, usable: Collection[str], settings: Settings) -> Models:
    recipe = partial(
        recipe_chain,
        others=made.others(usable),
        deadline_s=settings.run_deadline_s,
        hedge_after_s=settings.hedge_after_s,
    )
    chosen, choosable = made.as_chosen(), made.choosable(usable)
    return Models(
        chosen=chosen,
        choosable=choosable,
        completing=made.completing(usable),
        recipe=recipe(chosen),
        recipe_on_any=recipe(choosable),
        health=made.health,
        warmth=ConnectionWarmer(made.endpoints()),
    )


def _standin(settings: Settings) -> AbstractContextManager[str]:
    return serving(
        ttft_ms=settings.standin_ttft_ms, tokens_per_s=settings.standin_tokens_per_s, seed=settings.standin_seed
    )

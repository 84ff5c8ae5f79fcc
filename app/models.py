"""The models and chains that the settings name, open for as long as the server runs."""

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableLambda

from app.admission import Admission, Quotas
from app.compositions import qualified_name
from app.settings import STANDIN, Settings, misspelled_settings
from app.standin.server import serving
from app.traces import part_span
from chains._fast import acceleration
from chains.models.calls import CallObserver, Unobserved
from chains.models.chat import ProviderChat
from chains.models.chat_models import ChatModels, PartCall
from chains.models.health import Health
from chains.models.lines import Pace
from chains.models.registry import Registry
from chains.models.transport import ConnectionWarmer, http_clients
from chains.parts.compose import ChatModel, compose
from chains.parts.composition import Choice, Composition, Part
from chains.recipe.composition import RECIPE

logger = logging.getLogger(__name__)

NO_MODEL = "The rule-based stand-in answers, not a language model"
SOME_BY_STANDIN = "The rule-based stand-in, not a language model, writes {parts}"
SET_A_KEY = ": set GROQ_API_KEY or FIREWORKS_API_KEY."


@dataclass(frozen=True)
class Served:
    """A composition and its chains: `chain` uses the chosen models, `configurable_chain` those that a call names."""

    composition: Composition
    chosen: Mapping[str, str]  # by part, like the next two: the model's name in the registry
    models: Mapping[str, ProviderChat]
    configurable_models: Mapping[str, ChatModel]
    chain: RunnableLambda[Any, dict[str, Any]]
    configurable_chain: RunnableLambda[Any, dict[str, Any]]


@dataclass(frozen=True)
class Models:
    """What the server calls: compositions by name, models for plain completions by name, the health of providers."""

    served: Mapping[str, Served]
    completion_models: Mapping[str, ProviderChat]
    health: Mapping[str, Health]
    connection_warmer: ConnectionWarmer
    admission: Admission

    @property
    def recipe(self) -> Served:
        return self.served[RECIPE.name]


@asynccontextmanager
async def open_models(
    settings: Settings,
    shared_pace: Callable[[str, int], Pace] | None = None,
    observer: CallObserver | None = None,
    shared_quotas: Quotas | None = None,
) -> AsyncGenerator[Models]:
    """Opens connections to the providers and, if a part needs it, the stand-in.

    `shared_pace` returns what limits all processes' requests per minute to a provider, `shared_quotas` has the calls of
    each client to all processes. `observer` observes all calls.
    """
    settings.check()
    for hint in misspelled_settings():
        logger.warning(hint)
    registry, usable = settings.load_registry(), settings.usable_providers()
    with ExitStack() as stack:
        if warning := _standin_warning(registry, settings.choose_models(), has_key=bool(settings.provider_keys())):
            logger.warning(warning)
        if STANDIN in usable:
            registry = registry.at({STANDIN: stack.enter_context(_standin(settings))})
        keys, proxies = settings.provider_keys(), settings.provider_proxies(registry)
        async with http_clients() as http:
            accelerated = acceleration(settings.fast)
            observed = observer or Unobserved()
            admission = Admission(settings.limits_of, settings.max_calls, shared_quotas)
            chat_models = ChatModels(
                registry, usable, keys, http, proxies, accelerated, shared_pace, observed, admission
            )
            yield _models(chat_models, settings, admission)


def about(settings: Settings) -> dict[str, object]:
    """Returns the model of each part, and the parts that the rule-based stand-in writes."""
    chosen = settings.choose_models()
    parts = _standin_parts(settings.load_registry(), chosen)
    return {"standin": bool(parts), "standin_parts": parts, "models": chosen}


def _models(models: ChatModels, settings: Settings, admission: Admission) -> Models:
    chosen = settings.choose_models()
    return Models(
        served={name: _serve(each, models, chosen, settings) for name, each in settings.load_compositions().items()},
        completion_models=models.for_completions(),
        health=models.health,
        connection_warmer=ConnectionWarmer(models.endpoints(chosen.values())),
        admission=admission,
    )


def _serve(composition: Composition, models: ChatModels, chosen: Mapping[str, str], settings: Settings) -> Served:
    calls = {part.name: _call(composition, part) for part in composition.parts}
    names = {name: chosen[qualified_name(composition, name)] for name in composition.names}
    chat_models, configurable = models.for_parts(calls, names), models.configurable(calls, names)
    others = {name: [configurable[name], *chat_models[name][1:]] for name in names}

    def chain(by_part: Mapping[str, Any]) -> RunnableLambda[Any, dict[str, Any]]:
        deadline_s, hedge_after_s = settings.run_deadline_s, settings.hedge_after_s
        return compose(
            composition,
            by_part,
            deadline_s=deadline_s,
            hedge_after_s=hedge_after_s,
            wrap=models.acceleration.wrap,
            watch=part_span,
        )

    first = {name: each[0] for name, each in chat_models.items()}
    return Served(composition, names, first, configurable, chain(chat_models), chain(others))


def _call(composition: Composition, part: Part) -> PartCall:
    flush_on = "}" if isinstance(part, Choice) else ""
    return PartCall(part.role, part.max_tokens, part.temperature, composition.call_order.index(part.name), flush_on)


def _standin_parts(registry: Registry, chosen: Mapping[str, str]) -> list[str]:
    return [part for part, name in chosen.items() if registry.models[name].provider == STANDIN]


def _standin_warning(registry: Registry, chosen: Mapping[str, str], *, has_key: bool) -> str | None:
    """Returns which parts the stand-in writes, if any, and how to use a model instead."""
    parts = _standin_parts(registry, chosen)
    if not parts:
        return None
    warning = NO_MODEL if len(parts) == len(chosen) else SOME_BY_STANDIN.format(parts=", ".join(parts))
    return warning + ("." if has_key else SET_A_KEY)


def _standin(settings: Settings) -> AbstractContextManager[str]:
    return serving(
        ttft_ms=settings.standin_ttft_ms, tokens_per_s=settings.standin_tokens_per_s, seed=settings.standin_seed
    )

"""Makes the models of the registry, each with the settings of the part that it writes."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from ssl import SSLContext
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import httpx2
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import ConfigurableField, Runnable
from pydantic import SecretStr

from chains._fast import Acceleration
from chains.models.calls import CallObserver, Unobserved
from chains.models.chat import ProviderChat
from chains.models.health import Health
from chains.models.lines import Admission, CallLine, OneCaller, Pace, RequestsPerMinute
from chains.models.registry import PartSettings, Provider, Registry
from chains.models.transport import CONNECT_S, Endpoint, HttpClients, trusted_authorities

LAST = 1000  # the rank of calls that nothing else waits for
MODEL_FIELD = ConfigurableField(
    id="model", name="Model", description="A model of the registry, or the one that the settings chose for the part."
)


@dataclass(frozen=True)
class PartCall:
    """How a part's model is called. `role` names its list of models; waiting calls with a lower `rank` go first.

    Text is reported to handlers only when it contains `flush_on`, because partial JSON objects are useless.
    """

    role: str
    max_tokens: int
    temperature: float
    rank: int
    flush_on: str = ""


@dataclass(frozen=True)
class ChatModels:
    """Makes models from the registry, called through `http`, each with the key of its provider.

    `usable` names the providers that can be called. `keys` and `proxies` are by provider.
    """

    registry: Registry
    usable: Collection[str]
    keys: Mapping[str, SecretStr]
    http: HttpClients
    proxies: Mapping[str, str]
    acceleration: Acceleration
    shared_pace: Callable[[str, int], Pace] | None = None  # by provider and requests per minute
    observer: CallObserver = field(default_factory=Unobserved)
    admission: Admission = field(default_factory=OneCaller)

    @cached_property
    def health(self) -> dict[str, Health]:
        """The health of each provider, by its name."""
        return {name: Health(provider.label) for name, provider in self.registry.providers.items()}

    @cached_property
    def _untagged_thinkers(self) -> set[str]:
        return set()

    @cached_property
    def _lines(self) -> dict[str, CallLine]:
        """The lines of providers with limits, by name."""
        limited = {
            name: provider
            for name, provider in self.registry.providers.items()
            if provider.requests_per_minute or provider.max_concurrent_calls
        }
        return {name: self._line(name, provider) for name, provider in limited.items()}

    def _line(self, name: str, provider: Provider) -> CallLine:
        slots, limit = provider.max_concurrent_calls, provider.requests_per_minute
        pace = self._pace(name, limit) if limit else None
        polite = self.admission.is_polite
        return CallLine(self.admission.caller, slots=slots, pace=pace, is_polite=polite, hands_over=slots is not None)

    def _pace(self, provider: str, limit: int) -> Pace:
        return self.shared_pace(provider, limit) if self.shared_pace else RequestsPerMinute(limit)

    @cached_property
    def _endpoints(self) -> dict[str, Endpoint]:
        return {
            name: Endpoint(self.http, provider, self._key(name).get_secret_value(), self.proxies.get(name))
            for name, provider in self.registry.providers.items()
        }

    @cached_property
    def _trusted(self) -> SSLContext:
        return trusted_authorities()

    def _sdk(self, provider: str) -> dict[str, Any]:
        """Returns how the SDK reaches a provider for synchronous calls, without reading the environment."""
        entry, client = self.registry.providers[provider], partial(httpx2.Client, verify=self._trusted, trust_env=False)
        address = urlsplit(entry.url(""))
        return {
            # without a password, because LangChain's tracers report this address
            "base_url": urlunsplit(address._replace(netloc=address.netloc.rpartition("@")[2], query="")),
            "default_query": dict(parse_qsl(address.query)) or None,
            "default_headers": entry.headers(self._key(provider).get_secret_value()),
            "openai_proxy": "",
            "http_socket_options": (),  # otherwise it warns about a proxy in the environment
            "timeout": httpx2.Timeout(None, connect=CONNECT_S),
            "http_client": client(proxy=self.proxies.get(provider)),
            "http_async_client": self._unused_client,
        }

    @cached_property
    def _unused_client(self) -> httpx2.AsyncClient:
        """Shared by all models, because the SDK would create one for each."""
        return httpx2.AsyncClient(verify=self._trusted, trust_env=False)

    def for_parts(self, calls: Mapping[str, PartCall], chosen: Mapping[str, str]) -> dict[str, list[ProviderChat]]:
        """Returns each part's models: the chosen one, then its fallbacks."""
        models = {
            part: [name, *self.registry.others(part, calls[part].role, name, self.usable)]
            for part, name in chosen.items()
        }
        return {part: [self._model(part, calls[part], name) for name in names] for part, names in models.items()}

    def configurable(
        self, calls: Mapping[str, PartCall], chosen: Mapping[str, str]
    ) -> dict[str, Runnable[LanguageModelInput, AIMessage]]:
        """Returns each part's model, with the configurable field `model`: the name of any usable model."""
        return {part: self._configurable(part, calls[part], name) for part, name in chosen.items()}

    def endpoints(self, models: Iterable[str]) -> list[Endpoint]:
        """Returns the endpoints of the providers of these models."""
        return [self._endpoints[name] for name in self.registry.providers_of(models)]

    def for_completions(self) -> dict[str, ProviderChat]:
        """Returns the usable models for plain completions, by name, the preferred one first."""
        entry = self.registry.completion
        call = PartCall("", entry.max_tokens, entry.temperature, rank=LAST)
        return {name: self._model("", call, name) for name in self.registry.models_of(self.usable)}

    def _configurable(self, part: str, call: PartCall, chosen: str) -> Runnable[LanguageModelInput, AIMessage]:
        names = [name for name, model in self.registry.models.items() if model.provider in self.usable]
        others: dict[str, Any] = {name: partial(self._model, part, call, name) for name in names}
        # LangChain keeps one set of choices for all fields of the same id and annotation in a process
        choices = MODEL_FIELD._replace(annotation=tuple(names))
        return self._model(part, call, chosen).configurable_alternatives(choices, default_key="as set", **others)

    def _model(self, part: str, call: PartCall, name: str) -> ProviderChat:
        own = self.registry.parts.get(part, PartSettings())
        temperature = call.temperature if own.temperature is None else own.temperature
        model = self.registry.models[name]
        provider = self.registry.providers[model.provider]
        limit = min(own.max_tokens or call.max_tokens, model.max_output)
        return ProviderChat(
            label=provider.label,
            metadata={"provider": model.provider, "model": name, "ls_max_tokens": limit},
            name_in_registry=name,
            part=part,
            price=model.price,
            observer=self.observer,
            context_window=model.context_window,
            max_output=model.max_output,
            first_token_s=provider.first_token_s,
            next_token_s=provider.next_token_s,
            flush_on=call.flush_on,
            health=self.health[model.provider],
            endpoint=self._endpoints[model.provider],
            untagged_thinkers=self._untagged_thinkers,
            admission=self.admission,
            line=self._lines.get(model.provider),
            rank=call.rank,
            acceleration=self.acceleration,
            limit=limit,
            limit_field=provider.limit_field,
            # with the limit, because not every provider knows the field that the SDK would send
            extra_body={provider.limit_field: limit, **provider.extra_body, **model.extra_body},
            model=model.id,
            api_key=self._key(model.provider),
            temperature=temperature,
            reasoning_effort=model.reasoning_effort,
            **self._sdk(model.provider),
            max_retries=0,
            stream_usage=provider.stream_usage,
            stream_chunk_timeout=None,
            use_responses_api=False,
        )

    def _key(self, provider: str) -> SecretStr:
        # never empty: without a key the SDK sends OPENAI_API_KEY to any base URL
        return self.keys.get(provider, SecretStr("none"))

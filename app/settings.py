"""The only module that reads the environment and `.env`."""

import os
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Self, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, HttpUrl, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from app.admission import UNLIMITED, Limits, is_on_this_machine
from app.clients import Client
from app.compositions import load_compositions, part_roles
from app.server.cors import SEED_PAGE, origin
from app.server.hosts import host_pattern
from app.server.log_settings import LogFormat, LogLevel
from app.server.network import check_certificates, is_loopback, proxy_for
from app.server.tokens import TokenSource, valid_token
from chains.errors import ConfigError
from chains.models.registry import Registry, load_registry
from chains.parts.composition import Composition
from chains.validation import validation_message

STANDIN = "standin"
CLIENT_LIMITS = Limits(runs=10, calls=24, calls_per_minute=240)  # for clients that are not on this machine
STORES = ("sqlite:///", "memory://", "redis://", "rediss://", "unix://")
KEEP_S = {"memory": 900.0, "sqlite": 30 * 86_400.0, "redis": 7 * 86_400.0}
CONTRADICTION = "SIZZLE_OPEN (--open) lets everybody in, SIZZLE_TOKEN only those who have it: set one of the two."
OPEN_WITHOUT_BUDGET = (
    "SIZZLE_OPEN (--open) lets everybody spend money with your API keys: set SIZZLE_DAILY_BUDGET_USD, or SIZZLE_TOKEN."
)
AROUND_VALUES = " \t\r\n\v\f\u00a0\u200b\ufeff\"'"  # often copied along, or left there by a script
SIMILAR = 0.75  # of 1

_BEARER = re.compile("^(?:authorization: ?)?bearer ", re.IGNORECASE)  # copied from an example


def _origins(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(origin(text) for text in texts)


def _hosts(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(host_pattern(text) for text in texts)


def _token(token: SecretStr) -> SecretStr:
    valid_token(token.get_secret_value())
    return token


def _store(url: str) -> str:
    if not url.startswith(STORES):
        raise ValueError(f"expected one of {', '.join(f'{store}…' for store in STORES)}")
    return url


def _by_commas(text: object) -> object:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if isinstance(text, str) else text


def _in_small_letters(word: object) -> object:
    return word.lower() if isinstance(word, str) else word


def _by_qualified_part(models: object) -> object:
    """`SIZZLE_MODELS__TRIP__ROUTE` as the model of `trip.route`."""
    if not isinstance(models, dict):
        return models
    flat: dict[str, object] = {}
    for name, model in cast(dict[str, object], models).items():
        parts = cast(dict[str, object], model) if isinstance(model, dict) else {"": model}
        flat |= {f"{name}.{part}".rstrip("."): each for part, each in parts.items()}
    return flat


def _clean(value: object) -> object:
    """Returns the value without what surrounds its texts, and without its empty texts."""
    if isinstance(value, dict):
        cleaned = {name: _clean(each) for name, each in cast(dict[str, object], value).items()}
        return {name: each for name, each in cleaned.items() if each != ""}
    return value.strip(AROUND_VALUES) if isinstance(value, str) else value


def _sendable_key(key: object) -> object:
    """Returns the key without `Bearer`. Raises `ValueError` if it cannot be sent in a header."""
    if not isinstance(key, str):
        return key
    key = _BEARER.sub("", key)
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ValueError("contains an invalid character: copy the key again")
    return key


def _limit(setting: int | None, usual: int | None) -> int | None:
    return usual if setting is None else setting or None


Key = Annotated[SecretStr, BeforeValidator(_sendable_key)]
_AnyCase = BeforeValidator(_in_small_letters)


class Settings(BaseSettings):
    """Environment variables have the prefix `SIZZLE_`, except `FIREWORKS_API_KEY` and `GROQ_API_KEY`."""

    model_config = SettingsConfigDict(
        env_prefix="SIZZLE_",
        env_file=".env",
        env_file_encoding="utf-8-sig",  # some editors write a byte order mark
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        validate_by_name=True,
        allow_inf_nan=False,
    )

    fireworks_api_key: Key | None = Field(default=None, validation_alias="FIREWORKS_API_KEY")
    groq_api_key: Key | None = Field(default=None, validation_alias="GROQ_API_KEY")
    keys: dict[str, Key] = Field(default={}, description="keys of other providers, by name")
    base_urls: dict[str, HttpUrl] = Field(default={}, description="other addresses of providers, by name")
    fireworks_base_url: HttpUrl | None = None
    groq_base_url: HttpUrl | None = None
    registry: Path | None = Field(
        default=None, description="a TOML file with additional providers, models, roles and parts"
    )
    model: str | None = Field(default=None, description="the name of a model for every step")
    models: Annotated[dict[str, str], BeforeValidator(_by_qualified_part)] = Field(
        default={}, description="names of models, by part, or by composition and part"
    )
    compositions: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_by_commas)] = Field(
        default=(), description="compositions to serve beside the recipe, as module:NAME, separated by commas"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_by_commas), AfterValidator(_origins)] = Field(
        default=(), description="additional allowed origins, comma-separated"
    )
    token: Annotated[Key, AfterValidator(_token)] | None = Field(
        default=None, description="the token of those who may use the server, of at least 32 characters"
    )
    tokens_file: Path | None = Field(default=None, description="a file of lines `name token`, for several clients")
    open: bool = Field(default=False, description="let other machines in without a token")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_by_commas), AfterValidator(_hosts)] = Field(
        default=(), description="names under which the server is reached, such as cook.example, comma-separated"
    )
    share_links: bool = Field(default=True, description="runs can be read without a token by those who have their link")
    seed_page: bool = Field(default=True, description=f"allow pages of {SEED_PAGE}")
    keep_alive_s: float = Field(default=15, gt=0, le=600, description="seconds between comments on a silent stream")
    run_deadline_s: float = Field(default=120, gt=0, le=3600, description="time limit of a recipe in seconds")
    hedge_after_s: float | None = Field(
        default=None, gt=0, description="seconds without a first token until another model is tried in parallel"
    )
    store: Annotated[str, AfterValidator(_store)] = Field(
        default="memory://", description="where runs are kept: sqlite:///<path>, memory://, redis://…"
    )
    worker: bool = Field(default=True, description="the server also writes runs; only redis:// allows false")
    worker_runs: int = Field(default=64, ge=1, description="maximum number of runs that a worker writes at a time")
    lease_s: float = Field(
        default=2, ge=0.1, le=60, description="seconds after which another worker takes over a silent one's runs"
    )
    drain_s: float = Field(default=10, ge=0, le=3600, description="seconds that a stopped worker may finish runs in")
    max_runs: int = Field(default=500, ge=1, description="maximum number of concurrent runs")
    client_runs: int | None = Field(default=None, ge=0, description="runs of one client at a time; 0 for no limit")
    client_calls: int | None = Field(default=None, ge=0, description="calls of one client at a time; 0 for no limit")
    client_calls_per_minute: int | None = Field(
        default=None, ge=0, description="calls that one client may start in a minute; 0 for no limit"
    )
    max_calls: int = Field(default=3000, ge=1, description="calls of one process at a time; as many wait")
    keep_runs_s: float | None = Field(default=None, gt=0, description="seconds a finished run is kept")
    keep_bytes: int | None = Field(default=None, ge=1024 * 1024, description="bytes of all runs that are kept")
    send_timeout_s: float = Field(default=30, gt=0, description="seconds a client may block a stream")
    standin_ttft_ms: float = Field(default=250, ge=0, le=60_000, description="milliseconds")
    standin_tokens_per_s: float = Field(default=80, ge=0, le=1_000_000, description="tokens per second, 0 for no limit")
    standin_seed: int = 0
    daily_budget_usd: float | None = Field(
        default=None, gt=0, description="US dollars that all calls to models of a day (UTC) may cost"
    )
    client_daily_budget_usd: float | None = Field(
        default=None, gt=0, description="US dollars that the calls of one client may cost per day (UTC)"
    )
    log_format: Annotated[LogFormat, _AnyCase] = Field(
        default="auto", description="text, json, or auto: text on a terminal"
    )
    log_level: Annotated[LogLevel, _AnyCase] = Field(default="info", description="debug, info, warning or error")
    fast: bool = Field(default=True, description="use private API of LangChain and pydantic where it saves time")
    race: bool = Field(default=False, description="allow the page /race to make paid calls")

    @model_validator(mode="before")
    @classmethod
    def _without_surroundings(cls, values: object) -> object:
        return _clean(values)

    @property
    def store_kind(self) -> str:
        """`memory`, `sqlite` or `redis`."""
        scheme = self.store.partition(":")[0]
        return scheme if scheme in {"memory", "sqlite"} else "redis"

    @property
    def keep_s(self) -> float:
        """How long a finished run is kept, in seconds; by default as long as suits the store."""
        return self.keep_runs_s or KEEP_S[self.store_kind]

    def limits_of(self, client: Client) -> Limits:
        """Returns the client's limits. By default those on this machine have none."""
        usual = UNLIMITED if is_on_this_machine(client) else CLIENT_LIMITS
        return Limits(
            runs=_limit(self.client_runs, usual.runs),
            calls=_limit(self.client_calls, usual.calls),
            calls_per_minute=_limit(self.client_calls_per_minute, usual.calls_per_minute),
        )

    def with_own_store(self) -> Self:
        """Returns the settings of a process of its own, which by default keeps runs in the user's state folder."""
        if "store" in self.model_fields_set:
            return self
        try:
            state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        except RuntimeError:  # no HOME, and a user whom the system does not know, as in some containers
            raise ConfigError("SIZZLE_STORE: set it, XDG_STATE_HOME or HOME, to say where runs are kept.") from None
        path = state.absolute() / "sizzle" / "runs.db"
        return self.model_copy(update={"store": path.as_uri().replace("file:", "sqlite:", 1)})

    def origins(self) -> tuple[str, ...]:
        """Returns all allowed origins."""
        return (SEED_PAGE, *self.cors_origins) if self.seed_page else self.cors_origins

    def token_source(self) -> TokenSource:
        """Returns the tokens of those who may use the server. Raises `ConfigError`."""
        return TokenSource(self.token.get_secret_value() if self.token else None, self.tokens_file)

    def provider_keys(self) -> dict[str, SecretStr]:
        """Returns the keys by the provider's name."""
        usual = {"fireworks": self.fireworks_api_key, "groq": self.groq_api_key}
        return {name: key for name, key in [*self.keys.items(), *usual.items()] if key}

    def provider_proxies(self, registry: Registry) -> dict[str, str]:
        """Returns the proxies of usable providers, by the provider's name.

        Raises `ConfigError` if a proxy cannot be used.
        """
        proxies = {name: proxy_for(url) for name, url in self._addresses(registry).items()}
        return {name: proxy for name, proxy in proxies.items() if proxy}

    def load_registry(self) -> Registry:
        """Returns the registry with the settings applied. Raises `ConfigError`."""
        try:
            registry = load_registry(self.registry)
        except ConfigError as error:
            raise ConfigError(f"SIZZLE_REGISTRY: {error}") from None
        for setting, names in (("KEYS", self.keys), ("BASE_URLS", self.base_urls)):
            for name in names:
                if name not in registry.providers:
                    available = ", ".join(registry.providers)
                    raise ConfigError(f"SIZZLE_{setting}__{name.upper()}: unknown provider; available: {available}.")
        usual = {"fireworks": self.fireworks_base_url, "groq": self.groq_base_url}
        urls = [*self.base_urls.items(), *usual.items()]
        registry = registry.at({name: str(url) for name, url in urls if url})
        return registry.preferring(self.model) if self.model in registry.models else registry

    def load_compositions(self) -> dict[str, Composition]:
        """Returns the compositions by name. Raises `CompositionError`."""
        return load_compositions(self.compositions)

    def choose_models(self) -> dict[str, str]:
        """Returns the name of the model for each part, by its qualified name. Raises `ConfigError`."""
        return self.load_registry().choose(self._roles(), self.usable_providers(), self._named_models())

    def usable_providers(self) -> set[str]:
        """Returns the providers that have a key or need none.

        The stand-in is included if a part names it, or if there is no key and a part has no other model.
        """
        registry, keys, named = self.load_registry(), self.provider_keys(), self._named_models()
        keyless = {name for name, provider in registry.providers.items() if not provider.needs_key}
        usable = (keys.keys() | keyless) - {STANDIN}
        unnamed = [registry.models_for(part, role) for part, role in self._roles().items() if part not in named]
        is_needed = not keys and not all(registry.providers_of(models) & usable for models in unnamed)
        is_named = STANDIN in registry.providers_of(named.values())
        return usable | {STANDIN} if is_needed or is_named else usable

    def check(self) -> None:
        """Raises `ConfigError` if the settings are inconsistent, or a proxy or certificate cannot be used."""
        self.check_access()
        registry = self.load_registry()
        self._check_prices(registry, self.choose_models().values())
        self.provider_proxies(registry)
        if any(
            url.startswith("https") and not is_loopback(urlsplit(url).hostname or "")
            for url in self._addresses(registry).values()
        ):
            check_certificates()

    def check_access(self) -> None:
        """Raises `ConfigError` if the tokens cannot be used, or anybody could spend money without a limit."""
        if not self.open:
            self.token_source()
        elif self.token or self.tokens_file:
            raise ConfigError(CONTRADICTION)
        elif self.provider_keys() and self.daily_budget_usd is None:
            raise ConfigError(OPEN_WITHOUT_BUDGET)

    @property
    def has_budget(self) -> bool:
        return self.daily_budget_usd is not None or self.client_daily_budget_usd is not None

    def _check_prices(self, registry: Registry, chosen: Iterable[str]) -> None:
        unpriced = [name for name in dict.fromkeys(chosen) if not registry.models[name].price]
        if self.has_budget and unpriced:
            raise ConfigError(
                f"A daily budget needs the price of each chosen model; without one: {', '.join(unpriced)}. "
                "Add price_in and price_out to the registry (SIZZLE_REGISTRY), or choose other models."
            )

    def _roles(self) -> dict[str, str]:
        return part_roles(self.load_compositions())

    def _named_models(self) -> dict[str, str]:
        """Returns the models that the settings name, by qualified part. Raises `ConfigError` for an unknown part."""
        parts = self._roles()
        available = {name for part in parts for name in (part, part.rpartition(".")[2])}
        for part in self.models:
            if part not in available:
                raise ConfigError(f"SIZZLE_MODELS__{part.upper()}: unknown part; available: {', '.join(parts)}.")
        models = {part: self.models.get(part, self.models.get(part.rpartition(".")[2], self.model)) for part in parts}
        return {part: model for part, model in models.items() if model}

    def _addresses(self, registry: Registry) -> dict[str, str]:
        """Returns the base URLs of the usable providers."""
        names = self.usable_providers() & registry.providers_of(registry.models)
        return {name: registry.providers[name].base_url for name in names}


def wants_traces() -> bool:
    """Whether the standard variables of OpenTelemetry say where to send traces."""
    is_off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "otlp")
    return not is_off and exporter == "otlp" and any(os.environ.get(name) for name in endpoints)


def misspelled_settings() -> list[str]:
    """Returns a hint for each variable of the environment or `.env` whose name is only similar to a setting's."""
    names = sorted(name for name in {*os.environ, *_names_in_dotenv()} if name.upper().startswith("SIZZLE_"))
    similar = {name: _similar_setting(name) for name in names}
    return [f"{name} is not a setting: did you mean {other}?" for name, other in similar.items() if other]


def _similar_setting(variable: str) -> str | None:
    """Returns the name of the setting that the variable may mean, or None if it is one or is similar to none."""
    name, dots, _ = variable.upper().removeprefix("SIZZLE_").partition("__")
    fields = {field.upper(): info for field, info in Settings.model_fields.items()}
    candidates = [field for field, info in fields.items() if not dots or info.default == {}]
    found = get_close_matches(name, candidates, 1, SIMILAR)
    return f"{_variable(found)}{dots}" if found and found[0] != name else None


def _names_in_dotenv() -> list[str]:
    try:
        return re.findall(r"^\s*(?:export\s+)?(SIZZLE_\w+)\s*=", Path(".env").read_text("utf-8-sig"), re.I | re.M)
    except (OSError, UnicodeDecodeError):
        return []


def key_setting(provider: str) -> str:
    """Returns the name of the variable for a provider's key."""
    name = provider.upper()
    return f"{name}_API_KEY" if f"{provider}_api_key" in Settings.model_fields else f"SIZZLE_KEYS__{name}"


def read_settings() -> Settings:
    """Reads the settings of this process. Raises `ConfigError` with one line that names the variable."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise ConfigError(f"{_variable(first['loc'])}: {validation_message(first)}.") from None
    except SettingsError as error:  # its message names the field
        field = re.findall(r'"(\w+)"', str(error))[0].upper()
        raise ConfigError(f"SIZZLE_{field}: expected SIZZLE_{field}__<NAME>=…, or a JSON object.") from None
    except UnicodeDecodeError:
        raise ConfigError(".env is not UTF-8.") from None
    except OSError as error:
        raise ConfigError(f".env: {error.strerror}") from None


def _variable(loc: Sequence[str | int]) -> str:
    name = "__".join(str(part) for part in loc).upper()
    return name if name.endswith("_API_KEY") else f"SIZZLE_{name}"

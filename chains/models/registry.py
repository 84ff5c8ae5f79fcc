"""The model registry: providers, their models, and which models each role prefers. One data file, models.toml."""

import tomllib
from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from chains.errors import ConfigError
from chains.models.calls import Price

MAX_PRICE = 100_000
LimitField = Literal["max_completion_tokens", "max_tokens"]
HEADER_NAME = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"  # a token of RFC 9110 §5.6.2
HeaderName = Annotated[str, Field(pattern=HEADER_NAME)]
HeaderText = Annotated[str, Field(pattern=r"^[ -~]*$")]


def _for_one_choice(body: dict[str, Any]) -> dict[str, Any]:
    """Raises `ValueError` for several choices. Some servers count chunks in `index`, which thus can't separate them."""
    if body.get("n", 1) != 1:
        raise ValueError("n has to be 1")
    return body


ExtraBody = Annotated[dict[str, Any], AfterValidator(_for_one_choice)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Provider(_Entry):
    """A server that speaks the OpenAI chat completions protocol at `base_url`, which may have a query.

    `first_token_s` and `next_token_s` are timeouts in seconds. At most `max_concurrent_calls` calls run at a time; the
    others wait, and their timeouts begin after that.
    The key is sent in `key_header`, as a bearer token if that is `Authorization`. `extra_body` adds fields to the
    request or replaces them.
    """

    label: str
    base_url: str = Field(pattern=r"^\s*https?://")
    needs_key: bool = True
    key_header: str = Field(default="Authorization", pattern=HEADER_NAME)
    extra_headers: dict[HeaderName, HeaderText] = {}
    requests_per_minute: int | None = Field(default=None, ge=2)
    max_concurrent_calls: int | None = Field(default=None, ge=1)
    first_token_s: float = Field(default=15, gt=0)
    next_token_s: float = Field(default=10, gt=0)
    limit_field: LimitField = "max_completion_tokens"
    stream_usage: bool = True
    extra_body: ExtraBody = {}

    @field_validator("base_url")
    @classmethod
    def _has_a_host(cls, url: str) -> str:
        """Also raises `ValueError` for a port that is not a number and for an incomplete IPv6 address."""
        parts = urlsplit(url.strip())
        if not parts.hostname or parts.port == 0:
            raise ValueError("has no host")
        return url.strip()

    def url(self, resource: str) -> str:
        """Returns the address of a resource, such as `chat/completions`, which `base_url` may already end with."""
        parts = urlsplit(self.base_url)
        path = parts.path.rstrip("/").removesuffix("/chat/completions").rstrip("/")
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, f"{path}/{resource}", parts.query, ""))

    def headers(self, key: str) -> dict[str, str]:
        """Returns the headers of a request. A user and a password in `base_url` replace a bearer token."""
        credentials = f"Bearer {key}" if self.key_header.lower() == "authorization" else key
        headers = {self.key_header: credentials, "Content-Type": "application/json"}
        if user := urlsplit(self.base_url).netloc.rpartition("@")[0]:
            headers |= {"Authorization": f"Basic {b64encode(unquote(user).encode()).decode()}"}
        return headers | self.extra_headers


class Model(_Entry):
    """A provider's model. `context_window` and `max_output` in tokens. `extra_body` adds to the provider's.

    `price_in` and `price_out` are in US dollars per million tokens, as they were on the day `priced_on`. Without them
    the price is unknown.
    """

    provider: str
    id: str
    context_window: int = Field(gt=0)
    max_output: int = Field(gt=0)
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "default"] | None = None
    extra_body: ExtraBody = {}
    price_in: float | None = Field(default=None, ge=0, le=MAX_PRICE)
    price_out: float | None = Field(default=None, ge=0, le=MAX_PRICE)
    priced_on: date | None = None

    @model_validator(mode="after")
    def _has_a_whole_price(self) -> Self:
        if (self.price_in is None) != (self.price_out is None):
            raise ValueError("needs both price_in and price_out, or neither")
        return self

    @property
    def price(self) -> Price | None:
        if self.price_in is None or self.price_out is None:
            return None
        return Price(self.price_in, self.price_out)


class Role(_Entry):
    """Models in order of preference, for the parts that name this role."""

    models: tuple[str, ...] = Field(min_length=1)


class Completion(Role):
    """The models of plain completions, in order of preference, with the token limit and the temperature."""

    max_tokens: int = Field(gt=0)
    temperature: float = Field(ge=0, le=2)


class PartSettings(_Entry):
    """Overrides for the part of this name: its models, token limit and temperature."""

    models: tuple[str, ...] = ()
    max_tokens: int | None = Field(default=None, gt=0)
    temperature: float | None = Field(default=None, ge=0, le=2)


class Registry(_Entry):
    """Providers, models, roles and the settings of single parts, by name, and those of plain completions."""

    providers: dict[str, Provider]
    models: dict[str, Model]
    roles: dict[str, Role]
    parts: dict[str, PartSettings] = {}
    completion: Completion

    @model_validator(mode="after")
    def _every_name_is_known(self) -> Self:
        for name, model in self.models.items():
            if model.provider not in self.providers:
                raise ValueError(f"model {name} names the unknown provider {model.provider}")
        users = {**self.roles, **self.parts, "completion": self.completion}
        for user, entry in users.items():
            for name in entry.models:
                if name not in self.models:
                    raise ValueError(f"{user} names the unknown model {name}")
        return self

    def at(self, base_urls: Mapping[str, str]) -> "Registry":
        """Returns the same registry with other base URLs for these providers."""
        moved = {
            name: provider.model_copy(update={"base_url": base_urls.get(name, provider.base_url)})
            for name, provider in self.providers.items()
        }
        return self.model_copy(update={"providers": moved})

    def preferring(self, model: str) -> "Registry":
        """Returns the same registry with this model first for plain completions."""
        others = [name for name in self.completion.models if name != model]
        completion = self.completion.model_copy(update={"models": (model, *others)})
        return self.model_copy(update={"completion": completion})

    def providers_of(self, models: Iterable[str]) -> set[str]:
        """Returns the names of the providers of these models. Unknown models are skipped."""
        return {self.models[name].provider for name in models if name in self.models}

    def models_of(self, usable: Collection[str]) -> list[str]:
        """Returns the names of these providers' models, those preferred for completions first."""
        names = dict.fromkeys((*self.completion.models, *self.models))
        return [name for name in names if self.models[name].provider in usable]

    def models_for(self, part: str, role: str) -> tuple[str, ...]:
        """Returns the models of a part in order of preference. Raises `ConfigError` for an unknown role."""
        own = self.parts.get(part.rpartition(".")[2])
        if own and own.models:
            return own.models
        if role not in self.roles:
            raise ConfigError(f"The part {part} has the unknown role {role!r}; known: {', '.join(self.roles)}.")
        return self.roles[role].models

    def others(self, part: str, role: str, chosen: str, usable: Collection[str]) -> list[str]:
        """Returns the part's other models of usable providers, first those after the chosen one in its list."""
        names = [name for name in self.models_for(part, role) if self.models[name].provider in usable]
        place = names.index(chosen) if chosen in names else -1
        return [*names[place + 1 :], *names[: max(place, 0)]]

    def choose(self, roles: Mapping[str, str], usable: Collection[str], overrides: Mapping[str, str]) -> dict[str, str]:
        """Returns a model's name for each part in `roles`: the override, otherwise the first usable one of its role.

        Raises `ConfigError` if an override is unknown or its provider is not usable, or a part is left without a model.
        """
        return {
            part: self._checked(part, overrides[part], usable)
            if part in overrides
            else self._first_usable(part, role, usable)
            for part, role in roles.items()
        }

    def _first_usable(self, part: str, role: str, usable: Collection[str]) -> str:
        for name in self.models_for(part, role):
            if self.models[name].provider in usable:
                return name
        raise ConfigError(f"No model for the part {part}: give a key to the provider of one of its models.")

    def _checked(self, part: str, name: str, usable: Collection[str]) -> str:
        if name not in self.models:
            raise ConfigError(f"The part {part} wants the unknown model {name!r}; known: {', '.join(self.models)}.")
        if self.models[name].provider not in usable:
            raise ConfigError(f"The part {part} wants {name!r}, but there is no key for {self.models[name].provider}.")
        return name


def load_registry(extra: Path | None = None) -> Registry:
    """Returns the built-in registry, with the entries of the TOML file `extra` added or replacing its own.

    A provider with a `preset` inherits the fields of that built-in provider, except those that it sets itself.
    Raises `ConfigError` that names the file and the first entry that is wrong.
    """
    if not extra:
        return _built_in()
    entries, tables = _built_in_entries(), _read(extra)
    tables["providers"] = _with_presets(extra, tables.get("providers", {}), entries["providers"])
    for table, rows in tables.items():
        entries[table] = {**entries.get(table, {}), **rows}
    try:
        return Registry.model_validate(entries)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{extra}: {where} {first['msg']}".replace(":  ", ": ")) from None


@cache  # because reading takes 5 ms, and each start needs it eight times
def _built_in() -> Registry:
    return Registry.model_validate(_built_in_entries())


def _built_in_entries() -> dict[str, dict[str, Any]]:
    return tomllib.loads(files("chains.models").joinpath("models.toml").read_text(encoding="utf-8"))


def _with_presets(path: Path, providers: Mapping[str, Any], presets: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _with_preset(f"{path}: providers.{name}", fields, presets) for name, fields in providers.items()}


def _with_preset(entry: str, fields: Any, presets: Mapping[str, Any]) -> Any:
    match fields:
        case {"preset": str(preset), **own} if preset in presets:
            return {**presets[preset], **own}
        case {"preset": preset}:
            raise ConfigError(f"{entry}.preset is {preset!r}, but has to be one of: {', '.join(presets)}.")
        case _:
            return fields


def _read(path: Path) -> dict[str, dict[str, object]]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors write a byte order mark
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: this is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}") from None
    if not all(isinstance(rows, dict) for rows in tables.values()):
        raise ConfigError(f"{path}: expected the tables providers, models, roles and parts")
    return tables

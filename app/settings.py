"""Settings: the only place that reads the environment and `.env`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, HttpUrl, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from app.cors import SEED_PAGE, origin
from app.network import check_certificates, is_loopback, proxy_for
from chains.errors import ConfigError
from chains.models.registry import Registry, load_registry
from chains.recipe.request import STEPS, Step

STANDIN = "standin"
AROUND_KEYS = " \t\r\n\v\f\u00a0\u200b\ufeff\"'"  # what is copied along with a key


def _origins(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(origin(text) for text in texts)


def _by_commas(text: object) -> object:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if isinstance(text, str) else text


def _clean_key(key: object) -> object:
    """The key without what was copied along with it. Raises `ValueError` if it can't be sent in a header."""
    if not isinstance(key, str):
        return key
    key = key.strip(AROUND_KEYS)
    if not (key.isascii() and key.isprintable()):
        raise ValueError("has a character that a key can't have: copy the key again")
    return key


Key = Annotated[SecretStr, BeforeValidator(_clean_key)]


class Settings(BaseSettings):
    """Every name is prefixed `SIZZLE_` in the environment, but for the two usual names of keys."""

    model_config = SettingsConfigDict(
        env_prefix="SIZZLE_",
        env_file=".env",
        env_file_encoding="utf-8-sig",  # some editors write a byte order mark
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        validate_by_name=True,
    )

    fireworks_api_key: Key | None = Field(default=None, validation_alias="FIREWORKS_API_KEY")
    groq_api_key: Key | None = Field(default=None, validation_alias="GROQ_API_KEY")
    keys: dict[str, Key] = Field(default={}, description="keys of other providers of the registry, by name")
    base_urls: dict[str, HttpUrl] = Field(default={}, description="other addresses of providers, by name")
    fireworks_base_url: HttpUrl | None = None
    groq_base_url: HttpUrl | None = None
    registry: Path | None = Field(default=None, description="a TOML file of providers, models and steps of your own")
    model: str | None = Field(default=None, description="a model's name, for every step")
    models: dict[Step, str] = Field(
        default={}, description="a model's name, by step, where it is not the first one usable"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_by_commas), AfterValidator(_origins)] = Field(
        default=(), description="further origins that may call the server from a browser, separated by commas"
    )
    seed_page: bool = Field(default=True, description=f"let pages of {SEED_PAGE} call the server from a browser")
    keep_alive_s: float = Field(default=15, gt=0, le=600, description="seconds between comments on a silent stream")
    run_deadline_s: float = Field(default=120, gt=0, le=3600, description="seconds in which a recipe has to be written")
    hedge_after_s: float | None = Field(
        default=None, gt=0, description="seconds without a first token, then another model is asked too"
    )
    max_runs: int = Field(default=500, ge=1, description="recipes at most that are being written at a time")
    keep_runs_s: float = Field(default=900, gt=0, description="seconds that a run is kept after its end")
    send_timeout_s: float = Field(default=30, gt=0, description="seconds that a reader may block a stream")
    standin_ttft_ms: float = Field(default=250, ge=0, le=60_000, description="milliseconds")
    standin_tokens_per_s: float = Field(default=80, ge=0, le=1_000_000, description="tokens a second, 0 for no limit")
    standin_seed: int = 0
    race: bool = Field(default=False, description="let the page /race make paid calls")

    def origins(self) -> tuple[str, ...]:
        """All origins whose pages may call the server from a browser."""
        return (SEED_PAGE, *self.cors_origins) if self.seed_page else self.cors_origins

    def provider_keys(self) -> dict[str, SecretStr]:
        """The key of each provider that has one, by the provider's name."""
        usual = {"fireworks": self.fireworks_api_key, "groq": self.groq_api_key}
        return {name: key for name, key in [*self.keys.items(), *usual.items()] if key}

    def provider_proxies(self, registry: Registry) -> dict[str, str]:
        """The proxy that the environment names for a provider that can be called, by the provider's name.

        Raises `ConfigError` if that is none that can be used.
        """
        proxies = {name: proxy_for(url) for name, url in self._addresses(registry).items()}
        return {name: proxy for name, proxy in proxies.items() if proxy}

    def load_registry(self) -> Registry:
        """The registry with what the settings say of its providers. Raises `ConfigError`."""
        registry = load_registry(self.registry)
        for setting, names in (("KEYS", self.keys), ("BASE_URLS", self.base_urls)):
            for name in names:
                if name not in registry.providers:
                    known = ", ".join(registry.providers)
                    raise ConfigError(f"SIZZLE_{setting}__{name.upper()}: no such provider; known: {known}.")
        usual = {"fireworks": self.fireworks_base_url, "groq": self.groq_base_url}
        urls = [*self.base_urls.items(), *usual.items()]
        registry = registry.at({name: str(url) for name, url in urls if url})
        return registry.preferring(self.model) if self.model in registry.models else registry

    def choose_models(self, registry: Registry) -> dict[Step, str]:
        """The model's name for each step. Raises `ConfigError`."""
        return registry.choose(self.usable_providers(registry), self._named_models())

    def usable_providers(self, registry: Registry) -> set[str]:
        """The providers that have a key or need none.

        The stand-in is among them if a step asks for it by name, or if there is no key at all and a step has no other
        model.
        """
        keys, named = self.provider_keys(), self._named_models()
        keyless = {name for name, provider in registry.providers.items() if not provider.needs_key}
        usable = (keys.keys() | keyless) - {STANDIN}
        unnamed = [registry.steps[step].models for step in STEPS if step not in named]
        is_needed = not keys and not all(registry.providers_of(models) & usable for models in unnamed)
        is_named = STANDIN in registry.providers_of(named.values())
        return usable | {STANDIN} if is_needed or is_named else usable

    def check(self) -> None:
        """Raises `ConfigError` if the settings do not fit together, or the environment bars the way to a provider."""
        registry = self.load_registry()
        self.choose_models(registry)
        self.provider_proxies(registry)
        if any(
            url.startswith("https") and not is_loopback(urlsplit(url).hostname or "")
            for url in self._addresses(registry).values()
        ):
            check_certificates()

    def _named_models(self) -> dict[Step, str]:
        return {**(dict.fromkeys(STEPS, self.model) if self.model else {}), **self.models}

    def _addresses(self, registry: Registry) -> dict[str, str]:
        """The base URLs of the providers that can be called."""
        names = self.usable_providers(registry) & registry.providers_of(registry.models)
        return {name: registry.providers[name].base_url for name in names}


def key_setting(provider: str) -> str:
    """The variable that holds a provider's key."""
    name = provider.upper()
    return f"{name}_API_KEY" if f"{provider}_api_key" in Settings.model_fields else f"SIZZLE_KEYS__{name}"


def read_settings() -> Settings:
    """The settings of this process. Raises `ConfigError` that names the variable, in one line."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise ConfigError(f"{_variable(first['loc'])}: {first['msg'].removeprefix('Value error, ')}.") from None
    except SettingsError as error:  # which names the field, and has the reason as its cause
        field = re.findall(r'"(\w+)"', str(error))[0].upper()
        raise ConfigError(f"SIZZLE_{field}: expected SIZZLE_{field}__<NAME>=…, or a JSON object.") from None
    except UnicodeDecodeError:
        raise ConfigError(".env is not UTF-8.") from None
    except OSError as error:
        raise ConfigError(f".env: {error.strerror}") from None


def _variable(loc: Sequence[str | int]) -> str:
    name = "__".join(str(part) for part in loc).upper()
    return name if name.endswith("_API_KEY") else f"SIZZLE_{name}"

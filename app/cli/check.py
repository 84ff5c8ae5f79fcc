"""`sizzle check`: whether `sizzle serve` would work with these settings, and what to do."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.cli.serve import Compositions, Host, Open, Store, set_environment
from chains.errors import ConfigError
from chains.messages import Message
from chains.translations import Language

if TYPE_CHECKING:
    from rich.table import Table

    from app.settings import Settings
    from chains.models.registry import Provider

State = Literal["ok", "warning", "error"]
STYLES = {"ok": "green", "warning": "yellow", "error": "red"}
STATES: dict[Language, dict[State, str]] = {
    "en": {"ok": "ok", "warning": "warning", "error": "error"},
    "ko": {"ok": "정상", "warning": "확인", "error": "오류"},
}
PROVIDER_TIMEOUT_S = 5.0
SHORT_KEY = 16  # characters; those of all providers are longer


@dataclass(frozen=True, slots=True)
class Finding:
    """What was checked, its state, and what to do."""

    subject: Message
    state: State
    text: Message


SETTINGS = Message("Settings")
COMPOSITIONS = Message("Compositions")
MODELS = Message("Models")
STORE = Message("Store")
EXPOSURE = Message("Exposure")
BUDGET = Message("Budget")


def check(
    host: Host = "127.0.0.1",
    composition: Compositions = None,
    store: Store = None,
    open_: Open = False,
    offline: Annotated[bool, typer.Option("--offline", help="Send no request to a provider.")] = False,
    lang: Annotated[str, typer.Option(help="The language of the table: en or ko.")] = "en",
) -> None:
    """Checks settings, models, keys, the store, providers and exposure. The exit status is 1 if something is wrong.

    Asks each provider once for its list of models, which costs nothing.
    """
    set_environment(store, composition, SIZZLE_OPEN="true" if open_ else None)
    logging.disable()  # the table says what is wrong
    findings = list(_findings(host, is_offline=offline))
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 1000)
    console.print(_table(findings, "ko" if lang == "ko" else "en"))
    raise typer.Exit(1 if any(finding.state == "error" for finding in findings) else 0)


def _findings(host: str, *, is_offline: bool) -> Iterator[Finding]:
    from app.settings import misspelled_settings, read_settings

    try:
        settings = read_settings().with_own_store()
    except ConfigError as error:
        yield _wrong(SETTINGS, error)
        return
    yield Finding(SETTINGS, "ok", Message("read from the environment and .env"))
    for hint in misspelled_settings():
        yield Finding(SETTINGS, "warning", Message("{message}", message=hint))
    compositions = _finding(COMPOSITIONS, lambda: Message("{names}", names=", ".join(settings.load_compositions())))
    yield compositions
    if compositions.state == "ok":
        models = _finding(MODELS, lambda: _checked_models(settings))
        yield models
        if models.state == "ok":
            yield from _providers(settings, is_offline=is_offline)
    yield _finding(STORE, lambda: _checked_store(settings), "warning" if settings.store_kind == "memory" else "ok")
    yield _finding(EXPOSURE, lambda: _exposure(settings, host))
    yield _budget(settings)


def _finding(subject: Message, look: Callable[[], Message], state: State = "ok") -> Finding:
    try:
        return Finding(subject, state, look())
    except ConfigError as error:
        return _wrong(subject, error)


def _wrong(subject: Message, error: ConfigError) -> Finding:
    return Finding(subject, "error", Message("{message}", message=str(error)))


def _checked_models(settings: "Settings") -> Message:
    settings.check()
    return Message("{names}", names=", ".join(dict.fromkeys(settings.choose_models().values())))


def _providers(settings: "Settings", *, is_offline: bool) -> Generator[Finding]:
    """Yields whether each provider that is used accepts its key. The key itself is not shown."""
    from app.settings import STANDIN, key_setting

    registry, keys = settings.load_registry(), settings.provider_keys()
    used = registry.providers_of(settings.choose_models().values()) | keys.keys()
    proxies = settings.provider_proxies(registry)
    for name in sorted(used):
        provider = registry.providers[name]
        subject, setting = Message("{label}", label=provider.label), key_setting(name)
        key = keys[name].get_secret_value() if name in keys else ""
        if name == STANDIN:
            text = "The rule-based stand-in answers, not a language model: set GROQ_API_KEY or FIREWORKS_API_KEY"
            yield Finding(subject, "warning", Message(text))
        elif provider.needs_key and len(key) < SHORT_KEY:
            yield Finding(subject, "warning", Message("{setting} is very short: is it complete?", setting=setting))
        elif is_offline:
            yield Finding(subject, "ok", Message("{setting} is set; the provider was not asked", setting=setting))
        else:
            yield _provider_finding(subject, provider, key, proxies.get(name), setting)


def _provider_finding(subject: Message, provider: "Provider", key: str, proxy: str | None, setting: str) -> Finding:
    import httpx2

    try:
        answer = httpx2.get(
            provider.url("models"),
            headers=provider.headers(key or "none"),
            proxy=proxy,
            timeout=PROVIDER_TIMEOUT_S,
            verify=httpx2.create_ssl_context(),
        )
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError):
        return Finding(subject, "error", Message("cannot be reached: check the network, a proxy and its address"))
    if answer.status_code in (401, 403):
        return Finding(subject, "error", Message("does not accept the key in {setting}", setting=setting))
    if answer.status_code >= 500:
        return Finding(subject, "warning", Message("answers {status}: try again later", status=answer.status_code))
    return Finding(subject, "ok", Message("answers"))


def _checked_store(settings: "Settings") -> Message:
    """Raises `ConfigError`."""
    match settings.store_kind:
        case "memory":
            return Message("in memory: a restart loses all runs")
        case "sqlite":
            return _checked_file(settings)
        case _:
            from app.runs.opening import check_store

            asyncio.run(check_store(settings))
            return Message("Redis answers, and keeps what it has acknowledged")


def _checked_file(settings: "Settings") -> Message:
    from app.stores.database import Bounds, open_database
    from app.stores.sqlite import parse_url

    path, _ = parse_url(settings.store)
    if path.exists():
        open_database(path, Bounds(settings.keep_s, 0, 0, 0), is_locked=False).close()
        return Message("{path} can be used", path=path)
    folder = next(parent for parent in path.parents if parent.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise ConfigError(f"SIZZLE_STORE: {path}: {folder} is not a folder that can be written.")
    return Message("{path} will be created", path=path)


def _exposure(settings: "Settings", host: str) -> Message:
    from app.cli.exposure import audience

    names = ", ".join(settings.allowed_hosts) or "localhost"
    return Message("{host}: {audience}; names: {names}", host=host, audience=audience(host), names=names)


def _budget(settings: "Settings") -> Finding:
    if settings.daily_budget_usd is not None:
        return Finding(BUDGET, "ok", Message("${amount} a day", amount=f"{settings.daily_budget_usd:g}"))
    if settings.provider_keys():
        return Finding(BUDGET, "warning", Message("no limit: set SIZZLE_DAILY_BUDGET_USD"))
    return Finding(BUDGET, "ok", Message("nothing costs money"))


def _table(findings: list[Finding], language: Language) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from app.cli.terminal import printable

    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(no_wrap=True)
    for finding in findings:
        words = (finding.subject.in_language(language), finding.text.in_language(language))
        subject, text = (Text(printable(each)) for each in words)
        table.add_row(Text(STATES[language][finding.state], STYLES[finding.state]), subject, text)
    return table

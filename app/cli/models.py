"""`sizzle models`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pydantic import SecretStr


def models(
    server: Annotated[
        str, typer.Option(metavar="URL", help="A running Sizzle, which knows the cooldowns of providers.")
    ] = "http://127.0.0.1:8000",
) -> None:
    """Shows the registry: each model with window and output in tokens, key, provider's cooldown, and parts."""
    from rich.console import Console

    from app.cli.terminal import registry_table
    from app.settings import read_settings

    settings = read_settings()
    registry = settings.load_registry()
    keys = settings.provider_keys()
    cooldowns = _cooldowns(server, settings.token)
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(registry_table(registry, set(keys), settings.choose_models(), cooldowns or {}))
    if cooldowns is None:
        console.print(f"No Sizzle answers at {server}, so cooldowns are unknown. (--server)", style="dim")


def _cooldowns(server: str, token: "SecretStr | None") -> dict[str, float] | None:
    """Returns the cooldowns of providers in seconds, or None if no server answers."""
    import httpx2

    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
    try:
        health = httpx2.get(f"{server.rstrip('/')}/healthz", headers=headers, timeout=1, trust_env=False).json()
        return {str(name): float(seconds) for name, seconds in health["cooling_down"].items()}
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, TypeError, KeyError, AttributeError):
        return None

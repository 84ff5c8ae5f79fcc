"""Who can use a server at an address."""

import os
import re
from pathlib import Path

from app.server.network import is_loopback
from app.server.tokens import NEW_TOKEN
from chains.errors import ConfigError

# settings of a server on loopback that others reach through a proxy
OF_PROXIES = re.compile(
    r"^\s*(?:export\s+)?(SIZZLE_(?:TOKEN|TOKENS_FILE|OPEN|ALLOWED_HOSTS)|FORWARDED_ALLOW_IPS)\s*=", re.I | re.M
)


def audience(host: str, *, has_proxy: bool = False, spends_money: bool = True) -> str:
    """Returns who can use a server that listens there. Raises `ConfigError` if that would be everybody by accident.

    With `has_proxy`, a proxy is known to be in front.
    """
    is_local = is_loopback(host)
    if is_local and not has_proxy and not _may_have_proxy():
        return "for this machine only"
    from app.settings import read_settings

    settings = read_settings()
    if spends_money:
        settings.check_access()
    if tokens := settings.token_source().current:
        others = "for this machine, and others through a proxy" if is_local else "for other machines"
        return f"{others}, with a token ({', '.join(tokens.by_name)})"
    if settings.open:
        others = "uses this machine or a proxy in front" if is_local else "can reach this address"
        return f"OPEN to everybody who {others}, without a token"
    if is_local:
        return "for this machine only: without SIZZLE_TOKEN a proxy's clients get a 403"
    raise ConfigError(f"--host {host} lets other machines in: set SIZZLE_TOKEN ({NEW_TOKEN}), or add --open.")


def _may_have_proxy() -> bool:
    """Whether settings say so. Reading all of them would take seconds."""
    try:
        file = Path(".env").read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        file = ""
    return bool(OF_PROXIES.search("\n".join([*(f"{name}=" for name, value in os.environ.items() if value), file])))

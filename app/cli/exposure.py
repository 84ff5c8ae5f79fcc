"""Who can use a server at an address."""

from app.server.network import is_loopback
from app.server.tokens import NEW_TOKEN
from chains.errors import ConfigError


def audience(host: str, *, spends_money: bool = True) -> str:
    """Returns who can use a server that listens there. Raises `ConfigError` if that would be everybody by accident."""
    if is_loopback(host):
        return "for this machine only"
    from app.settings import read_settings

    settings = read_settings()
    if spends_money:
        settings.check_access()
    if tokens := settings.token_source().current:
        return f"for other machines, with a token ({', '.join(tokens.by_name)})"
    if settings.open:
        return "OPEN to everybody who can reach this address, without a token"
    raise ConfigError(f"--host {host} lets other machines in: set SIZZLE_TOKEN ({NEW_TOKEN}), or add --open.")

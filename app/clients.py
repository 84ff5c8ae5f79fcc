"""Who sends a request, and whose work the current task does."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Self

from structlog.contextvars import get_contextvars

IPV6_PREFIX = 64  # what a household gets; single addresses of it cost nothing


@dataclass(frozen=True, slots=True)
class Client:
    """`name` is unique and safe in logs: that of a token, or an address, in IPv6 its /64 network."""

    name: str
    is_named: bool = False  # by a token

    @classmethod
    def at(cls, host: str | None) -> Self:
        """Returns the client with this address; all without a valid one share a name."""
        try:
            address = ip_address((host or "").partition("%")[0])
        except ValueError:
            return cls("local" if host is None else "unknown")
        if not isinstance(address, IPv6Address):
            return cls(str(address))
        if address.ipv4_mapped:
            return cls(str(address.ipv4_mapped))
        return cls(str(address) if address.is_loopback else str(ip_network((address, IPV6_PREFIX), strict=False)))


LOCAL = Client.at(None)  # work that no request began, such as that of the command line

_current = ContextVar("client", default=LOCAL)


def current_client() -> Client:
    """Returns the client whose work the current task does: of the request, or of the run that is being written."""
    return _current.get()


@contextmanager
def working_for(client: Client) -> Generator[None]:
    """Within the block, and in tasks created there, `client` is the current client."""
    token = _current.set(client)
    try:
        yield
    finally:
        _current.reset(token)


def current_request_id() -> str | None:
    """Returns the id of the request whose work the current task does."""
    return get_contextvars().get("request_id")

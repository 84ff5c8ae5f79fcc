"""The names under which a server answers. Any other may be a page's own name, rebound to this server's address."""

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.types import Scope

from app.server.network import address_of, is_loopback

ANY_HOST = "*"
_HOST = re.compile(r"(\[[0-9a-f:.%]+\]|[^\s:/@\[\]]+)(?::\d{1,5})?", re.IGNORECASE)


def host_pattern(text: str) -> str:
    """Normalizes a host name, which may begin with `*.`. Raises `ValueError`."""
    host = text.lower().rstrip(".")
    name = host.removeprefix("*.")
    if host != ANY_HOST and (not name or not re.fullmatch(r"[\w.-]+|\[[0-9a-f:.]+\]|[0-9a-f:]+", name)):
        raise ValueError(f"{text!r} is not the name of a host; expected a name such as cook.example or *.cook.example")
    return host.strip("[]") if host == ANY_HOST or name.isascii() else host.encode("idna").decode()


def is_local(scope: Scope) -> bool:
    """Whether the connection was accepted at an address that only this machine reaches, or at a Unix socket."""
    host, port = scope.get("server") or (None, None)
    return port is None or is_loopback(str(host))


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Loopback names, the names in `names`, and at an address that other machines reach, IP addresses.

    An IP address cannot be rebound. Without `names`, this machine's own name is allowed, too.
    """

    names: Sequence[str] = ()

    def allow(self, header: str | None, *, is_local: bool) -> bool:
        """Whether a request with this `Host` is answered. Only clients older than HTTP/1.1 send none."""
        if header is None or ANY_HOST in self.names:
            return True
        if not (match := _HOST.fullmatch(header)):
            return False
        host = match[1].lower().rstrip(".").strip("[]")
        if is_loopback(host) or self._is_named(host):
            return True
        return not is_local and (address_of(host) is not None or self._is_own(host))

    def _is_named(self, host: str) -> bool:
        return any(host == name or (name[:2] == "*." and host.endswith(name[1:])) for name in self.names)

    def _is_own(self, host: str) -> bool:
        own = socket.gethostname().lower()
        return not self.names and host in (own, own.partition(".")[0], f"{own}.local")

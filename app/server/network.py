"""Proxies and certificates from the environment."""

import os
import re
import socket
import ssl
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from chains.errors import ConfigError


def proxy_for(address: str) -> str | None:
    """Returns the proxy for an address, or None for this machine's own addresses.

    Raises `ConfigError` if the proxy cannot be used. Its address is not repeated, because it may contain a password.
    """
    parts = urlsplit(address)
    proxies, host = getproxies(), parts.hostname or ""
    if is_loopback(host) or _is_exempt(parts, proxies.get("no", "")):
        return None
    kind = parts.scheme if proxies.get(parts.scheme, "").strip() else "all"
    proxy = proxies.get(kind, "").strip(" \t\r\n\"'")
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if not _is_usable(proxy):
        raise ConfigError(
            f"{kind.upper()}_PROXY: expected the address of an HTTP proxy, such as http://127.0.0.1:3128. "
            "Special characters of a password are written as %23 and the like. "
            f"Other kinds, such as SOCKS, are not supported; NO_PROXY={host} bypasses the proxy."
        )
    return proxy


def is_loopback(host: str) -> bool:
    """Whether a host name or IP address is loopback."""
    address, name = address_of(host), host.lower().rstrip(".")
    return address.is_loopback if address else name == "localhost" or name.endswith(".localhost")


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Returns the IP address in any of its spellings: `[::1]`, `::ffff:127.0.0.1`, `127.1`. None for a name."""
    text = host.removeprefix("[").removesuffix("]")
    try:
        address = ip_address(text)
    except ValueError:
        return _short_address(text)
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _short_address(text: str) -> IPv4Address | None:
    """Reads an address such as `127.1` as the system and browsers do."""
    if not re.fullmatch(r"[0-9a-fx.]+", text, re.IGNORECASE):  # C ignores what follows a space
        return None
    try:
        return IPv4Address(socket.inet_aton(text))
    except OSError:
        return None


def check_certificates() -> None:
    """Raises `ConfigError` if `SSL_CERT_FILE` or `SSL_CERT_DIR` cannot be read."""
    file, folders = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file:
        try:
            _read_certificates(file)
        except OSError:  # an `SSLError` is one
            raise ConfigError("SSL_CERT_FILE: expected a readable file of certificates in PEM form.") from None
    elif folders and not any(map(os.path.isdir, folders.split(os.pathsep))):
        raise ConfigError("SSL_CERT_DIR: expected an existing folder of certificates.")


def check_key_log() -> None:
    """Raises `ConfigError` if the file can't be written to which `ssl` logs the keys of connections."""
    try:
        if path := os.environ.get("SSLKEYLOGFILE"):
            open(path, "ab").close()
    except OSError:
        raise ConfigError("SSLKEYLOGFILE: expected a file that can be written.") from None


@cache  # because reading takes 60 ms
def _read_certificates(file: str) -> None:
    ssl.create_default_context(cafile=file)


def _is_usable(proxy: str) -> bool:
    try:
        parts = urlsplit(proxy)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and _is_whole(parts)
    except ValueError:  # an incomplete IPv6 address or an invalid port
        return False


def _is_whole(parts: SplitResult) -> bool:
    """Whether no character of the password has begun a path, a query or a fragment."""
    return parts.path in ("", "/") and not parts.query and not parts.fragment


def _is_exempt(parts: SplitResult, no_proxy: str) -> bool:
    """Whether NO_PROXY or a system setting exempts the host, see `urllib.request.proxy_bypass`."""
    host = parts.hostname or ""
    names = [name for name in re.split(r"[,\s]+", no_proxy.lower()) if name]
    return bool(proxy_bypass(parts.netloc.rpartition("@")[2])) or any(_covers(name, host) for name in names)


def _covers(name: str, host: str) -> bool:
    """Whether a wildcard such as `*.example.com` or a network such as `10.0.0.0/8` includes the host."""
    try:
        return ip_address(host) in ip_network(name, strict=False)
    except ValueError:
        domain = name.lstrip("*").lstrip(".")
        return host == domain or host.endswith(f".{domain}") or not domain

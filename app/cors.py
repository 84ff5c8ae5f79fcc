"""CORS: the pages of other origins that may call the server from a browser, and what they may send and read."""

from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

ANY = "*"
ANY_WARNING = "SIZZLE_CORS_ORIGINS is *: a page of any site may use this server, and the keys it holds, from a browser."
SEED_PAGE = "http://localhost:5173"  # the origin of the seed project's own page
EXPOSED_HEADERS = ["Location", "Retry-After", "Sizzle-Run-Key", "Allow"]
DEFAULT_PORTS = {"http": 80, "https": 443}
EXAMPLE = "expected scheme://host or scheme://host:port, such as https://cook.example"


def cors(app: ASGIApp, origins: Iterable[str]) -> ASGIApp:
    """The application with CORS for the origins, on error answers as well if it is the outermost layer.

    Whatever headers a page asks for are allowed, because each client library has headers of its own.
    """
    return CORSMiddleware(
        app,
        allow_origins=list(origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        allow_private_network=True,
        expose_headers=EXPOSED_HEADERS,
    )


def origin(text: str) -> str:
    """An origin as browsers send it (RFC 6454 §6.2), or `*`. Raises `ValueError` if the text is neither."""
    if text == ANY:
        return text
    try:
        url = urlsplit(text)
        host = url.hostname or ""
        is_origin = bool(url.netloc and host) and url.path in ("", "/") and not set(text) & set("?#@* ")
        return f"{url.scheme}://{_ascii(host)}{_port(url)}" if is_origin else _refuse(text)
    except ValueError:  # of a port or a host
        return _refuse(text)


def _ascii(host: str) -> str:
    return f"[{host}]" if ":" in host else host.encode("idna").decode()


def _port(url: SplitResult) -> str:
    return f":{url.port}" if url.port not in (None, DEFAULT_PORTS.get(url.scheme)) else ""


def _refuse(text: str) -> str:
    raise ValueError(f"{text!r} is not an origin; {EXAMPLE}") from None

"""CORS for pages of other origins."""

from collections.abc import Collection, Iterable
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

ANY = "*"
ANY_WARNING = "SIZZLE_CORS_ORIGINS is *: pages of any site can use this server and its API keys from a browser."
SEED_PAGE = "http://localhost:5173"  # the origin of the seed project's own page
EXPOSED_HEADERS = ["Location", "Retry-After", "RateLimit", "RateLimit-Policy", "Sizzle-Run-Key", "Allow"]
DEFAULT_PORTS = {"http": 80, "https": 443}
EXAMPLE = "expected scheme://host or scheme://host:port, such as https://cook.example"


def cors(app: ASGIApp, origins: Iterable[str]) -> ASGIApp:
    """Wraps the application in CORS middleware. As the outermost layer it also covers error responses.

    All request headers are allowed, because every client library has its own.
    """
    return CORSMiddleware(
        app,
        allow_origins=list(origins),
        allow_methods=["GET", "HEAD", "POST", "DELETE"],
        allow_headers=["*"],
        allow_private_network=True,
        expose_headers=EXPOSED_HEADERS,
    )


def is_foreign(headers: Headers, allowed: Collection[str]) -> bool:
    """Whether a page of another origin, which is not allowed, sent the request.

    Browsers send `Sec-Fetch-Site` (W3C Fetch Metadata §2.4), older ones `Origin`. Other clients send neither.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if ANY in allowed or origin in allowed:
        return False
    if site:
        return site not in ("same-origin", "none")
    return origin is not None and host_of(origin) != headers.get("host")


def origin(text: str) -> str:
    """Normalizes an origin to the form that browsers send (RFC 6454 §6.2). Accepts `*`. Raises `ValueError`."""
    if text == ANY:
        return text
    try:
        url = urlsplit(text)
        host = url.hostname or ""
        is_origin = bool(url.netloc and host) and url.path in ("", "/") and not set(text) & set("?#@* ")
        return f"{url.scheme}://{_ascii(host)}{_port(url)}" if is_origin else _refuse(text)
    except ValueError:  # from an invalid port or host
        return _refuse(text)


def _ascii(host: str) -> str:
    return f"[{host}]" if ":" in host else host.encode("idna").decode()


def _port(url: SplitResult) -> str:
    return f":{url.port}" if url.port not in (None, DEFAULT_PORTS.get(url.scheme)) else ""


def _refuse(text: str) -> str:
    raise ValueError(f"{text!r} is not an origin; {EXAMPLE}") from None


def host_of(url: str) -> str | None:
    """Returns the host and port of a page or an origin."""
    try:
        return urlsplit(url).netloc
    except ValueError:
        return None

"""Rejects requests from pages of other sites that would start work, with or without a preflight."""

from collections.abc import Collection, Mapping
from typing import LiteralString
from urllib.parse import urlsplit

from fastapi import Request

from app.api.deps import Origins
from app.server.errors import HTTPError

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
FOREIGN: LiteralString = "Pages of other sites may not send this request. SIZZLE_CORS_ORIGINS can allow more origins."
NOT_JSON: LiteralString = "The Content-Type must be application/json."


def is_foreign(headers: Mapping[str, str], allowed: Collection[str]) -> bool:
    """Whether a page of another origin, which is not allowed, sent the request.

    Browsers send `Sec-Fetch-Site` (W3C Fetch Metadata §2.4), older ones `Origin`. Other clients send neither.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if "*" in allowed or origin in allowed:
        return False
    if site:
        return site not in ("same-origin", "none")
    return origin is not None and _host(origin) != headers.get("host")


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


async def refuse_foreign_pages(request: Request, origins: Origins) -> None:
    """A dependency of routes that start work: 403 for pages of other sites."""
    if is_foreign(request.headers, origins):
        raise HTTPError(403, FOREIGN)


async def refuse_foreign_changes(request: Request, origins: Origins) -> None:
    """The same, except for methods that only read."""
    if request.method not in SAFE_METHODS:
        await refuse_foreign_pages(request, origins)


async def require_json(request: Request) -> None:
    """415 for a body of another type, because other types need no CORS preflight."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPError(415, NOT_JSON)

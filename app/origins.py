"""Which requests of browsers are let in: another site's page may not start work here, with or without a preflight."""

from collections.abc import Collection, Mapping
from typing import LiteralString
from urllib.parse import urlsplit

from fastapi import Request

from app.refusals import Refusal

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
FOREIGN: LiteralString = (
    "A page of another site sent this, and only the pages of this server may. "
    "SIZZLE_CORS_ORIGINS names further origins that may."
)
NOT_JSON: LiteralString = "The body is not of the type application/json."


def is_foreign(headers: Mapping[str, str], allowed: Collection[str]) -> bool:
    """Whether a page of another origin sent this, unless its origin is allowed.

    Browsers say so in `Sec-Fetch-Site` (W3C Fetch Metadata §2.4), older ones in `Origin`. Other clients send neither.
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


async def refuse_foreign_pages(request: Request) -> None:
    """For routes that start work: 403 if a page of another site sent the request."""
    if is_foreign(request.headers, request.app.state.origins):
        raise Refusal(403, FOREIGN)


async def refuse_foreign_changes(request: Request) -> None:
    """The same for a group of routes of which those for reading are open to all."""
    if request.method not in SAFE_METHODS:
        await refuse_foreign_pages(request)


async def require_json(request: Request) -> None:
    """415 for a body of another type: a page elsewhere may send any other without asking first."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, NOT_JSON)

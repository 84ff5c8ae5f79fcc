"""The language of responses other than recipes."""

import json
from typing import Any, cast, get_args

from starlette.requests import HTTPConnection

from chains.translations import Language

LANGUAGES: dict[object, Language] = {language: language for language in get_args(Language)}


def language_of(request: HTTPConnection) -> Language:
    """Returns the language of the request: `request.state.language`, the body's, `Accept-Language`, or English.

    Routes whose body does not name a language set `request.state.language`. LangServe's bodies have it in `input`.
    """
    override: Language | None = getattr(request.state, "language", None)
    body = _body(request)
    return (
        override
        or _named(body)
        or _named(_fields(body).get("input"))
        or _accepted(request.headers.get("accept-language", ""))
    )


def _body(request: HTTPConnection) -> object:
    # Starlette's cache: reading an unread body here could wait forever for the client
    body: bytes = getattr(request, "_body", b"")
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None


def _named(body: object) -> Language | None:
    language = _fields(body).get("language")
    return LANGUAGES.get(language) if isinstance(language, str) else None


def _fields(body: object) -> dict[str, Any]:
    return cast(dict[str, Any], body) if isinstance(body, dict) else {}


def _accepted(header: str) -> Language:
    """Returns the supported language with the greatest weight (RFC 9110 §12.5.4), the first if several have it."""
    weights: dict[str, float] = {}
    for text in header.split(","):
        tag, weight = _range(text)
        weights[tag] = max(weight, weights.get(tag, 0.0))
    candidates = [tag for tag, weight in weights.items() if tag in LANGUAGES and weight > 0]
    return LANGUAGES[max(candidates, key=lambda tag: weights[tag])] if candidates else "en"


def _range(text: str) -> tuple[str, float]:
    """Splits a range such as `ko-KR;q=0.9` into primary language and weight."""
    tag, _, weight = text.partition(";")
    try:
        q = float(weight.strip().removeprefix("q=") or 1)
    except ValueError:
        q = 0.0
    return tag.strip().lower().partition("-")[0], q

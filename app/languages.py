"""The language of an answer that holds no recipe: that of the request."""

import json
from typing import Any, cast, get_args

from fastapi import Request

from chains.recipe.request import Language

LANGUAGES: dict[object, Language] = {language: language for language in get_args(Language)}


def language_of(request: Request) -> Language:
    """The language that a route noted, that of the body as far as it has been read, or of `Accept-Language`.

    A route notes it as `request.state.language` where the body does not name it. LangServe's bodies have theirs in
    `input`. Without any it is English.
    """
    noted: Language | None = getattr(request.state, "language", None)
    body = _body(request)
    return (
        noted
        or _named(body)
        or _named(_fields(body).get("input"))
        or _accepted(request.headers.get("accept-language", ""))
    )


def _body(request: Request) -> object:
    # Starlette's cache: to read a body here that no route has read could wait for a client for ever
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
    """The one of our languages with the greatest weight (RFC 9110 §12.5.4), the first of several such."""
    weights: dict[str, float] = {}
    for text in header.split(","):
        tag, weight = _range(text)
        weights[tag] = max(weight, weights.get(tag, 0.0))
    wanted = [tag for tag, weight in weights.items() if tag in LANGUAGES and weight > 0]
    return LANGUAGES[max(wanted, key=lambda tag: weights[tag])] if wanted else "en"


def _range(text: str) -> tuple[str, float]:
    """The primary language of a range such as `ko-KR;q=0.9`, and its weight."""
    tag, _, weight = text.partition(";")
    try:
        q = float(weight.strip().removeprefix("q=") or 1)
    except ValueError:
        q = 0.0
    return tag.strip().lower().partition("-")[0], q

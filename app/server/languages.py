"""The language of responses other than recipes."""

import json
from typing import Any, cast, get_args

from starlette.requests import HTTPConnection

from app.server.accept import weights
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
    """Returns the supported language with the greatest weight, the first if several have it."""
    accepted = {tag: weight for tag, weight in weights(header).items() if weight > 0}
    ranked = sorted(accepted, key=lambda tag: -accepted[tag])
    languages: list[Language] = [LANGUAGES[tag] for tag in map(_primary, ranked) if tag in LANGUAGES]
    return languages[0] if languages else "en"


def _primary(tag: str) -> str:
    return tag.partition("-")[0]

"""Wire 1: run events as the server-sent events of the seed project (WHATWG HTML §9.2).

Every event's data is `<code>|<text>`. Text from models comes without an `event:` field; events of our own carry one,
and their name again as the code, which the seed's page does not know and drops.
"""

import re

import orjson

from app.eventlog import EVENT_NAMES, RunEvent
from chains.schema import Fragment, Part, Recipe, RecipeRequest

CODES: dict[Part, str] = {
    "alternates": "alt",
    "ingredients": "add",
    "intro": "int",
    "nutrition": "ing",
    "sides": "sde",
    "steps": "ste",
}

_REFERENCES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"})
_LINE_END = re.compile(r"\r\n|\r|\n")


def wire_event(event: RunEvent) -> bytes:
    """The bytes of one event, blank line included."""
    if isinstance(event, Fragment):
        return f"data: {CODES[event.part]}|{_html(event)}\n\n".encode()
    name = EVENT_NAMES[type(event)]
    return b"event: %b\ndata: %b|%b\n\n" % (name.encode(), name.encode(), to_json(event))


def to_json(event: RunEvent) -> bytes:
    """The event's fields as one line of JSON."""
    return orjson.dumps(event, default=_plain)


def _html(fragment: Fragment) -> str:
    match fragment.recipe:
        case Recipe(name, intro):
            return f"<li><b>{_escaped(name)}</b> &nbsp;<i>{_escaped(intro)}</i></li>"
        case None:
            return _escaped(fragment.text)


def _escaped(text: str) -> str:
    """Text that a page may append as HTML, on one line."""
    return _LINE_END.sub("⮑", text.translate(_REFERENCES))


def _plain(value: object) -> object:
    if isinstance(value, RecipeRequest):
        return value.model_dump(by_alias=True)
    raise TypeError(f"{type(value).__name__} is not for the wire")

"""`POST /generate`, the C# project's wire: the data of every event is `<code>|<text>` (WHATWG HTML §9.2).

Text from models has no `event:` field. Our own events have one, and repeat their name as the code, which the C#
project's page ignores.
"""

import re

import orjson

from app.stores import EVENT_NAMES, LogEntry, RunEnd, to_json
from chains.parts.composition import Composition
from chains.parts.events import Alternate, Fragment, Option, PartEnd, PartStart, option_texts

NEW_PARAGRAPH = "⮑⮑"

_REFERENCES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"})
_LINE_END = re.compile(r"\r\n|\r|\n")
_NOT_PLAIN = re.compile(r"[&<>|\r\n]")


class SeedEncoder:
    """Encodes events for one reader whose page can only append."""

    def __init__(self, composition: Composition) -> None:
        self._codes = composition.codes
        self._choice = composition.choice.name if composition.choice else None
        self._with_text: set[str] = set()
        self._alternates: list[Option] = []

    def encode(self, entry: LogEntry) -> bytes:
        event = entry.event
        if isinstance(event, Fragment):  # nearly every event; pattern matching costs more
            self._with_text.add(event.part)
            return self._text(event.part, _escaped(event.text))
        match event:
            case PartStart(part) if part in self._with_text:  # after the text of an earlier attempt
                return _named("part_start", to_json(event)) + self._text(part, NEW_PARAGRAPH)
            case Alternate(part, option):
                return self._alternate(part, option)
            case PartEnd(part, "failed", message=message):
                ended, named = _named("part_end", to_json(event)), None if part == self._choice else part
                return ended + _error(message or "", named)
            case RunEnd(status, total_ms, message):
                ended = _named("end", orjson.dumps({"status": status, "total_ms": total_ms}))
                return _error(message, None) + ended if message else ended
            case _:
                return _named(EVENT_NAMES[type(event)], to_json(event))

    def _text(self, part: str, html: str) -> bytes:
        return f"data: {self._codes[part]}|{html}\n\n".encode()

    def _alternate(self, part: str, option: Option) -> bytes:
        if option in self._alternates:
            return b""
        self._alternates.append(option)
        name, *others = map(_escaped, option_texts(option))
        return self._text(part, f"<li><b>{name}</b> &nbsp;<i>{' · '.join(others)}</i></li>")


def _named(name: str, json: bytes) -> bytes:
    return b"event: %b\ndata: %b|%b\n\n" % (name.encode(), name.encode(), json)


def _error(message: str, part: str | None) -> bytes:
    """An error of one part, or of the whole run if `part` is None."""
    return _named("error", orjson.dumps({"message": message, "part": part}))


def _escaped(text: str) -> str:
    """Returns one line that a page can append as HTML."""
    return _LINE_END.sub("⮑", text.translate(_REFERENCES)) if _NOT_PLAIN.search(text) else text

"""Server-sent events (WHATWG HTML §9.2) of both wires.

On Wire 1, the seed project's, every event's data is `<code>|<text>`. Text from models comes without an `event:` field;
events of our own carry one, and their name again as the code, which the seed's page does not know and drops.

On Wire 2 an event is its line of JSON under its name, with the id to resume from.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import orjson

from app.eventlog import EVENT_NAMES, Logged, RunEnd, to_json
from chains.recipe.request import Fragment, Part, PartEnd, PartStart, Recipe

CODES: dict[Part, str] = {
    "alternates": "alt",
    "ingredients": "add",
    "intro": "int",
    "nutrition": "ing",
    "sides": "sde",
    "steps": "ste",
}

FEW = 16  # events
PIECE = 64 * 1024  # bytes that wait for one reader, beside those that the server and the system hold back
RETRY = b"retry: 1000\n"
FAREWELL = b": the server is being stopped\nretry: 2000\n"  # a field counts at the end of its line, without a block
NEW_PARAGRAPH = "⮑⮑"

_REFERENCES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"})
_LINE_END = re.compile(r"\r\n|\r|\n")
_NOT_PLAIN = re.compile(r"[&<>|\r\n]")


def wire2(logged: Logged) -> bytes:
    """The bytes of an event."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (str(logged.id).encode(), _NAMES[type(logged.event)], logged.json)


def pieces(encode: Callable[[Logged], bytes], events: Sequence[Logged]) -> Iterable[bytes]:
    """The bytes of events that came together: all at once, unless they are many, for a reader who is behind."""
    if len(events) <= FEW:
        return (b"".join([encode(logged) for logged in events]),)
    return _bounded(map(encode, events))


def _bounded(frames: Iterable[bytes]) -> Iterator[bytes]:
    """The frames, as many in one as fit into `PIECE` bytes, or the first that goes beyond."""
    held, size = list[bytes](), 0
    for frame in frames:
        held.append(frame)
        size += len(frame)
        if size >= PIECE:
            yield b"".join(held)
            held, size = [], 0
    if size:
        yield b"".join(held)


class Wire1:
    """What one reader is sent, whose page appends whatever comes and takes nothing back."""

    def __init__(self) -> None:
        self._with_text: set[Part] = set()
        self._shown: set[Recipe] = set()

    def encode(self, logged: Logged) -> bytes:
        """The bytes of an event."""
        event = logged.event
        if isinstance(event, Fragment):  # nearly all are, and a match of patterns costs more
            return self._fragment(event.part, event.text, event.recipe)
        match event:
            case PartStart(part) if part in self._with_text:  # behind what an earlier attempt wrote
                return _named("part_start", to_json(event)) + _text(part, NEW_PARAGRAPH)
            case PartEnd(part, "failed", message=message):
                ended, named = _named("part_end", to_json(event)), None if part == "alternates" else part
                return ended + _error(message or "", named)
            case RunEnd(status, total_ms, message):
                ended = _named("end", orjson.dumps({"status": status, "total_ms": total_ms}))
                return _error(message, None) + ended if message else ended
            case _:
                return _named(EVENT_NAMES[type(event)], to_json(event))

    def _fragment(self, part: Part, text: str, recipe: Recipe | None) -> bytes:
        if not recipe:
            self._with_text.add(part)
            return _text(part, _escaped(text))
        if recipe in self._shown:
            return b""
        self._shown.add(recipe)
        return _text(part, f"<li><b>{_escaped(recipe.name)}</b> &nbsp;<i>{_escaped(recipe.intro)}</i></li>")


def _text(part: Part, html: str) -> bytes:
    return f"data: {CODES[part]}|{html}\n\n".encode()


def _named(name: str, json: bytes) -> bytes:
    return b"event: %b\ndata: %b|%b\n\n" % (name.encode(), name.encode(), json)


def _error(message: str, part: Part | None) -> bytes:
    """What failed: one part, or, with none named, the whole run."""
    return _named("error", orjson.dumps({"message": message, "part": part}))


def _escaped(text: str) -> str:
    """Text that a page may append as HTML, on one line."""
    return _LINE_END.sub("⮑", text.translate(_REFERENCES)) if _NOT_PLAIN.search(text) else text


_NAMES = {kind: name.encode() for kind, name in EVENT_NAMES.items()}

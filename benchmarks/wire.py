"""The C# wire, as encoded by the other servers."""

from typing import Final

CODES: Final = {"ingredients": "add", "intro": "int", "nutrition": "ing", "sides": "sde", "steps": "ste"}
ALTERNATES: Final = "alt"

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "\n": "⮑"})


def fragment(part: str, text: str) -> bytes:
    return f"data: {CODES[part]}|{text.translate(_ESCAPES)}\n\n".encode()


def alternate(recipe: dict[str, str]) -> bytes:
    name, intro = (recipe[key].translate(_ESCAPES) for key in ("name", "intro"))
    return f"data: {ALTERNATES}|<li><b>{name}</b> &nbsp;<i>{intro}</i></li>\n\n".encode()

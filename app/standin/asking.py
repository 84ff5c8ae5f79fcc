"""Parses free questions: which food to replace, and how much time there is."""

import re
from itertools import islice
from typing import NamedTuple

from app.standin.amounts import HANGUL
from app.standin.foods import WORD
from app.standin.names import bare, scan
from app.standin.pantry import Language, normal, pantry, vocabulary
from app.standin.substitutes import ids_by_name, substitutes

_REPLACING = re.compile(
    r"\b(?:replac\w*|substitut\w*|alternatives?|swap\w*|(?:instead|in place|(?:run|ran|am|are|[’']m|[’']re) out) of)\b",
    re.IGNORECASE,
)
_REPLACING_KO = re.compile(r"대신|대체|바꿔|바꿀|없으면|없을 때|떨어졌")
_PASSIVE = re.compile(r"\s*(?:by|with)\b", re.IGNORECASE)
_END = re.compile(r"[.?!;\n]|\b(?:in|with|by|on|for|to|when|if|while|because|so)\b", re.IGNORECASE)
_MINUTES = re.compile(r"(\d{1,5})\s*(?:min(?:ute)?s?\b|분)", re.IGNORECASE)
_HOURS = re.compile(r"(\d{1,3})\s*(?:hours?\b|hrs?\b|시간)", re.IGNORECASE)
_READ = 4000  # characters


class Wanted(NamedTuple):
    """A food to replace: its name, and its key among the substitutes or in the pantry."""

    name: str
    key: str | None


def minutes_in(text: str) -> int | None:
    """Returns the minutes in a text, with hours converted."""
    named = [int(each) for each in _MINUTES.findall(text)[:1]] + [60 * int(each) for each in _HOURS.findall(text)[:1]]
    if not named and re.search(r"half an hour|반 시간", text, re.IGNORECASE):
        return 30
    return sum(named) or None


def to_replace(text: str, language: Language) -> list[Wanted]:
    """Returns the foods that a text asks a substitute for; an unknown one has no key."""
    found = _replaced_ko(text[:_READ]) or _replaced_en(text[:_READ])
    wanted = {key or name: Wanted(_food_name(name, key, language), key) for name, key in found}
    return list(wanted.values())


def _replaced_en(text: str) -> list[tuple[str, str | None]]:
    """The food follows the verb, unless the verb is passive: can butter be replaced with oil?"""
    for verb in islice(_REPLACING.finditer(text), 3):
        after, before = text[verb.end() :], text[: verb.start()]
        near = before if _PASSIVE.match(after) else _END.split(re.sub(r"^\s*(?:for|to|of)\b", "", after))[0]
        if found := _named(near) or _unknown(near) or _named(text):
            return found
    return []


def _replaced_ko(text: str) -> list[tuple[str, str | None]]:
    if not (verb := _REPLACING_KO.search(text)):
        return []
    near = re.split(r"[.?!,\n]", text[: verb.start()])[-1]
    return _named(near) or _unknown(" ".join(map(bare, near.split()[-1:]))) or _named(text)


def _named(text: str) -> list[tuple[str, str | None]]:
    return list(scan(" ".join(WORD.findall(text)), ids_by_name()))


def _unknown(text: str) -> list[tuple[str, str | None]]:
    ignored = {*vocabulary().fillers, *vocabulary().stop_words}
    words = [word for word in WORD.findall(re.split(r",|\band\b", text)[0]) if word.lower() not in ignored]
    name = " ".join(words).lower()
    return [(name, None)] if 0 < len(words) <= 3 and len(name) <= 30 else []


def _food_name(name: str, key: str | None, language: Language) -> str:
    """Returns the user's word for the food if it is in the language of the answer, otherwise the pantry's."""
    if key is None or bool(HANGUL.search(name)) == (language == "ko"):
        return name.lower() if normal(name) in ids_by_name() else bare(name)
    own = substitutes()[key].names if key in substitutes() else None
    return (own or pantry()[key].names).in_language(language)

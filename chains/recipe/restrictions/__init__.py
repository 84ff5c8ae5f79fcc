"""The diets, the foods to avoid and the number of people in a list of ingredients.

The phrases are in `data/diets.toml`, `data/restrictions.en.toml` and `data/restrictions.ko.toml`, the foods among the
nouns; the code knows only their order. Every pattern matches a bounded length of text around a phrase, so the time is
linear in the length of the text.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from chains.recipe.not_food import listed_in
from chains.recipe.nouns import kind_of
from chains.recipe.restrictions import clauses, diets, english, korean
from chains.recipe.restrictions.foods import Match
from chains.recipe.restrictions.phrases import any_of, tables
from chains.recipe.servings import servings_in

_LANGUAGES = ("restrictions.en.toml", "restrictions.ko.toml")
_LEADING_LINK = re.compile(r"^[\s&+–—-]+(?=\s|$)")
_TRAILING_LINK = re.compile(r"\s(?:and|or|but|with|그리고)$")


@dataclass(frozen=True)
class Restrictions:
    """The restrictions in a text. `rest` is the text without them: "gluten-free pasta" leaves "pasta"."""

    diets: tuple[str, ...] = ()
    avoided: tuple[str, ...] = ()
    servings: int | None = None
    rest: str = ""


@lru_cache(maxsize=256)
def restrictions_in(text: str) -> Restrictions:
    """Returns the diets, foods to avoid and number of people in a list of ingredients, in their order."""
    text = re.sub(r"[^\S\n]+", " ", unicodedata.normalize("NFC", text))
    text = _misspelt().sub(lambda found: _spellings()[_key(found[0])], text)
    text = _without_negated(text)
    found = _matches(text)
    counts = [each.people for each in found if each.people]
    return Restrictions(
        diets=tuple(dict.fromkeys(each.diet for each in found if each.diet)),
        avoided=tuple(dict.fromkeys(food for each in found for food in each.foods)),
        servings=max(counts, default=None),
        rest=_without(text, found),
    )


def _lower(text: str) -> str:
    """Returns the text in lower case, as long as it was."""
    return text.replace("İ", "i").lower().replace("’", "'")


def _without_negated(text: str) -> str:
    """Returns the text with a comma for each "no allergies" or "I can't live without"."""
    lower, at, pieces = _lower(text), 0, list[str]()
    for start, end in sorted((*english.negated(lower), *korean.negated(lower))):
        pieces.append(text[at:start])
        at = max(at, end)
    return " , ".join((*pieces, text[at:]))


def _matches(text: str) -> list[Match]:
    lower = _lower(text)
    found = [*english.matches(lower), *korean.matches(lower), *diets.matches(lower)]
    others = clauses.matches(lower, found)
    others = (each for each in others if not listed_in(lower[each.start : each.end]))  # a soup with rat poison
    servings = [Match(start, end, people=people) for start, end, people in servings_in(lower)]
    return sorted((*servings, *found, *others))


def _without(text: str, found: Iterable[Match]) -> str:
    """Returns the text with a comma instead of each restriction, and without the words that only lead to one."""
    at, pieces = 0, list[str]()
    for each in found:
        pieces.append(text[at : each.start])
        at = max(at, each.end)
    items = _items("\0".join((*pieces, text[at:])))
    return ", ".join(filter(None, (_LEADING_LINK.sub("", item).strip() for item in items)))


def _items(text: str) -> Iterator[str]:
    """Yields the items between commas and zeros, which stand for the restrictions."""
    for item in text.split(","):
        yield from map(_without_lead, item.split("\0")) if "\0" in item else [item]


def _without_lead(item: str) -> str:
    """Returns the item, or an empty string if it only says for whom the restriction is: my son is, for me, 환자예요."""
    item = _TRAILING_LINK.sub("", item.strip(" ;:.!?").lstrip(")]").rstrip("([").strip())
    words = re.split(r"[\s\d.;:()-]+", _lower(item))
    return "" if all(word in _who() or kind_of(word) == "people" for word in words) else item


@cache
def _who() -> frozenset[str]:
    return frozenset(("", *(word for name in _LANGUAGES for word in tables(name)["grammar"]["who"])))


@cache
def _spellings() -> dict[str, str]:
    spellings = (table for name in _LANGUAGES for table in tables(name)["spellings"].items())
    return {_key(wrong): right for right, words in spellings for wrong in words}


def _key(spelling: str) -> str:
    return re.sub("[ '-]", "", _lower(spelling))


@cache
def _misspelt() -> re.Pattern[str]:
    wrong = (each for name in _LANGUAGES for words in tables(name)["spellings"].values() for each in words)
    return re.compile(rf"(?<![^\W_]){any_of(wrong)}(?![a-z])", re.IGNORECASE)

"""What a name in a restriction means: a food, unless it is known to be something else."""

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import NamedTuple, Protocol

from chains.recipe.nouns import foods as known_foods, is_food_name, kind_of, singulars
from chains.recipe.restrictions.phrases import Tables, any_of, tables

WINDOW = 90  # characters around a cue that are searched for foods
BREAK = re.compile(r"[,;:.!?()\[\]{}<>\n\"“”、，。•|❌🚫⛔]|\s[-–—]\s")
_LONGEST = 4  # words of a name
_NO_FOOD = frozenset(("idea", "kitchen"))  # kinds of nouns: no fuss, no oven


class Span(Protocol):
    """A part of the text, from `start` to `end`."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


class Match(NamedTuple):
    """One restriction in the text, from `start` to `end`."""

    start: int
    end: int
    foods: tuple[str, ...] = ()
    diet: str = ""
    people: int = 0

    def overlaps(self, other: "Span") -> bool:
        return self.start < other.end and other.start < self.end


def foods(names: Iterable[str], *, is_vague: bool = False) -> tuple[str, ...]:
    """Returns the names without the words around them, except those that are no food.

    After a vague cue, such as "no", a name may also be that of an idea or of kitchenware.
    """
    found = (_food_in(clean(name)) for name in names)
    return tuple(name for name in found if name and len(name.split()) <= _LONGEST and is_food(name, is_vague=is_vague))


def _food_in(name: str) -> str:
    """Returns the food that the name begins with if it doesn't end with one: sugar last month."""
    words = name.split()
    if len(words) > 1 and words[-1] in _words("grammar", "generic"):
        return food_of_quality(name) or name
    if not words or is_food_name(words[-1]):
        return name
    beginnings = (" ".join(words[:count]) for count in range(len(words), 0, -1))
    return next(filter(is_food_name, beginnings), name)


def food_of_quality(text: str) -> str:
    """Returns the food that gives a text's first words their quality: cream of "creamy sauces", sugar of "sweet"."""
    words = text.split()
    known = next((food for count in (3, 2, 1) for food in [_qualities().get(" ".join(words[:count]), "")] if food), "")
    stem = words[0].removesuffix("y") if words and words[0].endswith("y") else ""
    stems = (stem, f"{stem}e", stem[:-1]) if len(stem) > 2 else ()  # creamy, cheesy, nutty
    return known or next((each for each in stems if each in known_foods()), "")


@cache
def _qualities() -> dict[str, str]:
    return {word: food for food, words in tables("restrictions.en.toml")["qualities"].items() for word in words}


@lru_cache(maxsize=1024)
def clean(name: str) -> str:
    """Returns the name without articles and other words around it."""
    words = name.strip(" -–'\"").split()
    while words and words[0] in _words("grammar", "fillers"):
        del words[0]
    return _trailers().sub("", " ".join(words))


def is_allergen(name: str) -> bool:
    return _is_among(clean(name), _words("foods", "allergens"))


def is_free_of(name: str) -> bool:
    """Whether it is what products are often free of, in the singular: egg and dairy free, but not eggs and …"""
    return clean(name) in _words("foods", "free_of")


def is_food(name: str, *, is_vague: bool = True) -> bool:
    """Whether a name is that of a food, or none of anything else that is known."""
    words = name.split()
    if any(_is_among(each, _words("foods", "not_food")) for each in (name, words[0])):
        return False
    if kind_of(words[-1].removesuffix("'s")) == "people":
        return False
    return (
        not is_vague or any(map(is_food_name, words)) or _NO_FOOD.isdisjoint(map(kind_of, (name, words[0], words[-1])))
    )


def _is_among(name: str, names: frozenset[str]) -> bool:
    return not names.isdisjoint(singulars(name.replace("-", " ")))


@cache
def _words(table: str, name: str) -> frozenset[str]:
    return frozenset(word for each in _languages() for word in each[table].get(name, ()))


def _languages() -> tuple[Tables, Tables]:
    return tables("restrictions.en.toml"), tables("restrictions.ko.toml")


@cache
def _trailers() -> re.Pattern[str]:
    return re.compile(rf" {any_of(_words('grammar', 'trailers'))}$")

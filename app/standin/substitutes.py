"""Substitutes for foods, from `data/substitutes.toml`."""

from functools import cache
from typing import NamedTuple

from app.standin import pantry
from app.standin.pantry import Entry, Language, Words, load, normal


class Substitute(NamedTuple):
    """A replacement, its amount, and what changes."""

    food: str
    amount: str
    change: str


class Substitutes(Entry):
    """The substitutes of one food. `names` and `also` are set if it is not an ingredient of the pantry."""

    en: tuple[Substitute, ...]
    ko: tuple[Substitute, ...]
    names: Words | None = None
    also: tuple[str, ...] = ()

    def in_language(self, language: Language) -> tuple[Substitute, ...]:
        return self.en if language == "en" else self.ko


@cache
def substitutes() -> dict[str, Substitutes]:
    return load(dict[str, Substitutes], "substitutes.toml")


@cache
def ids_by_name() -> dict[str, str]:
    """Maps names and aliases of foods to keys. Names here take precedence over the pantry's."""
    own = {
        normal(name): key
        for key, entry in substitutes().items()
        if entry.names is not None
        for name in (*entry.names, *entry.also)
    }
    return pantry.ids_by_name() | own


def substitutes_for(key: str, name: str, language: Language) -> list[Substitute]:
    """Returns the substitutes of a food, except the one called `name`."""
    if key not in substitutes():
        return []
    return [each for each in substitutes()[key].in_language(language) if not each.food.lower().startswith(name.lower())]


def of_the_same_kind(key: str, language: Language) -> list[str]:
    """Returns up to three other ingredients of the same kind."""
    foods = pantry.pantry()
    if key not in foods:
        return []
    kin = [food for other, food in foods.items() if food.kind == foods[key].kind and other != key]
    return [food.names.in_language(language) for food in kin[:3]]

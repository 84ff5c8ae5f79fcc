"""The substitutes: what can take a food's place, as read from `data/substitutes.toml`."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter

from app.standin import pantry
from app.standin.pantry import Language, Words, normal


class Substitute(NamedTuple):
    """What to take, how much of it, and what changes."""

    food: str
    amount: str
    change: str


class Substitutes(BaseModel):
    """The substitutes of one food; `names` and `also` are its own where it is not one of the pantry's ingredients."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    en: tuple[Substitute, ...]
    ko: tuple[Substitute, ...]
    names: Words | None = None
    also: tuple[str, ...] = ()

    def said(self, language: Language) -> tuple[Substitute, ...]:
        return self.en if language == "en" else self.ko


@cache
def substitutes() -> dict[str, Substitutes]:
    text = files("app.standin").joinpath("data", "substitutes.toml").read_text("utf-8")
    return TypeAdapter(dict[str, Substitutes]).validate_python(tomllib.loads(text))


@cache
def ids_by_name() -> dict[str, str]:
    """Every food's name and aliases to its key; a name of an entry here goes before the pantry's."""
    own = {
        normal(name): key
        for key, entry in substitutes().items()
        if entry.names is not None
        for name in (*entry.names, *entry.also)
    }
    return pantry.ids_by_name() | own


def substitutes_for(key: str, name: str, language: Language) -> list[Substitute]:
    """What can take the place of a food, but for the one that is called `name` itself."""
    if key not in substitutes():
        return []
    return [each for each in substitutes()[key].said(language) if not each.food.lower().startswith(name.lower())]


def of_the_same_kind(key: str, language: Language) -> list[str]:
    """Up to three other ingredients of the pantry's of the same kind."""
    foods = pantry.pantry()
    if key not in foods:
        return []
    kin = (food.names.said(language) for other, food in foods.items() if food.kind == foods[key].kind and other != key)
    return list(kin)[:3]

"""Substitutes for foods, from `data/substitutes.toml`."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter

from app.standin import pantry
from app.standin.pantry import Language, Words, normal


class Substitute(NamedTuple):
    """A replacement, its amount, and what changes."""

    food: str
    amount: str
    change: str


class Substitutes(BaseModel):
    """The substitutes of one food. `names` and `also` are set if it is not an ingredient of the pantry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    en: tuple[Substitute, ...]
    ko: tuple[Substitute, ...]
    names: Words | None = None
    also: tuple[str, ...] = ()

    def in_language(self, language: Language) -> tuple[Substitute, ...]:
        return self.en if language == "en" else self.ko


@cache
def substitutes() -> dict[str, Substitutes]:
    text = files("app.standin").joinpath("data", "substitutes.toml").read_text("utf-8")
    return TypeAdapter(dict[str, Substitutes]).validate_python(tomllib.loads(text))


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

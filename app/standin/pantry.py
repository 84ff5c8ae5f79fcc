"""The stand-in's data on food, from `data/`. Names, amounts and notes are in two languages."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter

from app.standin.english import singular

Language = Literal["en", "ko"]
Diet = Literal["vegan", "vegetarian", "omnivore"]

_T = TypeVar("_T")


class Words(NamedTuple):
    """The same text in English and in Korean."""

    en: str
    ko: str

    def in_language(self, language: Language) -> str:
        return self.en if language == "en" else self.ko


class Ingredient(BaseModel):
    """An ingredient; `amount` is for two servings, `cut` names an entry of `words.toml`, `foreign` are its
    names in other languages, `done` its name once it is ready, `minutes` the least time that it takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: Words
    kind: str
    amount: Words
    note: Words
    also: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    allergens: tuple[str, ...] = ()
    diet: Diet = "vegan"
    cut: str | None = None
    done: Words | None = None
    minutes: int = 0

    @property
    def is_counted(self) -> bool:
        """Whether English counts it (2 onions) instead of measuring it (300 g beef)."""
        return self.amount.en.replace("/", "").isdigit()


class Unit(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    names: Words
    also: tuple[str, ...] = ()


class Cut(BaseModel):
    """How an ingredient is prepared. In Korean the clause has a different form at the end of a sentence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    en: str
    ko: tuple[str, str]


class Alongside(BaseModel):
    """How to serve foods that a dish does not use: the foods, the time and the step, and with which sorts of dishes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: tuple[str, ...]
    minutes: int
    step: Words
    last: bool = False
    sides: tuple[str, ...] = ("plain", "korean", "asian", "indian", "western")
    forms: tuple[str, ...] = ()
    shuns: tuple[str, ...] = ()


class Wish(BaseModel):
    """Words that wish for a kind of dish, such as soup or 국물, and the dishes of that kind."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: tuple[str, ...]
    dishes: frozenset[str]


class Vocabulary(BaseModel):
    """The contents of `words.toml` and `table.toml`: words for parsing, and shared phrases."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    numbers: dict[str, str]
    units: dict[str, Unit]
    cuts: dict[str, Cut]
    fillers: tuple[str, ...]
    suspicious: tuple[str, ...]
    heads: tuple[str, ...]
    generic: tuple[str, ...]
    stop_words: tuple[str, ...]
    topics: dict[str, tuple[str, ...]]
    uncounted: tuple[str, ...]
    tinned: dict[str, str]
    whole: dict[str, str]
    dry: dict[str, str]
    stand_ins: dict[str, tuple[str, ...]]
    covers: dict[str, tuple[str, ...]]
    without: tuple[str, ...]
    diets: dict[str, Diet]
    allergens: dict[str, tuple[str, ...]]
    guesses: dict[str, tuple[str, ...]]
    groups: dict[str, tuple[str, ...]]
    rank: tuple[str, ...]
    basket: tuple[str, ...]
    plain_basket: tuple[str, ...]
    unknown: dict[str, Words]
    phrases: dict[str, Words]
    sides: dict[str, tuple[Words, ...]]
    gentle: dict[str, tuple[str, ...]]
    wishes: tuple[Wish, ...]
    alongside: tuple[Alongside, ...]


def load(path: str, shape: TypeAdapter[_T]) -> _T:
    """Reads all TOML files in a folder of `data/`."""
    entries: dict[str, object] = {}
    for file in sorted(files("app.standin").joinpath("data", path).iterdir(), key=lambda file: file.name):
        entries |= tomllib.loads(file.read_text("utf-8"))
    return shape.validate_python(entries)


@cache
def pantry() -> dict[str, Ingredient]:
    return load("pantry", TypeAdapter(dict[str, Ingredient]))


@cache
def vocabulary() -> Vocabulary:
    entries: dict[str, object] = {}
    for name in ("words.toml", "table.toml"):
        entries |= tomllib.loads(files("app.standin").joinpath("data", name).read_text("utf-8"))
    return Vocabulary.model_validate(entries)


@cache
def ids_by_name() -> dict[str, str]:
    """Maps every name and alias, in lowercase and singular, to its ingredient."""
    found: dict[str, str] = {}
    for key, ingredient in pantry().items():
        for name in (*ingredient.names, *ingredient.also, *ingredient.foreign):
            found.setdefault(normal(name), key)
    return found


@cache
def wishes() -> dict[str, frozenset[str]]:
    """Maps each word that wishes for a kind of dish to the dishes."""
    return {word: wish.dishes for wish in vocabulary().wishes for word in wish.words}


@cache
def groups_of(kind: str) -> frozenset[str]:
    """Returns the kind and its groups: onion is `allium` and `veg`."""
    return frozenset({kind} | {group for group, kinds in vocabulary().groups.items() if kind in kinds})


def normal(name: str) -> str:
    return " ".join(singular(word) for word in name.lower().split())

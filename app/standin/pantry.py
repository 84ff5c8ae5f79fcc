"""The stand-in's data on food, from `data/`. Names, amounts and notes are in two languages."""

import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter

from app.standin.english import singular

Language = Literal["en", "ko"]

T = TypeVar("T")


class Entry(BaseModel):
    """A table of the data files. Unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Words(NamedTuple):
    """The same text in English and in Korean."""

    en: str
    ko: str

    def in_language(self, language: Language) -> str:
        return self.en if language == "en" else self.ko


class Ingredient(Entry):
    """An ingredient; `amount` is for two servings, `cut` names an entry of `words.toml`, `foreign` are its
    names in other languages, `done` its name once it is ready, `minutes` the least time that it takes."""

    names: Words
    kind: str
    amount: Words
    note: Words
    also: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    cut: str | None = None
    done: Words | None = None
    minutes: int = 0

    @property
    def is_counted(self) -> bool:
        """Whether English counts it (2 onions) instead of measuring it (300 g beef)."""
        return self.amount.en.replace("/", "").isdigit()


class Unit(Entry):
    names: Words
    also: tuple[str, ...] = ()


class Cut(Entry):
    """How an ingredient is prepared. In Korean the clause has a different form at the end of a sentence."""

    en: str
    ko: tuple[str, str]


class Alongside(Entry):
    """How to serve foods that a dish does not use: the foods, the time and the step, and with which sorts of dishes."""

    of: tuple[str, ...]
    minutes: int
    step: Words
    last: bool = False
    sides: tuple[str, ...] = ("plain", "korean", "asian", "indian", "western")
    forms: tuple[str, ...] = ()
    shuns: tuple[str, ...] = ()


class Wish(Entry):
    """Words that wish for a kind of dish, such as soup or 국물, and the dishes of that kind."""

    words: tuple[str, ...]
    dishes: frozenset[str]


class Vocabulary(Entry):
    """The contents of `words.toml` and `table.toml`: words for parsing, and shared phrases."""

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


def load(shape: type[T], *paths: str) -> T:
    """Reads TOML files in `data/`, or all files of a folder there, as one table."""
    entries: dict[str, object] = {}
    for path in paths:
        for file in _files(files("app.standin").joinpath("data", path)):
            entries |= tomllib.loads(file.read_text("utf-8"))
    return TypeAdapter(shape).validate_python(entries)


def _files(path: Traversable) -> Iterable[Traversable]:
    return sorted(path.iterdir(), key=lambda file: file.name) if path.is_dir() else [path]


@cache
def pantry() -> dict[str, Ingredient]:
    return load(dict[str, Ingredient], "pantry")


@cache
def vocabulary() -> Vocabulary:
    return load(Vocabulary, "words.toml", "table.toml")


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

"""Things that are not food: poison, glass, spoiled meat, pets. The words are in `data/not_food.toml`."""

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import LiteralString, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter

from chains.messages import Message
from chains.recipe.nouns import AND_KO, HAS_WORD, Nouns

_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
_ITEM = re.compile(rf"[,;:.!?()\n/&+、，。•|]|\s-\s|\b(?:and|or|with|plus)\b|{AND_KO}|\s그리고\s", re.IGNORECASE)
# Words around one that counts only as a whole item: a handful of rusty nails, my neighbor's, 모래 한 줌
_BEFORE = (
    r"(?:(?:\d[\d.,]{0,6}\s?(?:g|kg|ml|l|cups?|tbsp|tsp|oz|lb|pounds?|kilos?)?|a|an|the|some|any|my|your|our|his|her|few"
    r"|handful|pinch|cup|bit|lot|pile|pieces?|bag|dozen|of|broken|rusty|old|big|small|little|dirty|fresh|raw|dead|whole"
    r"|one|two|three|four|five|minced|chopped|i|have|just|only|pure|liquid|[\w]{1,20}['’]s?"
    r"|나의|우리|내|생|이웃집|옆집)\s){0,6}"
)
_PARTICLE = "(?:이랑|랑|하고|과|와|을|를|이|가|은|는|도|만|으로|로)?"
_AFTER = (
    r"(?:을|를|이|가|은|는|도|만)?(?:\s?(?:\d{1,4}\s?(?:g|kg|ml|개|마리|줌|컵|명|조각)"
    r"|한\s?(?:줌|개|마리|컵|명|조각|스푼)|두\s?(?:개|마리|명)|약간|조금|meat|stew|soup|있어요))?"
)

_LABEL = re.compile(r"(?:^|(?<=[,;.\n]))[^,;:.\n]{1,30}:")  # Fridge: eggs, milk


class NotFood(NamedTuple):
    """A word in the text and its kind."""

    food: str
    kind: str

    @property
    def reason(self) -> Message:
        """Why it is refused, without a full stop."""
        return Message(cast(LiteralString, _kinds()[self.kind].message), food=self.food)


class _Kind(BaseModel):
    model_config = ConfigDict(extra="forbid")

    message: str
    anywhere: list[str] = []
    alone: list[str] = []
    compounds: list[tuple[list[str], list[str]]] = []

    @property
    def pattern(self) -> str:
        """What counts anywhere, with each compound of a first and a second noun: hand cream, hand gel."""
        return "|".join(filter(None, (_words(self.anywhere), *(_compound(*nouns) for nouns in self.compounds))))


def not_food_in(text: str) -> NotFood | None:
    """Returns the first item in a list of ingredients that is not food, or None."""
    return listed_in(text) or named_in(list(_items(_LABEL.sub(",", edible(text)))))


def listed_in(text: str) -> NotFood | None:
    """Returns the first thing in a text that `not_food.toml` lists, or None."""
    text = edible(text)
    found = _anywhere().search(text) or next(filter(None, map(_alone().fullmatch, _items(text))), None)
    if not found:
        return None
    kind = found.lastgroup or ""
    return NotFood(found[kind].strip(), kind)


def edible(text: str) -> str:
    """Returns the text without the phrases that are fine."""
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    return _fine().sub(" , ", re.sub(r"[^\S\n]+", " ", plain))


def named_in(items: list[str]) -> NotFood | None:
    """Returns the first item that names no food. Kitchenware counts only if there is nothing else: chicken, a wok."""
    items = [item for item in items if HAS_WORD.search(item)]
    found = [named for named in map(_nouns().named, items) if named]
    is_kitchenware = len(found) == len(items) and all(named.kind == "kitchen" for named in found)
    named = next((named for named in found if is_kitchenware or named.kind != "kitchen"), None)
    return NotFood(named.words, named.kind) if named else None


def _items(text: str) -> Iterable[str]:
    return (item.strip(" '\"“”‘’*_") for item in _ITEM.split(text) if len(item) <= 80)


def _words(words: Iterable[str]) -> str:
    """Returns a pattern for any of the words, the longest first."""
    longest = sorted(words, key=len, reverse=True)
    latin = _branches(_latin(word) for word in longest if word[0].isascii() and word[0] != "-")
    korean = _branches(word.replace(" ", r"\s?") for word in longest if not word[0].isascii())
    endings = "|".join(word[1:] for word in longest if word[0] == "-" and not word.isascii())
    suffixes = "|".join(word[1:] for word in longest if word[0] == "-" and word.isascii())
    patterns = (
        rf"(?<![\w-])(?:{latin})(?!\w|[ -]free\b)" if latin else "",
        rf"(?<![\w-])[\w-]{{3,15}}(?:{suffixes})s?(?!\w)" if suffixes else "",
        rf"(?<![가-힣])(?:{korean})" if korean else "",
        rf"(?<![가-힣])[가-힣]{{1,8}}(?:{endings}){_PARTICLE}(?![가-힣])" if endings else "",
    )
    return "|".join(filter(None, patterns))


def _branches(patterns: Iterable[str]) -> str:
    """Returns a pattern for any of them, with a branch for each first letter, for speed."""
    rests: dict[str, list[str]] = {}
    for pattern in patterns:
        rests.setdefault(pattern[0].lower(), []).append(pattern[1:])
    return "|".join(f"{first}(?:{'|'.join(each)})" for first, each in rests.items())


def _compound(firsts: list[str], seconds: list[str]) -> str:
    first, second = (_branches(map(_latin, nouns)) for nouns in (firsts, seconds))
    return rf"(?<![\w-])(?:{first})[ -](?:{second})(?!\w|[ -]free\b)"


def _latin(word: str) -> str:
    stem, ending = (word[:-1], "(?:y|ies)") if re.search(r"[^aeiou]y$", word) else (word, "(?:s|es)?")
    return re.escape(stem).replace(r"\ ", "[ -]").replace(r"\-", "[ -]?").replace("'", "['’]?") + ending


@cache
def _data() -> dict[str, object]:
    return tomllib.loads(files("chains.recipe").joinpath("data", "not_food.toml").read_text("utf-8"))


@cache
def _kinds() -> dict[str, _Kind]:
    return {name: _Kind.model_validate(kind) for name, kind in _data().items() if isinstance(kind, dict)}


@cache
def _fine() -> re.Pattern[str]:
    taken = _words([*_list("prescribed"), *(word for word in _kinds()["drugs"].anywhere if word.startswith("-"))])
    patterns = (rf"\b(?:on|take|taking)\s(?:{taken})", rf"(?:{taken})[을를]?\s(?:먹|복용)", _words(_list("fine")))
    return re.compile("|".join(patterns), re.IGNORECASE)


@cache
def _nouns() -> Nouns:
    return Nouns([*_list("forms"), *_list("context")], _list("materials"))


def _list(name: str) -> list[str]:
    return TypeAdapter(list[str]).validate_python(_data()[name])


@cache
def _anywhere() -> re.Pattern[str]:
    return re.compile(
        "|".join(f"(?P<{name}>{kind.pattern})" for name, kind in _kinds().items() if kind.pattern),
        re.IGNORECASE,
    )


@cache
def _alone() -> re.Pattern[str]:
    kinds = "|".join(f"(?P<{name}>{_words(kind.alone)})" for name, kind in _kinds().items() if kind.alone)
    return re.compile(rf"{_BEFORE}(?:{kinds}){_AFTER}", re.IGNORECASE)

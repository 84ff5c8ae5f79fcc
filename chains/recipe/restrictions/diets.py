"""The diets that a text names: vegan, 저염식. The words for them are in `data/diets.toml`."""

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from chains.recipe.restrictions.foods import Match
from chains.recipe.restrictions.phrases import KOREAN, Phrases, any_of, tables


class _Language(NamedTuple):
    diets: Phrases
    product: re.Pattern[str]
    suffix: re.Pattern[str]


def matches(text: str) -> Iterator[Match]:
    """Yields the diets in a text in lower case, with the words that belong to them."""
    for language in (_english(), _korean()):
        for diet, found in language.diets.find(text):
            if not language.product.match(text, found.end()):
                suffix = language.suffix.match(text, found.end())
                yield Match(found.start(), suffix.end() if suffix else found.end(), diet=diet)


@cache
def _english() -> _Language:
    diets = {diet: [*words, *(f"{word}s" for word in words)] for diet, words in _diets(is_english=True)}
    suffix = any_of(tables("diets.toml")["suffix"]["en"])
    return _Language(Phrases(diets), _product("en"), re.compile(rf"[ -]{suffix}\b"))


@cache
def _korean() -> _Language:
    suffixes = tables("diets.toml")["suffix"]
    suffix, ending, more = (any_of(suffixes[name]) for name in ("ko", "ending", "more"))
    pattern = re.compile(rf" ?(?:{suffix})?(?:{ending})?(?: {more})?")
    return _Language(Phrases(dict(_diets(is_english=False)), blank=KOREAN), _product("ko"), pattern)


def _diets(*, is_english: bool) -> Iterator[tuple[str, list[str]]]:
    for diet, words in tables("diets.toml")["diets"].items():
        yield diet, [word for word in words if word.isascii() == is_english]


def _product(language: str) -> re.Pattern[str]:
    return re.compile(rf" ?{any_of(tables('diets.toml')['product'][language])}")

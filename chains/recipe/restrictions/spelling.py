"""The usual spelling of a text: the names of foods instead of emoji, whole words instead of typos and abbreviations."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache

from chains.recipe.nouns import foods, kind_of, singulars
from chains.recipe.restrictions.phrases import Words, any_of, tables

LANGUAGES = ("restrictions.en.toml", "restrictions.ko.toml")
_HANGUL = re.compile("[가-힣]")
_WORD = re.compile(r"(?<![\w'’-])[A-Za-z]{5,14}(?![\w'’-])")
_NO = "[❌🚫⛔]"
_VARIANT = "\ufe0f"  # asks for the colored form of the character before it


def plain(text: str) -> str:
    """Returns the text in the usual spelling."""
    text = re.sub(r"[^\S\n]+", " ", unicodedata.normalize("NFC", text))
    text = text if text.isascii() else _without_emoji(text.replace(_VARIANT, ""))
    text = _misspelt().sub(lambda found: _spellings()[_key(found[0])], text)
    return _WORD.sub(lambda found: _corrected(found[0]), text)


def lower(text: str) -> str:
    """Returns the text in lower case, as long as it was."""
    return text.replace("İ", "i").lower().replace("’", "'")


def _without_emoji(text: str) -> str:
    """Returns the text with the names of the foods: "no 🦐" is "no shrimp"; "🥜🚫 rice" is "peanut 🚫, rice"."""
    marked = _marked().sub(lambda found: f"{found[0]},", text) if re.search(_NO, text) else text
    language = 1 if _HANGUL.search(text) else 0
    return _foods().sub(lambda found: _named(found, language), marked)


def _named(found: re.Match[str], language: int) -> str:
    names = dict.fromkeys(_names()[each][language] for each in found[0] if each != " ")
    before, after = found.string[: found.start()][-1:], found.string[found.end() :][:1]
    space_before = " " if before and before not in " ,.;:(" else ""
    space_after = " " if language == 0 and after and after not in " ,.;:!?)" else ""  # a particle follows a Korean name
    return f"{space_before}{'·'.join(names)}{space_after}"


@cache
def _names() -> Words:
    return tables("emoji.toml")["foods"]


@cache
def _foods() -> re.Pattern[str]:
    food = f"[{''.join(_names())}]"
    return re.compile(f"{food}(?: ?{food}){{0,9}}")


@cache
def _marked() -> re.Pattern[str]:
    """Foods with a mark before them, 🚫🥛, or after them: 🥜🚫, nuts 🚫 eggs 🚫, 계란 ❌ 두부."""
    foods = _foods().pattern
    name = rf"(?:{foods}|[^\W\d_]{{1,20}})"
    patterns = (
        rf"(?<!\w){_NO} ?{foods}",
        rf"{name} ?{_NO}(?=(?:\s?{name}\s?{_NO}){{0,4}}\s?(?:[,.;\n]|$))",
        rf"{foods}{_NO}(?=(?:{foods}{_NO}){{0,4}}\s)",
        rf"(?:[가-힣] ?|[^\W\d_]){_NO}(?=\s)",
    )
    return re.compile("|".join(patterns))


@cache
def _spellings() -> dict[str, str]:
    spellings = (table for name in LANGUAGES for table in tables(name)["spellings"].items())
    return {_key(wrong): right for right, words in spellings for wrong in words}


def _key(spelling: str) -> str:
    return re.sub("[ '-]", "", lower(spelling))


@cache
def _misspelt() -> re.Pattern[str]:
    wrong = (each for name in LANGUAGES for words in tables(name)["spellings"].values() for each in words)
    return re.compile(rf"(?<![^\W_]){any_of(wrong)}(?![a-z])", re.IGNORECASE)


@lru_cache(maxsize=2048)
def _corrected(word: str) -> str:
    """Returns the word that is one letter away from one that is no word: one missing, added, wrong or swapped."""
    name = word.lower()
    near = next((right for each in _shorter(name) if (right := _near().get(each)) and right[0] == name[0]), name)
    return word if near == name or _is_known(name) else near


def _is_known(word: str) -> bool:
    return kind_of(word) is not None or not foods().isdisjoint(singulars(word))


@cache
def _near() -> dict[str, str]:
    """The words that are corrected, by what is left of each without one of its letters."""
    words = tables("restrictions.en.toml")["typos"]["words"]
    return {shorter: word for word in words for shorter in _shorter(word)} | {word: word for word in words}


def _shorter(word: str) -> Iterator[str]:
    yield word
    yield from (word[:at] + word[at + 1 :] for at in range(len(word)))

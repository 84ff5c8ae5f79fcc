"""Tells the words of a sentence from the names of foods: exhausted after work, 비 오는 날."""

import re
from collections.abc import Sequence
from functools import cache

from app.standin.names import bare, wishes_in
from app.standin.pantry import Entry, load, vocabulary


class Prose(Entry):
    """The contents of `prose.toml`. `phrases`, `predicate`, `on_hand` and `endings` are patterns."""

    words: frozenset[str]
    adjectives: frozenset[str]
    phrases: tuple[str, ...]
    nouns: frozenset[str]
    predicate: re.Pattern[str]
    verbal: re.Pattern[str]
    on_hand: re.Pattern[str]
    endings: re.Pattern[str]


def without_phrases(text: str) -> str:
    """Removes phrases in which the name of a food means none: date night, 배가 고파요."""
    return _phrases().sub(" ", text.replace("’", "'"))


def is_prose(words: Sequence[str], content: Sequence[str]) -> bool:
    """Whether words without a known food belong to a sentence, or wish for a dish, and name no unknown food.

    `content` are the words that are no mere fillers."""
    is_of_a_sentence = any(_is_of_a_sentence(word.lower()) for word in words)
    return is_of_a_sentence or _is_verbal(content) or all(word.lower() in _prose().adjectives for word in content)


def _is_verbal(content: Sequence[str]) -> bool:
    """Whether the last word is a verb, an adverb or an adjective: just got engaged. Stuffing ends like one."""
    last = content[-1].lower() if content else ""
    of_food = (*vocabulary().heads, *(ending for endings in vocabulary().guesses.values() for ending in endings))
    return bool(_prose().verbal.search(last)) and not last.endswith(of_food)


def _is_of_a_sentence(word: str) -> bool:
    prose = _prose()
    if word.isascii():
        word = word.removesuffix("'s")
        return word in prose.words or any(wishes_in(word))
    if prose.on_hand.search(word):
        return False
    noun = prose.endings.sub("", word)
    is_noun = not prose.nouns.isdisjoint((word, noun, bare(noun)))
    return is_noun or bool(prose.predicate.search(noun)) or any(wishes_in(noun))


@cache
def _prose() -> Prose:
    return load(Prose, "prose.toml")


@cache
def _phrases() -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z])(?:{'|'.join(_prose().phrases)})(?![a-z])", re.IGNORECASE)

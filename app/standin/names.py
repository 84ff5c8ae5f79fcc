"""Finds the names of foods in a text."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from app.standin.amounts import HANGUL
from app.standin.pantry import ids_by_name, normal, pantry, vocabulary, wishes

_PARTICLES = re.compile(
    r"(?:이랑|랑|하고|과|와|을|를|은|는|이|가|도|만|으로|로|밖에|뿐(?:이에요|이야|이요)?|(?:이에|예|이고|고|이|인데)?요|인데|까지)$"
)


def scan(text: str, ids: Mapping[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """Finds foods by the pantry's names or those of `ids`, preferring the longest match."""
    words, at = text.split(), 0
    while at < len(words):
        for end in range(min(len(words), at + 4), at, -1):
            span = " ".join(words[at:end])
            if key := id_of(span, ids or ids_by_name()):
                yield span, key
                at = end - 1
                break
        at += 1


def id_of(span: str, ids: Mapping[str, str]) -> str | None:
    name = normal(span)
    if name in ids or not HANGUL.search(name):
        return ids.get(name)
    if bare(name) in ids:
        return ids[bare(name)]
    name = in_a_dish(name)
    if name in ids:
        return ids[name]
    # Korean joins nouns: 국산두부 is 두부. One syllable is too ambiguous.
    ends = (name[at:] for at in range(1, len(name) - 1) if " " not in name)
    return next((ids[end] for end in ends if end in ids), None)


def in_a_dish(word: str) -> str:
    """Returns the food in the name of a dish: 애호박전 is made of 애호박."""
    dish = next((dish for dish in _dish_words() if word.endswith(dish) and len(word) > len(dish) + 1), "")
    return word.removesuffix(dish)


def wishes_in(word: str) -> Iterator[str]:
    """Yields the kinds of dishes that a word wishes for: soup, 미역국을. 국 of 중국 is no soup."""
    noun = bare(word.removesuffix("에"))
    for wish in wishes():
        if wish in (word, noun) or (HANGUL.search(wish) and noun.endswith(wish) and _is_of_food(noun, wish)):
            yield wish


def _is_of_food(dish: str, wish: str) -> bool:
    return len(wish) > 1 or id_of(dish.removesuffix(wish), ids_by_name()) is not None


@cache
def _dish_words() -> list[str]:
    return sorted((word for word in wishes() if HANGUL.search(word)), key=len, reverse=True)


def compounds(words: Sequence[str], found: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Joins the words for one food (돼지고기 앞다리살), and drops one that only describes it: lemon juice."""
    text, joined = " ".join(words), list[tuple[str, str]]()
    for span, key in found:
        before = joined[-1] if joined else ("", "")
        if _is_generic(span, key, before[1]) and f"{before[0]} {span}" in text:
            joined[-1] = (f"{before[0]} {span}", before[1])
        elif (
            HANGUL.search(span)
            and before[1] == key
            and in_a_dish(before[0]) == before[0]
            and f"{before[0]} {span}" in text
        ):
            joined[-1] = (f"{before[0]} {span}", key)
        else:
            joined.append((span, key))
    return [(span, key) for span, key in joined if not is_compound(words) or span != words[0]]


def _is_generic(span: str, key: str, before: str) -> bool:
    """Whether a food only says of which kind the one before it is: soba noodles."""
    foods = pantry()
    return bool(before) and normal(span) in vocabulary().generic and foods[key].kind == foods[before].kind


def is_compound(words: Sequence[str]) -> bool:
    """Whether the first of two words describes the second: fennel seeds, burger buns."""
    return len(words) == 2 and normal(words[1]) in vocabulary().heads and normal(words[0]) == words[0].lower()


def bare(word: str) -> str:
    """Returns a Korean word without its particle."""
    return _PARTICLES.sub("", word)

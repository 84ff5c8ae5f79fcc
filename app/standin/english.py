"""English singulars, plurals, lists and title case."""

import re
from collections.abc import Sequence
from functools import lru_cache

_IRREGULAR = {
    "leaf": "leaves",
    "loaf": "loaves",
    "half": "halves",
    "cookie": "cookies",
    "olive": "olives",
    "kiwi": "kiwis",
}
_BACK = {many: one for one, many in _IRREGULAR.items()}
_SMALL = {"and", "with", "of", "in", "on", "over", "e"}
_SAME = {
    "anise",
    "fennel",
    "polenta",
    "quinoa",
    "barley",
    "fish",
    "shrimp",
    "salmon",
    "molasses",
    "asparagus",
    "hummus",
    "couscous",
    "swiss",
    "greens",
    "squid",
}


def singular(noun: str) -> str:
    """Turns the last word into the singular: red onions → red onion."""
    head, space, last = noun.rpartition(" ")
    return head + space + _singular(last)


def plural(noun: str) -> str:
    head, space, last = noun.rpartition(" ")
    return head + space + _plural(_singular(last))


@lru_cache(maxsize=4096)
def _singular(word: str) -> str:
    if word in _BACK:
        return _BACK[word]
    if word in _SAME or word.endswith(("ss", "us", "is")) or len(word) < 4:
        return word
    for ending, one in (("ies", "y"), ("oes", "o"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("s", "")):
        if word.endswith(ending):
            return word[: -len(ending)] + one
    return word


def _plural(word: str) -> str:
    if word in _SAME or not word:
        return word
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"(ch|sh|x|s|tomato|potato|mango)$", word) else "s")


def listed(words: Sequence[str]) -> str:
    """Returns `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def title(text: str) -> str:
    """Returns the title case of a dish: small words stay lowercase unless they come first."""
    words = (word if at and word in _SMALL else word[:1].upper() + word[1:] for at, word in enumerate(text.split(" ")))
    return re.sub(r"-([a-z])", lambda match: "-" + match[1].upper(), " ".join(words))

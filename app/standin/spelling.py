"""Finds the food that a misspelled word most likely means."""

import unicodedata
from collections import defaultdict
from functools import cache, lru_cache

from app.standin.pantry import ids_by_name, normal, pantry

_SHORTEST = 5  # letters; shorter words are too similar
_LONG = 8  # letters; longer words may contain two typos


@lru_cache(maxsize=4096)
def corrected(name: str) -> str | None:
    """Returns the name one typo away, or two in a long word. The first letter must match."""
    letters = _letters(normal(name))
    if len(letters) < _SHORTEST:
        return None
    slips = 2 if len(letters) >= _LONG and letters.isascii() else 1
    near = (
        (_distance(letters, _letters(name), slips), name not in _names(), name)
        for length in range(len(letters) - slips, len(letters) + slips + 1)
        for name in _by_start().get((letters[0], length), ())
    )
    best = min(near, default=None)
    return best[2] if best and best[0] <= slips else None


def _letters(name: str) -> str:
    """Returns the letters without accents, with Korean syllables decomposed."""
    return "".join(each for each in unicodedata.normalize("NFD", name) if not unicodedata.combining(each))


@cache
def _names() -> frozenset[str]:
    """Returns the primary names, which take precedence over aliases."""
    return frozenset(normal(name) for ingredient in pantry().values() for name in ingredient.names)


@cache
def _by_start() -> dict[tuple[str, int], list[str]]:
    names: dict[tuple[str, int], list[str]] = defaultdict(list)
    for name in ids_by_name():
        letters = _letters(name)
        names[letters[0], len(letters)].append(name)
    return names


def _distance(one: str, other: str, most: int) -> int:
    """Returns the optimal string alignment distance, or stops above `most`."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        following = [i]
        for j, their in enumerate(other, 1):
            cost = min(row[j] + 1, following[-1] + 1, row[j - 1] + (letter != their))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == their:
                cost = min(cost, before[j - 2] + 1)
            following.append(cost)
        if min(following) > most:
            return most + 1
        before, row = row, following
    return row[-1]

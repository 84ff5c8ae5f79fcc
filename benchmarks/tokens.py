"""The texts of the fake provider, token by token. No token repeats, so a lost one is always detected."""

from functools import cache

REALISTIC: dict[str, int] = {
    "alternates": 110,
    "ingredients": 150,
    "intro": 120,
    "nutrition": 120,
    "sides": 20,
    "steps": 300,
}
EVEN: dict[str, int] = dict.fromkeys(REALISTIC, 200)

DISHES = ("Pepper steak", "Beef soup", "Onion tart")
_WORDS = (" beef", " and", " onions", " slowly", " fry", " 2", " cups", " of", " peppers", " until", " soft", " then")


@cache
def tokens(part: str, length: int) -> tuple[str, ...]:
    """Returns the answer to a part in `length` tokens."""
    if part == "alternates":
        shares = _shares(length)
        return tuple(token for place, share in enumerate(shares) for token in _recipe_tokens(place, share))
    return tuple(_word(part, number) for number in range(length))


@cache
def recipe(place: int, length: int) -> dict[str, str]:
    """Returns the recipe at this position of a proposal of `length` tokens."""
    return {"name": DISHES[place], "intro": "".join(_intro(place, _shares(length)[place]))}


def recipe_ends(length: int) -> tuple[int, int, int]:
    """Returns the index of the token that completes each of the three recipes."""
    first, second, third = _shares(length)
    return first - 1, first + second - 1, first + second + third - 1


def _word(part: str, number: int) -> str:
    line_end = "\n" if number % 15 == 14 else ""
    return f"{_WORDS[number % len(_WORDS)]}{number}{part[0]}{line_end}"


def _shares(length: int) -> tuple[int, int, int]:
    return length // 3, length // 3, length - 2 * (length // 3)


def _recipe_tokens(place: int, share: int) -> list[str]:
    opening = "[{" if place == 0 else ", {"
    closing = '"}]' if place == 2 else '"}'
    return [opening, '"name": "', DISHES[place], '", "intro": "', *_intro(place, share), closing]


def _intro(place: int, share: int) -> list[str]:
    first, *others = (f"{_WORDS[number % len(_WORDS)]}{number}{place}" for number in range(share - 5))
    return [first.strip(), *others]

"""Foods that are to be replaced by others: swap the butter for oil; 우유를 두유로 바꿔요."""

import re
from collections.abc import Iterator
from functools import cache

from chains.recipe.nouns import foods_in, is_food_name
from chains.recipe.restrictions.foods import Match, clean
from chains.recipe.restrictions.phrases import any_of, tables

_NAME = r"[^,;:.!?()\n]{1,40}?"
_ARROW = re.compile(
    r"(?P<old>(?<![^,;:.!?()\n ])[^\W\d_](?:[^\W\d_]| (?=\w)){1,30}) ?(?:->|→|=>) ?"
    rf"(?=(?P<new>{_NAME})(?:[,;.\n]|$))"
)
_KOREAN = re.compile(
    r"(?<![가-힣])(?P<old>[가-힣]{1,10})[을를] [가-힣]{1,10}(?: [가-힣]{1,10})?로 (?:바꿔|바꾸|대체|교체|변경)\S{0,6}"
)


def matches(text: str) -> Iterator[Match]:
    """Yields the foods to be replaced in a text in lower case, with the words up to their replacement."""
    for found in _english().finditer(text):
        is_reversed = found["sub"] and found["link"] == "for" and not found["the"]  # substitute oil for butter
        old = found["new"] if is_reversed else found["old"]
        start, end = (found.start("link"), found.end("new")) if is_reversed else (found.start(), found.end("link"))
        if foods := foods_in(old):
            yield Match(start, end, tuple(foods))
    for found in _ARROW.finditer(text) if ">" in text or "→" in text else ():
        if is_food_name(clean(found["old"])) and foods_in(found["new"]):
            yield Match(found.start("old"), found.end(), (clean(found["old"]),))
    for found in _KOREAN.finditer(text):
        if is_food_name(found["old"]):
            yield Match(found.start(), found.end("old") + 1, (found["old"],))


@cache
def _english() -> re.Pattern[str]:
    swaps = tables("restrictions.en.toml")["swaps"]
    verbs, substitutes = any_of(swaps["verbs"]), any_of(swaps["substitutes"])
    the = r"(?P<the>(?:(?:the|my|all|any|out)\s)+)?"
    return re.compile(
        rf"(?<![\w'-])(?:{verbs}|(?P<sub>{substitutes}))\s{the}(?P<old>{_NAME})\s(?P<link>for|with|by|to|w)(?:/\s?|\s)"
        rf"(?=(?P<new>{_NAME})(?:[,;:.!?()\n]|$))"
    )

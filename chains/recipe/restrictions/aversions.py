"""English clauses that speak ill of a food in words that are no cue: nuts send me to hospital."""

import re
from collections.abc import Iterator
from functools import cache

from chains.recipe.nouns import foods_in
from chains.recipe.restrictions.foods import Match
from chains.recipe.restrictions.phrases import Phrases, tables

_CLAUSE = re.compile(r"[^,;:.!?()\n]{4,160}")


def matches(text: str) -> Iterator[Match]:
    """Yields the clauses with a person, a word of harm, dislike or renunciation, and a food."""
    no_food = tables("restrictions.en.toml")["aversion"]["no_food"]
    for clause in filter(_speaks_ill, _CLAUSE.finditer(text)):
        if foods := tuple(food for food in foods_in(clause[0]) if food not in no_food):
            yield Match(*clause.span(), foods)


def _speaks_ill(clause: re.Match[str]) -> bool:
    harm, person, fine = map(_phrases, ("harm", "person", "fine"))
    return harm.occur_in(clause[0]) and person.occur_in(clause[0]) and not fine.occur_in(clause[0])


@cache
def _phrases(kind: str) -> Phrases:
    data = tables("restrictions.en.toml")
    return Phrases({kind: data["aversion"][kind]}, data["words"])

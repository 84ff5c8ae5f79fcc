"""The shortlist: three places for recipes that are filled in order while the proposal is still being written."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Self

import json_repair
import orjson

from chains.errors import ProposalError
from chains.recipe.request import Failed, Proposal, Recipe, valid

PLACES = 3
ENOUGH = 2

_TOKEN_OUTSIDE = re.compile(r"\{")
_TOKEN_INSIDE = re.compile(r'"(?:\\.|[^"\\])*"?|[{}]', re.DOTALL)
LONGEST_RECIPE = 4096  # characters
LONGEST_REPAIR, MOST_REPAIRS = 400, 3  # characters, and objects of a proposal; one can take 16 ms
MOST_NESTED = 2  # a recipe holds at most one more level of objects


class ProposalReader:
    """Finds each recipe in a proposal that is streamed, as soon as it is complete, whatever surrounds it.

    A recipe is a JSON object with a name and an intro; trailing commas and the like are forgiven. Each object is parsed
    once, and only if its nesting allows it to be a recipe. Recipes after other words may be a draft: only `recipes_in`,
    which reads the whole proposal, returns them.
    """

    def __init__(self) -> None:
        self._text, self._position = "", 0
        self._open: list[_Object] = []
        self._has_begun, self._repairs_left = False, MOST_REPAIRS
        self.drafts: list[Recipe] | None = None  # recipes after other words

    def feed(self, text: str) -> list[Recipe]:
        """Returns the recipes that this text completes."""
        self._text += text
        found = list(self._complete()) if "}" in text else []
        if self.drafts is None:
            return found
        self.drafts += found
        return []

    def _complete(self) -> Iterator[Recipe]:
        while token := (_TOKEN_INSIDE if self._open else _TOKEN_OUTSIDE).search(self._text, self._position):
            if token[0][0] == '"' and (len(token[0]) == 1 or token.end() == len(self._text)):
                return  # the string may go on
            self._position = token.end()
            if token[0] == "{":
                self._begin(token.start())
            elif token[0] == "}":
                yield from self._end()

    def _begin(self, start: int) -> None:
        if not self._has_begun and self._text[:start].strip(" \t\r\n[`json"):
            self.drafts = []
        self._has_begun = True
        self._open.append(_Object(start))

    def _end(self) -> list[Recipe]:
        closed = self._open.pop()
        recipes: list[Recipe] = []
        if closed.height <= MOST_NESTED and not closed.has_recipe and self._position - closed.start <= LONGEST_RECIPE:
            recipes = _recipe(self._parsed(self._text[closed.start : self._position]))
        if self._open:
            parent = self._open[-1]
            parent.height = max(parent.height, closed.height + 1)
            parent.has_recipe = parent.has_recipe or closed.has_recipe or bool(recipes)
        return recipes

    def _parsed(self, text: str) -> Any:
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass
        if len(text) > LONGEST_REPAIR or not self._repairs_left:
            return None
        self._repairs_left -= 1
        try:
            return json_repair.loads(text)
        except (ValueError, RecursionError):
            return None


@dataclass(slots=True)
class _Object:
    """A JSON object that is not complete: where it starts, and what is known of the objects in it."""

    start: int
    height: int = 1
    has_recipe: bool = False


def recipes_in(text: str) -> list[Recipe]:
    """The complete recipes of a whole proposal, in order; of those after other words only the last three."""
    reader = ProposalReader()
    return reader.feed(text) or (reader.drafts or [])[-PLACES:]


def _recipe(value: Any) -> list[Recipe]:
    match value:
        case {"name": str(name), "intro": str(intro)} if name.strip() and intro.strip():
            return [Recipe(_one_line(name), _one_line(intro))]
        case _:
            return []


def _one_line(text: str) -> str:
    return " ".join(valid(text).split())


class Shortlist:
    """One run's proposed recipes, and which of them is picked.

    The place to be picked is drawn before any is filled, each with the same chance, so that whoever waits for the pick
    need not wait for the rest of the list. A list that ends short of that place is drawn from anew, evenly: of n places
    each then has the chance 1/3 + (3 - n)/3 · 1/n = 1/n. Recipes beyond the third are not read.

    Those who wait are shielded: one that is cancelled does not take the place that it waits for along.

    `lists` counts how often a model was through with its list.
    """

    @classmethod
    def given(cls, recipes: Sequence[Recipe], picked: int) -> Self:
        """A shortlist that is complete, with its pick."""
        shortlist = cls()
        shortlist.picked = picked
        for recipe in recipes:
            shortlist.add(recipe)
        shortlist.close("")
        return shortlist

    def __init__(self, seed: int | None = None) -> None:
        draw = Random(seed)  # noqa: S311  a dinner, not a secret
        self.picked, self._second_draw = draw.randrange(PLACES), draw.random()
        self.recipes: list[Recipe] = []
        loop = asyncio.get_running_loop()
        self._places: list[asyncio.Future[Recipe | None]] = [loop.create_future() for _ in range(PLACES)]
        self._pick: asyncio.Future[Recipe | Failed] = loop.create_future()
        self._reason = ""
        self.lists = 0
        self.is_closed = False

    @property
    def is_enough(self) -> bool:
        return len(self.recipes) >= ENOUGH

    @property
    def is_full(self) -> bool:
        return len(self.recipes) == PLACES

    @property
    def has_pick(self) -> bool:
        return self.picked < len(self.recipes)

    def add(self, recipe: Recipe) -> None:
        """Fills the next place, unless all are filled or a recipe of this name is there."""
        place = len(self.recipes)
        if self.is_full or recipe.name in {known.name for known in self.recipes}:
            return
        self.recipes.append(recipe)
        self._places[place].set_result(recipe)
        if place == self.picked:
            self._pick.set_result(recipe)

    def close(self, reason: str) -> None:
        """Says that no more recipes come; with fewer than two, whoever waits is given `reason`."""
        self._reason, self.is_closed = reason, True
        for place in self._places[len(self.recipes) :]:
            place.set_result(None)
        if self._pick.done():
            return
        if self.is_enough:
            self.picked = int(self._second_draw * len(self.recipes))
        self._pick.set_result(self.recipes[self.picked] if self.is_enough else Failed(reason))

    async def pick(self) -> Recipe | Failed:
        """The picked recipe, as soon as it is there, or why there is none."""
        return await asyncio.shield(self._pick)

    async def others(self) -> AsyncIterator[Recipe]:
        """The recipes that are not picked, each as soon as it is there. Raises `ProposalError` if there are too few."""
        picked = await self.pick()
        for place in self._places:
            recipe = await asyncio.shield(place)
            if recipe and recipe != picked:
                yield recipe
        if not self.is_enough:
            raise ProposalError("{message}", message=self._reason)

    def proposal(self) -> Proposal:
        """The recipes so far and the picked one, which is among them once `pick` has returned it."""
        return Proposal(tuple(self.recipes), self.picked)

"""The menu: which dishes a larder makes, how well each of them suits it, and what each of them is called."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cache, lru_cache
from random import Random
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter

from app.standin.english import singular
from app.standin.foods import Food, Larder
from app.standin.pantry import Language, Words, groups_of, load, pantry, vocabulary
from app.standin.wording import named

_MOST_BESIDE = 7
_MOST_LINES = 14
_NOTABLE = ("veg", "protein", "potato", "kimchi", "cheese", "fruit", "avocado")
_STAPLES = frozenset({"noodle", "pasta", "bread", "rice", "tortilla", "ricecake"})


class Telling(BaseModel):
    """A dish in one language. `story` has one list of variants for each sentence of the introduction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: tuple[str, ...]
    hooks: tuple[str, ...]
    story: tuple[tuple[str, ...], ...]
    steps: tuple[str, ...]


class Dish(BaseModel):
    """A dish: `needs` is a list of alternatives (kinds, groups or ids), of which the first gives the leading part;
    `takes` is what goes in besides; `cupboard` is added when it is not on hand."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: str
    minutes: int
    needs: tuple[tuple[str, ...], ...]
    takes: tuple[str, ...] = ()
    cupboard: tuple[str, ...] = ()
    shuns: tuple[str, ...] = ()
    cuts: dict[str, str] = {}
    amounts: dict[str, Words] = {}
    longest: int = 0
    most: int = _MOST_BESIDE
    likes: float = 0.0
    sides: str
    en: Telling
    ko: Telling

    def told(self, language: Language) -> Telling:
        return self.en if language == "en" else self.ko


@dataclass(frozen=True)
class Plan:
    """A dish as this larder makes it: what leads, what goes in beside it, what comes from the cupboard."""

    key: str
    dish: Dish
    lead: Food
    beside: tuple[Food, ...]
    cupboard: tuple[Food, ...]
    language: Language

    @property
    def foods(self) -> tuple[Food, ...]:
        return (self.lead, *self.beside, *self.cupboard)

    @property
    def notable(self) -> list[Food]:
        """What is worth a mention beside the leading part: the apples of a pancake, but not its eggs."""
        kinds = ("fruit", "chocolate") if self.dish.sides == "sweet" else _NOTABLE
        return [food for food in self.beside if matches(food, kinds) and food.id not in ("canned_tomatoes", "egg")]

    def names(self) -> list[str]:
        """Every name that this plan can go by."""
        titles = (named(name, self.lead, self.notable, self.language) for name in self.dish.told(self.language).names)
        return [title for title in titles if title is not None]


class Scored(NamedTuple):
    score: float
    plan: Plan


@cache
def dishes() -> dict[str, Dish]:
    return load("dishes", TypeAdapter(dict[str, Dish]))


def matches(food: Food, wanted: Iterable[str]) -> bool:
    marks = groups_of(food.kind) | {food.id}
    return not marks.isdisjoint(wanted)


@cache
def cupboard_food(key: str, language: Language) -> Food:
    known = pantry()[key]
    name = known.names.said(language)
    amount = known.amount.said(language)
    food = Food(key, known.kind, name, amount, language, known)
    return Food(key, known.kind, food.many if amount not in ("1", "1/2") else name, amount, language, known)


def rank(food: Food) -> int:
    order = vocabulary().rank
    return order.index(food.kind) if food.kind in order else len(order)


def plan(key: str, larder: Larder, language: Language) -> Plan | None:
    """The dish made from this larder, or nothing when one of its needs isn't met."""
    dish = dishes()[key]
    usable = [food for food in larder.foods if not matches(food, dish.shuns)]
    required: list[Food] = []
    for need in dish.needs:
        fitting = [food for food in usable if matches(food, need) and food not in required]
        if not fitting:
            return None
        required.append(min(fitting, key=rank))
    rest = (food for food in usable if food not in required and food.id not in larder.spare)
    beside = [food for food in rest if matches(food, (*dish.takes, *dish.cupboard))]
    beside = sorted(beside, key=rank)[: dish.most]
    chosen = [*required[1:], *beside]
    cupboard = _cupboard(dish, [required[0], *chosen], larder, language)
    room = _MOST_LINES - len(chosen) - 1
    lead, *others = (_measured(food, dish, language) for food in (required[0], *chosen, *cupboard[:room]))
    return Plan(key, dish, lead, tuple(others[: len(chosen)]), tuple(others[len(chosen) :]), language)


def _measured(food: Food, dish: Dish, language: Language) -> Food:
    """With the amount that this dish wants, unless the cook has said how much there is."""
    if food.id not in dish.amounts or food.known is None or food.amount != food.known.amount.said(language):
        return food
    amount = dish.amounts[food.id].said(language)
    one = food.known.is_counted and language == "en"
    return replace(food, amount=amount, name=singular(food.name) if one and amount == "1" else food.name)


def _cupboard(dish: Dish, have: Sequence[Food], larder: Larder, language: Language) -> list[Food]:
    """What the dish needs and the cook didn't name; one oil, one kind of noodle or one milk stands in for another."""
    ids = {food.id for food in have}
    kinds = {food.kind for food in have} & {*_STAPLES, "fat", "stock", "legume"}
    return [
        cupboard_food(key, language)
        for key in dish.cupboard
        if key not in ids and pantry()[key].kind not in kinds and larder.allows(key)
    ]


def plans(larder: Larder, minutes: int, language: Language) -> list[Scored]:
    """Every dish that can be made, the most fitting first."""
    scored = [Scored(_score(made, larder.foods, minutes), made) for made in _made(larder, language)]
    return sorted(scored, key=lambda entry: (-entry.score, entry.plan.key))


def with_basket(larder: Larder, language: Language) -> Larder:
    """The larder and what most kitchens have."""
    have = {food.id for food in larder.foods}
    spare = [key for key in vocabulary().basket if key not in have and larder.allows(key)]
    basket = (cupboard_food(key, language) for key in spare)
    return Larder((*larder.foods, *basket), larder.avoided, frozenset(spare))


@lru_cache(maxsize=64)  # the steps of one recipe all ask for the same
def _made(larder: Larder, language: Language) -> tuple[Plan, ...]:
    return tuple(made for key in dishes() if (made := plan(key, larder, language)) is not None)


def _score(made: Plan, foods: Sequence[Food], minutes: int) -> float:
    on_hand, used = {food.id for food in foods}, {made.lead.id, *(food.id for food in made.beside)}
    score = 2.0 * len(used & on_hand) + 1.5 * (len(made.dish.needs) - 1) + made.dish.likes
    score -= 2.5 * _ignores_a_staple(made, foods)
    important = min(foods, key=rank)
    if important.id not in used:
        score -= 4.0
    elif important.id == made.lead.id:
        score += 1.0
    if made.dish.minutes > minutes:
        score -= 100.0 + made.dish.minutes
    elif minutes >= 45 and made.dish.longest:
        score += 1.0
    return score


def _ignores_a_staple(made: Plan, foods: Sequence[Food]) -> bool:
    """Whether it wants rice from the cupboard, say, while there are noodles on hand."""
    used = {food.id for food in made.foods}
    unused = any(food.kind in _STAPLES and food.id not in used for food in foods)
    return unused and any(food.kind in _STAPLES for food in made.cupboard)


def propose(larder: Larder, minutes: int, language: Language, rng: Random) -> list[tuple[Plan, str]]:
    """Three plans of different forms with a name for each."""
    picked: list[tuple[Plan, str]] = []
    for stock in (larder, with_basket(larder, language)):
        jittered = sorted(
            plans(stock, minutes, language), key=lambda entry: entry.score + 1.8 * rng.random(), reverse=True
        )
        for score, made in jittered:
            if len(picked) == 3:
                return picked
            fits = score > -50 or stock is not larder
            if fits and _is_new(made, [each for each, _ in picked], larder) and (names := made.names()):
                picked.append((made, rng.choice(names)))
    return picked


def _is_new(made: Plan, picked: Sequence[Plan], larder: Larder) -> bool:
    """Another form of dish, and not around the same thing again if that is from the cupboard."""
    same_form = any(made.dish.form == other.dish.form for other in picked)
    from_cupboard = made.lead.id not in {food.id for food in larder.foods}
    same_lead = from_cupboard and any(made.lead.id == other.lead.id for other in picked)
    return not same_form and not same_lead


def find(name: str, larder: Larder, language: Language) -> Plan:
    """The plan that goes by this name; for a name that isn't ours, the one whose name comes nearest."""
    wide = with_basket(larder, language)
    wanted = _plain(name)
    for stock in (larder, wide):
        for made in _made(stock, language):
            if wanted in map(_plain, made.names()):
                return made
    return max((*_made(larder, language), *_made(wide, language)), key=lambda made: _likeness(wanted, made))


def _likeness(wanted: str, made: Plan) -> float:
    return max((SequenceMatcher(None, wanted, _plain(title)).ratio() for title in made.names()), default=0.0)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name.casefold()).strip()

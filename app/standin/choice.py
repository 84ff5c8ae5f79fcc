"""Ranks the dishes for a larder, proposes three, and finds the one that a name means."""

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from random import Random
from typing import NamedTuple

from app.standin.avoidance import Avoidance
from app.standin.foods import Food, Larder
from app.standin.kinds import NAMED, STAPLES
from app.standin.menu import Plan, Terms, dishes, importance, matches, plan, rank, with_basket
from app.standin.pantry import Language, groups_of

_SLOT = re.compile(r"\{[^{}]*\}")
_TOO_LATE = -50.0  # a lower score means that the dish takes longer than the time given
_MOST_OF_IT = 0.7
_MAIN_FOOD = 0.45
_ANY_OF_IT = 0.2
_IDEAS = 3
_SEASONINGS = frozenset({"seasoning", "sauces", "fat", "garnish", "aroma", "drink", "citrus"})


_Stage = tuple[Larder, bool, float, bool]  # the stock, whether only in time, the share to use, whether a lead may recur


class Scored(NamedTuple):
    score: float
    plan: Plan


@lru_cache(maxsize=64)  # the parts of a recipe use the same arguments
def plans(larder: Larder, language: Language, terms: Terms) -> tuple[Scored, ...]:
    """Returns all dishes that can be made, the best first."""
    scored = [Scored(_score(made, larder.foods, terms.minutes), made) for made in _made(larder, language, terms)]
    return tuple(sorted(scored, key=lambda entry: (-entry.score, entry.plan.key)))


def _made(larder: Larder, language: Language, terms: Terms) -> tuple[Plan, ...]:
    made = (plan(key, larder, language, terms) for key in dishes())
    return tuple(each for each in made if each is not None and _is_allowed(each, larder.avoidance))


def _is_allowed(made: Plan, avoidance: Avoidance) -> bool:
    """Whether its foods, its steps and at least one of its names contain no avoided food."""
    if not avoidance.groups:
        return True
    steps = (_SLOT.sub(" ", step) for step in made.dish.texts(made.language).steps)
    names = (food.name for food in made.foods)
    return all(map(avoidance.allows, (*names, *steps))) and bool(avoidance.allowed(made.names()))


def _score(made: Plan, foods: Sequence[Food], minutes: int) -> float:
    on_hand = {food.id for food in foods}
    used = {food.id for food in (made.lead, *made.beside, *made.cupboard)} & on_hand
    served = {food.id for food in made.extras}
    score = 2.0 * len(used) + 1.5 * len(served) + 1.5 * (len(made.dish.needs) - 1) + made.dish.likes
    score -= 2.5 * _ignores_a_staple(made, foods) + _idle(made, minutes)
    important = min(foods, key=rank)
    if important.id not in used:
        score -= 4.0
    elif important.id == made.lead.id:
        score += 1.0
    if made.dish.minutes > minutes:
        score -= 100.0 + made.dish.minutes
    return score


def _idle(made: Plan, minutes: int) -> float:
    """Prefers longer dishes if there is more time."""
    return min(3.0, max(0, min(minutes, 120) - 1.6 * made.total(minutes)) / 25)


def _ignores_a_staple(made: Plan, foods: Sequence[Food]) -> int:
    """Returns 1 if a staple on hand is unused, and 2 if another staple comes from the cupboard as well."""
    used = {food.id for food in made.foods}
    if not any(food.kind in STAPLES and food.id not in used for food in foods):
        return 0
    return 1 + any(food.kind in STAPLES for food in made.cupboard)


def propose(
    larder: Larder, language: Language, terms: Terms, wishes: Sequence[frozenset[str]], rng: Random
) -> list[tuple[Plan, str]]:
    """Returns three plans with names, of different forms unless that leaves out too much, the wished dishes first."""
    picked: list[tuple[Plan, str]] = []
    wide = with_basket(larder, language)
    stages = (
        (larder, True, _MOST_OF_IT, False),
        (wide, True, _MOST_OF_IT, False),
        (larder, True, _MAIN_FOOD, False),
        (wide, True, _MAIN_FOOD, False),
        (wide, True, _ANY_OF_IT, False),
        (wide, True, 0.0, True),
        (wide, False, 0.0, True),
    )

    def pick(stages: Iterable[_Stage], only: frozenset[str] | None = None) -> None:
        for stock, in_time, share, same_lead in stages:
            options = [
                entry._replace(score=entry.score + 1.8 * rng.random())
                for entry in _on_topic(plans(stock, language, terms), larder, share)
                if (entry.score > _TOO_LATE or not in_time) and (only is None or entry.plan.key in only)
            ]
            while len(picked) < _IDEAS and (
                fresh := _fresh(options, [made for made, _ in picked], frozenset() if same_lead else wide.spare)
            ):
                best = max(fresh, key=lambda entry: entry.score - 4.0 * _forms(entry.plan, picked))
                picked.append((best.plan, rng.choice(larder.avoidance.allowed(best.plan.names()))))

    is_meatless = not any(matches(food, NAMED) for food in larder.foods)
    for wish in wishes:
        pick(stages[: 5 if is_meatless else 4], wish)
    picked += _renamed(picked, larder.avoidance)[: _IDEAS - len(picked)]
    pick(stages)
    return picked


def _renamed(picked: Sequence[tuple[Plan, str]], avoidance: Avoidance) -> list[tuple[Plan, str]]:
    """Returns the same dishes under their other names."""
    taken = {name for _, name in picked}
    return [(made, name) for made, _ in picked for name in avoidance.allowed(made.names()) if name not in taken]


def _on_topic(options: Sequence[Scored], larder: Larder, share: float) -> Sequence[Scored]:
    """Returns the plans that cook the main food and at least this share of what the best one cooks."""
    if not share or not larder.foods:
        return options
    on_hand = {food.id for food in larder.foods}
    used = [{food.id: food for food in entry.plan.cooked if food.id in on_hand} for entry in options]
    served = [sum(map(_weight, entry.plan.extras)) / 2 for entry in options]
    totals = [sum(map(_weight, foods.values())) + extra for foods, extra in zip(used, served, strict=True)]
    totals = [
        total if any(_weight(food) >= 1 for food in foods.values()) else 0.0
        for foods, total in zip(used, totals, strict=True)
    ]
    candidates = list(zip(options, used, totals, strict=True))
    in_time = [(total, foods) for entry, foods, total in candidates if entry.score > _TOO_LATE and foods]
    if not in_time:
        return options
    main = min((food for _, foods in in_time for food in foods.values()), key=importance).id
    most = max(total for total, foods in in_time if main in foods)
    return [
        entry for entry, foods, total in candidates if total >= share * most and (main in foods or share <= _ANY_OF_IT)
    ]


def _weight(food: Food) -> float:
    """Meat and the like count more for what a dish makes of a larder, seasonings less."""
    return 2.0 if matches(food, NAMED) else 0.4 if groups_of(food.kind) & _SEASONINGS else 1.0


def _forms(made: Plan, picked: Sequence[tuple[Plan, str]]) -> int:
    return sum(made.dish.form == other.dish.form for other, _ in picked)


def _fresh(options: Iterable[Scored], picked: Sequence[Plan], spare: frozenset[str]) -> list[Scored]:
    """Returns the plans of other dishes, without those around the same spare food."""
    keys = {made.key for made in picked}
    leads = {made.lead.id for made in picked} & spare
    fresh = (entry for entry in options if entry.plan.key not in keys and entry.plan.lead.id not in leads)
    return [entry for entry in fresh if entry.plan.names()]


def find(name: str, larder: Larder, language: Language, terms: Terms) -> Plan | None:
    """Returns the plan with this name, or the one with the closest name.

    Returns None if no dish meets the restrictions."""
    wide = with_basket(larder, language)
    wanted = _plain(name)
    for stock in (larder, wide):
        for _, made in plans(stock, language, terms) if stock.foods else ():
            if wanted in map(_plain, made.names()):
                return made
    everything = (*_made(larder, language, terms), *_made(wide, language, terms))
    return max(everything, key=lambda made: _likeness(wanted, made), default=None)


def _likeness(wanted: str, made: Plan) -> float:
    return max((SequenceMatcher(None, wanted, _plain(title)).ratio() for title in made.names()), default=0.0)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name.casefold()).strip()

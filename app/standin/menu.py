"""The dishes that can be made from a larder, how well they suit it, and their names."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from app.standin import amounts
from app.standin.english import singular
from app.standin.foods import WORD, Food, Larder, agreed
from app.standin.kinds import BULK, FILLING, GARDEN, NAMED, NOTABLE, ONE_OF_A_KIND, POURED, STAPLES, STOCKS, WEIGHTY
from app.standin.names import bare, scan
from app.standin.pantry import Alongside, Entry, Ingredient, Language, Words, groups_of, load, pantry, vocabulary
from app.standin.wording import named

_SLOT = re.compile(r"\{[^{}]*\}")
_MOST_BESIDE = 7
_MOST_LINES = 14
_MOST_ALONGSIDE = 3
_FAR_TOO_MUCH = 2.0
_BULK_UNITS = ("pack", "bottle")


class DishTexts(Entry):
    """A dish in one language. `story` has one list of variants for each sentence of the introduction."""

    names: tuple[str, ...]
    hooks: tuple[str, ...]
    story: tuple[tuple[str, ...], ...]
    steps: tuple[str, ...]


class Dish(Entry):
    """A dish: `needs` is a list of alternatives (kinds, groups or ids), of which the first gives the leading part;
    `takes` is what goes in besides; `cupboard` is added when it is not on hand. There is no such dish without what is
    `essential`; one that is `gentle` is for small children alone."""

    form: str
    minutes: int
    needs: tuple[tuple[str, ...], ...]
    takes: tuple[str, ...] = ()
    cupboard: tuple[str, ...] = ()
    shuns: tuple[str, ...] = ()
    essential: tuple[str, ...] = ()
    cuts: Mapping[str, str] = {}
    amounts: Mapping[str, Words] = {}
    simmer: int = 0
    longest: int = 0
    most: int = _MOST_BESIDE
    likes: float = 0.0
    gentle: bool = False
    sides: str
    en: DishTexts
    ko: DishTexts

    def texts(self, language: Language) -> DishTexts:
        return self.en if language == "en" else self.ko

    def usual(self, key: str, entry: Ingredient) -> Words:
        """Returns the amount for two servings."""
        return self.amounts.get(key, entry.amount)


@dataclass(frozen=True)
class Terms:
    """How long the cook has and for how many."""

    minutes: int = 30
    servings: int = 2


@dataclass(frozen=True)
class Plan:
    """A dish made from a larder: its leading food, further foods, foods from the cupboard, and foods served
    alongside."""

    key: str
    dish: Dish
    lead: Food
    beside: tuple[Food, ...]
    cupboard: tuple[Food, ...]
    language: Language
    alongside: tuple[tuple[Alongside, tuple[Food, ...]], ...] = ()
    servings: int = 2

    @property
    def extras(self) -> tuple[Food, ...]:
        return tuple(food for _, foods in self.alongside for food in foods)

    @property
    def cooked(self) -> tuple[Food, ...]:
        return (self.lead, *self.beside, *self.cupboard)

    @property
    def foods(self) -> tuple[Food, ...]:
        return (self.lead, *self.beside, *self.extras, *self.cupboard)

    def spare_minutes(self, minutes: int) -> int:
        """Uses the available time if the dish can simmer longer."""
        left = minutes - sum(rule.minutes for rule, _ in self.alongside)
        return max(0, min(left, self.dish.longest) - self.dish.minutes) // 5 * 5

    def simmers(self, minutes: int) -> int:
        return (self.dish.simmer or self.dish.minutes // 2) + self.spare_minutes(minutes)

    def total(self, minutes: int) -> int:
        aside = sum(rule.minutes for rule, _ in self.alongside)
        return max(self.dish.minutes + self.spare_minutes(minutes), aside)

    @property
    def pasta(self) -> str:
        return next((food.one for food in self.foods if food.kind == "pasta"), "")

    @property
    def notable(self) -> list[Food]:
        """Foods worth naming besides the leading one: the apples of a pancake, but not its eggs."""
        kinds = (
            ("fruit", "tart_fruit", "chocolate", "biscuit", "custard", "ice_cream")
            if self.dish.sides == "sweet"
            else NOTABLE
        )
        return [food for food in self.beside if matches(food, kinds) and food.id not in ("canned_tomatoes", "egg")]

    def honest(self, templates: Sequence[str]) -> list[str]:
        """Returns the texts that name no food which the dish usually has and this plan has not, if there are any."""
        ids, kinds = {food.id for food in self.foods}, {food.kind for food in self.foods} - {"fat"}
        missing = {key for key in self.dish.cupboard if key not in ids and pantry()[key].kind not in kinds}
        return [text for text in templates if missing.isdisjoint(_foods_in(text))]

    def names(self) -> list[str]:
        """Returns all possible names of this plan: those with its meat or the like, if there are any."""
        lead = self.lead.one.lower()
        # avoids Rice Porridge with Rice
        known = self.honest(self.dish.texts(self.language).names)
        names = [name for name in known if "{lead" not in name or lead not in name.lower()]
        if self.lead.kind == "pasta":
            names = [name for name in names if "{lead" not in name] or names
        filled = (named(name, self.lead, self.notable, self.language, self.pasta) for name in names)
        titles = [title for title in filled if title is not None]
        titles = [title for title in titles if not _repeats(title)] or titles[:1]
        main = min((self.lead, *self.notable), key=importance)
        return [title for title in titles if main.one.lower() in title.lower()] if _has(titles, main) else titles


@lru_cache(maxsize=4096)
def _foods_in(template: str) -> frozenset[str]:
    """Returns the foods that a template names itself, outside of its slots."""
    return frozenset(key for _, key in scan(" ".join(WORD.findall(_SLOT.sub(" ", template)))))


def _has(titles: Iterable[str], main: Food) -> bool:
    return matches(main, NAMED) and any(main.one.lower() in title.lower() for title in titles)


def _repeats(title: str) -> bool:
    """Whether a name repeats a food, as in Tomato Pasta with Tomatoes."""
    words = [singular(bare(word)) for word in title.lower().split() if len(word) > 3 or not word.isascii()]
    return len(set(words)) < len(words)


@cache
def dishes() -> dict[str, Dish]:
    return load(dict[str, Dish], "dishes")


def matches(food: Food, wanted: Iterable[str]) -> bool:
    marks = groups_of(food.kind) | {food.id}
    return not marks.isdisjoint(wanted)


@cache
def cupboard_food(key: str, language: Language) -> Food:
    entry = pantry()[key]
    name = entry.names.in_language(language)
    amount = entry.amount.in_language(language)
    food = Food(key, entry.kind, name, amount, language, entry)
    return Food(key, entry.kind, food.many if amount not in ("1", "1/2") else name, amount, language, entry)


def rank(food: Food) -> int:
    order = vocabulary().rank
    return order.index(food.kind) if food.kind in order else len(order)


def importance(food: Food) -> tuple[bool, int]:
    """Sorts what a dish is about first: meat and the like before a staple, then by kind."""
    return not matches(food, NAMED), rank(food)


def plan(key: str, larder: Larder, language: Language, terms: Terms) -> Plan | None:
    """Returns the dish made from this larder, or None if something essential is missing."""
    dish = dishes()[key]
    if dish.gentle and larder.allows("salt"):
        return None
    usable = [food for food in larder.foods if not (matches(food, dish.shuns) or _least(food) > terms.minutes)]
    required: list[Food] = []
    for need in dish.needs:
        fitting = [food for food in usable if matches(food, need) and food not in required]
        if not fitting:
            return None
        required.append(min(fitting, key=lambda food: (food.id in larder.spare, rank(food))))
    rest = (food for food in usable if food not in required and food.id not in larder.spare)
    beside = [food for food in rest if matches(food, (*dish.takes, *dish.cupboard))]
    beside = sorted(beside, key=rank)[: dish.most]
    chosen = [*required, *beside]
    cupboard = _cupboard(dish, chosen, larder, language)
    room = _MOST_LINES - len(chosen)
    cupboard = cupboard[:room]
    ids = {name for food in (*chosen, *cupboard) for name in (food.id, food.role)}
    if not ids.issuperset(dish.essential):
        return None
    own = {food.id for food in chosen if not food.role} | {food.id for food in cupboard if food.role and food.typed}
    alongside = _alongside(dish, larder, {*ids, *own}, chosen + cupboard, terms, room - len(cupboard))
    factor, servings = _batch(dish, [*chosen, *(food for _, foods in alongside for food in foods)], terms)
    lead, *others = (_measured(food, dish, factor, language) for food in (*chosen, *cupboard))
    served = tuple(
        (rule, tuple(_measured(food, dish, factor, language) for food in foods)) for rule, foods in alongside
    )
    count = len(chosen) - 1
    return Plan(key, dish, lead, tuple(others[:count]), tuple(others[count:]), language, served, servings)


def _batch(dish: Dish, foods: Sequence[Food], terms: Terms) -> tuple[float, int]:
    """Returns the factor relative to two servings, and the number of servings."""
    if terms.servings != 2:
        return terms.servings / 2, terms.servings
    ratios = (
        amounts.ratio(food.amount, dish.usual(food.id, food.entry).in_language(food.language)) if food.typed else 1.0
        for food in foods
        if food.entry and (food.kind in WEIGHTY or (matches(food, GARDEN) and not food.typed))
    )
    factor = min(8.0, max(0.5, max(filter(None, ratios), default=1.0)))
    return (1.0, 2) if 0.7 < factor < 1.5 else (factor, max(1, round(2 * factor**0.8)))


def _measured(food: Food, dish: Dish, factor: float, language: Language) -> Food:
    """Sets the amount that the dish needs, unless the user typed one: for a kilo of sugar, only what is needed."""
    is_bulk = food.typed and matches(food, BULK) and amounts.unit_in(food.amount) in _BULK_UNITS
    if food.entry is None or food.kind in POURED or (food.typed and not (is_bulk or matches(food, STOCKS))):
        return food
    usual = dish.usual(food.id, food.entry).in_language(language)
    if food.kind == "fat":
        factor **= 0.6  # sauces and fats scale less than the rest
    elif matches(food, ("seasoning", "sauces", "aroma")):
        factor **= 0.85
    amount = amounts.scaled(usual, factor)
    if food.typed and not is_bulk and (amounts.ratio(food.amount, amount) or 0) < _FAR_TOO_MUCH:
        return food
    return replace(food, amount=amount, name=agreed(food.name, amount, food.entry) if language == "en" else food.name)


def _cupboard(dish: Dish, have: Sequence[Food], larder: Larder, language: Language) -> list[Food]:
    """Returns what the dish needs and is not on hand. One oil, noodle or milk can replace another."""
    ids = {food.id for food in have}
    kinds = {food.kind for food in have} & {*STAPLES, "stock", "legume", "flour", "cheese"}
    spare = [food for food in larder.foods if food.kind in ONE_OF_A_KIND and food.id not in dish.cupboard]
    spare = [food for food in spare if not matches(food, dish.shuns)]
    added: list[Food] = []
    for key in dish.cupboard:
        kind = pantry()[key].kind
        own = next((food for food in spare if food.kind == kind and kind == "fat"), None)
        if key in ids or kind in kinds or not ids.isdisjoint(vocabulary().covers.get(key, ())):
            continue
        if own is not None and own.id not in {food.id for food in added}:
            added.append(replace(own, role=key))
        elif food := _stand_in(key, larder, {*ids, *(food.id for food in added)}, language):
            added.append(food)
    return added


def _stand_in(key: str, larder: Larder, taken: set[str], language: Language) -> Food | None:
    """Returns the food, or its first replacement that is allowed."""
    if larder.allows(key):
        return cupboard_food(key, language)
    options = (each for each in vocabulary().stand_ins.get(key, ()) if larder.allows(each) and each not in taken)
    other = next(options, None)
    return replace(cupboard_food(other, language), role=key) if other else None


def _alongside(
    dish: Dish, larder: Larder, used: set[str], foods: Sequence[Food], terms: Terms, room: int
) -> list[tuple[Alongside, tuple[Food, ...]]]:
    """Returns foods on hand to serve alongside, if time and space allow."""
    left = [food for food in larder.foods if food.id not in used and food.id not in larder.spare]
    spent, filling, served = dish.minutes, any(food.kind in FILLING for food in foods), 0
    rules: list[tuple[Alongside, tuple[Food, ...]]] = []
    for rule in vocabulary().alongside:
        fitting = [food for food in left if matches(food, rule.of) and not matches(food, rule.shuns)]
        fitting = fitting[: min(room, _MOST_ALONGSIDE) - served]
        fitting = [food for food in fitting if not (filling and food.kind in FILLING)][:2]
        if not fitting or not _goes_with(rule, dish) or spent + rule.minutes > terms.minutes:
            continue
        fitting = fitting[:1] if fitting[0].kind in FILLING else fitting
        filling = filling or fitting[0].kind in FILLING
        spent, served = spent + rule.minutes, served + len(fitting)
        left = [food for food in left if food not in fitting]
        rules.append((rule, tuple(fitting)))
    return rules


def _goes_with(rule: Alongside, dish: Dish) -> bool:
    return dish.sides in rule.sides and (not rule.forms or dish.form in rule.forms)


def is_slow(food: Food, minutes: int) -> bool:
    """Whether there are dishes with this food, but all take too long."""
    times = [dish.minutes for dish in dishes().values() if matches(food, (*dish.needs[0], *dish.takes))]
    return bool(times) and max(min(times), _least(food)) > minutes


def _least(food: Food) -> int:
    return food.entry.minutes if food.entry else 0


def with_basket(larder: Larder, language: Language) -> Larder:
    """Returns the larder plus common staples."""
    have = {food.id for food in larder.foods}
    spare = [key for key in vocabulary().basket if key not in have and larder.allows(key)]
    if larder.avoidance.groups:
        spare += [key for key in vocabulary().plain_basket if key not in have and larder.allows(key)]
    basket = (cupboard_food(key, language) for key in spare)
    return replace(larder, foods=(*larder.foods, *basket), spare=frozenset(spare))

"""Fills the slots of templates, and leaves out parts with empty slots.

A slot is `{name}`, for several sorts of food `{aroma+veg-leek}`, or, in Korean, `{name:을}` with the particle. What
stands in [brackets] is left out when one of its slots is empty; outside of brackets the whole sentence is.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from app.standin.amounts import HANGUL
from app.standin.english import listed, title
from app.standin.foods import Food
from app.standin.korean import Noun
from app.standin.pantry import Language, groups_of

Resolve = Callable[[str], str]

_SLOT = re.compile(r"\{([\w+=-]+)(?::(\w+))?\}")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_SENTENCE_END = re.compile(r"(?<=[.!?]) +")


def fill(template: str, resolve: Resolve) -> str:
    """Returns the sentences of the template whose slots could be filled."""
    filled = (_filled_sentence(sentence, resolve) for sentence in _SENTENCE_END.split(template))
    return " ".join(sentence for sentence in filled if sentence)


def _filled_sentence(sentence: str, resolve: Resolve) -> str:
    # The required slots are tried first: a dropped sentence must not count as having mentioned anything.
    if any(not resolve("?" + slot[1]) for slot in _SLOT.finditer(_OPTIONAL.sub("", sentence))):
        return ""
    whole = _OPTIONAL.sub(lambda part: part[1] if _has_all(part[1], resolve) else "", sentence)
    text = _SLOT.sub(lambda slot: format(Noun(resolve(slot[1])), slot[2] or ""), whole)
    return text if HANGUL.search(text) else text[:1].upper() + text[1:]


def _has_all(part: str, resolve: Resolve) -> bool:
    return all(resolve("?" + slot[1]) for slot in _SLOT.finditer(part))


def joined(words: Sequence[str], language: Language) -> str:
    """Returns `a, b and c` or `가, 나와 다`."""
    if language == "en" or len(words) < 2:
        return listed(words)
    *front, before, last = words
    return ", ".join((*front, f"{Noun(before):과} {last}"))


def fits(food: Food, slot: str) -> bool:
    return slot == food.id or slot in groups_of(food.kind)


def named(template: str, lead: Food, rest: Sequence[Food], language: Language, pasta: str = "") -> str | None:
    """Returns the name of a dish. {lead} and {other} come before a noun (onion soup), the rest are used alone."""
    values = {
        "lead": lead.one,
        "leads": lead.many,
        "other": rest[0].one if rest else "",
        "some": rest[0].many if rest else "",
        "others": joined([food.many for food in rest[:2]], language),
        "pasta": pasta,
    }
    text = fill(template, lambda slot: values[slot.lstrip("?")])
    return (title(text) if language == "en" else text) or None


class Mentions:
    """Names foods in running text: the first time with the amount, later on by name.

    A slot stands for the foods that no slot before it has used, with `{=veg}` for those that one has; only `{lead}`
    stands for the leading part each time.
    """

    def __init__(self, lead: str | None, foods: Iterable[Food], values: dict[str, str], language: Language) -> None:
        self._lead = lead
        self._foods = tuple(foods)
        self._values = values
        self._language: Language = language
        self._mentioned: set[str] = set()
        self._used: set[str] = set()

    @property
    def left(self) -> list[Food]:
        return [food for food in self._foods if food.id not in self._used]

    def __call__(self, slot: str) -> str:
        if slot.startswith("?"):
            return "yes" if slot[1:] in self._values or self._in(slot[1:]) else ""
        return self._values.get(slot) or self.say(self._in(slot))

    def say(self, foods: Sequence[Food]) -> str:
        """Names foods and counts them as used."""
        self._used |= {food.id for food in foods}
        return self.prepare(foods)

    def prepare(self, foods: Sequence[Food]) -> str:
        """Names foods without counting them as used."""
        old = [food.later for food in foods if food.id in self._mentioned]
        new = [food.phrase for food in foods if food.id not in self._mentioned]
        self._mentioned |= {food.id for food in foods}
        if old and self._language == "en":
            old[0] = f"the {old[0]}"
        return joined([*old, *new], self._language)

    def _in(self, slot: str) -> list[Food]:
        """Returns the foods of a slot. `lead` is the leading food, which no other slot includes."""
        return [food for food in self._foods if any(self._is_in(food, name) for name in slot.split("+"))]

    def _is_in(self, food: Food, name: str) -> bool:
        name, *without = name.split("-")
        if food.id == self._lead:
            return name == "lead"
        if food.id in without or (food.id in self._used) != name.startswith("="):
            return False
        name = name.removeprefix("=")
        return food.role == name or fits(food, name)


def named_in(templates: Iterable[str]) -> set[str]:
    """Returns the names in the slots of these templates."""
    slots = (slot[1] for template in templates for slot in _SLOT.finditer(template))
    return {name.split("-")[0].removeprefix("=") for slot in slots for name in slot.split("+")}

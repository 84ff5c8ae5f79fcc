"""Foods that a recipe must not contain: their names, what contains them, and whether a text names them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

from app.standin.amounts import HANGUL
from app.standin.english import singular
from app.standin.names import id_of
from app.standin.pantry import Entry, Language, Words, ids_by_name, load, normal, pantry
from app.standin.spelling import corrected

_FREE = re.compile(
    r"(?:(\w+)-free|(\w{3,})less|non-?(\w+)|(?:vegan|vegetarian|veggie|plant-based|비건|식물성)"
    r"|([가-힣]+?) ?(?:없는|안 들어간|프리)) "
)
EXCEPT = " except "  # meat except chicken
_GENERIC = re.compile(r" (?:product|stuff|dish|item|family)$")  # pork products


class Avoided(Entry):
    names: tuple[str, ...]
    words: tuple[str, ...]
    fine: tuple[str, ...] = ()


class DietRule(Entry):
    avoided: tuple[str, ...]
    unsure: bool = False


class Rules(Entry):
    avoided: dict[str, Avoided]
    diets: dict[str, DietRule]
    phrases: dict[str, Words]

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(normal(name) for each in self.avoided.values() for name in each.names)


@dataclass(frozen=True)
class Avoidance:
    """The words to avoid, exempt phrases, and diets that the rules do not cover."""

    groups: frozenset[tuple[frozenset[str], frozenset[str]]] = frozenset()
    unsure: tuple[str, ...] = ()

    def allows(self, text: str) -> bool:
        """Whether the text names no avoided food."""
        return not any(_names(text, words, fine) for words, fine in self.groups)

    def with_free(self, products: Mapping[str, frozenset[str]]) -> "Avoidance":
        """Allows the other names of products as far as the products are named free of it: dairy-free cheese."""
        groups = self.groups
        for product, names in products.items():
            free = free_of(product).groups
            groups = frozenset(
                (words, fine | names) if (words, fine) in free else (words, fine) for words, fine in groups
            )
        return Avoidance(groups, self.unsure)

    def without(self, other: "Avoidance") -> "Avoidance":
        """Returns what is left to avoid in something that is free of the other."""
        return Avoidance(self.groups - other.groups, self.unsure)

    def allowed(self, texts: Iterable[str]) -> list[str]:
        return [text for text in texts if self.allows(text)]


NOTHING = Avoidance()


@cache
def rules() -> Rules:
    return load(Rules, "avoidance.toml")


@lru_cache(maxsize=256)
def avoidance(diets: tuple[str, ...], foods: tuple[str, ...], has_meat: bool = False) -> Avoidance:
    """Builds the avoidance from diets and foods. `has_meat` matters for diets that separate meat and milk."""
    groups: list[tuple[frozenset[str], frozenset[str]]] = []
    unsure: list[str] = []
    for diet in diets:
        rule = rules().diets.get(diet)
        groups += [_group(key) for key in (rule.avoided if rule else ())]
        if diet == "kosher":
            groups.append(_group("milk") if has_meat else _group("meat"))
        if rule is None:
            groups += _of_food(diet)
        if rule is None or rule.unsure:
            unsure.append(diet)
    for food in foods:
        groups += _of_food(food)
    return Avoidance(frozenset(groups), tuple(unsure))


def free_of(name: str) -> Avoidance:
    """Returns what a product is free of by its name: dairy-free cheese, eggless noodles, vegan butter."""
    if not (found := _FREE.match(name.lower())):
        return NOTHING
    food = next((each for each in found.groups() if each), "")
    return avoidance((), (food,)) if food else avoidance(("vegan",), ())


def is_meat(name: str) -> bool:
    return _names(name, *_group("meat"))


@lru_cache(maxsize=256)
def avoided_ids(avoided: Avoidance) -> frozenset[str]:
    """Returns the avoided ingredients of the pantry, by name."""
    return frozenset(key for key, each in pantry().items() if not avoided.allows(f"{each.names.en}, {each.names.ko}"))


def phrase(name: str, language: Language) -> str:
    return rules().phrases[name].in_language(language)


def _group(key: str) -> tuple[frozenset[str], frozenset[str]]:
    return frozenset(rules().avoided[key].words), frozenset(rules().avoided[key].fine)


def _of_food(food: str) -> list[tuple[frozenset[str], frozenset[str]]]:
    """Returns the groups with this name, everything in its entry of the pantry, and the word itself."""
    food, _, spared = food.partition(EXCEPT)
    whole = normal(food.replace("-", " "))
    name = _known(_GENERIC.sub("", whole))
    last = name.split()[-1] if name else ""
    exact = [key for key, each in rules().avoided.items() if not {whole, name}.isdisjoint(map(normal, each.names))]
    groups = [_group(key) for key in exact or _groups_with_part_of(whole, name)]
    entry = pantry().get(id_of(name, ids_by_name()) or id_of(last, ids_by_name()) or "")
    words = {singular(name) for name in (*entry.names, *entry.also)} if entry else set[str]()
    fine = {f"{name} free", f"{name} 프리"}.union(*(fine for _, fine in groups))  # coconut milk is no milk
    groups.append((frozenset({name, *words} - {""}), frozenset(fine)))
    return [(words, fine | _spared(spared)) for words, fine in groups] if spared else groups


def _groups_with_part_of(*names: str) -> list[str]:
    """Returns the groups that the last word of a name is in: pork of "cured pork"."""
    rows = rules().avoided.items()
    return [key for key, each in rows if any(_is_part(name, part) for name in names for part in each.names)]


@cache
def _spared(foods: str) -> frozenset[str]:
    """Returns the names of foods that a restriction excepts: no meat except chicken."""
    return frozenset(singular(name) for food in foods.split(" and ") for name in _kin(normal(food)))


def _kin(name: str) -> Iterable[str]:
    """Returns the names of a food of the pantry, or everything in a group of foods."""
    entry = pantry().get(id_of(name, ids_by_name()) or "")
    if entry and name in map(normal, entry.names):
        return name, *entry.names, *entry.also
    groups = (each for each in rules().avoided.values() if name in map(normal, each.names))
    return {name, *(each for group in groups for each in (*group.names, *group.words))}


def _known(name: str) -> str:
    """Returns the name, or the food that it is misspelt for: cheeze."""
    is_known = id_of(name, ids_by_name()) or name in rules().names
    return name if is_known else corrected(name) or name


def _is_part(name: str, part: str) -> bool:
    """Whether a part is the name or its last word, or inside it in Korean: 계란 of 계란노른자."""
    plain = normal(part)
    return plain in (name, name.rpartition(" ")[2]) or (len(part) > 1 and bool(HANGUL.match(part)) and part in name)


def _names(text: str, words: frozenset[str], fine: frozenset[str]) -> bool:
    return bool(_pattern(words).search(_pattern(fine).sub(" ", text) if fine else text))


@lru_cache(maxsize=1024)
def _pattern(words: frozenset[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(_word, sorted(words, key=len, reverse=True))) or r"(?!)", re.IGNORECASE)


def _word(word: str) -> str:
    """English words match whole or in the plural; Korean words of two or more syllables also match inside a word."""
    if re.fullmatch(r"[가-힣]", word):
        return rf"(?<![가-힣]){word}(?=(?:은|는|이|가|을|를|과|와|의|에|도|만|으로|로|랑|이랑)?(?![가-힣]))"
    if re.search(r"[가-힣]", word):
        return re.escape(word).replace(r"\ ", r"\s?")
    stem, ending = (word[:-1], "(?:y|ies)") if re.search(r"[^aeiou]y$", word) else (word, "(?:s|es)?")
    if word.endswith("f") or word.endswith("leaf"):
        ending = "(?:s|es)?"
    return rf"(?<![^\W_]){re.escape(stem)}{ending}(?![^\W_])".replace(r"\ ", "[ -]")

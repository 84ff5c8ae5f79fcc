"""The diets, the foods to avoid and the number of people in a list of ingredients.

The phrases are in `data/diets.toml`, `data/restrictions.en.toml` and `data/restrictions.ko.toml`, the foods among the
nouns; the code knows only their order. Every pattern matches a bounded length of text around a phrase, so the time is
linear in the length of the text.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from chains.recipe.not_food import listed_in
from chains.recipe.nouns import foods_in, kind_of
from chains.recipe.restrictions import clauses, diets, english, korean, swaps
from chains.recipe.restrictions.exceptions import with_exceptions
from chains.recipe.restrictions.foods import WINDOW, Match
from chains.recipe.restrictions.phrases import any_of, tables
from chains.recipe.restrictions.spelling import LANGUAGES, lower, plain
from chains.recipe.servings import servings_in

_LEADING_LINK = re.compile(r"^[\s&+–—-]+(?=\s|$)|^(?:except(?: for)?|apart from|aside from|other than|besides)\s")
_LABEL = re.compile(r"(?:^|(?<=[,;.\n\0]))\s*[^\W\d_]+(?: [^\W\d_]+)? ?[-–—:]\s*\0")  # Emma - no dairy
_TRAILING_LINK = re.compile(r"\s(?:and|or|but|with|except|그리고)$")
_PARTICLE = re.compile(r"(?<=[가-힣])(?:께서|이|가|은|는|도|한테)$")
# The whole of a restriction that may be the beginning of a product's name: dairy-free cheese
_QUALITY = re.compile(
    r"[\w-]+[ -]free|[a-z]+less|non[ -]?[a-z]+|vegan|vegetarian|veggie|plant[ -]based"
    r"|[가-힣]+ ?(?:없는|없이 만든|안 들어간|프리)|비건|식물성"
)


@dataclass(frozen=True)
class Restrictions:
    """The restrictions in a text. `rest` is the text without them: "gluten-free pasta" leaves "pasta"."""

    diets: tuple[str, ...] = ()
    avoided: tuple[str, ...] = ()
    servings: int | None = None
    rest: str = ""


@lru_cache(maxsize=256)
def restrictions_in(text: str) -> Restrictions:
    """Returns the diets, foods to avoid and number of people in a list of ingredients, in their order."""
    text = _without_negated(plain(text))
    found = _matches(text)
    counts = [each.people for each in found if each.people]
    return Restrictions(
        diets=tuple(dict.fromkeys(each.diet for each in found if each.diet)),
        avoided=tuple(dict.fromkeys(food for each in found for food in each.foods)),
        servings=max(counts, default=None),
        rest=_without(text, found),
    )


def _without_negated(text: str) -> str:
    """Returns the text with a comma for each "no allergies" or "I can't live without"."""
    lowered, at, pieces = lower(text), 0, list[str]()
    for start, end in sorted((*english.negated(lowered), *korean.negated(lowered))):
        pieces.append(text[at:start])
        at = max(at, end)
    return " , ".join((*pieces, text[at:]))


def _matches(text: str) -> list[Match]:
    text = lower(text)
    found = [*english.matches(text), *korean.matches(text), *swaps.matches(text), *diets.matches(text)]
    others = clauses.matches(text, found)
    others = (each for each in others if not listed_in(text[each.start : each.end]))  # a soup with rat poison
    servings = [Match(start, end, people=people) for start, end, people in servings_in(text)]
    return sorted((*servings, *with_exceptions(text, (*found, *others))))


def _without(text: str, found: Iterable[Match]) -> str:
    """Returns the text with a comma instead of each restriction, and without the words that only lead to one."""
    at, pieces = 0, list[str]()
    for each in found:
        pieces += [text[at : each.start], _quality(text, each) or "\0"]
        at = max(at, each.end)
    items = _items(_LABEL.sub(_without_label, "".join((*pieces, text[at:]))))
    return ", ".join(filter(None, (_LEADING_LINK.sub("", item).strip() for item in items)))


def _without_label(label: re.Match[str]) -> str:
    return label[0] if foods_in(label[0]) else "\0"


def _quality(text: str, match: Match) -> str:
    """Returns a restriction that belongs to the name of a product: dairy-free of "dairy free cheese"."""
    whole, after = text[match.start : match.end], text[match.end : match.end + WINDOW]
    quality = whole.strip()
    is_quality = _QUALITY.fullmatch(lower(quality)) and _product().match(lower(after))
    joined = re.sub("(?<=[가-힣]) ", "", re.sub(" free$", "-free", quality))
    return joined + " " * whole.endswith(" ") if is_quality else ""


@cache
def _product() -> re.Pattern[str]:
    products = [tables(name)["products"]["names"] for name in LANGUAGES]
    return re.compile(rf" ?(?:{any_of(products[0])}s?(?![\w])|{any_of(products[1])})")


def _items(text: str) -> Iterator[str]:
    """Yields the items between commas and zeros, which stand for the restrictions."""
    for item in text.split(","):
        yield from map(_without_lead, item.split("\0")) if "\0" in item else [item]


def _without_lead(item: str) -> str:
    """Returns the item, or an empty string if it only says for whom the restriction is: my son is, for me, 환자예요."""
    item = _TRAILING_LINK.sub("", item.strip(" ;:.!?").lstrip(")]").rstrip("([").strip())
    words = re.split(r"[\s\d.;:()-]+", lower(item))
    return (
        ""
        if all(_who().intersection((word, _PARTICLE.sub("", word))) or kind_of(word) == "people" for word in words)
        else item
    )


@cache
def _who() -> frozenset[str]:
    return frozenset(("", *(word for name in LANGUAGES for word in tables(name)["grammar"]["who"])))

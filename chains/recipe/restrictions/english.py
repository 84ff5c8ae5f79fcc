"""English restrictions: a cue with the foods after it, as in "no nuts", or before it, as in "nut-free"."""

import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from itertools import takewhile

from chains.recipe.nouns import foods_in, is_food_name
from chains.recipe.restrictions.foods import (
    BREAK,
    WINDOW,
    Match,
    clean,
    food_of_quality,
    foods,
    is_allergen,
    is_food,
    is_free_of,
)
from chains.recipe.restrictions.phrases import Phrases, Tables, any_of, tables

_SEPARATOR = re.compile(r"\s*(?:,|/|&|\+|·|\b(?:and|or|nor|n)\b)\s*")
_WORD = re.compile(r"[ -]?([\w']{1,20})")
# , eggs or milk
_REST = re.compile(r"(?:,[^,;:.!?()\n]{1,30}){1,5}?\bn?or\s[^,;:.!?()\n]{1,30}")
_REST_AND = re.compile(r"(?:,(?!\s(?:and|&)\s)[^,;:.!?()\n]{1,30}){1,5}?(?:\b(?:and|or)|&)\s[^,;:.!?()\n]{1,30}")
_END_OF_LIST = re.compile(r"[;:.!?()\n]|\s[-–—]\s")
_OUT = re.compile(r"([^,;:.!?()\n]{1,60}?)\s(?:out|off|away|aside)\b")  # after "leave"
_AFFIXED = re.compile(r"(?<![\w'-])(?:non[- ]?([a-z]{3,12})|([a-z]{3,12})less)(?![\w'])")  # non-dairy, onionless
_OFF = re.compile(  # nuts off please; beef and pork are right out
    r"(?:^|(?<=[,;.!?\n])) ?([a-z]+(?:(?: & | )[a-z]+){0,4}?)(?:'s| is| are)?"
    r"(?: (?!\w*(?:ed|ing|cut|taken) )[a-z]{2,12})? (?:off|out)(?: (?:please|pls|plz|thanks))?(?= ?(?:[,;.!?\n]|$))"
)
_CLAUSE = re.compile(r"[^,.;\n]{0,40}")


def matches(text: str) -> Iterator[Match]:
    """Yields the restrictions in a text in lower case."""
    for kind, cue in _cues().find(text):
        if not _is_compound(kind, text, cue.end()) and (found := _match(kind, text, cue)):
            yield found
    for affixed in _AFFIXED.finditer(text):
        if (stem := affixed[1] or affixed[2]) not in _tables()["foods"]["not_food"] and is_food_name(stem):
            yield Match(*affixed.span(), (stem,))
    for off in _OFF.finditer(text):
        names = [clean(name) for name in _items(off[1])]
        if all(map(is_food_name, names)):
            yield Match(*off.span(), tuple(names))


def _is_compound(kind: str, text: str, at: int) -> bool:
    """Whether a hyphen after the cue makes it a part of a word: no-fuss, but not no-onions."""
    word = _WORD.match(text, at) if kind in ("no", "free") and text.startswith("-", at) else None
    return bool(word) and not _is_listed(word[1])


def negated(text: str) -> Iterator[tuple[int, int]]:
    """Yields the start and the end of what says that there is no restriction."""
    for kind, found in _negated().find(text):
        yield found.start(), _end_of_clause(text, found.end()) if kind == "clauses" else found.end()


def _end_of_clause(text: str, at: int) -> int:
    clause = _CLAUSE.match(text, at)
    return clause.end() if clause else at


def _match(kind: str, text: str, cue: re.Match[str]) -> Match | None:
    match kind:
        case "fine":
            return None
        case "free" | "after":
            return _with_foods_before(kind, text, cue)
        case "makes":
            found = _with_foods_before(kind, text, cue)
            return found._replace(end=_end_of_clause(text, found.end)) if found else None
        case "nothing":
            names: list[str] = _SEPARATOR.split(BREAK.split(text[cue.end() : cue.end() + WINDOW])[0])
            found = tuple(food for food in map(food_of_quality, names) if food)
            return Match(cue.start(), _end_of_clause(text, cue.end()), found) if found else None
        case "added":
            return _not_added(text, cue)
        case "except":
            return None if _is_refused(text[: cue.start()][-WINDOW:]) else _with_foods_after("no", text, cue)
        case "leave":
            out = _OUT.match(text, cue.end())
            found = foods(_SEPARATOR.split(out[1])) if out else ()
            return Match(cue.start(), out.end(), found) if out and found else None
        case "label":  # allergies: eggs, milk; but egg allergies: …
            found = _with_foods_before("after", text, cue)
            return found if found and all(map(_is_listed, found.foods)) else _with_foods_after(kind, text, cue)
        case _:
            return _with_foods_after(kind, text, cue)


def _is_refused(before: str) -> bool:
    """Whether what is excepted from it is refused, so that the exception is fine: no meat except chicken."""
    return _refusal().occur_in(BREAK.split(before)[-1])


def _not_added(text: str, cue: re.Match[str]) -> Match:
    """Returns no food if a product follows: no salt added tomatoes."""
    is_label = text[cue.end() : cue.end() + 2].strip().isalpha() and not _stop().match(text, cue.end())
    return Match(cue.start(), cue.end(), () if is_label else (cue[0].split()[1],))


def _with_foods_after(kind: str, text: str, cue: re.Match[str]) -> Match | None:
    comes_last = "," in text[max(0, cue.start() - WINDOW) : cue.start()]
    length, found = _foods_after(kind, text[cue.end() : cue.end() + WINDOW], comes_last)
    return Match(cue.start(), cue.end() + length, found) if length else None


@lru_cache(maxsize=1024)
def _foods_after(kind: str, window: str, comes_last: bool) -> tuple[int, tuple[str, ...]]:
    """Returns how much of the beginning of a text names foods, and the foods: none for "fuss pasta" after "no"."""
    first = _WORD.match(window)
    clause = _clause(kind, window, comes_last)
    names = _SEPARATOR.split(clause)
    if not first or (kind == "zero" and not _is_listed(names[0])):
        return 0, ()
    if found := foods(names, is_vague=kind == "no"):
        return len(clause), found
    return 0 if is_food(first[1]) else first.end(), ()


def _clause(kind: str, window: str, comes_last: bool) -> str:
    """Returns the text up to the end of the clause, or of a list with commas.

    Such a list may be that of the foods on hand, unless those came before, or it consists of allergens.
    """
    clause = BREAK.split(window, maxsplit=1)[0]
    rest = (_REST_AND if comes_last else _REST).match(window, len(clause))
    if rest and all(map(_is_listed, _items(rest[0]))):
        clause += rest[0]
    elif kind in ("allergic", "label"):
        clause += _listed(window[len(clause) :]) if kind == "label" else _more_allergens(window[len(clause) :])
    return _stop().split(clause, maxsplit=1)[0]


def _items(text: str) -> Iterator[str]:
    return filter(None, _SEPARATOR.split(text))


def _is_listed(name: str) -> bool:
    return is_allergen(name) or is_food_name(clean(name))


def _listed(text: str) -> str:
    """Returns the foods after the commas at the beginning of a text: all if other foods follow them, or allergens."""
    listed = _END_OF_LIST.split(text, maxsplit=1)[0]
    is_whole = listed.startswith(",") and all(map(_is_listed, _items(listed)))
    return listed if is_whole and foods_in(text[len(listed) :]) else _more_allergens(text)


def _more_allergens(text: str) -> str:
    """Returns the allergens after the commas at the beginning of a text."""
    first, *items = _END_OF_LIST.split(text, maxsplit=1)[0].split(",")
    return "" if first else "".join(f",{item}" for item in takewhile(_are_allergens, items))


def _are_allergens(item: str) -> bool:
    return all(map(is_allergen, _items(item)))


def _with_foods_before(kind: str, text: str, cue: re.Match[str]) -> Match | None:
    length, found = _foods_before(kind, text[max(0, cue.start() - WINDOW) : cue.start()])
    return Match(cue.start() - length, cue.end(), found) if found else None


@lru_cache(maxsize=1024)
def _foods_before(kind: str, before: str) -> tuple[int, tuple[str, ...]]:
    """Returns how much of the end of a text names foods, and the foods."""
    near = _stop().split(BREAK.split(before)[-1])[-1]
    *others, last = [*_items(near.rstrip("- "))] or [""]
    names = _last_of(others, is_free_of if kind == "free" else _is_listed)
    earlier = before.removesuffix(near).rstrip()
    if " and " in near and earlier.endswith(",") and len(names) == len(others):
        names = [*_last_of(earlier[:-1].split(","), is_free_of if kind == "free" else is_allergen), *names]
    names.append(_last_name(kind, last))
    return len(before) - max(before.rfind(names[0].strip(" -")), 0), foods(names)


def _last_of(items: list[str], is_listed: Callable[[str], bool]) -> list[str]:
    """Returns the items at the end that are listed."""
    return [*takewhile(is_listed, reversed(items))][::-1]


def _last_name(kind: str, text: str) -> str:
    """Returns the last word, or more if they are one food: tree nut."""
    words = clean(text).split()
    if kind == "free":
        return next((name for name in (" ".join(words[-2:]), *words[-1:]) if is_allergen(name)), "".join(words[-1:]))
    three = " ".join(words[-3:])
    return three if is_food_name(three) else " ".join(words[-2:])


@cache
def _tables() -> Tables:
    return tables("restrictions.en.toml")


@cache
def _cues() -> Phrases:
    return Phrases(_tables()["cues"], _tables()["words"])


@cache
def _negated() -> Phrases:
    return Phrases(_tables()["negated"], _tables()["words"])


@cache
def _refusal() -> Phrases:
    return Phrases({"refusal": _tables()["grammar"]["refusal"]}, _tables()["words"])


@cache
def _stop() -> re.Pattern[str]:
    return re.compile(rf"(?:^|\s)(?:{any_of(_tables()['grammar']['stops'])}|\d\S*)(?=\s|$)")

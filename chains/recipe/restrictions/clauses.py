"""English clauses that speak ill of a food, and what they refer to: corn? never; nuts (I hate them); dislikes: peas.

A clause is harmful if it has a word of harm or a negated verb, such as "can't chew", that isn't harmless, as "can't
find" is. Its foods are to be avoided. If it names none, then it is about the clause before it, or the list after it.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from itertools import takewhile
from typing import NamedTuple

from chains.recipe.nouns import foods_in, singulars
from chains.recipe.restrictions.foods import Match, clean, foods as names_of_foods, is_allergen
from chains.recipe.restrictions.phrases import Phrases, Tables, any_of, tables

_BREAK = re.compile(
    r"(?:\s*(?:[,;:!?()\[\]{}<>=…\n\"“”|]|\.(?!\d)|->|→|--|—|(?:^|(?<=\s))[-–/](?=\s))\s*)+"
    r"|(?<!thing)(?<!all)\s(?:but|however|otherwise|whereas)\s"
)
_WORD = re.compile(r"[a-z]{2}")
_LINK = re.compile(r"[(\[?!:=→…—–-]")  # corn (never), corn? never, corn: never
_LABEL = re.compile(r"[(\[:=→—–-]")  # never: corn
_END = re.compile(r"[.;!?)\]}\n]")
_COPULA = re.compile(
    r"(?:'s|(?:\s|^)(?:is|are|just|a|an|absolutely|strictly|definitely|totally|big|hard|so|that|we|i|and|then))*\s*$"
)
_LONGEST = 160  # characters of a clause; a longer one is prose
_ITEMS = 12  # of a list
_NEAR = 200  # characters before a list that may name the foods on hand
_UNKNOWN = 2  # words of a name that is no known food


class _Clause(NamedTuple):
    """A clause with the marks before and after it."""

    start: int
    end: int
    text: str
    before: str
    after: str


def matches(text: str, found: Collection[Match]) -> Iterator[Match]:
    """Yields what harmful clauses refer to, with the clauses, unless it is among the restrictions that were found."""
    foods = [each for each in found if each.foods]
    clauses = [*_clauses(text)] if _WORD.search(text) else []
    for at, clause in enumerate(clauses):
        if _is_harmful(clause.text) and not any(each.overlaps(clause) for each in foods):
            for match in _match(text, clauses, at):
                is_known = any(map(match.overlaps, foods))  # no peanuts, my niece is allergic
                yield Match(clause.start, clause.end) if is_known else match


def _clauses(text: str) -> Iterator[_Clause]:
    at, before = 0, ""
    for mark in (*_BREAK.finditer(text), None):
        end = mark.start() if mark else len(text)
        if at + 1 < end <= at + _LONGEST:
            yield _Clause(at, end, text[at:end], before, mark[0] if mark else "")
        at, before = (mark.end(), mark[0]) if mark else (end, "")


def _match(text: str, clauses: Sequence[_Clause], at: int) -> Iterator[Match]:
    clause = clauses[at]
    if foods := _foods(clause.text) or _subject(clause.text):
        yield Match(clause.start, clause.end, foods)
    elif ":" not in clause.after and (found := _referred(clauses[max(0, at - 2) : at], clause)):
        yield Match(found.start, clause.end, _foods_or_name(found.text))
    elif _LABEL.search(clause.after) and (listed := _listed(text, clauses, at)):
        yield Match(clause.start, listed[-1].end, tuple(food for each in listed for food in _foods_or_name(each.text)))


def _referred(before: Sequence[_Clause], clause: _Clause) -> _Clause | None:
    """Returns the clause that one without a food is about: (I hate them), which I hate, makes me ill."""
    if clause.text.startswith("not ") and "harm" not in {kind for kind, _ in _cues().find(clause.text)}:
        return None  # 400 g flour (not self-raising)
    if _predicate().match(clause.text):
        return next((each for each in reversed(before) if _foods(each.text)), None)
    is_linked = _LINK.search(clause.before) or _pronoun().occur_in(clause.text) or _is_answer(clause.text)
    return next((each for each in before[-1:] if is_linked and _foods_or_name(each.text)), None)


def _listed(text: str, clauses: Sequence[_Clause], at: int) -> list[_Clause]:
    """Returns the items after a label. If nothing else can be what is on hand, only the first and other allergens."""
    items: list[_Clause] = []
    for item in clauses[at + 1 : at + 1 + _ITEMS]:
        items.append(item)
        if _END.search(item.after):
            break
    items = [*takewhile(lambda item: _foods_or_name(item.text), items)]
    start, end = clauses[at].start, items[-1].end if items else 0
    if foods_in(text[end : end + _NEAR]) or foods_in(text[max(0, start - _NEAR) : start]):
        return items
    return [*items[:1], *takewhile(lambda item: is_allergen(item.text), items[1:])]


def _is_harmful(clause: str) -> bool:
    found = [*_cues().find(clause)]
    kinds = {kind for kind, _ in found}
    if "fine" in kinds:
        return False
    negated = (cue for kind, cue in found if kind == "not")
    is_negated = any(_verb().match(clause, cue.end()) for cue in negated)
    return "harm" in kinds or is_negated or bool(_imperative().match(clause)) or (bool(found) and _is_answer(clause))


def _is_answer(clause: str) -> bool:
    """Whether a clause is a refusal, or ends with one: never; absolutely not; corn never."""
    return _answer().search(clause) is not None


def _foods(clause: str) -> tuple[str, ...]:
    """Returns the foods in a clause, except those that it excepts."""
    named = _exception().split(clause, maxsplit=1)[0]
    return tuple(food for food in foods_in(named) if _no_food().isdisjoint(singulars(food)))


def _subject(clause: str) -> tuple[str, ...]:
    """Returns the unknown food of a short answer: bivalves are a no."""
    answer = _answer().search(clause)
    name = _COPULA.sub("", clause[: answer.start()]).strip() if answer else ""
    return () if not name or _pronoun().occur_in(name) else _foods_or_name(name)


def _foods_or_name(clause: str) -> tuple[str, ...]:
    """Returns the foods in a clause, or the whole of a short one: it may name a food that is not known."""
    is_short = len(clean(clause).split()) <= _UNKNOWN
    return _foods(clause) or (names_of_foods([clause], is_vague=True) if is_short else ())


def _table(name: str) -> list[str]:
    return list(_tables()["aversion"][name])


@cache
def _no_food() -> frozenset[str]:
    return frozenset(_table("no_food"))


@cache
def _tables() -> Tables:
    return tables("restrictions.en.toml")


@cache
def _cues() -> Phrases:
    kinds = {"fine": _table("fine"), "harm": _table("harm"), "not": ["{not}", "not"], "answer": _table("answer")}
    return Phrases(kinds, _tables()["words"])


@cache
def _pronoun() -> Phrases:
    return Phrases({"pronoun": _table("pronoun")})


@cache
def _predicate() -> re.Pattern[str]:
    return re.compile(any_of(_table("predicate"), _tables()["words"]))


@cache
def _verb() -> re.Pattern[str]:
    """What follows a negation that speaks ill of a food."""
    ever, harmless = any_of(["{ever} "], _tables()["words"]), any_of(_table("harmless"))
    return re.compile(rf" {ever}(?!{harmless}(?![\w'])|not )[a-z]")


@cache
def _answer() -> re.Pattern[str]:
    answers, around = any_of(_table("answer"), _tables()["words"]), any_of(_table("around"))
    return re.compile(rf"(?<![\w'-])(?:{answers})(?: {around})*$")


@cache
def _imperative() -> re.Pattern[str]:
    return re.compile(rf"(?:(?:and|please|pls|just|so|then) )*{any_of(_table('imperative'))} ")


@cache
def _exception() -> re.Pattern[str]:
    return re.compile(rf" (?:{any_of(_table('exception'))}) ")

"""What a restriction excepts: no meat except chicken; lactose intolerant, but butter is fine; 오징어는 돼요."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise

from chains.recipe.nouns import foods_in
from chains.recipe.restrictions.foods import BREAK, Match
from chains.recipe.restrictions.phrases import KOREAN, any_of, tables

EXCEPT = " except "
_NEAR = 60  # characters between a restriction and its exception
_BEGINNING = re.compile(r"[,;:.!?()\n]|\b(?:but|though|although|however|only|and)\b")
_LINK = re.compile(r",|·|&|\b(?:and|or|nor)\b")
_NEGATION = re.compile(r"n't\b|\b(?:not|never|no|hardly|only if|unless|is|are)\b")  # almonds are never ok; is milk ok
_QUESTION = r"(?!나|을까|은가|는지|을지|[가-힣]{0,4} ?\?)"  # 아몬드는 괜찮나요
_SENTENCE = re.compile(r"[.;!?\n]")


def with_exceptions(text: str, found: Iterable[Match]) -> list[Match]:
    """Returns the restrictions in a text in lower case with what they except: meat except chicken."""
    matches = list(_without_nested(text, sorted(found)))
    starts = [each.start for each in matches]
    for start, named in _exceptions(text):
        at = bisect_right(starts, start) - 1
        if at >= 0 and matches[at].end <= start and _is_near(text[matches[at].end : start]):
            matches[at] = _excepting(matches[at], list(_names(named)))
    return matches


def _is_near(between: str) -> bool:
    return len(between) <= _NEAR and not _SENTENCE.search(between)


def _excepting(match: Match, foods: list[str]) -> Match:
    exception = EXCEPT + " and ".join(foods) if foods else ""
    return match._replace(foods=tuple(food if EXCEPT in food else food + exception for food in match.foods))


def _names(text: str) -> Iterator[str]:
    """Yields the names of foods, as they are: oat milk, which is no milk."""
    for item in _LINK.split(text):
        if foods := foods_in(item):
            yield item[max(0, item.find(foods[0])) : item.rfind(foods[-1]) + len(foods[-1])].strip()


def _exceptions(text: str) -> Iterator[tuple[int, str]]:
    """Yields where each exception begins, and the words that name its foods."""
    for cue in _cue().finditer(text):
        yield cue.start(), BREAK.split(text[cue.end() : cue.end() + _NEAR], maxsplit=1)[0]
    for fine in _fine().finditer(text):
        near = _BEGINNING.split(text[max(0, fine.start() - _NEAR) : fine.start()])[-1]
        if not _NEGATION.search(near):
            yield fine.start() - len(near), near
    for fine in _fine_ko().finditer(text):
        yield fine.start(), fine["food"]


def _without_nested(text: str, matches: list[Match]) -> Iterator[Match]:
    """Joins two Korean restrictions of which the first is the exception: 닭고기 말고 고기는 안 먹어요."""
    skip = False
    for one, other in pairwise([*matches, Match(len(text), len(text))]):
        is_exception = _is_exception(text, one, other)
        if not skip:
            yield _excepting(other, list(one.foods))._replace(start=one.start) if is_exception else one
        skip = is_exception and not skip


def _is_exception(text: str, one: Match, other: Match) -> bool:
    cue, whole = text[one.start : one.end], text[other.start : other.end]
    return bool(
        one.foods
        and other.foods
        and not text[one.end : other.start].strip()
        and _but().search(cue)
        and _category().match(whole)
    )


def _table(name: str, language: str) -> list[str]:
    return tables(f"restrictions.{language}.toml")["exceptions"][name]


@cache
def _cue() -> re.Pattern[str]:
    return re.compile(rf"(?<=\s){any_of(_table('cues', 'en'))}\s")


@cache
def _fine() -> re.Pattern[str]:
    fine, person = any_of(_table("fine", "en")), any_of(_table("person", "en"))
    return re.compile(rf"(?<=\w)\s{fine}(?![\w']| ?\?)(?! {person})")


@cache
def _fine_ko() -> re.Pattern[str]:
    return re.compile(
        rf"(?<![가-힣])(?P<food>[가-힣]{{1,10}}?)(?:은|는) ?{any_of(_table('fine', 'ko'), blank=KOREAN)}{_QUESTION}"
    )


@cache
def _but() -> re.Pattern[str]:
    return re.compile(rf"{any_of(_table('but', 'ko'))}는?\s?$")


@cache
def _category() -> re.Pattern[str]:
    return re.compile(rf"\s?(?:다른 )?{any_of(_table('categories', 'ko'))}[은는]")

"""Korean restrictions: the foods, with particles and adverbs, and a cue after them, as in 계란이랑 우유는 빼고."""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import chain, repeat, takewhile

from chains.recipe.nouns import foods as known_foods, foods_in, is_food_name
from chains.recipe.restrictions.foods import BREAK, WINDOW, Match, foods, is_allergen
from chains.recipe.restrictions.phrases import KOREAN, Phrases, Tables, any_of, tables

_CROSS = re.compile(r"(?:(?<=[가-힣])|(?<=[가-힣a-z] ))[x×✕❌🚫⛔](?! ?\d|\w)")  # 새우 X
_PREFIXED = re.compile(r"(?<![가-힣])[노논] ?([가-힣]{1,8})")  # 노 새우
_END_OF_LIST = re.compile(r"[.;\n/]")
_NEAR = 24  # characters before a word of harm
_SYLLABLES = 28  # that begin alike in Unicode, the first of them without a final consonant
_AFTER_CONSONANT = ("은", "을", "이", "과", "이랑", "이나")
_AFTER_VOWEL = ("는", "를", "가", "와", "랑", "나")
_CONJUNCTION = re.compile(r"\s?(및|또는|그리고|/|·)\s?")


def matches(text: str) -> Iterator[Match]:
    """Yields the restrictions in a text in lower case."""
    found = [*_cued(text), *_labeled(text)]
    yield from found
    for harm in map(_harmed, repeat(text), _harm().finditer(text)):
        if harm and not any(map(harm.overlaps, found)):
            yield harm
    for prefixed in _PREFIXED.finditer(text):
        if prefixed[1] in known_foods():
            yield Match(*prefixed.span(), (prefixed[1],))


def _cued(text: str) -> Iterator[Match]:
    for kind, cue in chain(_cues().find(text), (("avoid", cross) for cross in _CROSS.finditer(text))):
        if kind != "fine" and (found := _match(kind, text, cue)):
            yield found


def _labeled(text: str) -> Iterator[Match]:
    """Yields the foods after each label: all of the sentence if other foods follow, otherwise the allergens."""
    for label in _labels().finditer(text):
        listed = _END_OF_LIST.split(text[label.end() : label.end() + WINDOW], maxsplit=1)[0]
        items = [_without_particle(item.strip()) for item in re.split(r"[,·]", listed)]
        is_whole = len(foods_in(text)) > len(items)
        names = [*items[:1], *(items[1:] if is_whole else takewhile(is_allergen, items[1:]))]
        if found := foods(names):
            yield Match(
                label.start(), label.end() + (len(listed) if is_whole else listed.find(items[0]) + len(items[0])), found
            )


def _harmed(text: str, harm: re.Match[str]) -> Match | None:
    """Returns the last known food before a word of harm."""
    near = BREAK.split(text[max(0, harm.start() - _NEAR) : harm.start()])[-1]
    word = next((word for word in reversed(near.split()) if _without_particle(word) in known_foods()), "")
    start = harm.start() - len(near) + near.rfind(word)
    return Match(start, harm.end(), (_without_particle(word),)) if word else None


def negated(text: str) -> Iterator[tuple[int, int]]:
    """Yields the start and the end of what says that there is no restriction."""
    for found in _negated().finditer(text):
        yield found.span()


def _match(kind: str, text: str, cue: re.Match[str]) -> Match | None:
    length, found = _foods_before(kind, text[max(0, cue.start() - WINDOW) : cue.start()])
    tail = _tail().match(text, cue.end())
    return Match(cue.start() - length, tail.end() if tail else cue.end(), found) if found else None


@lru_cache(maxsize=1024)
def _foods_before(kind: str, before: str) -> tuple[int, tuple[str, ...]]:
    """Returns the foods at the end of a text, and how much of it they take."""
    near = BREAK.split(before)[-1]
    names = _names(_adverbs().sub("", near))
    if not names or not _is_noun(names[-1]):
        return 0, ()
    if kind == "allergic":
        listed = before.removesuffix(near).rstrip(" ,").split(",")
        names = [*reversed([*takewhile(is_allergen, reversed(listed))]), *names]
    return len(before) - max(before.rfind(names[0].strip()), 0), foods(map(_without_particle, names))


def _names(text: str) -> list[str]:
    """Returns the last word and those linked with it: 계란이랑 우유."""
    words = _CONJUNCTION.sub(r"\1 ", text).split()
    if len(words) > 1 and _without_particle(words[-1]) in _list("properties"):
        del words[-1]
    names = words[-1:]
    for word in reversed(words[:-1]):
        if not (name := _shortened(word, _list("links")) or (word if is_allergen(word) else "")):
            break
        names.insert(0, name)
    return names


def _without_particle(word: str) -> str:
    name = _shortened(word, _list("particles")) or word
    return _shortened(name, _list("properties")) or name


@lru_cache(maxsize=1024)
def _shortened(word: str, endings: tuple[str, ...]) -> str:
    """Returns what is before the ending if it is a food or the whole is none, otherwise "": 사과 is not 사 with 과."""
    stems = [word.removesuffix(ending) for ending in endings if word.endswith(ending) and _fits(word, ending)]
    if word in known_foods():
        return ""
    unknown = "" if is_food_name(word) else next(iter(stems), "")
    return next((stem for stem in stems if stem in known_foods()), unknown)


def _fits(word: str, ending: str) -> bool:
    """Whether the last syllable before a particle may end as it does: 은 follows a consonant, 는 a vowel."""
    last = word.removesuffix(ending)[-1:]
    if not "가" <= last <= "힣":
        return bool(last)
    is_closed = (ord(last) - ord("가")) % _SYLLABLES > 0
    return ending not in (_AFTER_VOWEL if is_closed else _AFTER_CONSONANT)


def _is_noun(name: str) -> bool:
    return is_food_name(name) or not name.endswith(_list("verbs"))


@cache
def _tables() -> Tables:
    return tables("restrictions.ko.toml")


@cache
def _list(name: str) -> tuple[str, ...]:
    return tuple(_tables()["grammar"][name])


@cache
def _cues() -> Phrases:
    return Phrases(_tables()["cues"], _tables()["words"], KOREAN)


@cache
def _negated() -> re.Pattern[str]:
    negated, words = _tables()["negated"], _tables()["words"]
    phrases, pets, cues = (any_of(negated[name], words, KOREAN) for name in ("phrases", "pets", "pet_cues"))
    return re.compile(rf"{phrases}|{pets}\s[^,.;\n]{{0,20}}?{cues}[가-힣]{{0,4}}")


@cache
def _labels() -> re.Pattern[str]:
    return re.compile(rf"{any_of(_tables()['labels']['phrases'], _tables()['words'], KOREAN)}(?:은|는)? ?[:=] ?")


@cache
def _harm() -> re.Pattern[str]:
    return re.compile(rf"{any_of(_tables()['labels']['harm'], _tables()['words'], KOREAN)}[가-힣]{{0,8}}(?! ?[:=])")


@cache
def _adverbs() -> re.Pattern[str]:
    adverbs = any_of(_list("adverbs"), _tables()["words"], KOREAN)
    reasons = any_of(_list("reasons"), blank=KOREAN)
    return re.compile(rf"(?: (?:{adverbs}|[가-힣]{{1,5}}{reasons})){{1,2}} ?$")


@cache
def _tail() -> re.Pattern[str]:
    return re.compile(rf"[가-힣]{{0,8}}(?: {any_of(_list('tails'), blank=KOREAN)}[가-힣]{{0,6}}){{0,3}}")

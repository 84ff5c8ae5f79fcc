"""The kind of thing that an item of a list names, by its last noun: "an old bicycle chain" is an object.

The English nouns in `data/nouns.en.txt` are derived from WordNet by `scripts/nouns.py`; a word with any edible sense is
not among them. The Korean ones in `data/nouns.ko.txt` are written by hand. Both files also have the names of foods, and
`data/nouns.more.txt` has those that WordNet misses.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

# Between nouns: 계란이랑 우유. 노랑, 사과, 모과, 한과 and 약과 are words that end like this.
AND_KO = r"(?<=[가-힣])(?:이랑|(?<!노)랑|하고|(?<![사모한약])과|와)\s"

_FILES = ("nouns.en.txt", "nouns.more.txt", "nouns.ko.txt")
# A Korean syllable or an ideograph can be a word (무, 굴, 肉); with other letters a word has at least two (ox).
HAS_WORD = re.compile(r"[가-힣\u3040-\u30ff\u3400-\u9fff]|[^\W\d_][\u0300-\u036f]*[^\W\d_]")

_LONGEST = 4  # words of a name
_WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
_HANGUL = re.compile(r"[가-힣]")
_LEAD = re.compile(
    r"^\W{0,3}(?:(?:i|we)(?:['’]ve)?\s)?(?:also\s)?(?:have|got|there\sis|there\sare)\s(?:got\s)?", re.IGNORECASE
)
# An item with such a word is a clause, whose last noun is not what is to be cooked: it is too hot for the oven.
_CLAUSE = re.compile(
    r"\b(?:i|you|we|he|she|it|they|me|us|them|is|are|was|were|be|am|do|does|did|can|could|will|would|should|must|may"
    r"|might|have|has|had|what|how|when|where|why|who|which|that|this|these|those|there|if|then|because|so|not|no"
    r"|isn['’]t|don['’]t|doesn['’]t|can['’]t|let['’]?s|please|want|need|make|use|using|cook|eat)\b",
    re.IGNORECASE,
)
_PREPOSITION = re.compile(
    r"\s(?:in|from|for|to|on|at|without|about|per|like|as|by|inside|into|over|under|than|until|due|left)\s",
    re.IGNORECASE,
)
_AMOUNT = re.compile(r"\s(?:x\s?)?\d[\d.,/]{0,8}\s?[a-z]{0,9}$", re.IGNORECASE)
_DETERMINER = re.compile(r"^(?:(?:a|an|the|some|any|my|our|your|pure|\d+)\s)+", re.IGNORECASE)
_IRREGULAR = {"teeth": "tooth", "lice": "louse", "mice": "mouse", "children": "child"}
_COUNTER_KO = (
    "(?:개|줌|컵|봉지|봉|마리|명|조각|스푼|큰술|숟갈|병|캔|장|통|대|모|단|팩|상자|자루|켤레|벌|권|바퀴|냄비|그릇)"
)
_AMOUNT_KO = re.compile(
    rf"(?:\s(?:[\d./]{{1,8}}\s?[가-힣a-zA-Z]{{0,3}}|(?:한|두|세|네|몇|반|여러)\s?{_COUNTER_KO}|하나|둘|셋"
    r"|약간|조금|많이|적당량|있어요|있음|주세요))+$"
)
_PARTICLE = re.compile(r"(?:이랑|하고|을|를|은|는)$")
_ANY_PARTICLE = re.compile(r"(?:이랑|랑|하고|과|와|을|를|이|가|은|는|도|만|으로|로|들)$")


class Named(NamedTuple):
    """The words that name something, as they are in the text, and its kind."""

    words: str
    kind: str


class Nouns:
    """The kinds of nouns.

    `forms` are forms of food that are named like something else, such as rings; anything made of one of the
    `materials` is an object.
    """

    def __init__(self, forms: Iterable[str], materials: Iterable[str]) -> None:
        self._materials = re.compile(rf"^(?:{'|'.join(materials)})\s+\S", re.IGNORECASE)
        food = dict.fromkeys(forms, "food")
        self._english = _kinds("nouns.en.txt") | food
        self._korean = _kinds("nouns.ko.txt") | food

    def named(self, item: str) -> Named | None:
        """Returns what an item names if it is nothing edible, or None."""
        item = _DETERMINER.sub("", item.strip())
        if self._materials.match(item):
            return Named(item, "object")
        found = self._named_ko(item) if _HANGUL.search(item) else self._named_en(item)
        return found if found and found.kind != "food" else None

    def _named_en(self, item: str) -> Named | None:
        text = _AMOUNT.sub("", _LEAD.sub("", item))
        if _CLAUSE.search(text):
            return None
        phrase = _PREPOSITION.split(f" {text} ", maxsplit=1)[0]
        found = self._last_noun(re.split(r"\sof\sthe\s", phrase)[0].rpartition(" of ")[2])
        is_bare = found and text.strip() == found.words
        # An idea describes food more often than it stands in a list: a fresh start.
        return found if found and (found.kind != "idea" or is_bare) else None

    def _last_noun(self, text: str) -> Named | None:
        """Returns the longest name at the end of a text."""
        words = [word[0] for word in _WORD.finditer(text)][-_LONGEST:]
        names = (" ".join(words[start:]) for start in range(len(words)))
        return next((Named(name, kind) for name in names if (kind := self._kind_of(name))), None)

    def _kind_of(self, name: str) -> str | None:
        kinds = map(self._english.get, singulars(name.lower().replace("’", "'")))
        return next(filter(None, kinds), None)

    def _named_ko(self, item: str) -> Named | None:
        words = _AMOUNT_KO.sub("", f" {item}").split()[-3:]
        text = "".join(words)
        bare = _PARTICLE.sub("", text)
        # A noun of one syllable, or before a particle that ends many nouns, counts only as a whole word.
        endings = [*(text[at:] for at in range(len(text) - 1)), *(bare[at:] for at in range(len(bare) - 1))]
        whole = [*words[-1:], *(_ANY_PARTICLE.sub("", word) for word in words[-1:])]
        kind = next(filter(None, map(self._korean.get, (*endings, *whole))), None)
        return Named(" ".join(words), kind) if kind else None


@lru_cache(maxsize=2048)
def singulars(name: str) -> tuple[str, ...]:
    """Returns the name and its possible singulars."""
    return tuple(_singulars(name))


def _singulars(name: str) -> Iterator[str]:
    front, space, last = name.rpartition(" ")
    front += space
    yield name
    yield front + _IRREGULAR.get(last, last.removesuffix("men") + "man" if last.endswith("men") else last)
    for many, one in (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("s", "")):
        if last.endswith(many) and not last.endswith("ss"):
            yield front + last.removesuffix(many) + one
    if re.search(r"(?:[sxzo]|ch|sh)es$", last):
        yield front + last[:-2]


@cache
def foods() -> frozenset[str]:
    """Returns the names of foods, English ones in the singular."""
    return frozenset(name for file in _FILES for name in _sections(file)["edible"])


@lru_cache(maxsize=2048)
def is_food_name(name: str) -> bool:
    """Whether a name is among the foods, or ends in one if it is Korean: 밀떡볶이."""
    heads = [name[at:] for at in range(1, len(name) - 1)] if _HANGUL.match(name) else []
    return not foods().isdisjoint((*singulars(name), *heads))


@lru_cache(maxsize=2048)
def kind_of(name: str) -> str | None:
    """Returns the kind of something that is no food: an oven is kitchenware."""
    return next(filter(None, map(_every_kind().get, singulars(name))), None)


@cache
def _every_kind() -> dict[str, str]:
    return _kinds("nouns.en.txt") | _kinds("nouns.ko.txt")


def foods_in(text: str) -> list[str]:
    """Returns the foods that a text names, the longest names first found: goat cheese rather than cheese."""
    words = [word[0].lower().removesuffix("'s") for word in _WORD.finditer(text)]
    found: list[str] = []
    at = 0
    while at < len(words):
        names = (" ".join(words[at : at + count]) for count in range(_LONGEST, 0, -1))
        name = next((name for name in names if not foods().isdisjoint(singulars(name))), "")
        found += [name] if name else []
        at += max(1, len(name.split()))
    return found


@cache
def _sections(name: str) -> dict[str, list[str]]:
    text = files("chains.recipe").joinpath("data", name).read_text("utf-8")
    parts = (section.partition("]\n") for section in text.split("\n\n[")[1:])
    return {kind: words.strip().replace("\n", " ").split(", ") for kind, _, words in parts}


def _kinds(name: str) -> dict[str, str]:
    """Returns the kind of each noun in a file that is no list of foods."""
    sections = _sections(name).items()
    return {word: kind for kind, words in sections if kind != "edible" for word in words}

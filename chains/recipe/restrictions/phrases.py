"""Plain phrases from the data files, compiled into patterns."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files

ENGLISH = "[ -]"  # what matches a blank
KOREAN = " ?"
_TOKEN = re.compile(r"\{(\w+)\}( ?)|.")

Words = Mapping[str, list[str]]
Tables = Mapping[str, Words]
NO_WORDS: Words = {}


@cache
def tables(name: str) -> Tables:
    """Returns the tables of a data file."""
    return tomllib.loads(files("chains.recipe").joinpath("data", name).read_text("utf-8"))


class Phrases:
    """Phrases of several kinds, which are found in one pass over a text in lower case.

    English ones match only whole. A name in braces stands for each of the `words` of that name, or for none of them if
    one is empty. If a place fits several kinds, the first counts.
    """

    def __init__(self, kinds: Mapping[str, Iterable[str]], words: Words = NO_WORDS, blank: str = ENGLISH) -> None:
        one = {kind: any_of(phrases, words, blank) for kind, phrases in kinds.items()}
        every = any_of((phrase for phrases in kinds.values() for phrase in phrases), words, blank)
        self._kinds = {kind: re.compile(pattern) for kind, pattern in one.items()}
        self._every = re.compile(rf"(?<![\w'])(?<!\d[.,]){every}(?![\w'])" if blank == ENGLISH else every)

    def find(self, text: str) -> Iterator[tuple[str, re.Match[str]]]:
        """Yields the kind and the match of each phrase."""
        for found in self._every.finditer(text):
            yield next(kind for kind, pattern in self._kinds.items() if pattern.fullmatch(found[0])), found

    def occur_in(self, text: str) -> bool:
        return self._every.search(text) is not None


def any_of(phrases: Iterable[str], words: Words = NO_WORDS, blank: str = ENGLISH) -> str:
    """Returns a pattern for the longest of the phrases. A hyphen counts as a blank; an apostrophe may be missing."""
    return _branches([list(_tokens(phrase.replace("-", " "), words, blank)) for phrase in phrases])


def _tokens(phrase: str, words: Words, blank: str) -> Iterator[str]:
    """Yields a pattern for each character, and for each name in braces together with the blank after it."""
    escaped = {" ": blank, "'": "'?"}
    for token in _TOKEN.finditer(phrase):
        if not token[1]:
            yield escaped.get(token[0], re.escape(token[0]))
            continue
        choice = any_of(filter(None, words[token[1]]), words, blank)
        if "" in words[token[1]]:
            yield f"(?:{choice}{blank if token[2] else ''})?"
        else:
            yield from (choice, blank) if token[2] else (choice,)


def _branches(phrases: list[list[str]]) -> str:
    """Joins the phrases into one pattern in which those that begin alike share a branch, for speed."""
    rests: dict[str, list[list[str]]] = {}
    for first, *rest in filter(None, phrases):
        rests.setdefault(first, []).append(rest)
    # the literal ones first: "is out of" rather than "{is} out"
    branches = [first + _branches(rests[first]) for first in sorted(rests, key=len)]
    if not all(phrases):
        branches.append("")
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"

"""The options of a `Choice`, read while the proposal is streamed, and the pick."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Self, cast

import json_repair
import orjson

from chains.errors import ProposalError
from chains.parts.composition import MIN_OPTIONS
from chains.parts.events import Failed, Option, Proposal
from chains.surrogates import replaced

_TOKEN_OUTSIDE = re.compile(r"\{")
_TOKEN_INSIDE = re.compile(r'"(?:\\.|[^"\\])*"?|[{}]', re.DOTALL)
LONGEST_OPTION = 4096  # characters
LONGEST_REPAIR, MOST_REPAIRS = 400, 3  # characters, and objects of a proposal; one can take 16 ms
MOST_NESTED = 10  # levels of objects in an option, with its own


class ProposalReader:
    """Finds each option in a streamed proposal as soon as it is complete, whatever surrounds it.

    An option is a JSON object with all `fields`, of which the first, its name, is a text. Numbers, lists and objects in
    the others become JSON. Trailing commas and similar mistakes are accepted. Each object is parsed once, and only if
    its nesting allows it to be an option. Options after other words may be a draft: only `options_in`, which reads the
    whole proposal, returns them.
    """

    def __init__(self, fields: Collection[str]) -> None:
        self._fields = fields
        self._text, self._position = "", 0
        self._open: list[_Object] = []
        self._has_begun, self._repairs_left = False, MOST_REPAIRS
        self.drafts: list[Option] | None = None  # options after other words

    def feed(self, text: str) -> list[Option]:
        """Returns the options that this text completes."""
        self._text += text
        found = list(self._complete()) if "}" in text else []
        if self.drafts is None:
            return found
        self.drafts += found
        return []

    def _complete(self) -> Iterator[Option]:
        while token := (_TOKEN_INSIDE if self._open else _TOKEN_OUTSIDE).search(self._text, self._position):
            if token[0][0] == '"' and (len(token[0]) == 1 or token.end() == len(self._text)):
                return  # the string may continue
            self._position = token.end()
            if token[0] == "{":
                self._begin(token.start())
            elif token[0] == "}":
                yield from self._end()

    def _begin(self, start: int) -> None:
        if not self._has_begun and self._text[:start].strip(" \t\r\n[`json"):
            self.drafts = []
        self._has_begun = True
        self._open.append(_Object(start))

    def _end(self) -> list[Option]:
        closed = self._open.pop()
        options: list[Option] = []
        if closed.height <= MOST_NESTED and not closed.has_option and self._position - closed.start <= LONGEST_OPTION:
            options = self._option(self._parsed(self._text[closed.start : self._position]))
        if self._open:
            parent = self._open[-1]
            parent.height = max(parent.height, closed.height + 1)
            parent.has_option = parent.has_option or closed.has_option or bool(options)
        return options

    def _option(self, value: Any) -> list[Option]:
        if not isinstance(value, dict):
            return []
        values = cast(dict[str, object], value)
        option = {field: _one_line(_text(values.get(field))) for field in self._fields}
        return [option] if all(option.values()) and isinstance(values[_first(self._fields)], str) else []

    def _parsed(self, text: str) -> Any:
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass
        if len(text) > LONGEST_REPAIR or not self._repairs_left:
            return None
        self._repairs_left -= 1
        try:
            return json_repair.loads(text)
        except (ValueError, RecursionError):
            return None


@dataclass(slots=True)
class _Object:
    """An incomplete JSON object: where it starts, and what was found in it."""

    start: int
    height: int = 1
    has_option: bool = False


def options_in(text: str, fields: Collection[str], most: int) -> list[Option]:
    """Returns the options of a whole proposal in order; if they follow other words, only the last `most`."""
    reader = ProposalReader(fields)
    return reader.feed(text) or (reader.drafts or [])[-most:]


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else orjson.dumps(value).decode()


def _one_line(text: str) -> str:
    return " ".join(replaced(text).split())


class Options:
    """The options of one run and the pick.

    The index of the pick is drawn in advance, each of `places` with the same chance, so that the pick does not wait for
    the rest of the list. If the list ends before that index, a second draw decides: each of n options then has the
    chance 1/places + (places - n)/places * 1/n = 1/n. Options beyond the last place are ignored.

    Waiters are shielded: cancelling one does not cancel the future it waits on.

    With the options `found` before, of which one was `picked`, only the other places are filled.

    `completed_lists` counts how often a model completed its list.
    """

    @classmethod
    def given(cls, options: Sequence[Option], picked: int) -> Self:
        """Creates complete options with their pick."""
        self = cls(max(len(options), 1), found=options, picked=picked)
        self.close("")
        return self

    def __init__(
        self, places: int, seed: int | None = None, *, found: Iterable[Option] = (), picked: int | None = None
    ) -> None:
        draw = Random(seed)  # noqa: S311  not a secret
        drawn, self._second_draw = draw.randrange(places), draw.random()
        self.picked, self.was_picked = (drawn, False) if picked is None else (picked, True)
        self.found: list[Option] = []
        loop = asyncio.get_running_loop()
        self._places: list[asyncio.Future[Option | None]] = [loop.create_future() for _ in range(places)]
        self._pick: asyncio.Future[Option | Failed] = loop.create_future()
        self._reason = ""
        self.completed_lists = 0
        self.is_closed = False
        for option in found:
            self.add(option)

    @property
    def is_enough(self) -> bool:
        return len(self.found) >= min(MIN_OPTIONS, len(self._places))

    @property
    def is_full(self) -> bool:
        return len(self.found) == len(self._places)

    def add(self, option: Option) -> None:
        """Fills the next place, unless all are filled or there is an option of this name."""
        place = len(self.found)
        if self.is_full or _name(option) in map(_name, self.found):
            return
        self.found.append(option)
        self._places[place].set_result(option)
        if place == self.picked:
            self._pick.set_result(option)

    def close(self, reason: str) -> None:
        """Ends the list. `reason` says why there is no pick if there are too few options."""
        self._reason, self.is_closed = reason, True
        for place in self._places[len(self.found) :]:
            place.set_result(None)
        if self._pick.done():
            return
        if self.is_enough:
            self.picked = int(self._second_draw * len(self.found))
        self._pick.set_result(self.found[self.picked] if self.is_enough else Failed(reason))

    async def pick(self) -> Option | Failed:
        """Returns the picked option as soon as it is complete, or the reason why there is none."""
        return await asyncio.shield(self._pick)

    async def others(self) -> AsyncIterator[Option]:
        """Yields the options that are not picked, each as soon as it is complete, but none before the pick."""
        picked = await self.pick()
        for place in self._places:
            option = await asyncio.shield(place)
            if option and option != picked:
                yield option

    def check(self) -> None:
        """Raises `ProposalError` if there are too few options."""
        if not self.is_enough:
            raise ProposalError("{message}", message=self._reason)

    def proposal(self) -> Proposal:
        """Returns the options so far and the index of the pick, which may not be complete yet."""
        return Proposal(tuple(self.found), self.picked)


def _name(option: Option) -> str:
    return option[_first(option)]


def _first(names: Iterable[str]) -> str:
    return next(iter(names))

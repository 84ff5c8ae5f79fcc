"""The events of a composition while it is generated, and the values that its parts exchange."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import orjson

from chains.parts.composition import Request

Status = Literal["ok", "cut_off", "failed"]
Option = dict[str, str]  # a proposed option's fields, the first of which is its name


@dataclass(frozen=True, slots=True)
class Failed:
    """Replaces the text of a part that failed, with a reason for users.

    `cut_off` means that the response ended early.
    """

    message: str
    cut_off: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """The options proposed so far and the index of the picked one. A later proposal supersedes an earlier one."""

    options: tuple[Option, ...]
    picked: int


@dataclass(frozen=True, slots=True)
class Alternate:
    """An option that was not picked. It is reported as soon as it is complete."""

    part: str
    option: Option

    @property
    def text(self) -> str:
        """The option on one line."""
        return f"{': '.join(option_texts(self.option))}\n"


@dataclass(frozen=True, slots=True)
class PartStart:
    """A model was called for this part. An attempt above 1 means: discard the earlier text."""

    part: str
    attempt: int
    provider: str
    model: str


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of a part's text, never empty."""

    part: str
    text: str


@dataclass(frozen=True, slots=True)
class PartEnd:
    """How a part ended. Times are milliseconds since the request; tokens are counted by the provider.

    `tokens_per_s` is (tokens - 1) / (end - first token). A part whose dependency failed ends without a start.
    """

    part: str
    status: Status
    finish_reason: str | None = None
    ttft_ms: int | None = None
    tokens: int | None = None
    tokens_per_s: float | None = None
    message: str | None = None


PartEvent = Proposal | Alternate | PartStart | Fragment | PartEnd


@dataclass(frozen=True, slots=True)
class Draft:
    """A partly generated composition. The parts in `texts` are kept; all others are generated.

    With `options` nothing is proposed, and `picked` is the index of the picked one; with `proposes_more` the options
    that are missing are proposed. `attempts` counts the earlier attempts of each part. A part whose rewrite produces
    nothing gets its text in `previous_texts` back.
    """

    request: Request
    options: tuple[Option, ...] = ()
    picked: int = 0
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    attempts: Mapping[str, int] = field(default_factory=dict[str, int])
    previous_texts: Mapping[str, str] = field(default_factory=dict[str, str])
    proposes_more: bool = False


def option_texts(option: Option) -> list[str]:
    """Returns the option's name and its other fields for readers: lists and objects without JSON's punctuation."""
    name, *others = option.values()
    return [name, *filter(None, map(_readable, others))]


def _readable(text: str) -> str:
    try:
        value = orjson.loads(text) if text.startswith(("[", "{")) else text
    except orjson.JSONDecodeError:
        return text
    return _listed(value)


def _listed(value: object) -> str:
    match value:
        case str():
            return value
        case dict():
            items = [f"{name}: {_listed(each)}" for name, each in cast(dict[str, Any], value).items()]
        case list():
            items = [_listed(each) for each in cast(list[object], value)]
        case _:
            return orjson.dumps(value).decode()
    separator = "; " if any(", " in item for item in items) else ", "
    return separator.join(items)

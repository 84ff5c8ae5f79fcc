"""A call to a model, as logs, metrics, traces and the budget see it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

Outcome = Literal["ok", "failed", "cancelled"]

NANO = 1_000_000_000  # costs are counted in billionths of a dollar


@dataclass(frozen=True, slots=True)
class Price:
    """In US dollars per million tokens."""

    input: float
    output: float

    def nano_usd(self, tokens: "Tokens") -> int:
        """Returns the cost of this many tokens, in billionths of a dollar."""
        return round((tokens.input * self.input + tokens.output * self.output) * NANO / 1_000_000)


@dataclass(frozen=True, slots=True)
class Tokens:
    """How many tokens a call took. Estimated ones were not reported by the provider."""

    input: int
    output: int
    is_estimated: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A call about to be made. `model` and `provider` are names in the registry, `model_id` is the provider's name.

    `part` is empty for a plain completion. `attempt` counts from 1. `most` has the most tokens that it can take.
    """

    provider: str
    model: str
    model_id: str
    part: str
    attempt: int
    max_tokens: int
    most: Tokens
    price: Price | None


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How a call ended. Times are in seconds since its beginning.

    `failure` is the kind of failure, and `detail` narrows it down. Neither has the provider's words.
    """

    outcome: Outcome
    seconds: float
    ttft_s: float | None
    tokens: Tokens
    finish_reason: str | None = None
    failure: str = ""
    detail: str = ""


@runtime_checkable
class CallObserver(Protocol):
    """Called before and after each call."""

    async def begin(self, call: Call) -> Callable[[CallEnd], None]:
        """Returns what is called at the end. Raises a `SizzleError` if the call may not be made."""
        ...


class Unobserved:
    """Lets every call be made."""

    async def begin(self, call: Call) -> Callable[[CallEnd], None]:
        return lambda end: None

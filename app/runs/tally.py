"""Adds up the calls to models of a run."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Self

from app.stores import Usage
from chains.models.calls import NANO, Call, CallEnd


@dataclass(slots=True)
class Tally:
    """What a run has used so far. The cost is in billionths of a dollar, or unknown if a price is."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    nano_usd: int | None = 0
    is_estimated: bool = False

    @classmethod
    def of(cls, usage: Usage | None) -> Self:
        """Continues from the usage of a run that is reopened."""
        if not usage:
            return cls()
        cost = None if usage.cost_usd is None else round(usage.cost_usd * NANO)
        return cls(usage.calls, usage.input_tokens, usage.output_tokens, cost, usage.is_estimated)

    def add(self, call: Call, end: CallEnd) -> None:
        cost = cost_of(call, end)
        self.calls += 1
        self.input_tokens += end.tokens.input
        self.output_tokens += end.tokens.output
        self.nano_usd = None if self.nano_usd is None or cost is None else self.nano_usd + cost
        self.is_estimated = self.is_estimated or end.tokens.is_estimated

    def usage(self) -> Usage:
        cost_usd = None if self.nano_usd is None else self.nano_usd / NANO
        return Usage(self.calls, self.input_tokens, self.output_tokens, cost_usd, self.is_estimated)


def cost_of(call: Call, end: CallEnd) -> int | None:
    """Returns the cost in billionths of a dollar. It is known to be 0 if the provider did not accept the call."""
    if not (end.tokens.input or end.tokens.output):
        return 0
    return call.price.nano_usd(end.tokens) if call.price else None


_current = ContextVar[Tally | None]("tally", default=None)


def current_tally() -> Tally | None:
    """Returns the tally of the run that the current task writes, if it writes one."""
    return _current.get()


@contextmanager
def tallied(tally: Tally) -> Generator[None]:
    """Within the block, and in tasks created there, calls are added to this tally."""
    token = _current.set(tally)
    try:
        yield
    finally:
        _current.reset(token)

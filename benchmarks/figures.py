"""Medians of the rounds with their spread, and ratios of servers that were measured in the same round."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan, nan
from statistics import median

from benchmarks.cells import Measured


@dataclass(frozen=True)
class Spread:
    median: float
    least: float
    most: float

    def text(self, digits: int = 2) -> str:
        return f"{self.median:,.{digits}f} ({self.least:,.{digits}f}–{self.most:,.{digits}f})"


def spread(figures: Iterable[float]) -> Spread:
    """Returns the spread over rounds with a figure. Rounds in which every recipe failed have none."""
    listed = sorted(figure for figure in figures if not isnan(figure)) or [nan]
    return Spread(median(listed), listed[0], listed[-1])


def of(rounds: Sequence[Measured], figure: str) -> Spread:
    return spread(getattr(measured, figure) for measured in rounds)


def ratio(ours: Sequence[Measured], others: Sequence[Measured], figure: str) -> list[float]:
    """Returns the ratios round by round."""
    return [getattr(one, figure) / getattr(other, figure) for one, other in zip(ours, others, strict=False)]

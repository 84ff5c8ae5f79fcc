"""Draws the results of a race. The only module that needs matplotlib."""
# pyright: reportUnknownMemberType=false
# matplotlib's keyword arguments have no types

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chains.race import Result


def draw(results: Sequence[Result], title: str, path: Path) -> None:
    """Writes a PNG with each model's best time to first token and median TPS, in the order of the results."""
    figure = Figure(figsize=(10, 1.8 + 0.5 * len(results)), layout="constrained")
    figure.suptitle(title)
    left, right = figure.subplots(1, 2, sharey=True)
    _bars(left, [result.best.ttft_ms if result.best else None for result in results], "#b4371a")
    _bars(right, [result.median.tokens_per_s if result.median else None for result in results], "#2c6a49")
    left.set_xlabel("Best time to first token, ms (shorter is better)")
    right.set_xlabel("Median tokens per second (longer is better)")
    left.set_yticks(range(len(results)), [_name(result) for result in results])
    left.invert_yaxis()
    figure.savefig(path, format="png", dpi=150)


def _bars(axes: Axes, values: Sequence[float | None], color: str) -> None:
    bars = axes.barh(range(len(values)), [value or 0 for value in values], color=color, height=0.6)
    axes.bar_label(bars, ["–" if value is None else f"{value:,.0f}" for value in values], padding=4)
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)


def _name(result: Result) -> str:
    return f"{result.model} (failed)" if result.failure else result.model

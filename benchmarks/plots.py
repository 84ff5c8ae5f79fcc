"""Draws CPU per token relative to the hand-written server, and both schedules."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from benchmarks.figures import Spread, ratio, spread
from benchmarks.matrix import TARGETS, Results
from benchmarks.timeline import Timeline

mpl.use("Agg")

from matplotlib import pyplot

COLOURS = {"idiomatic": "#b0b0b0", "handwritten": "#6f9bd1", "ours": "#d9480f", "floor": "#2b8a3e"}
LABELS = {"idiomatic": "idiomatic LCEL", "handwritten": "hand-written", "ours": "ours", "floor": "floor"}
ROWS = ("alternates", "nutrition", "ingredients", "intro", "sides", "steps")
CODES = {"ingredients": "add", "intro": "int", "nutrition": "ing", "sides": "sde", "steps": "ste"}


def draw_cpu(results: Results, limits: Sequence[float], file: Path) -> None:
    """Draws the medians as bars, with whiskers from minimum to maximum. `limits` are targets."""
    figure, axes = pyplot.subplots(figsize=(9, 4.2), layout="constrained")
    for place, name in enumerate(COLOURS):
        spreads = [_over_handwritten(results, cell.name, name) for cell in TARGETS]
        at = [cell + (place - 1.5) * 0.2 for cell in range(len(TARGETS))]
        whiskers = [[s.median - s.least for s in spreads], [s.most - s.median for s in spreads]]
        bars = axes.bar(at, [s.median for s in spreads], 0.2, color=COLOURS[name], label=LABELS[name], yerr=whiskers)
        axes.bar_label(bars, [f"{s.median:.2f}" for s in spreads], padding=2, fontsize=8)
        if name == "ours":
            axes.hlines(
                limits, [x - 0.1 for x in at], [x + 0.1 for x in at], "black", "dashed", label="target for ours"
            )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.margins(y=0.12)
    axes.set_xticks(range(len(TARGETS)), [_words(cell.name) for cell in TARGETS])
    axes.set_ylabel("CPU per token, hand-written = 1")
    axes.legend(ncols=5, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.12), frameon=False)
    _save(figure, file)


def _over_handwritten(results: Results, cell: str, name: str) -> Spread:
    return spread(ratio(results[cell][name], results[cell]["handwritten"], "cpu_us"))


def _words(cell: str) -> str:
    rate, _, recipes = cell.partition("x")
    return f"{rate}{'' if rate == 'unlimited' else ' tokens/s'}\n{recipes} recipes at once"


def draw_schedules(csharp: Timeline, ours: Timeline, file: Path) -> None:
    """Draws each call: pale until its first token, solid while it streams. Diamonds: first fragment at the client."""
    figure, panels = pyplot.subplots(2, sharex=True, figsize=(9, 5.6), layout="constrained")
    titles = ("The C# project’s schedule: the proposal whole, then the parts", "Ours: nothing waits that need not")
    for axes, timeline, title in zip(panels, (csharp, ours), titles, strict=True):
        _draw_schedule(axes, timeline, title)
    panels[1].set_xlabel(f"seconds from the request, at {ours.pace.tokens_per_s:g} tokens/s for each call")
    _save(figure, file)


def _draw_schedule(axes: Any, timeline: Timeline, title: str) -> None:
    calls = {call["part"]: call for call in timeline.calls}
    for row, part in enumerate(ROWS):
        requested, ended = (calls[part][moment] - timeline.started for moment in ("requested", "ended"))
        first, colour = requested + timeline.pace.ttft_s, "#868e96" if part == "alternates" else "#d9480f"
        axes.barh(row, first - requested, left=requested, color=colour, alpha=0.25)
        axes.barh(row, ended - first, left=first, color=colour)
    shown = timeline.first_s()
    axes.plot([shown["alt"]], [0], "D", color="black", markersize=5)
    axes.plot([shown[CODES[part]] for part in ROWS[1:]], range(1, len(ROWS)), "D", color="black", markersize=5)
    for moment, words in ((min(shown.values()), "first visible"), (timeline.reading.total_s, "end")):
        axes.axvline(moment, color="black", linewidth=0.8, linestyle="dotted")
        axes.text(moment, -0.75, f" {words} {moment:.2f} s", fontsize=8)
    axes.set_yticks(range(len(ROWS)), ROWS)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_title(title, loc="left", fontsize=10, pad=16)
    axes.spines[["top", "right"]].set_visible(False)


def _save(figure: Any, file: Path) -> None:
    figure.savefig(file, dpi=110)
    pyplot.close(figure)

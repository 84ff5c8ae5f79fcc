"""The progress of a race for the terminal: a table at any time, and a JSON document at the end."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import orjson
from rich import box
from rich.bar import Bar
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from app.settings import STANDIN
from chains.race import (
    MAX_TOKENS,
    PROMPT,
    TEMPERATURE,
    CallStart,
    Entrant,
    Figures,
    Progress,
    RaceStart,
    Result,
    RoundEnd,
)

STANDIN_NOTE = "The rule-based stand-in was measured, not a language model: its speed is a setting."
DEFINITIONS = (
    "TTFT: from the request to the first text; TPS: (tokens - 1) / (end - first text); total: to the end of the stream."
)
WIDE = 100  # columns; narrower tables omit the provider and show the bar in place of the state
BAR = 10  # columns


@dataclass
class Row:
    """A model's row in the table."""

    entrant: Entrant
    state: str = "waiting"
    best: Figures | None = None
    median: Figures | None = None
    result: Result | None = None

    @property
    def rank(self) -> tuple[bool, float]:
        return bool(self.failure), self.best.ttft_ms if self.best else inf

    @property
    def failure(self) -> str | None:
        return self.result.failure if self.result else None


class Scoreboard:
    """The rows, ranked by the best time to first token, with failed models last."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._rounds = 0

    def show(self, progress: Progress) -> None:
        match progress:
            case RaceStart(entrants, rounds):
                self._rows = {entrant.model: Row(entrant) for entrant in entrants}
                self._rounds = rounds
            case CallStart(model, number):
                self._call(model, f"round {number} of {self._rounds}" if number else "warming up")
            case RoundEnd(model, best=best, median=median):
                row = self._rows[model]
                row.best, row.median = best, median
            case Result(model, failure=failure):
                row = self._rows[model]
                row.result, row.state = progress, "failed" if failure else "done"
            case _:
                pass

    def _call(self, model: str, state: str) -> None:
        for row in self._rows.values():
            if not row.result:
                row.state = state if row.entrant.model == model else "waiting"

    @property
    def ranked(self) -> list[Row]:
        return sorted(self._rows.values(), key=lambda row: row.rank)

    @property
    def results(self) -> list[Result]:
        return [row.result for row in self.ranked if row.result]

    @property
    def has_standin(self) -> bool:
        return any(row.entrant.provider == STANDIN for row in self._rows.values())

    @property
    def title(self) -> str:
        rounds = "1 round" if self._rounds == 1 else f"{self._rounds} rounds"
        return f"{rounds} · rule-based stand-in, not a language model" if self.has_standin else rounds

    def to_json(self) -> str:
        """Returns every round of every model, and the prompt."""
        settings = {"prompt": PROMPT, "max_tokens": MAX_TOKENS, "temperature": TEMPERATURE, "rounds": self._rounds}
        models = [
            {"model": row.entrant.model, "provider": row.entrant.provider, "label": row.entrant.label}
            | {"best": row.best, "median": row.median, "rounds": row.result.rounds, "failure": row.failure}
            for row in self.ranked
            if row.result
        ]
        document = {**settings, "standin": self.has_standin, "models": models}
        return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        yield self._table(options.max_width >= WIDE)
        for row in self.ranked:
            if row.failure:
                yield Text.assemble((row.entrant.model, "bold"), " failed: ", (row.failure, "red"))
        yield Text(DEFINITIONS, style="dim")
        if self.has_standin:
            yield Text(STANDIN_NOTE, style="yellow")

    def _table(self, wide: bool) -> Table:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1 if wide else 0, 0, 0), pad_edge=False)
        table.add_column("#", justify="right", no_wrap=True)
        for heading in ("Model", "Provider") if wide else ("Model",):
            table.add_column(heading, no_wrap=True, overflow="ellipsis")
        for heading in ("TTFT ms\nbest", "\nmedian", "TPS\nmedian", "Total ms\nmedian", "Tokens\nmedian"):
            table.add_column(heading, justify="right", no_wrap=True)
        for heading in ("TTFT best", "") if wide else ("TTFT best",):
            table.add_column(heading, no_wrap=True, min_width=BAR)
        slowest = max((row.best.ttft_ms for row in self.ranked if row.best), default=0)
        for place, row in enumerate(self.ranked, 1):
            rank = str(place) if row.best and not row.failure else ""
            bar = Bar(slowest, 0, row.best.ttft_ms, width=BAR, color="green") if row.best else ""
            who = [row.entrant.model, row.entrant.label] if wide else [row.entrant.model]
            how = [bar, _state(row)] if wide else [bar if row.state == "done" else _state(row)]
            table.add_row(rank, *who, *_figures(row.best, row.median), *how)
        return table


def _figures(best: Figures | None, median: Figures | None) -> list[str]:
    if not best or not median:
        return ["", "", "", "", ""]
    tokens_per_s = f"{median.tokens_per_s:,.0f}" if median.tokens_per_s is not None else "–"
    tokens = f"{median.tokens:,}" if median.tokens is not None else "–"
    return [f"{best.ttft_ms:,.0f}", f"{median.ttft_ms:,.0f}", tokens_per_s, f"{median.total_ms:,.0f}", tokens]


def _state(row: Row) -> Text:
    style = "red" if row.failure else "green" if row.result else "dim" if row.state == "waiting" else "yellow"
    return Text(row.state, style=style)

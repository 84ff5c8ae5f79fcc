"""Shows a run's events in the terminal: as live panels, plain text, or lines of JSON."""

import sys
from collections.abc import Mapping
from typing import Protocol, Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.containers import Lines
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from app.stores import EVENT_NAMES, RunEnd, RunEvent, RunStart, to_json
from chains.models.registry import Registry
from chains.parts.composition import Composition, title_in
from chains.parts.events import Alternate, Fragment, PartEnd, PartEvent, PartStart, Proposal, option_texts
from chains.parts.markdown import MarkdownWriter
from chains.translations import Language


class Screen(Protocol):
    """Shows events. On exit it restores the terminal."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def show(self, event: RunEvent) -> None: ...


# characters that control the terminal or the text direction: C0, C1, bidirectional controls
_CONTROLS = {*range(0x20), *range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
_REMOVED = dict.fromkeys(_CONTROLS - {ord("\t"), ord("\n")})
_ESCAPED = {code: f"\\u{code:04x}" for code in _CONTROLS}

STATES: dict[Language, dict[str, str]] = {
    "en": {"waiting": "waiting", "writing": "writing", "ok": "done", "cut_off": "cut off", "failed": "failed"},
    "ko": {"waiting": "대기 중", "writing": "쓰는 중", "ok": "완료", "cut_off": "끊김", "failed": "실패"},
}
PROPOSING: dict[Language, str] = {"en": "Proposing …", "ko": "제안하는 중 …"}
STYLES = {"waiting": "dim", "writing": "yellow", "ok": "green", "cut_off": "yellow", "failed": "red"}


def printable(text: str) -> str:
    """Removes control characters, so that a model's text cannot write to the clipboard or clear the screen."""
    return text.translate(_REMOVED)


class JsonLines:
    """Each event as `{"event": name, …}` on a line of its own."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, event: RunEvent) -> None:
        fields = to_json(event).decode().translate(_ESCAPED)  # in JSON they only occur in strings
        print(f'{{"event":"{EVENT_NAMES[type(event)]}",{fields[1:]}', flush=True)


class PlainText:
    """Prints the composition as Markdown in reading order. A part is streamed once those before it have ended."""

    def __init__(self, composition: Composition, language: Language) -> None:
        self._writer = MarkdownWriter(composition, language)
        self._choice = composition.choice.name if composition.choice else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        print(flush=True)

    def show(self, event: RunEvent) -> None:
        match event:
            case RunEnd(message=str(message)):
                print(message, file=sys.stderr)
            case RunStart() | RunEnd():
                pass
            case PartEnd(part, "failed", message=message) if part == self._choice:  # then nothing else follows
                print(message, file=sys.stderr)
                self._write(event)
            case part_event:
                self._write(part_event)

    def _write(self, event: PartEvent) -> None:
        print(printable(self._writer.write(event)), end="", flush=True)


class LivePanels:
    """Shows a panel for each part while they fill.

    On a low terminal each panel shows its last lines; the whole text is printed at the end.
    """

    def __init__(self, composition: Composition, language: Language) -> None:
        self._headings = {part.name: part.title_in(language) for part in composition.reading_order}
        self._choice = composition.choice.name if composition.choice else None
        self._notice, self._words = title_in(composition.notice, language), STATES[language]
        opening = PROPOSING[language] if self._choice else composition.title_in(language)
        self._title = Text(opening, style="dim")
        self._texts = {part: Text() for part in self._headings}
        self._states = dict.fromkeys(self._headings, (self._words["waiting"], STYLES["waiting"]))
        self._console = Console()
        self._live = Live(console=self._console, get_renderable=self._last_lines, refresh_per_second=12, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        self._console.print(self._panels(self._texts), Text(self._notice, style="dim"))

    def show(self, event: RunEvent) -> None:
        match event:
            case Proposal(options, picked):
                name, *others = map(printable, option_texts(options[picked]))
                self._title = Text.assemble((name, "bold"), "\n", (" · ".join(others), "italic"))
            case PartStart(part):
                self._texts[part] = Text()  # discards the text of an earlier attempt
                self._states[part] = self._words["writing"], STYLES["writing"]
            case Fragment(part) | Alternate(part):
                self._texts[part].append(printable(event.text))
            case PartEnd(part, status, message=message):
                self._states[part] = (status != "ok" and message) or self._words[status], STYLES[status]
                if part == self._choice and status == "failed":
                    self._title = Text(message or "", style="red")
            case RunEnd(message=str(message)):
                self._title = Text(message, style="red")
            case _:
                pass

    def _last_lines(self) -> RenderableType:
        console = self._console
        width, borders = console.width - 4, 2 * len(self._texts)
        rows = console.height - borders - len(self._title.wrap(console, console.width)) - 1
        lines: dict[str, Lines] = {part: text.wrap(console, width) for part, text in self._texts.items()}
        share = max(1, rows // len(lines))
        spare = rows - sum(min(len(each), share) for each in lines.values())
        most = share if sum(map(len, lines.values())) > rows else share + max(spare, 0)
        return self._panels({part: Text("\n").join(each[-most:]) for part, each in lines.items()})

    def _panels(self, texts: Mapping[str, Text]) -> RenderableType:
        return Group(
            self._title, *(self._panel(part, heading, texts[part]) for part, heading in self._headings.items())
        )

    def _panel(self, part: str, heading: str, text: Text) -> Panel:
        state, style = self._states[part]
        return Panel(
            text, title=heading, subtitle=state, title_align="left", subtitle_align="right",
            border_style=style, box=box.ROUNDED,
        )  # fmt: skip


def registry_table(
    registry: Registry, with_key: set[str], chosen: Mapping[str, str], cooldowns: Mapping[str, float]
) -> Table:
    """Returns a table of the models: window and output in tokens, key, and the parts they are used for.

    Each model takes two lines, so that the table fits narrow terminals. `cooldowns` are in seconds, by provider.
    """
    table = Table("Model\nId", "Provider\nKey", "Parts", box=box.SIMPLE)
    table.columns[0].overflow = "fold"
    table.columns[2].min_width = len("ingredients,")
    largest = max(max(model.context_window, model.max_output) for model in registry.models.values())
    table.add_column("Window\nOutput", justify="right", no_wrap=True, min_width=len(f"{largest:,}"))
    for name, model in registry.models.items():
        provider = registry.providers[model.provider]
        key = "not needed" if not provider.needs_key else "set" if model.provider in with_key else "missing"
        parts = ", ".join(part for part, writer in chosen.items() if writer == name)
        cooldown = f", rests for {cooldowns[model.provider]:.0f} s" if model.provider in cooldowns else ""
        table.add_row(
            Text(printable(f"{name}\n{model.id}")),
            Text(printable(f"{provider.label}{cooldown}\n{key}")),
            parts,
            f"{model.context_window:,}\n{model.max_output:,}",
        )
    return table

"""A run's events on the terminal: as live panels, as plain text, or as lines of JSON."""

import sys
from collections.abc import Mapping
from typing import Protocol, Self

from rich import box
from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from app.eventlog import EVENT_NAMES, RunEnd, RunEvent, RunStart, to_json
from chains.markdown import HEADINGS, NOTICE, MarkdownWriter
from chains.registry import Registry
from chains.schema import Fragment, Language, Part, PartEnd, PartStart, Proposal, Step, Update


class Screen(Protocol):
    """Shows events; a context, so that the terminal is left as it was."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def show(self, event: RunEvent) -> None: ...


class JsonLines:
    """Each event as `{"event": name, …}` on a line of its own."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, event: RunEvent) -> None:
        fields = to_json(event).decode()
        print(f'{{"event":"{EVENT_NAMES[type(event)]}",{fields[1:]}', flush=True)


class PlainText:
    """The recipe as Markdown in reading order, each part streamed as soon as those before it have ended."""

    def __init__(self, language: Language) -> None:
        self._writer = MarkdownWriter(language)

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
            case PartEnd("alternates", "failed", message=message):  # without a dish there is no recipe
                print(message, file=sys.stderr)
                self._write(event)
            case update:
                self._write(update)

    def _write(self, update: Update) -> None:
        print(self._writer.write(update), end="", flush=True)


class LivePanels:
    """The six panels on a terminal, filling at the same time."""

    def __init__(self, language: Language) -> None:
        self._headings, self._notice = HEADINGS[language], NOTICE[language]
        self._title = Text("Proposing three recipes …", style="dim")
        self._texts = {part: Text() for part in self._headings}
        self._states: dict[Part, tuple[str, str]] = dict.fromkeys(self._headings, ("waiting", "dim"))
        self._live = Live(get_renderable=self._panels, refresh_per_second=12, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        self._live.console.print(Text(self._notice, style="dim"))

    def show(self, event: RunEvent) -> None:
        match event:
            case Proposal(recipes, picked):
                dish = recipes[picked]
                self._title = Text.assemble((dish.name, "bold"), "\n", (dish.intro, "italic"))
            case PartStart(part):
                self._texts[part] = Text()  # what an earlier attempt wrote is to be discarded
                self._states[part] = ("writing", "yellow")
            case Fragment(part, text):
                self._texts[part].append(text)
            case PartEnd(part, status, message=message):
                self._states[part] = _state(status, message)
                if part == "alternates" and status == "failed":
                    self._title = Text(message or "", style="red")
            case RunEnd(message=str(message)):
                self._title = Text(message, style="red")
            case _:
                pass

    def _panels(self) -> RenderableType:
        return Group(self._title, *(self._panel(part, heading) for part, heading in self._headings.items()))

    def _panel(self, part: Part, heading: str) -> Panel:
        state, style = self._states[part]
        return Panel(
            self._texts[part], title=heading, subtitle=state, title_align="left", subtitle_align="right",
            border_style=style, box=box.ROUNDED,
        )  # fmt: skip


def _state(status: str, message: str | None) -> tuple[str, str]:
    if status == "ok":
        return "done", "green"
    return message or status, "red" if status == "failed" else "yellow"


def registry_table(
    registry: Registry, with_key: set[str], chosen: Mapping[Step, str], resting: Mapping[str, float]
) -> Table:
    """The models of the registry with their windows and outputs in tokens, keys, and the steps that they write.

    `resting` has the seconds for which a provider rests that failed too often.
    """
    table = Table(box=box.SIMPLE)
    for heading in ("Model", "Id"):
        table.add_column(heading, no_wrap=True, overflow="fold")
    for heading in ("Provider", "Key", "Steps"):
        table.add_column(heading)
    for heading in ("Window", "Output"):
        table.add_column(heading, justify="right")
    for name, model in registry.models.items():
        provider = registry.providers[model.provider]
        key = "not needed" if not provider.needs_key else "set" if model.provider in with_key else "missing"
        steps = ", ".join(step for step, writer in chosen.items() if writer == name)
        rests = f", rests for {resting[model.provider]:.0f} s" if model.provider in resting else ""
        table.add_row(
            name, model.id, provider.label + rests, key, steps, f"{model.context_window:,}", f"{model.max_output:,}"
        )
    return table

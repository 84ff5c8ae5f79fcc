"""`sizzle race`."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from app.cli.scoreboard import Scoreboard
    from app.settings import Settings


def race(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL", help="Names from `sizzle models`; by default all with a key."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="How often each model is measured.")] = 3,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document with every round.")] = False,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw time to first token and TPS.")] = None,
) -> None:
    """Measures how fast models answer: milliseconds to the first token, tokens per second, and total time.

    Makes ROUNDS + 1 calls of each model; the first opens the connection and is not counted.
    """
    from app.settings import read_settings

    settings = read_settings()
    names = _entrants(settings, models or [])
    if plot:
        _check_picture(plot)
    from rich.console import Console

    from app.cli.scoreboard import Scoreboard

    board = Scoreboard()
    console = Console(quiet=json, width=None if sys.stdout.isatty() else 160)
    asyncio.run(_race(settings, names, rounds, board, console))
    if json:
        typer.echo(board.to_json())
    if plot:
        from app.cli.race_plot import draw

        draw(board.results, board.title, plot)
    raise typer.Exit(0 if any(result.rounds for result in board.results) else 1)


def _entrants(settings: "Settings", names: Sequence[str]) -> list[str]:
    """Returns the names of the models to measure."""
    from app.settings import STANDIN, key_setting

    registry = settings.load_registry()
    usable = registry.models_of(settings.usable_providers())
    for name in names:
        if name not in registry.models:
            raise typer.BadParameter(f"no model {name!r}; known: {', '.join(registry.models)}", param_hint="MODEL")
        if name not in usable:
            provider = registry.models[name].provider
            missing = (
                "answers only where a part has no other model"
                if provider == STANDIN
                else f"needs {key_setting(provider)}"
            )
            raise typer.BadParameter(f"{name} {missing}", param_hint="MODEL")
    return list(dict.fromkeys(names)) or usable


def _check_picture(path: Path) -> None:
    """Ends the command before measuring if `path` cannot be drawn."""
    try:
        import matplotlib  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        sys.exit(f"sizzle: --plot needs matplotlib: {sys.executable} -m pip install matplotlib")
    if path.suffix.lower() != ".png":
        raise typer.BadParameter(f"{path} does not end in .png", param_hint="--plot")
    existed = path.exists()
    try:
        path.open("ab").close()
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}", param_hint="--plot") from None
    if not existed:
        path.unlink()


async def _race(
    settings: "Settings", names: Sequence[str], rounds: int, board: "Scoreboard", console: "Console"
) -> None:
    from rich.live import Live

    from app.models import open_models
    from chains.race import race as racing

    # redrawn between calls only: a drawing thread would disturb the measurement
    live = Live(board, console=console, auto_refresh=False, vertical_overflow="crop", transient=True)
    async with open_models(settings) as models:
        entrants = {name: models.completion_models[name] for name in names}
        try:
            with live:
                async with aclosing(racing(entrants, rounds)) as updates:
                    async for progress in updates:
                        board.show(progress)
                        live.refresh()
        finally:  # even after Ctrl-C
            console.print(board)

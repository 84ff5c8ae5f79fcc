"""The command line. Each command imports what it needs, so that `--help` is quick."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from errno import ENOSPC, EPIPE
from importlib.metadata import version as installed_version
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.check import check
from app.cli.exposure import audience
from app.cli.runs import runs
from app.cli.serve import Host, Open, Port, serve
from app.cli.usage import usage
from app.cli.worker import worker
from app.server.network import check_key_log
from chains.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import SecretStr
    from rich.console import Console

    from app.cli.scoreboard import Scoreboard
    from app.cli.terminal import Screen
    from app.settings import Settings
    from chains.parts.composition import Composition, Request

cli = typer.Typer(
    name="sizzle",
    help="Ingredients in, recipe out: fast language models write six parts in parallel.\n\n"
    "Without FIREWORKS_API_KEY or GROQ_API_KEY a rule-based stand-in answers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """The console script. Invalid settings end it with one line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without a character shows ? instead
    sys.argv = [*map(_decoded, sys.argv)]
    os.environ.pop("WEB_CONCURRENCY", None)  # uvicorn reads it; our number of processes is `--workers`
    try:
        check_key_log()
        cli()
    except ConfigError as error:
        sys.exit(f"sizzle: {error}")
    except OSError as error:
        if error.errno not in (EPIPE, ENOSPC):
            raise
        # after `sizzle … | head`, or on a full disk, the rest of the output is discarded
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1 if error.errno == EPIPE else f"sizzle: {error.strerror}")


def _decoded(argument: str) -> str:
    """Returns an argument that the locale can't decode, such as Korean in the locale C, decoded as UTF-8."""
    is_decoded = not any("\udc80" <= character <= "\udcff" for character in argument)
    return argument if is_decoded else os.fsencode(argument).decode(errors="replace")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sizzle {installed_version('sizzle')}")
        raise typer.Exit


@cli.callback()
def sizzle(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options that come before a command."""


cli.command()(serve)
cli.command()(worker)
cli.command()(check)
cli.command()(usage)
cli.add_typer(runs, name="runs")


@cli.command()
def generate(
    ingredients: Annotated[
        str,
        typer.Argument(
            metavar="INGREDIENTS",
            help="What is on hand, for example: beef, onions, peppers. With --composition, the text of its request, "
            "or a JSON object with the request's fields.",
        ),
    ],
    minutes: Annotated[int, typer.Option(help="How long cooking may take, 5 to 240 minutes.")] = 30,
    lang: Annotated[str, typer.Option(help="The language of the answer: en or ko.")] = "en",
    diet: Annotated[str, typer.Option(help="Diets to follow, for example: vegan, halal.")] = "",
    avoid: Annotated[str, typer.Option(help="What to leave out, for example: peanuts, shellfish.")] = "",
    servings: Annotated[int | None, typer.Option(help="For how many people, 1 to 20.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**53, help="A whole number that repeats the pick.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print each event as a line of JSON.")] = False,
    composition: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:NAME",
            help="Another composition. Options of the recipe are then ignored: --minutes, --diet, --avoid, --servings.",
        ),
    ] = None,
) -> None:
    """Generates one recipe, or another composition, in the terminal, without a server."""
    from app.settings import read_settings

    if composition:
        os.environ["SIZZLE_COMPOSITIONS"] = composition
    settings = read_settings()
    *_, wanted = settings.load_compositions().values()
    fields: dict[str, object] = {"ingredientsOnHand": ingredients, "prepTime": minutes, "diet": diet, "avoid": avoid}
    if servings is not None:
        fields["servings"] = servings
    request = _checked_request(wanted, ingredients if composition else fields, lang, seed)
    from app.cli.terminal import JsonLines, LivePanels, PlainText

    screen = JsonLines() if json else (LivePanels if sys.stdout.isatty() else PlainText)(wanted, request.language)
    raise typer.Exit(asyncio.run(_generate(settings, wanted, request, screen)))


@cli.command()
def models(
    server: Annotated[
        str, typer.Option(metavar="URL", help="A running Sizzle, which knows the cooldowns of providers.")
    ] = "http://127.0.0.1:8000",
) -> None:
    """Shows the registry: each model with window and output in tokens, key, provider's cooldown, and parts."""
    from rich.console import Console

    from app.cli.terminal import registry_table
    from app.settings import read_settings

    settings = read_settings()
    registry = settings.load_registry()
    keys = settings.provider_keys()
    cooldowns = _cooldowns(server, settings.token)
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(registry_table(registry, set(keys), settings.choose_models(), cooldowns or {}))
    if cooldowns is None:
        console.print(f"No Sizzle answers at {server}, so cooldowns are unknown. (--server)", style="dim")


@cli.command()
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


@cli.command()
def standin(
    host: Host = "127.0.0.1",
    port: Port = 8001,
    ttft_ms: Annotated[float, typer.Option(min=0, help="Milliseconds to the first token.")] = 250,
    tokens_per_s: Annotated[float, typer.Option(min=0, help="Tokens a second; 0 for no limit.")] = 80,
    seed: Annotated[int, typer.Option(help="Changes the choice of dishes.")] = 0,
    open_: Open = False,
) -> None:
    """Serves the rule-based stand-in alone, as an OpenAI-compatible provider. Its API keys are Sizzle's tokens."""
    from app.server.protocol import ProviderHttp
    from app.settings import read_settings
    from app.standin.server import run

    if open_:
        os.environ["SIZZLE_OPEN"] = "true"
    users = audience(host, spends_money=False)
    tokens = read_settings().token_source()
    run(
        host, port, ttft_ms, tokens_per_s, seed, users,
        is_valid_key=lambda key: not tokens.current or tokens.current.knows(key), http=ProviderHttp,
    )  # fmt: skip


def _checked_request(
    composition: "Composition", fields: Mapping[str, object] | str, lang: str, seed: int | None
) -> "Request":
    """Returns the request with these fields, or that a text stands for. An invalid one ends the command."""
    from pydantic import ValidationError

    from chains.parts.free_text import is_json, request_from
    from chains.parts.schema import example_of
    from chains.validation import validation_message

    language = "ko" if lang == "ko" else "en"
    try:
        if not isinstance(fields, str):
            return composition.request.model_validate({**fields, "language": lang, "seed": seed})
        return request_from(composition, fields, language).model_copy(update={"seed": seed})
    except ValidationError as error:
        problem = error.errors()[0]
        field = str(problem["loc"][0]) if problem["loc"] else "INGREDIENTS"
        options = {"prepTime": "--minutes", "ingredientsOnHand": "INGREDIENTS", "language": "--lang"}
        hint = field if isinstance(fields, str) else options.get(field, f"--{field}")
        wrong = validation_message(problem, language)
        if isinstance(fields, str) and not is_json(fields):
            wrong += f". This works: '{example_of(composition.request, language)}'"
        raise typer.BadParameter(wrong, param_hint=hint) from None


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


def _cooldowns(server: str, token: "SecretStr | None") -> dict[str, float] | None:
    """Returns the cooldowns of providers in seconds, or None if no server answers."""
    import httpx2

    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
    try:
        health = httpx2.get(f"{server.rstrip('/')}/healthz", headers=headers, timeout=1, trust_env=False).json()
        return {str(name): float(seconds) for name, seconds in health["resting"].items()}
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, TypeError, KeyError, AttributeError):
        return None


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


async def _generate(settings: "Settings", composition: "Composition", request: "Request", screen: "Screen") -> int:
    from app.models import open_models
    from app.runs.runs import Runs
    from app.stores import RunEnd
    from app.stores.memory import MemoryEventLog

    status = "failed"
    async with (
        open_models(settings) as models,
        aclosing(Runs(models.served, MemoryEventLog())) as runs,
    ):
        with screen:
            async for batch in runs.follow(await runs.start(composition.name, request)):
                for event in (entry.event for entry in batch):
                    screen.show(event)
                    status = event.status if isinstance(event, RunEnd) else status
    return 0 if status == "ok" else 1

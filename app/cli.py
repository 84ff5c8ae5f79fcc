"""The command line: serve, generate, models, standin. Each command imports what it needs, so that --help is quick."""

import asyncio
import os
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from app.settings import Settings, read_settings
from chains.errors import ConfigError
from chains.schema import RecipeRequest

if TYPE_CHECKING:
    from app.terminal import Screen

cli = typer.Typer(
    name="sizzle",
    help="Ingredients in, recipe out: six parts written at once by fast language models.\n\n"
    "Without FIREWORKS_API_KEY or GROQ_API_KEY a rule-based stand-in answers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Host = Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 lets other machines in.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 lets the system pick one.")]


def main() -> None:
    """The console script: settings that do not fit end it with one line."""
    try:
        cli()
    except ConfigError as error:
        sys.exit(f"sizzle: {error}")
    except BrokenPipeError:  # the reader of our output has gone, as `head` does; what is still to be flushed, too
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


@cli.command()
def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(min=1, help="How many processes serve.")] = 1,
) -> None:
    """Serves the page and POST /generate."""
    import uvicorn

    settings = read_settings()
    settings.choose_models(settings.load_registry())
    typer.echo("Starting Sizzle. In a few seconds open the address below.")
    uvicorn.run("app.main:create_app", factory=True, host=host, port=port, workers=workers)


@cli.command()
def generate(
    ingredients: Annotated[
        str, typer.Argument(metavar="INGREDIENTS", help="What is on hand, for example: beef, onions, peppers.")
    ],
    minutes: Annotated[int, typer.Option(help="How long cooking may take, 5 to 240 minutes.")] = 30,
    lang: Annotated[str, typer.Option(help="The recipe's language: en or ko.")] = "en",
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**53, help="A whole number that repeats the pick of the dish.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print each event as a line of JSON.")] = False,
) -> None:
    """Writes one recipe to the terminal, without a server."""
    request = _checked_request(ingredients, minutes, lang, seed)
    settings = read_settings()
    from app.terminal import JsonLines, LivePanels, PlainText

    screen = JsonLines() if json else (LivePanels if sys.stdout.isatty() else PlainText)(request.language)
    raise typer.Exit(asyncio.run(_generate(settings, request, screen)))


@cli.command()
def models() -> None:
    """Shows the registry: each model, its window and output in tokens, whether its key is set, and its steps."""
    from rich.console import Console

    from app.terminal import registry_table

    settings = read_settings()
    registry = settings.load_registry()
    keys = settings.provider_keys()
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(registry_table(registry, set(keys), settings.choose_models(registry)))


@cli.command()
def standin(
    host: Host = "127.0.0.1",
    port: Port = 8001,
    ttft_ms: Annotated[float, typer.Option(min=0, help="Milliseconds to the first token.")] = 250,
    tokens_per_s: Annotated[float, typer.Option(min=0, help="Tokens a second; 0 for no limit.")] = 80,
    seed: Annotated[int, typer.Option(help="Another number gives other recipes.")] = 0,
) -> None:
    """Serves the rule-based stand-in alone, as an OpenAI-compatible provider."""
    from app.standin.server import run

    run(host, port, ttft_ms, tokens_per_s, seed)


def _checked_request(ingredients: str, minutes: int, lang: str, seed: int | None) -> RecipeRequest:
    try:
        return RecipeRequest.model_validate(
            {"ingredientsOnHand": ingredients, "prepTime": minutes, "language": lang, "seed": seed}
        )
    except ValidationError as error:
        problem = error.errors()[0]
        option = {"prepTime": "--minutes", "ingredientsOnHand": "INGREDIENTS", "language": "--lang"}
        raise typer.BadParameter(
            problem["msg"].removeprefix("Value error, "), param_hint=option.get(str(problem["loc"][0]))
        ) from None


async def _generate(settings: Settings, request: RecipeRequest, screen: "Screen") -> int:
    from app.eventlog import MemoryEventLog, RunEnd
    from app.main import kitchen
    from app.runs import Runs
    from chains.recipe import recipe_chain

    status = "failed"
    async with (
        kitchen(settings) as models,
        aclosing(Runs(recipe_chain(models.chosen), MemoryEventLog())) as runs,
    ):
        with screen:
            async for _, event in runs.follow(runs.start(request)):
                screen.show(event)
                status = event.status if isinstance(event, RunEnd) else status
    return 0 if status == "ok" else 1

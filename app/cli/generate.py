"""`sizzle generate`."""

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from app.cli.terminal import Screen
    from app.settings import Settings
    from chains.parts.composition import Composition, Request


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

"""The page of each composition, and the description from which the page takes its panels, titles, order and form."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask

from app.api.deps import AccessDep, ModelsDep
from app.compositions import place_of
from app.server.page import composition_page, page_response
from chains.parts.composition import LANGUAGE_NAMES, Choice, Composition, title_in
from chains.translations import Language

ACCOUNT = "<!-- account -->"
ACCOUNT_LINK = '<p class="more"><a href="sign-in" data-word="account">Sign in or out</a></p>'

Texts = dict[Language, str]


class _Description(BaseModel):
    model_config = ConfigDict(frozen=True)


class PartDescription(_Description):
    name: str
    title: Texts
    needs: tuple[str, ...] = Field(description="The parts whose results its prompt names.")
    dependents: tuple[str, ...] = Field(description="The parts that are rewritten with it.")


class ChoiceDescription(_Description):
    part: str = Field(description="The part that proposes the options, and lists those that were not picked.")
    noun: str = Field(description="The field of a request for a run that names an option.")
    fields: tuple[str, ...] = Field(description="The fields of an option, the first of which is its name.")


class Link(_Description):
    title: Texts
    path: str = Field(description="Relative to the root of the server.")


class CompositionDescription(_Description):
    """A composition: its parts in reading order, what a request holds, and the pages of the other compositions."""

    name: str
    title: Texts
    notice: Texts
    parts: tuple[PartDescription, ...]
    choice: ChoiceDescription | None
    request: dict[str, Any] = Field(description="The JSON Schema of the request.")
    others: tuple[Link, ...]


def router(composition: Composition, served: Iterable[Composition]) -> APIRouter:
    """Returns the routes of a composition's page, which links to those of the other compositions that are served."""
    routes = APIRouter()
    description = describe(composition, served)
    title = composition.title_in("en")  # the page's script translates it
    content = composition_page(place_of(composition).page, description.model_dump_json(), title)

    @routes.get("/", include_in_schema=False)
    @routes.get("/r/{run_id}", include_in_schema=False)  # the page loads the run
    async def page(request: Request, models: ModelsDep, access: AccessDep) -> HTMLResponse:  # pyright: ignore
        warm_up = BackgroundTask(models.connection_warmer.warm)  # connects while the user types
        text = content.replace(ACCOUNT, ACCOUNT_LINK) if access.tokens.current else content
        return page_response(text, request.scope, background=warm_up)

    @routes.get("/composition.json")
    async def composition_json() -> CompositionDescription:  # pyright: ignore[reportUnusedFunction]
        """Describes the composition: its parts in reading order, their dependencies, and the request's JSON Schema."""
        return description

    return routes


def describe(composition: Composition, served: Iterable[Composition] = ()) -> CompositionDescription:
    """Returns the description of a composition, with links to the others that are served."""
    parts = tuple(
        PartDescription(
            name=part.name,
            title=_in_each_language(part.title_in),
            needs=composition.needs(part.name),
            dependents=composition.dependents(part.name),
        )
        for part in composition.reading_order
    )
    return CompositionDescription(
        name=composition.name,
        title=_in_each_language(composition.title_in),
        notice=_in_each_language(partial(title_in, composition.notice)),
        parts=parts,
        choice=_choice(composition.choice),
        request=composition.request.model_json_schema(),
        others=tuple(_link(other) for other in served if other is not composition),
    )


def _link(composition: Composition) -> Link:
    return Link(title=_in_each_language(composition.title_in), path=f".{place_of(composition).prefix}/")


def _choice(choice: Choice | None) -> ChoiceDescription | None:
    if not choice:
        return None
    return ChoiceDescription(part=choice.name, noun=choice.noun, fields=tuple(choice.fields.values()))


def _in_each_language(text_in: Callable[[Language], str]) -> Texts:
    return {language: text_in(language) for language in LANGUAGE_NAMES}

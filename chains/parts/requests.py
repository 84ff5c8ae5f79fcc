"""Requests derived from a composition: for a run, and for one part alone."""

from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, create_model

from chains.parts.choice import LONGEST_OPTION
from chains.parts.composition import Choice, Composition, Request

LONGEST_NAME, LONGEST_TEXT = 200, 4000  # characters


@cache
def run_request(composition: Composition) -> type[Request]:
    """Returns the request for a run: with a `Choice`, it can choose an option of an earlier run."""
    choice = composition.choice
    if not choice:
        return composition.request
    english, korean = _option_descriptions(choice)
    field = Field(default=None, description=english, json_schema_extra={"x-ko": {"description": korean}})
    option: Any = _option(choice) | None
    fields: dict[str, Any] = {choice.noun: (option, field)}
    return create_model(f"{_camel(composition.name)}RunRequest", __base__=composition.request, **fields)


def _option_descriptions(choice: Choice) -> tuple[str, str]:
    """Returns what an option has to be, in English and in Korean."""
    first, *others = choice.fields.values()
    more = f" and {', '.join(others)} of at most {LONGEST_OPTION:,}" if others else ""
    more_ko = f", {LONGEST_OPTION:,}자까지의 {', '.join(others)}" if others else ""
    lengths = f"{first} of 1 to {LONGEST_NAME} characters{more}"
    return (
        f"The {choice.noun} to be written, with {lengths}, or nothing for a proposal.",
        f"{choice.noun}: 1~{LONGEST_NAME}자의 {first}{more_ko}. 없으면 새로 제안해요.",
    )


def chosen_option(composition: Composition, request: Request) -> dict[str, str] | None:
    """Returns the option that a request for a run chooses, if any."""
    option = getattr(request, composition.choice.noun, None) if composition.choice else None
    return option.model_dump() if isinstance(option, BaseModel) else None


@cache
def whole_request(composition: Composition) -> type[Request]:
    """Returns the request for the whole composition, with a name that no other class has."""
    return _chain_request(composition, composition.name, {})


@cache
def part_request(composition: Composition, name: str) -> type[Request]:
    """Returns the request for one part alone, with fields for the results that the part needs."""
    choice_fields = list(composition.choice.fields) if composition.choice else []
    results = sorted(variable for variable in composition[name].variables if composition.source(variable))
    given = [variable for variable in choice_fields if variable in results]  # first, in their order
    given += [variable for variable in results if variable not in choice_fields]
    return _chain_request(composition, name, {variable: _result_field(composition, variable) for variable in given})


def _chain_request(composition: Composition, name: str, fields: dict[str, Any]) -> type[Request]:
    # LangServe replaces a model whose name it has seen with another schema by one without defaults, aliases and limits;
    # the dot makes sure that no class of an author has this name
    return create_model(f"{composition.name}.{name}", __base__=composition.request, **fields)


def _option(choice: Choice) -> type[BaseModel]:
    first, *others = choice.fields.values()
    fields: dict[str, Any] = {first: (_option_name(choice), ...)}
    fields |= {name: (_text(LONGEST_OPTION), "") for name in others}
    return create_model(choice.noun.capitalize(), __config__=ConfigDict(frozen=True, extra="forbid"), **fields)


def _option_name(choice: Choice) -> Any:
    name = _text(LONGEST_NAME, least=1)
    return Annotated[name, AfterValidator(choice.check)] if choice.check else name


def _result_field(composition: Composition, variable: str) -> Any:
    if variable in composition.names:
        field = Field(
            title=composition[variable].title_in("en"),
            description="The text of that part.",
            json_schema_extra={"x-ko": {"description": "그 부분의 글."}},
        )
        return _text(LONGEST_TEXT, least=1), field
    title, choice = variable.replace("_", " ").capitalize(), composition.choice
    if choice and variable == next(iter(choice.fields)):
        return _option_name(choice), Field(title=title)
    return _text(LONGEST_OPTION), Field(default="", title=title)


def _text(longest: int, least: int = 0) -> Any:
    return Annotated[str, StringConstraints(strip_whitespace=True, min_length=least, max_length=longest)]


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))

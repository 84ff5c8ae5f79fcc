"""The values that pass between the chain and whoever reads it: pure and frozen. Identity is a storage concern."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, LiteralString, cast, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from chains.messages import Message
from chains.recipe.not_food import asks_for_recipe, is_instruction, not_food_in, not_food_in_question
from chains.recipe.restrictions import restrictions_in
from chains.translations import Language

Part = Literal["alternates", "ingredients", "intro", "nutrition", "sides", "steps"]
Step = Literal["proposal", "ingredients", "intro", "nutrition", "sides", "steps"]
Status = Literal["ok", "cut_off", "failed"]

PARTS: tuple[Part, ...] = get_args(Part)
STEPS: tuple[Step, ...] = get_args(Step)
DEFAULT_SERVINGS = 2
MAX_SERVINGS = 20


def valid(text: str) -> str:
    """The text with lone surrogates, which JSON can hold and UTF-8 can't, replaced by question marks."""
    return text if text.isascii() else text.encode(errors="replace").decode()


# A syllable or an ideograph can be a whole word (무, 굴, 肉); of other letters a word needs two (ox).
_WORD = re.compile(r"[가-힣\u3040-\u30ff\u3400-\u9fff]|[^\W\d_][\u0300-\u036f]*[^\W\d_]")


def _has_a_word(text: str) -> str:
    if not _WORD.search(text):
        raise ValueError("name at least one ingredient in letters")
    return text


def _is_food(text: str) -> str:
    """Raises ValueError with the reason for what must not be cooked."""
    if found := not_food_in(restrictions_in(text).rest):
        raise ValueError(Message(cast(LiteralString, found.message), food=found.food))
    if is_instruction(text):
        raise ValueError("name at least one ingredient: this is an instruction and no food")
    return text


def _is_no_recipe_of_poison(question: str) -> str:
    """Raises ValueError with the reason where a recipe is asked for with what must not be cooked."""
    if asks_for_recipe(question) and (found := not_food_in_question(restrictions_in(question).rest)):
        raise ValueError(Message(cast(LiteralString, found.message), food=found.food))
    return question


def _for_at_most_20(text: str) -> str:
    if (restrictions_in(text).servings or 0) > MAX_SERVINGS:
        raise ValueError(Message("a recipe is for at most {most} people", most=MAX_SERVINGS))
    return text


def _joined(value: object) -> object:
    """A list of strings as one text; any other value as it is."""
    if not isinstance(value, list):
        return value
    texts = [each.strip() for each in cast(list[object], value) if isinstance(each, str)]
    return ", ".join(filter(None, texts)) if len(texts) == len(cast(list[object], value)) else cast(object, value)


Wishes = Annotated[str, BeforeValidator(_joined), StringConstraints(strip_whitespace=True, max_length=300)]


class RecipeRequest(BaseModel):
    """What a cook asks for. Fields are accepted by name or in the camel case of the seed project's page."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    ingredients_on_hand: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=2000),
        AfterValidator(_has_a_word),
        AfterValidator(_for_at_most_20),
        AfterValidator(_is_food),
    ] = Field(
        alias="ingredientsOnHand",
        title="Ingredients on hand",
        description="What is in the kitchen, in English or Korean: up to 2,000 characters with at least one word, "
        "for example: beef flank, onions, peppers.",
    )
    prep_time: int = Field(
        default=30,
        ge=5,
        le=240,
        alias="prepTime",
        title="Prep time",
        description="How long cooking may take: a whole number of minutes, 5 to 240.",
    )
    language: Language = Field(
        default="en", title="Language", description="The recipe's language: en for English or ko for Korean."
    )
    diet: Wishes = Field(
        default="",
        title="Diet",
        description="A diet that every part has to keep, or several, with commas between: up to 300 characters, "
        "for example: vegan, halal.",
    )
    avoid: Wishes = Field(
        default="",
        title="Allergies and what to avoid",
        description="Foods that no part may use, with commas between: up to 300 characters, such as peanuts, milk.",
    )
    servings: int = Field(
        default=DEFAULT_SERVINGS,
        ge=1,
        le=MAX_SERVINGS,
        title="Servings",
        description="For how many people the amounts are: a whole number, 1 to 20.",
    )
    # a factory and a schema of its own, for LangServe's playground knows no null, neither as type nor as default
    seed: Annotated[
        int | None, Field(ge=0, le=2**53, strict=True), WithJsonSchema({"type": "integer", "minimum": 0})
    ] = Field(
        default_factory=lambda: None,
        title="Seed",
        description="A whole number from 0 to 2^53 that repeats the pick, or nothing for chance.",
    )


class DishRequest(RecipeRequest):
    """What a step behind the pick needs: the request and the picked recipe."""

    recipe_name: Annotated[str, AfterValidator(_is_food)] = Field(
        min_length=1, max_length=200, title="The dish's name", description="For example: Pepper steak."
    )
    recipe_intro: str = Field(
        default="", max_length=1000, title="About the dish", description="A sentence about it, or nothing."
    )


class Dish(BaseModel):
    """A dish that the cook chose: one of another recipe's other ideas."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_is_food)
    ]
    intro: Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)] = ""


class RunRequest(RecipeRequest):
    """What a run is asked for: a recipe, or, with a `recipe` from another run's other ideas, that one."""

    recipe: Dish | None = Field(
        default=None,
        description="The dish to be written, with a name of 1 to 200 characters and an intro of at most 1,000, "
        "or nothing for three proposals.",
    )


class StepsRequest(DishRequest):
    """What the steps need: the dish and its ingredients."""

    ingredients: str = Field(
        min_length=1, max_length=4000, title="Ingredients needed", description="With amounts, one to a line."
    )


STEP_REQUESTS: dict[Step, type[RecipeRequest]] = {
    "proposal": RecipeRequest,
    "nutrition": RecipeRequest,
    "ingredients": DishRequest,
    "intro": DishRequest,
    "sides": DishRequest,
    "steps": StepsRequest,
}


Question = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000),
    AfterValidator(_is_no_recipe_of_poison),
]


class CompletionRequest(BaseModel):
    """A question to one model. The answer stops before the first of the `stop` markers that comes to its end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: Question = Field(description="The question: 1 to 20,000 characters.")
    model: str | None = Field(
        default=None, description="The name of a model that has a key, as `sizzle models` lists them, or nothing."
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description="The most tokens to be written: from 1 to what the model can write."
    )
    stop: tuple[Annotated[str, StringConstraints(min_length=1, max_length=100)], ...] = Field(
        default=(), max_length=8, description="A marker to stop before: 1 to 100 characters, at most 8 markers."
    )


@dataclass(frozen=True, slots=True)
class Recipe:
    """A proposed dish: its name, and a sentence about it."""

    name: str
    intro: str


@dataclass(frozen=True, slots=True)
class Failed:
    """What a part's text is when there is none to trust: the reason, in words for people.

    `cut_off` says that the provider broke off, and not that it failed.
    """

    message: str
    cut_off: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """The recipes proposed so far and the index of the picked one. A later one supersedes an earlier one."""

    recipes: tuple[Recipe, ...]
    picked: int


@dataclass(frozen=True, slots=True)
class PartStart:
    """A model was asked for this part. An attempt above 1 says: discard what the part held."""

    part: Part
    attempt: int
    provider: str
    model: str


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of a part's text, never empty. An alternate comes whole, with the recipe that its text shows."""

    part: Part
    text: str
    recipe: Recipe | None = None


@dataclass(frozen=True, slots=True)
class PartEnd:
    """How a part ended. Milliseconds from the request; tokens and tokens per second as the provider counts them.

    `tokens_per_s` is (tokens - 1) / (end - first token). A part whose input failed ends without having started.
    """

    part: Part
    status: Status
    finish_reason: str | None = None
    ttft_ms: int | None = None
    tokens: int | None = None
    tokens_per_s: float | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A recipe that is written in part. The parts in `texts` are kept as they are, all others are written.

    With `recipes` there is no proposal: the dish is the one at `picked`. `attempts` says how often each part was begun,
    `former` what those that are to be written held before: where no attempt writes a word, that stays.
    """

    request: RecipeRequest
    recipes: tuple[Recipe, ...] = ()
    picked: int = 0
    texts: Mapping[Part, str] = field(default_factory=dict[Part, str])
    attempts: Mapping[Part, int] = field(default_factory=dict[Part, int])
    former: Mapping[Part, str] = field(default_factory=dict[Part, str])


# What is written anew with a part, for it was made from it.
DEPENDANTS: dict[Part, tuple[Part, ...]] = {
    "alternates": ("ingredients", "intro", "sides", "steps"),
    "ingredients": ("steps",),
}

Update = Proposal | PartStart | Fragment | PartEnd

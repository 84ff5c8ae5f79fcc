"""The request for a recipe."""

from typing import Annotated, Any, cast

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationInfo
from typing_extensions import override

from chains.messages import Message
from chains.parts.composition import STORED, Request
from chains.recipe.instructions import is_instruction
from chains.recipe.not_food import NotFood, listed_in, not_food_in
from chains.recipe.nouns import HAS_WORD
from chains.recipe.questions import asks_for_recipe, not_food_in_question
from chains.recipe.restrictions import restrictions_in
from chains.recipe.restrictions.spelling import plain

DEFAULT_SERVINGS = 2
MAX_SERVINGS = 20


def _check_has_a_word(text: str) -> str:
    if not HAS_WORD.search(plain(text)):
        raise ValueError("name at least one ingredient in letters")
    return text


def _check_is_food(text: str, info: ValidationInfo) -> str:
    """Raises `ValueError` with the reason if the text contains something inedible.

    A stored request stays valid if a later version refuses its ingredients.
    """
    if info.context == STORED:
        return text
    _refuse(not_food_in(restrictions_in(text).rest))
    return _check_is_no_instruction(text)


def check_dish(name: str) -> str:
    """Raises `ValueError` with the reason if the name of a dish contains something inedible."""
    _refuse(listed_in(name))
    return _check_is_no_instruction(name)


def _refuse(found: NotFood | None) -> None:
    if found:
        raise ValueError(found.reason)


def _check_is_no_instruction(text: str) -> str:
    if is_instruction(text):
        raise ValueError("name at least one ingredient: this is an instruction, not food")
    return text


def check_question(question: str) -> str:
    """Raises `ValueError` with the reason if the question asks for a recipe with something inedible."""
    if asks_for_recipe(question):
        _refuse(not_food_in_question(restrictions_in(question).rest))
    return question


def _check_servings(text: str) -> str:
    if (restrictions_in(text).servings or 0) > MAX_SERVINGS:
        raise ValueError(Message("a recipe is for at most {most} people", most=MAX_SERVINGS))
    return text


def _joined(value: object) -> object:
    """Joins a list of strings; any other value is unchanged."""
    if not isinstance(value, list):
        return value
    texts = [each.strip() for each in cast(list[object], value) if isinstance(each, str)]
    return ", ".join(filter(None, texts)) if len(texts) == len(cast(list[object], value)) else cast(object, value)


Wishes = Annotated[str, BeforeValidator(_joined), StringConstraints(strip_whitespace=True, max_length=300)]

Question = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000),
    AfterValidator(check_question),
]


class RecipeRequest(Request):
    """The request for a recipe. Fields are accepted by name or in camel case, as the seed project's page sends them."""

    ingredients_on_hand: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=2000),
        AfterValidator(_check_has_a_word),
        AfterValidator(_check_servings),
        AfterValidator(_check_is_food),
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

    @override
    def variables(self) -> dict[str, Any]:
        """Returns the fields, with the diets, foods to avoid and servings that the free text mentions."""
        found = restrictions_in(self.ingredients_on_hand)
        is_default = self.servings == DEFAULT_SERVINGS
        return {
            **self.model_dump(),
            "diet": ", ".join(dict.fromkeys(filter(None, (self.diet, *found.diets)))),
            "avoid": ", ".join(dict.fromkeys(filter(None, (self.avoid, *found.avoided)))),
            "servings": found.servings if found.servings and is_default else self.servings,
        }

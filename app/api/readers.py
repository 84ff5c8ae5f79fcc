"""Chooses how messages are read."""

from typing import Any

from app.api.conversation import Reader
from app.api.form_reader import FormReader
from app.api.recipe_reader import RecipeReader
from chains.parts.composition import Composition
from chains.recipe.request import RecipeRequest


def reader_of(composition: Composition) -> Reader[Any]:
    """Returns the reader of a composition's messages: recipes have their own."""
    return RecipeReader() if composition.request is RecipeRequest else FormReader(composition)

"""Imported last by what `tests.commands` forks, so that no command repeats what every one would do first."""

import gc

from app.standin.cook import reply
from chains.recipe.request import RecipeRequest

RecipeRequest(ingredientsOnHand="rice")  # compiles patterns
reply("", "Propose recipes for <ingredients_on_hand>rice</ingredients_on_hand>")  # reads foods
gc.collect()
gc.freeze()  # otherwise each process copies all that was imported when it collects

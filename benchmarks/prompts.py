"""The prompts and models that all servers share."""

import re
from typing import Any

from chains.models.registry import load_registry
from chains.recipe.composition import RECIPE

_REGISTRY = load_registry()
_CHOSEN = _REGISTRY.choose({part.name: part.role for part in RECIPE.parts}, {"groq", "fireworks"}, {})

MODELS = {name: _REGISTRY.models[_CHOSEN[name]].id for name in RECIPE.names}
FAST, LARGE = MODELS["alternates"], MODELS["steps"]

PROMPTS = {name: RECIPE.prompt(name) for name in RECIPE.names}

_TEXTS = {name: (("system", RECIPE.system), ("user", RECIPE[name].prompt)) for name in RECIPE.names}
_TAIL = 40
_NUMBER = re.compile(r", (\d+) eggs")
_PARTS_BY_TAIL = {RECIPE[name].prompt.replace("}}", "}")[-_TAIL:]: name for name in RECIPE.names}


def variables(body: dict[str, Any]) -> dict[str, str]:
    """Returns the prompt variables in the body of `POST /generate`."""
    return {
        "ingredients_on_hand": body["ingredientsOnHand"],
        "prep_time": str(body["prepTime"]),
        "language_name": "English",
        "diet": "",
        "avoid": "",
        "servings": "2",
    }


def messages(part: str, values: dict[str, str]) -> list[Any]:
    """Returns the part's prompt as chat messages."""
    return [{"role": role, "content": text.format_map(values)} for role, text in _TEXTS[part]]


def part_of(prompt: str) -> str:
    """Returns the part whose task ends the prompt."""
    return _PARTS_BY_TAIL[prompt[-_TAIL:]]


def number_of(prompt: str) -> int:
    """Returns the number of the recipe, which the benchmarks' client puts among the ingredients."""
    found = _NUMBER.search(prompt)
    return int(found[1]) if found else 0

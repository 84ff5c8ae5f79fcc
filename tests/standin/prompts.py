"""The recipe's prompts, and the stand-in's answers."""

import json
from html import escape
from typing import Any

from app.standin.cook import reply
from tests.servers import PROMPTS


def prompt(step: str, on_hand: str, minutes: int = 30, language: str = "English", **recipe: str) -> tuple[str, str]:
    """The texts of the system and the user message of a step."""
    variables = {"ingredients_on_hand": on_hand, "recipe_name": "", "recipe_intro": "", "ingredients": ""}
    variables |= {"diet": "", "avoid": "", "servings": "2", **recipe}
    escaped = {name: escape(text, quote=False) for name, text in variables.items()}
    messages = PROMPTS[step].format_messages(prep_time=minutes, language_name=language, **escaped)
    return messages[0].text, messages[1].text


def messages(step: str = "proposal", on_hand: str = "beef, onions, peppers", **more: Any) -> list[Any]:
    system, human = prompt(step, on_hand, **more)
    return [{"role": "system", "content": system}, {"role": "user", "content": human}]


def recipes(on_hand: str, minutes: int, language: str, seed: int = 0) -> list[dict[str, str]]:
    return json.loads(reply(*prompt("proposal", on_hand, minutes, language), seed))


def whole_recipe(on_hand: str, minutes: int, language: str, recipe: dict[str, str]) -> dict[str, str]:
    about = {"recipe_name": recipe["name"], "recipe_intro": recipe["intro"]}
    parts = {
        step: reply(*prompt(step, on_hand, minutes, language, **about)) for step in ("ingredients", "intro", "sides")
    }
    steps = reply(*prompt("steps", on_hand, minutes, language, **about, ingredients=parts["ingredients"]))
    return {**parts, "steps": steps}

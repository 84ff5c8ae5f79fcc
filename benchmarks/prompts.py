"""The prompts and models that all servers share."""

from typing import Any

from chains.models.registry import load_registry
from chains.recipe.prompts import PROMPTS
from chains.recipe.request import STEPS, Step

_REGISTRY = load_registry()
_CHOSEN = _REGISTRY.choose({"groq", "fireworks"}, {})

MODELS: dict[Step, str] = {step: _REGISTRY.models[_CHOSEN[step]].id for step in STEPS}
FAST, LARGE = MODELS["proposal"], MODELS["steps"]

PARTS: tuple[Step, ...] = ("ingredients", "intro", "nutrition", "sides", "steps")

_TEXTS: dict[Step, tuple[tuple[str, str], ...]] = {
    step: tuple(
        (role, message.prompt.template)
        for role, message in zip(("system", "user"), PROMPTS[step].messages, strict=True)
    )
    for step in STEPS
}
_TAIL = 40
_STEPS_BY_TAIL = {texts[-1][1].replace("}}", "}")[-_TAIL:]: step for step, texts in _TEXTS.items()}


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


def messages(step: Step, values: dict[str, str]) -> list[dict[str, str]]:
    """Returns the step's prompt as chat messages."""
    return [{"role": role, "content": text.format_map(values)} for role, text in _TEXTS[step]]


def step_of(prompt: str) -> Step:
    """Returns the step whose task ends the prompt."""
    return _STEPS_BY_TAIL[prompt[-_TAIL:]]

"""Parses a prompt: its step, language and foods."""

import re
from dataclasses import dataclass, replace
from html import unescape
from typing import Literal

from app.standin.asking import Wanted, minutes_in, to_replace
from app.standin.avoidance import EXCEPT, Avoidance, avoidance, is_meat
from app.standin.foods import HANGUL, Food, Larder, larder, mentioned, needed
from app.standin.korean import AND
from app.standin.names import id_of
from app.standin.pantry import Language, ids_by_name, pantry, vocabulary
from chains.recipe.questions import not_food_in_question
from chains.recipe.restrictions import Restrictions, restrictions_in

Step = Literal["proposal", "ingredients", "intro", "nutrition", "sides", "steps"]

_READ = 2000  # characters of a question, as many as a request may have
# Lenient, and in this order: "steps" names ingredients too, and "proposal" may name anything.
_TASKS: tuple[tuple[Step, str], ...] = (
    ("proposal", r"propose|suggest.*recipes|three\b.*\brecipes|JSON array|레시피.*(제안|추천)"),
    ("nutrition", r"nutrition|영양"),
    ("sides", r"side dish|accompan|곁들"),
    ("steps", r"\bsteps\b|instructions for|method|조리 ?순서|만드는 (법|방법)"),
    ("intro", r"introduc|sentences|소개"),
    ("ingredients", r"ingredient|shopping list|재료"),
)


@dataclass(frozen=True)
class Order:
    """A parsed prompt. A prompt without our tags is a free question, which may belong to no step."""

    step: Step | None
    language: Language
    typed: str
    larder: Larder
    minutes: int = 30
    servings: int = 2
    recipe_name: str = ""
    needed: tuple[Food, ...] = ()
    replaced: tuple[Wanted, ...] = ()
    refusal: str = ""
    leaves_out: bool = False


def read(system: str, human: str) -> Order:
    language = language_of(system, human)
    if "<ingredients_on_hand>" not in human:
        return _question(human, language)
    typed = _tagged(human, "ingredients_on_hand")
    restrictions = restrictions_in(typed)
    typed_foods = larder(restrictions.rest, language)
    avoidance = _avoidance(restrictions, _tagged(human, "diet"), _tagged(human, "avoid"), typed_foods)
    allowed = typed_foods.without(avoidance)
    listed = needed(_tagged(human, "ingredients_needed"), language)
    minutes = re.search(r"\d+", _tagged(human, "prep_time_minutes"))
    servings = re.search(r"\d{1,2}", _tagged(human, "servings"))
    return Order(
        step=_step(re.sub(r"<(\w+)>.*?</\1>", " ", human, flags=re.DOTALL)),
        language=language,
        typed=typed,
        larder=_only_whites(_gentle(typed, allowed)),
        minutes=_bounded(int(minutes[0][:5]) if minutes else None),
        servings=max(1, int(servings[0])) if servings else 2,
        recipe_name=" ".join(_tagged(human, "recipe_name").split()),
        needed=tuple(food for food in listed if allowed.avoidance.allows(food.name)),
        leaves_out=len(allowed.foods) < len(typed_foods.foods),
    )


def _avoidance(restrictions: Restrictions, diet: str, avoid: str, on_hand: Larder) -> Avoidance:
    """Combines the restrictions in the free text and in the two tags."""
    excepting = [item.strip() for item in re.split(r"[,;\n]", avoid) if EXCEPT in item]
    others = ", ".join(item for item in re.split(r"[,;\n]", avoid) if EXCEPT not in item)
    named = [restrictions_in(tag) for tag in (diet, others)]
    diets = [name for each in (restrictions, *named) for name in each.diets]
    foods = [name for each in (restrictions, *named) for name in each.avoided]
    foods += [pantry()[key].names.en for key in sorted(on_hand.avoided)]
    diets += [name for name in _items(named[0].rest) if name not in diets]
    foods += [*_items(named[1].rest), *excepting]
    has_meat = any(is_meat(food.name) for food in on_hand.foods)
    return avoidance(tuple(dict.fromkeys(diets)), tuple(dict.fromkeys(foods)), has_meat)


def _items(text: str) -> list[str]:
    items = re.split(rf"[,;/&\n.()]|\b(?:and|or)\b|{AND}|\s(?:및|그리고)\s", text)
    return [item.strip().lower() for item in items if item.strip()]


def _gentle(typed: str, larder: Larder) -> Larder:
    """Removes salt and other unsuitable foods if the text mentions a small child."""
    gentle = vocabulary().gentle
    if not any(re.search(rf"(?<![a-z]){word}", typed.lower()) for word in gentle["words"]):
        return larder
    avoided = larder.avoided | set(gentle["avoid"])
    return replace(larder, foods=tuple(f for f in larder.foods if f.id not in avoided), avoided=avoided)


def _only_whites(larder: Larder) -> Larder:
    """Adds no whole eggs where only egg whites are on hand."""
    ids = {food.id for food in larder.foods}
    is_without_yolks = "egg_white" in ids and "egg" not in ids
    return replace(larder, avoided=larder.avoided | {"egg"}) if is_without_yolks else larder


def _question(text: str, language: Language) -> Order:
    """Parses a free question. A question for the list or the steps of a dish gets the whole recipe."""
    replaced = to_replace(text, language)
    restrictions = _without_replaced(restrictions_in(text[:_READ]), replaced)
    mentions = mentioned(restrictions.rest, language)
    named = mentions.without(_avoidance(restrictions, "", "", mentions))
    step = _step(text) if named.foods and not replaced else None
    return Order(
        step=step if step in ("nutrition", "sides") or (step == "proposal" and "JSON" in text) else None,
        language=language,
        typed=text,
        larder=named,
        minutes=_bounded(minutes_in(text)),
        servings=min(restrictions.servings or 2, 20),
        leaves_out=len(named.foods) < len(mentions.foods),
        refusal="" if replaced else _refusal(restrictions.rest, language),
        replaced=tuple(replaced),
    )


def _without_replaced(restrictions: Restrictions, replaced: list[Wanted]) -> Restrictions:
    """Returns the restrictions without the foods that the question asks a substitute for: their names are needed."""
    keys = {wanted.key for wanted in replaced if wanted.key}
    avoided = (food for food in restrictions.avoided if id_of(food, ids_by_name()) not in keys)
    return replace(restrictions, avoided=tuple(avoided))


def _refusal(text: str, language: Language) -> str:
    """Returns why the text is not cooked, or an empty string if it names only food."""
    if not (found := not_food_in_question(text)):
        return ""
    return f"{found.reason.in_language(language)}."


def _step(task: str) -> Step | None:
    return next((step for step, pattern in _TASKS if re.search(pattern, task, re.IGNORECASE | re.DOTALL)), None)


def _bounded(minutes: int | None) -> int:
    return max(1, min(minutes, 1440)) if minutes is not None else 30


def language_of(system: str, human: str) -> Language:
    languages = re.findall(r"\b(?:answer|write|reply|respond) in (\w+)", system, re.IGNORECASE)
    if languages:
        return "ko" if languages[-1].lower() in ("korean", "한국어", "ko") else "en"
    return "ko" if "한국어" in system or HANGUL.search(human) else "en"


def _tagged(text: str, tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    return unescape(found[1]).strip() if found else ""

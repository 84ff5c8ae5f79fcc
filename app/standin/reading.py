"""Reading a prompt: which step it asks for, in which language, and what food stands in it."""

import re
from dataclasses import dataclass, replace
from html import unescape
from typing import Literal

from app.standin.asking import Wanted, minutes_in, to_replace
from app.standin.foods import HANGUL, Food, Larder, larder, mentioned, needed
from app.standin.pantry import Language, vocabulary

Step = Literal["proposal", "ingredients", "intro", "nutrition", "sides", "steps"]

# Tolerant, and in this order: "steps" names ingredients too, and "proposal" may name anything.
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
    """A prompt, read. A prompt without our tags is a question in people's own words, which may be for no step."""

    step: Step | None
    language: Language
    typed: str
    larder: Larder
    minutes: int = 30
    servings: int = 2
    recipe_name: str = ""
    needed: tuple[Food, ...] = ()
    replaced: tuple[Wanted, ...] = ()


def read(system: str, human: str) -> Order:
    language = language_of(system, human)
    if "<ingredients_on_hand>" not in human:
        return _question(human, language)
    typed = _tagged(human, "ingredients_on_hand")
    minutes = re.search(r"\d+", _tagged(human, "prep_time_minutes"))
    servings = re.search(r"\d{1,2}", _tagged(human, "servings"))
    return Order(
        step=_step(re.sub(r"<(\w+)>.*?</\1>", " ", human, flags=re.DOTALL)),
        language=language,
        typed=typed,
        larder=_gentle(typed, larder(typed, language)),
        minutes=_bounded(int(minutes[0][:5]) if minutes else None),
        servings=max(1, int(servings[0])) if servings else 2,
        recipe_name=" ".join(_tagged(human, "recipe_name").split()),
        needed=tuple(needed(_tagged(human, "ingredients_needed"), language)),
    )


def _gentle(typed: str, larder: Larder) -> Larder:
    """Without salt and what else a small child must not have, where the words say that one eats."""
    gentle = vocabulary().gentle
    if not any(re.search(rf"(?<![a-z]){word}", typed.lower()) for word in gentle["words"]):
        return larder
    avoided = larder.avoided | set(gentle["avoid"])
    return replace(larder, foods=tuple(f for f in larder.foods if f.id not in avoided), avoided=avoided)


def _question(text: str, language: Language) -> Order:
    """Whoever asks for the list or the steps of a dish in words of his own gets the whole recipe."""
    named = mentioned(text, language)
    replaced = to_replace(text, language)
    step = _step(text) if named.foods and not replaced else None
    return Order(
        step=step if step in ("nutrition", "sides") or (step == "proposal" and "JSON" in text) else None,
        language=language,
        typed=text,
        larder=named,
        minutes=_bounded(minutes_in(text)),
        replaced=tuple(replaced),
    )


def _step(task: str) -> Step | None:
    return next((step for step, pattern in _TASKS if re.search(pattern, task, re.IGNORECASE | re.DOTALL)), None)


def _bounded(minutes: int | None) -> int:
    return max(1, min(minutes, 1440)) if minutes is not None else 30


def language_of(system: str, human: str) -> Language:
    asked = re.findall(r"\b(?:answer|write|reply|respond) in (\w+)", system, re.IGNORECASE)
    if asked:
        return "ko" if asked[-1].lower() in ("korean", "한국어", "ko") else "en"
    return "ko" if "한국어" in system or HANGUL.search(human) else "en"


def _tagged(text: str, tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    return unescape(found[1]).strip() if found else ""

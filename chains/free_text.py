"""A request in free text: "beef, onions; 30 minutes", "소고기, 양파 30분"."""

import re

from chains.schema import RecipeRequest

LONGEST = 2_100  # characters; in what is longer, and so refused, no time is looked for

_NUMBERS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "half": 0.5, "반": 0.5, "한": 1, "두": 2, "세": 3}

# No library fits: those that read durations know them alone, not inside a sentence, or no Korean.
_TIME = re.compile(
    r"""
    (?:\b(?:in|within|under|about|around|up\ to|at\ most|less\ than|for|have|and|i|we)\s+)*
    (?:
        (?P<quarter>(?:a\s+)?quarter\s+of\s+an\s+hour)
      | (?P<hours>\d+(?:[.,]\d+)?|\b(?:half\s+)?an?\b|\bone|\btwo|\bthree|반|한|두|세)\s*-?
        (?:hours?\b|hrs?\b|h(?![a-z])|시간)
        (?:\s*(?:and\s+)?(?:(?P<more>\d+)\s*(?:minutes?\b|mins?\b|m\b|분|(?![\w.,]))|(?P<half>a\s+half\b|반)))?
      | (?P<minutes>\d+)\s*-?(?:minutes?\b|mins?\b|분)
      | (?<=;)\s*(?P<bare>\d+)\s*$
    )
    (?:\s*(?:or\s+less|at\s+most|이내(?:로|에)?|안(?:에|으로)|내에?|동안|정도|만에|으로|짜리))*
    """,
    re.IGNORECASE | re.VERBOSE,
)
_AROUND = " \t\r\n,;:.?!·、，。-–—"


def request_in(text: str) -> RecipeRequest:
    """The ingredients and the time that `text` names, in the language it is written in; without a time 30 minutes.

    Of several times the last one counts. Raises pydantic's `ValidationError`.
    """
    asked: dict[str, object] = {"language": "ko" if re.search(r"[가-힣]", text) else "en"}
    if len(text) <= LONGEST and (times := list(_TIME.finditer(text))):
        asked["prepTime"] = _minutes(times[-1])
        text = f"{text[: times[-1].start()].rstrip(_AROUND)}, {text[times[-1].end() :].lstrip(_AROUND)}"
    return RecipeRequest.model_validate({**asked, "ingredientsOnHand": text.strip(_AROUND)})


def _minutes(time: re.Match[str]) -> int:
    if time["quarter"]:
        return 15
    if hours := time["hours"]:
        extra = 30 if time["half"] else int(time["more"] or 0)
        return round(_number(hours) * 60) + extra
    return int(time["minutes"] or time["bare"])


def _number(text: str) -> float:
    first = text.lower().split()[0]
    return _NUMBERS[first] if first in _NUMBERS else float(text.replace(",", "."))

"""A request in free text: "beef, onions; 30 minutes", "소고기, 양파 30분"."""

import re

from chains.recipe.request import RecipeRequest
from chains.translations import language_in

LONGEST = 2_100  # characters; a longer text is invalid, so it is not searched for a time

_NUMBERS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "half": 0.5, "반": 0.5, "한": 1, "두": 2, "세": 3, "네": 4}

# No library fits: those for durations read them alone and not inside a sentence, or know no Korean.
_TIME = re.compile(
    r"""
    # bounded, because each word of a long row of such words would begin another search
    (?:\b(?:in|within|under|about|around|up\ to|at\ most|no\ more\ than|less\ than|max|for|have|and|i|we)\s+){0,5}
    (?<![\d.,:/])(?:\d{1,3}\s*[-–~]\s*)?
    (?:
        (?P<quarters>a|one|three)\s+quarters?\s+of\s+an\s+hour
      | (?P<hours>\d{1,2}(?:[.,]\d{1,2})?|\b(?:half\s+)?an?\b|\bhalf\b|\bone\b|\btwo\b|\bthree\b|[반한두세네])
        \s*-?(?:hours?\b|hrs?\b|h(?![a-z])|시간)
        (?:\s*(?:and\s+)?(?:(?P<more>\d{1,2})\s*(?:minutes?\b|mins?\b|m\b|분|(?![\w.,]))|(?P<half>a\s+half\b|반)))?
      | (?P<minutes>\d{1,4})\s*-?(?:minutes?\b(?!\snoodles?\b)|mins?\b
          # 3분카레 is a product
          |분(?!(?!안|이내|내|동안|정도|만|으로|짜리|이면|에|쯤|요리|컷|완성|간|이|도|은|을|까지|밖에|걸)[가-힣]))
      | (?<=;)\s*(?P<bare>\d{1,4})\s*$
    )
    (?:\s*(?:or\s+less|at\s+most|max\b|이내(?:로|에)?|안(?:에|으로)|내에?|동안|정도|만에|컷(?:으로)?요?|이면|이라도|으로|짜리))*
    """,
    re.IGNORECASE | re.VERBOSE,
)
_AROUND = " \t\r\n,;:.?!·、，。-–—"


def request_in(text: str) -> RecipeRequest:
    """Returns the ingredients and the time in a text, in the text's language; without a time it is 30 minutes.

    If there are several times, the one at the end counts, otherwise the one at the beginning, otherwise the last.
    Raises pydantic's `ValidationError`.
    """
    fields: dict[str, object] = {"language": language_in(text)}
    text = text.strip(_AROUND)
    if len(text) <= LONGEST and (times := list(_TIME.finditer(text))):
        ending, leading = times[-1].end() == len(text), times[0].start() == 0
        time = times[0] if leading and not ending else times[-1]
        fields["prepTime"] = _minutes(time)
        text = f"{text[: time.start()].rstrip(_AROUND)}, {text[time.end() :].lstrip(_AROUND)}"
    return RecipeRequest.model_validate({**fields, "ingredientsOnHand": text.strip(_AROUND)})


def _minutes(time: re.Match[str]) -> int:
    if quarters := time["quarters"]:
        return 15 * round(_number(quarters))
    if hours := time["hours"]:
        extra = 30 if time["half"] else int(time["more"] or 0)
        return round(_number(hours) * 60) + extra
    return int(time["minutes"] or time["bare"])


def _number(text: str) -> float:
    first = text.lower().split()[0]
    return _NUMBERS[first] if first in _NUMBERS else float(text.replace(",", "."))

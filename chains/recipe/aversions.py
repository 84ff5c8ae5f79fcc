"""Foods that a clause speaks ill of, in words that no pattern of `restrictions` knows: nuts send me to hospital.

A clause about a person, with a word of harm, dislike or renunciation, and a food. A negation alone says nothing against
a food: I can't cook chicken well.
"""

import re
from collections.abc import Iterator

from chains.recipe.nouns import foods_in

_CLAUSE = re.compile(r"[^,;:.!?()\n]{4,160}")
_PERSON = re.compile(
    r"\b(?:i|me|my|mine|we|us|our|he|she|him|her|his|they|them|their|who|someone|somebody|everyone|nobody|son|daughter"
    r"|wife|husband|partner|kids?|child(?:ren)?|baby|toddler|mum|mom|dad|mother|father|guests?|friend|family|doctor"
    r"|stomach|skin|throat|mouth|gut|tummy|diet)\b",
    re.IGNORECASE,
)
_HARM = re.compile(
    r"\b(?:avoid\w*|loath\w*|detest\w*|hat(?:e[sd]?|ing)|despis\w+|abhor\w*|dislik\w+|refus\w+|reject\w*|disgust\w*"
    r"|yuck\w*|ban(?:s|ned)|forb[aio]d\w*|prohibit\w*|taboo|quit|g[ai]v(?:e|es|en|ing)\s(?:it\s)?up(?!\son)"
    r"|sw(?:ear|ore)\soff|scared\sof|afraid\sof|avers\w+|allerg\w*|react\w*|intoler\w*|sensitiv\w*|rash\w*|hives|itch\w*"
    r"|tingl\w+|swell\w*|swollen|vomit\w*|nause\w+|migraines?|heartburn|reflux|bloat\w*|gassy|cramps?|diarrh?\w*"
    r"|flares?|trigger\w*|anaphyla\w*|epi-?pen|hospital|choke\w*|die[sd]?|kill\w*|poison\w*|disagrees?"
    r"|(?:hurts?|upsets?|bothers?)\s(?:my|his|her|our|their|the|me|him|us|them)|(?:trouble|cannot|can['’]?t)\sdigest\w*"
    r"|(?:makes?|made|making|gets?|got)\s(?:\w+\s){1,2}(?:ill|sick|unwell)|eliminat\w*|eczema|psoriasis|asthma|wheez\w*"
    r"|faint\w*|br(?:eak|eaks|eaking|oke)\sout)\b",
    re.IGNORECASE,
)
_FINE = re.compile(
    r"\b(?:without|say\sno|not\s(?:just|only|allergic|vegan|vegetarian|intolerant|picky|fussy)|mind|no\s(?:problem|trouble)"
    r"|enough\sof|wait|believe|resist|decide|know|find|get|used\sto|but|except|unless|never\s\w+ed|sure"
    r"|have\s(?:any|much)|what|how|which|(?:dying|kill|die)\sfor)\b",
    re.IGNORECASE,
)
_NO_FOOD = frozenset(
    ("bite", "diet", "drink", "eats", "fast", "feed", "food", "helping", "ingredient", "meal", "menu", "mix", "must")
)


def aversions_in(text: str) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Yields the start and the end of each such clause, and its foods."""
    for clause in _CLAUSE.finditer(text):
        words = clause[0]
        if _PERSON.search(words) and _HARM.search(words) and not _FINE.search(words):
            foods = tuple(food for food in foods_in(words) if food not in _NO_FOOD)
            if foods:
                yield clause.start(), clause.end(), foods

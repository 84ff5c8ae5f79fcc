"""Foods that a clause speaks ill of, in words that no pattern of `restrictions` knows: nuts send me to hospital.

A clause about a person, with a word of harm, dislike or renunciation, and a food. Whoever writes such a thing is better
understood too well than not at all.
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
    r"\b(?:not|cannot|never|none|nor|\w{2,6}n['’]t|wont|dont|doesnt|cant|off|avoid\w*|loath\w*|detest\w*|hat(?:e[sd]?|ing)"
    r"|despis\w+|abhor\w*|dislik\w+|refus\w+|reject\w*|disgust\w*|gross\w*|yuck\w*|ban(?:s|ned)?|forb[aio]d\w*"
    r"|prohibit\w*|taboo|quit|g[ai]v(?:e|es|en|ing)\s(?:it\s)?up|stopp?(?:ed|ing)?|sw(?:ear|ore)\soff|scared|afraid"
    r"|avers\w+|allerg\w*|react\w*|intoler\w*|sensitiv\w*|rash\w*|hives|itch\w*|swell\w*|swollen|vomit\w*|nause\w+"
    r"|migraines?|headaches?|heartburn|reflux|bloat\w*|gas|gassy|cramps?|diarrh?\w*|flares?|trigger\w*|anaphyla\w*"
    r"|epi-?pen|hospital|choke\w*|die[sd]?|dying|kill\w*|poison\w*|upsets?|hurts?|trouble|problems?|bothers?"
    r"|disagrees?|eliminat\w*|exclud\w*|restrict\w*|ill|sick\w*|unwell|eczema|asthma|wheez\w*|faint\w*"
    r"|br(?:eak|eaks|eaking|oke)\sout)\b",
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

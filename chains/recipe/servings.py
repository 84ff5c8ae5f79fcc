"""The number of people that a text names: "for 6 people", "serves 4", "2 adults and 2 kids", "네 명", "4인분"."""

import re
from collections.abc import Iterator

_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NATIVE = ("한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉", "열")
_NUMBERS: dict[str, int] = {
    **{word: number for number, word in enumerate(_WORDS, 1)},
    **{word: number for number, word in enumerate(_NATIVE, 1)},
    **{word: number for number, word in enumerate("일이삼사오육칠팔구십", 1)},
    **{"하나": 1, "둘": 2, "셋": 3, "넷": 4, "혼자": 1, "me": 1, "myself": 1},
    **dict.fromkeys(
        ("i", "a", "an", "wife", "husband", "partner", "girlfriend", "boyfriend", "friend", "mother", "mum", "mom"), 1
    ),
    **dict.fromkeys(("dad", "father", "son", "daughter", "sister", "brother", "flatmate", "roommate", "혼밥"), 1),
    **dict.fromkeys(("single", "solo", "alone", "by myself", "on my own"), 1),
    **{"a couple": 2, "a dozen": 12, "half a dozen": 6},
}
_WORD = "|".join(_WORDS)
_MANY = rf"(?:(?:\d{{1,3}}|{_WORD})\s?(?:-|–|~|to|or)\s?)?(?P<NAME>\d{{1,3}}|{_WORD})"
_WHO = (
    r"(?:people|persons?|pers|ppl|pax|adults?|guests?|students?|teen(?:ager)?s?|friends|eaters|diners|mouths|kids|children|servings?|portions?"
    r"|of\sus)"
)
_MORE = (
    r"(?:\s(?:and|&|plus|\+)\s(?P<more>\d{1,2}|an?|"
    + _WORD
    + r")\s(?:kids?|child(?:ren)?|adults?|bab(?:y|ies)|toddlers?|teen(?:ager)?s?|guests?)\b)?"
)
_KIN = (
    "wife|husband|partner|girlfriend|boyfriend|friend|mother|mum|mom|dad|father|son|daughter|sister|brother"
    "|flatmate|roommate"
)
_COUNT_KO = r"\d{1,2}|하나|둘|셋|넷|다섯|여섯|일곱|여덟|아홉|열|한|두|세|네"
_FOR = (
    r"(?:\b(?:for|serves?|serving|feeds?|feeding|we(?:['’]re|\sare)|there\sare)\s"
    r"(?:(?:about|around|the|my|our|us|a)\s){0,2})?"
)
_NO_TIME = r"\b(?!\s?(?:minutes?|mins?|hours?|hrs?|days?|weeks?|g|kg|ml)\b)"
_END = r"(?=\s?(?:[,;:.!?\n]|$))"
_MEAL = r"(?:dinner|lunch|supper|breakfast|brunch|meal|food|recipe|dish|enough|cook|cooking|feast)"
_PATTERNS = (
    rf"\b(?:for\s)?(?P<NAME>me|myself|i)\s(?:and|&|\+)\s(?:my|the)\s({_KIN})\b" + _MORE.replace("more", "more_kin"),
    rf"\b(?:for\s)?my\s(?P<NAME>{_KIN})(?:\s(?:and|&|\+)|,)\s(i|me|myself)\b" + _MORE.replace("more", "more_me"),
    r"\b(?P<NAME>single|solo)\s(?:portion|serving|person|dinner|lunch|meal|supper|cook)\b",
    r"\b(?:(?:i['’]m|i|i\sam)\s)?(?:live|living|eat|eating|dine|dining|cook|cooking)\s(?P<NAME>alone|by\smyself|on\smy\sown)\b",
    r"\bx\s?(?P<NAME>\d{1,2})\s(?:servings?|portions?|people|persons?)\b",
    r"\bwe(?:['’]re|\sare)\s" + _MANY + _END,
    rf"(?:어른|성인)\s?(?P<NAME>{_COUNT_KO})\s?(?:명|분)?[,과와]?\s?(?:이랑\s|하고\s)?(?:아이|어린이|애|아기)\s?({_COUNT_KO})\s?(?:명)?",
    rf"(?:손님|친구|어른|어르신)(?:이|은|들이|들은)?\s?(?P<NAME>{_COUNT_KO})\s?(?:명|분)(?:이|을|의)?",
    _FOR + r"(?<![\d.,/])\b" + _MANY + r"\s?(?:(?:hungry|small|big|grown)\s)?" + _WHO + r"\b" + _MORE,
    r"\b(?:serves?|servings?:?|portions?:|feeds?|(?:family|party|group|household|crowd|gang|team|bunch|table|house)\sof|table\sfor)\s?"
    + _MANY
    + _NO_TIME,
    r"\b" + _MEAL + r"\sfor\s(?:the\s)?" + _MANY + _NO_TIME + rf"(?:\s{_WHO}\b)?" + _MORE.replace("more", "more_meal"),
    r"\bfor\s(?:just\s|only\s)?" + _MANY + _END,
    r"\b(?:just|only)\s(?:for\s)?(?P<NAME>me|myself)\b",
    r"\bfor\s(?P<NAME>a\scouple|a\sdozen|half\sa\sdozen)(?:\sof)?(?:\speople|\sguests)?" + _END,
    r"(?:(?:\d{1,3}|[한두세네]|다섯|여섯)\s?(?:~|-|–|에서)?\s?)?(?<![\d.,])"
    r"(?P<NAME>\d{1,3}|다섯|여섯|일곱|여덟|아홉|열|[한두세네일이삼사오육칠팔구십])\s?"
    r"(?:인분|인\s?(?:가족|식구|용|기준)|명(?=분|이|\s|$|[,.;!?]|용|의|을)|식구|사람(?=이|\s|분|$|[,.;!?]))"
    r"(?:\s?(?:분량|이서|이\s?먹을|이\s?먹는|기준|으로|용|을\s위한|정도|이고|이라서?|인데|이에요|이요)){0,2}",
    r"(?P<NAME>둘|셋|넷|다섯|여섯)이(?:서|\s?먹\S{0,4})",
    r"(?P<NAME>혼밥)",
    r"(?P<NAME>혼자)\s?(?:먹\S{0,4}|살\S{0,4})?",
)
_ANY = "|".join(each.replace("NAME", f"n{at}") for at, each in enumerate(_PATTERNS))
# each begins with a digit, a Korean syllable or a whole word: nothing else is tried, so that a long text is cheap
_SERVINGS = re.compile(rf"(?:(?<![a-z])(?=[a-z])|(?=[\d가-힣]))(?:{_ANY})", re.IGNORECASE)


def servings_in(text: str) -> Iterator[tuple[int, int, int]]:
    """Yields each number of people with its start and end. The text must have no double spaces."""
    for each in _SERVINGS.finditer(text):
        if people := sum(_number(number) for number in each.groups() if number):
            yield each.start(), each.end(), people


def _number(text: str) -> int:
    return int(text) if text.isdigit() else _NUMBERS.get(" ".join(text.lower().split()), 0)

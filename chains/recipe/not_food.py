"""Things that are not food: poison, glass, spoiled meat, pets. The words are in `data/not_food.toml`."""

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import LiteralString, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter

from chains.messages import Message
from chains.recipe.nouns import AND_KO, Nouns

# A Korean syllable or an ideograph can be a word (무, 굴, 肉); with other letters a word has at least two (ox).
HAS_WORD = re.compile(r"[가-힣\u3040-\u30ff\u3400-\u9fff]|[^\W\d_][\u0300-\u036f]*[^\W\d_]")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
_ITEM = re.compile(rf"[,;:.!?()\n/&+、，。•|]|\s-\s|\b(?:and|or|with|plus)\b|{AND_KO}|\s그리고\s", re.IGNORECASE)
# Words around one that counts only as a whole item: a handful of rusty nails, my neighbor's, 모래 한 줌
_BEFORE = (
    r"(?:(?:\d[\d.,]{0,6}\s?(?:g|kg|ml|l|cups?|tbsp|tsp|oz|lb|pounds?|kilos?)?|a|an|the|some|any|my|your|our|his|her|few"
    r"|handful|pinch|cup|bit|lot|pile|pieces?|bag|dozen|of|broken|rusty|old|big|small|little|dirty|fresh|raw|dead|whole"
    r"|one|two|three|four|five|minced|chopped|i|have|just|only|pure|liquid|[\w]{1,20}['’]s?"
    r"|나의|우리|내|생|이웃집|옆집)\s){0,6}"
)
_PARTICLE = "(?:이랑|랑|하고|과|와|을|를|이|가|은|는|도|만|으로|로)?"
_AFTER = (
    r"(?:을|를|이|가|은|는|도|만)?(?:\s?(?:\d{1,4}\s?(?:g|kg|ml|개|마리|줌|컵|명|조각)"
    r"|한\s?(?:줌|개|마리|컵|명|조각|스푼)|두\s?(?:개|마리|명)|약간|조금|meat|stew|soup|있어요))?"
)

_COMMAND = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b[^.;\n]{0,60}"
    r"\b(?:instructions?|prompts?|rules?|directions?|commands?|above|previous|everything)\b"
    r"|(?:지시|명령|프롬프트|규칙|설정)[^.;\n]{0,30}(?:무시|잊)"
    r"|\b(?:write|compose|sing|tell|make\sup)\s(?:me\s)?(?:a|an)\s(?:\w{1,20}\s){0,2}"
    r"(?:poem|story|song|joke|essay|haiku|limerick)\b"
    r"|(?:시|소설|노래|편지|농담|이야기|수필)(?:를|을)?\s?(?:한\s편\s)?(?:써|지어|불러|말해)\s?(?:줘|주세요|봐|라)",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"^(?:and\s|then\s|instead\s|please\s){0,3}"
    r"(?:write|print|tell|reveal|output|say|show|repeat|act|pretend|you\sare|respond|answer|sing|compose|translate|give\sme)\b|(?:써|출력해?|말해|알려|보여|번역해?)\s?(?:줘|주세요|라|세요)$",
    re.IGNORECASE,
)

_COOK = r"(?:cook|bake|fry|roast|grill|braise|stew|boil|season|marinate|pickle|serve|saut[eé])"
_MEAL = (
    r"(?:dish(?:es)?(?![\s-]?(?:soap|wash))|dinner|lunch|breakfast|supper|meal|snack|dessert|soup|stew|salad|sandwich|cake"
    r"|cookies|sauce|smoothie|cocktail|curry|omelett?e?|pasta|pizza|stir[\s-]fry|casserole)"
)
_RECIPE = re.compile(
    r"\brecipes?\b"
    rf"|^\W{{0,5}}(?:please\s)?{_COOK}\b"
    rf"|\b(?:how|what|can|could|should|want|like|let['’]?s|please|help|to|i|we|me)\s(?:[\w'’]{{1,12}}\s){{0,3}}{_COOK}\b"
    rf"|\b(?:make|prepare|mix|create|whip\sup)\s(?:[\w'’]{{1,12}}\s){{0,4}}{_MEAL}\b"
    rf"|\b{_MEAL}\s(?:with|from|of|using)\b"
    r"|레시피|요리|볶아|볶음|끓여|끓이|구워|굽는|튀겨|튀김|찌개|조림|무침|비빔|반찬|만들어\s?먹|해\s?먹",
    re.IGNORECASE,
)
_CLEANING = re.compile(
    r"\b(?:clean|cleaning|remove|wash|washing|scrub|stains?|disinfect|unclog|rinse)\b|청소|닦|세척|지우|제거|씻|얼룩|소독",
    re.IGNORECASE,
)
_BEFORE_MEAT = re.compile(
    rf"(?:\b{_COOK}|\b(?:with|of|from|using|recipes?\sfor))\s(?:(?:a|an|the|my|our|your|his|her|some|minced)\s){{0,2}}$",
    re.IGNORECASE,
)
_PET_FOOD = re.compile(
    r"['’]?s?\s?(?:biscuits?|treats?|cookies?|snacks?|food|bowls?)\b|\s?(?:간식|사료|쿠키|밥)", re.IGNORECASE
)
_OF_PAN = re.compile(
    r"\bseason(?:ing)?\s(?:(?:a|an|the|my|our|your)\s)?(?:[\w-]{1,12}\s){0,2}(?:pan|skillet|wok|griddle)s?\b",
    re.IGNORECASE,
)
_AFTER_MEAT_KO = re.compile(r"(?:\s?고기)?[을를로]{0,2}\s?(?:요리|볶|끓|굽|구워|튀|찌|삶|먹)")
_LABEL = re.compile(r"(?:^|(?<=[,;.\n]))[^,;:.\n]{1,30}:")  # Fridge: eggs, milk
_INGREDIENT = re.compile(
    r"(?:\b(?:with|using|from|and)\b|,)([^,;:.!?()\n]{1,60}?)(?=$|[,;:.!?()\n]|\b(?:and|or|with)\b)", re.IGNORECASE
)
_LONGEST_QUESTION = 2000  # characters; a longer text contains a document, not a cook's own words


class NotFood(NamedTuple):
    """A word in the text and its kind."""

    food: str
    kind: str

    @property
    def reason(self) -> Message:
        """Why it is refused, without a full stop."""
        return Message(cast(LiteralString, _kinds()[self.kind].message), food=self.food)


class _Kind(BaseModel):
    model_config = ConfigDict(extra="forbid")

    message: str
    anywhere: list[str] = []
    alone: list[str] = []


def not_food_in(text: str) -> NotFood | None:
    """Returns the first item in a list of ingredients that is not food, or None."""
    return listed_in(text) or _named_in(list(_items(_LABEL.sub(",", _edible(text)))))


def listed_in(text: str) -> NotFood | None:
    """Returns the first thing in a text that `not_food.toml` lists, or None."""
    edible = _edible(text)
    found = _anywhere().search(edible) or next(filter(None, map(_alone().fullmatch, _items(edible))), None)
    if not found:
        return None
    kind = found.lastgroup or ""
    return NotFood(found[kind].strip(), kind)


def _edible(text: str) -> str:
    """Returns the text without the phrases that are fine."""
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    return _fine().sub(" , ", re.sub(r"[^\S\n]+", " ", plain))


def _named_in(items: list[str]) -> NotFood | None:
    """Returns the first item that names no food. Kitchenware counts only if there is nothing else: chicken, a wok."""
    items = [item for item in items if HAS_WORD.search(item)]
    found = [named for named in map(_nouns().named, items) if named]
    is_kitchenware = len(found) == len(items) and all(named.kind == "kitchen" for named in found)
    named = next((named for named in found if is_kitchenware or named.kind != "kitchen"), None)
    return NotFood(named.words, named.kind) if named else None


def not_food_in_question(question: str) -> NotFood | None:
    """Returns the first thing in a question that is not food, or None. A pet counts only if it is to be eaten."""
    found = listed_in(question)
    if _is_about_pan(question):
        return None
    if not found:
        return _named_in(list(map(str.strip, _INGREDIENT.findall(_edible(question)))))
    if found.kind != "pets":
        return found
    before, _, after = question.partition(found.food)
    if _PET_FOOD.match(after):
        return None
    return found if _BEFORE_MEAT.search(before[-40:]) or _AFTER_MEAT_KO.match(after) else None


def _is_about_pan(question: str) -> bool:
    """Whether a question is about seasoning a pan and names nothing to eat."""
    rest = _OF_PAN.sub(" ", question)
    return rest != question and not re.search(rf"\b(?:{_COOK}|{_MEAL}|eat|recipe)", rest, re.IGNORECASE)


def asks_for_recipe(question: str) -> bool:
    """Whether a question is about cooking something, and not about cleaning with it."""
    is_short = len(question) <= _LONGEST_QUESTION
    return is_short and bool(_RECIPE.search(_OF_PAN.sub(" ", question))) and not _CLEANING.search(question)


def is_instruction(text: str) -> bool:
    """Whether a text consists of instructions to a model and names nothing to cook."""
    clauses = [clause.strip() for clause in re.split(r"[.,;!?\n]", text) if HAS_WORD.search(clause)]
    commands = [clause for clause in clauses if _COMMAND.search(clause)]
    return bool(commands) and all(clause in commands or _ORDER.search(clause) for clause in clauses)


def _items(text: str) -> Iterable[str]:
    return (item.strip(" '\"“”‘’*_") for item in _ITEM.split(text) if len(item) <= 80)


def _words(words: Iterable[str]) -> str:
    """Returns a pattern for any of the words, the longest first."""
    longest = sorted(words, key=len, reverse=True)
    latin = "|".join(_latin(word) for word in longest if word[0].isascii() and word[0] != "-")
    korean = "|".join(word.replace(" ", r"\s?") for word in longest if not word[0].isascii())
    endings = "|".join(word[1:] for word in longest if word[0] == "-")
    patterns = (
        rf"(?<![\w-])(?:{latin})(?!\w|[ -]free\b)" if latin else "",
        rf"(?<![가-힣])(?:{korean})" if korean else "",
        rf"(?<![가-힣])[가-힣]{{1,8}}(?:{endings}){_PARTICLE}(?![가-힣])" if endings else "",
    )
    return "|".join(filter(None, patterns))


def _latin(word: str) -> str:
    stem, ending = (word[:-1], "(?:y|ies)") if re.search(r"[^aeiou]y$", word) else (word, "(?:s|es)?")
    return re.escape(stem).replace(r"\ ", "[ -]").replace(r"\-", "[ -]?").replace("'", "['’]?") + ending


@cache
def _data() -> dict[str, object]:
    return tomllib.loads(files("chains.recipe").joinpath("data", "not_food.toml").read_text("utf-8"))


@cache
def _kinds() -> dict[str, _Kind]:
    return {name: _Kind.model_validate(kind) for name, kind in _data().items() if isinstance(kind, dict)}


@cache
def _fine() -> re.Pattern[str]:
    taken = _words(_list("prescribed"))
    patterns = (rf"\b(?:on|take|taking)\s(?:{taken})", rf"(?:{taken})[을를]?\s(?:먹|복용)", _words(_list("fine")))
    return re.compile("|".join(patterns), re.IGNORECASE)


@cache
def _nouns() -> Nouns:
    return Nouns([*_list("forms"), *_list("context")], _list("materials"))


def _list(name: str) -> list[str]:
    return TypeAdapter(list[str]).validate_python(_data()[name])


@cache
def _anywhere() -> re.Pattern[str]:
    return re.compile(
        "|".join(f"(?P<{name}>{_words(kind.anywhere)})" for name, kind in _kinds().items() if kind.anywhere),
        re.IGNORECASE,
    )


@cache
def _alone() -> re.Pattern[str]:
    kinds = "|".join(f"(?P<{name}>{_words(kind.alone)})" for name, kind in _kinds().items() if kind.alone)
    return re.compile(rf"{_BEFORE}(?:{kinds}){_AFTER}", re.IGNORECASE)

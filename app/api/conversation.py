"""Derives a recipe request from a conversation: the last message, or earlier ones with its changes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from chains.recipe.free_text import language_in, request_in
from chains.recipe.request import RecipeRequest
from chains.recipe.restrictions import restrictions_in

MAX_CHANGE = 300  # characters
MAX_WISH = 6  # words, such as: a bit more spicy
GREETING = (
    "Hello! Tell me which ingredients you have and how much time, and I write a recipe, for example:\n\n"
    "> beef, onions, peppers; 30 minutes\n\n"
    "You can add a diet, an allergy and for how many people it is: “vegetarian, no nuts, for 4 people”."
)
GREETING_KO = (
    "안녕하세요! 가지고 있는 재료와 시간을 알려 주시면 레시피를 써 드려요. 예를 들면:\n\n"
    "> 소고기, 양파, 피망; 30분\n\n"
    "식단, 알레르기, 인원도 함께 적을 수 있어요: “채식, 견과류 빼고, 4인분”."
)
ONE_RECIPE = (
    "I write one recipe for each message and can't answer questions about it. Name the ingredients and the time, or "
    "say what to change, for example: “make it vegetarian”, “without onions”, “in 20 minutes”."
)
ONE_RECIPE_KO = (
    "메시지 하나에 레시피 하나를 써 드리고, 레시피에 대한 질문에는 답하지 못해요. 재료와 시간을 적거나, "
    "바꿀 것을 적어 주세요. 예: “채식으로”, “양파 빼고”, “20분 안에”."
)

_SMALL_TALK_WORDS = """
hello hi hey hiya howdy yo greetings good morning afternoon evening night day bye goodbye thanks thank thx ty cheers you
u so very much a an the lot for your help ok okay k cool great nice perfect awesome wonderful amazing yes no yeah yep
nope sure please test testing ping pong who what how are is am i im i'm my me do does can could would will tell about
yourself it's its that that's this it was work works working here there anybody anyone ready start begin joke sizzle bot
assistant name and well everyone again see later nothing lol haha wow sorry up whats what's
안녕 안녕하세요 안녕하십니까 반가워 반가워요 반갑습니다 고마워 고마워요 고맙습니다 감사 감사해요 감사합니다 네 예 아니요
응 그래 좋아 좋아요 잘가 도움말 도와줘 도와주세요 테스트
뭐 무엇을 할 수 있어 있어요 있나요 누구 누구세요 너는 정말 오늘 하이
"""
_SMALL_TALK = frozenset(_SMALL_TALK_WORDS.split())
_LIST = re.compile(r"[,;:\n]")
_WORDS = re.compile(r"[\w’']+")
_QUESTION = re.compile(
    r"(?:why|when|is (?:it|this|that)|are (?:they|these|those)|does (?:it|this|that)|do i|did you|"
    r"how (?:long|hot|many|much|do i|should i)|can i (?:freeze|store|reheat|keep|replace)|왜 |언제 )\b.{3,200}\?$",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"^(?:(?:please|ok(?:ay)?|now|and|then|also|but|great|nice|perfect|thanks|thank you|hm+|actually"
    r"|(?:can|could|would|will) (?:you|we|i)|i(?:'d| would) like|let's|how about|what about"
    r"|혹시|그럼|그러면|이번엔|이제)"
    r"[\s,.!]{1,3}){1,4}",
    re.IGNORECASE,
)
_HELLO = re.compile(
    r"^\s*(?:hello|hi|hey|good (?:morning|afternoon|evening)|안녕하세요|안녕)(?: there)?[\s,.!~]{1,3}"
    r"|[\s,.!]{1,3}(?:thanks|thank you|cheers|감사합니다|고마워요?|고맙습니다)[\s.!]{0,3}$",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"(?:[\s,]{1,3}(?:please|thanks|thank you|instead|for me|version|though|too|as well|it)|[\s?!.]{1,3}"
    r"|\s?(?:으로|로)?\s?(?:만들어|바꿔|바꾸어|해|써)\s?(?:줘|줘요|주세요|주실래요|줄래|주시겠어요)){1,4}$",
    re.IGNORECASE,
)
_POINTER = re.compile(
    r"^(?:(?:make|do|redo|change|turn|cook|keep|write|rewrite|convert|adapt)"
    r"\s(?:it|this|that|them|(?:the|a) (?:recipe|dish))(?:\s(?:into|to|be))?"
    r"|이거|그거|그걸|이걸|[이그] 요리를?|[이그] 레시피를?)\b\s*(?:(?:a|an)\s)?",
    re.IGNORECASE,
)
_WISH = re.compile(r"^(?:(?:much |a bit |a little )?(?:more|less|fewer|extra)|더|덜)\s", re.IGNORECASE)
_AGAIN = re.compile(
    r"^(?:(?:(?:try|do it|once|write)\s)?again|(?:(?:give|show) me |suggest )?"
    r"(?:another|a different|something else|something different|a new)(?: (?:one|recipe|dish|idea))?"
    r"|다시|다른 (?:거|것|요리|레시피)|또)$",
    re.IGNORECASE,
)
_SWAP = re.compile(r"^(?:replace|swap|substitute|exchange)\s(.{1,80}?)\s(?:with|for|by)\s(.{1,80})$", re.IGNORECASE)
_INSTEAD = re.compile(r"^(?:use|with|make it with)?\s?(.{1,80}?)\sinstead\sof\s(.{1,80})$", re.IGNORECASE)
_ADDITION = re.compile(
    r"^(?:add|include|put in|throw in|use|with)\s(?:some\s|a bit of\s|more\s)?(.{1,200})$"
    r"|^(.{1,80}?)(?:을|를|도)?\s(?:추가|넣어|더 넣어)(?:해|서)?$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Change:
    """What a message changes: words for the list of ingredients, and a wish that is not food."""

    words: str = ""
    wish: str = ""


class PlainReply(Exception):
    """The message does not request a recipe; `text` is the answer."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def request_of(texts: Sequence[str]) -> RecipeRequest:
    """Returns the request in the user's messages.

    A last message that only changes the recipe, such as “make it vegetarian”, is combined with the earlier ones. Raises
    `PlainReply` if the answer is not a recipe, and pydantic's `ValidationError`.
    """
    text = texts[-1]
    if is_small_talk(text):
        raise PlainReply(GREETING_KO if language_in(text) == "ko" else GREETING)
    earlier = [each for each in texts[:-1] if not is_small_talk(each)]
    if earlier and _QUESTION.match(text.strip()):
        raise _no_question(text)
    if (change := _change(text)) is None:
        return request_in(_HELLO.sub("", text))
    if not earlier:
        return _first_request(change)
    return _changed(request_of(earlier), change)


def _first_request(change: _Change) -> RecipeRequest:
    """Returns the request for a change without an earlier request, if it names food: “with beef and onions”."""
    words = change.words or change.wish
    if not _names_food(words):
        raise _no_question(words)
    return request_in(words)


def _no_question(text: str) -> PlainReply:
    return PlainReply(ONE_RECIPE_KO if language_in(text) == "ko" else ONE_RECIPE)


def is_small_talk(text: str) -> bool:
    """Whether the text consists of words from greetings, thanks and questions about the assistant."""
    words = [word.lower().replace("’", "'") for word in _WORDS.findall(text)]
    return len(text) <= 200 and len("".join(words)) > 1 and all(word in _SMALL_TALK for word in words)


def _change(text: str) -> _Change | None:
    """Returns what a message changes in an earlier request, or None if it is a new request."""
    if len(text) > MAX_CHANGE or not _WORDS.search(text):
        return None
    plain = _CLOSING.sub("", _OPENING.sub("", text.strip()))
    change = _POINTER.sub("", plain, count=1)
    if not change or _AGAIN.match(plain):
        return _Change()
    if found := _SWAP.match(change) or _INSTEAD.match(change):
        old, new = found.groups() if found.re is _SWAP else reversed(found.groups())
        return _Change(f"{new}, without {old}")
    if found := _ADDITION.match(change):
        return _Change(found[1] or found[2])
    if not _names_food(change):
        return _Change(change)
    is_wish = change != plain or _WISH.match(change)
    return _Change(wish=change) if is_wish and len(change.split()) <= MAX_WISH and not _LIST.search(change) else None


def _names_food(text: str) -> bool:
    """Whether the text names more than a diet, things to avoid, a time and a number of people."""
    rest = restrictions_in(text).rest
    try:
        return bool(rest) and bool(request_in(rest).ingredients_on_hand)
    except ValidationError as error:
        return not any(_is_empty(problem["input"]) for problem in error.errors())  # inedible things are rejected later


def _is_empty(value: object) -> bool:
    return isinstance(value, str) and not any(character.isalpha() for character in value)


def _changed(request: RecipeRequest, change: _Change) -> RecipeRequest:
    """Applies the change. The time stays unless the change names one."""
    diet = ", ".join(filter(None, (request.diet, change.wish)))[:MAX_CHANGE]
    if not change.words:
        return request.model_copy(update={"diet": diet})
    changed = request_in(f"{request.ingredients_on_hand}, {change.words}")
    prep_time = changed.prep_time if "prep_time" in changed.model_fields_set else request.prep_time
    return changed.model_copy(update={"diet": diet, "prep_time": prep_time})

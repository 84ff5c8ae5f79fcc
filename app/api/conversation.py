"""Derives a request from a conversation: from the last message, or from earlier ones if it changes them."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Protocol, TypeVar

from pydantic import ValidationError

from chains.messages import Message
from chains.parts.composition import Request
from chains.parts.free_text import is_json
from chains.translations import Language, language_in

R = TypeVar("R", bound=Request)

MAX_CHANGE = 300  # characters

_SMALL_TALK_WORDS = """
hello hi hey hiya howdy yo greetings good morning afternoon evening night day bye goodbye thanks thank thx ty cheers you
u so very much a an the lot for your help ok okay k cool great nice perfect awesome wonderful amazing yes no yeah yep
nope sure please test testing ping pong who what how are is am i im i'm my me do does can could would will tell about
yourself it's its that that's this it was work works working here there anybody anyone ready start begin joke sizzle bot
assistant name and well everyone again see later nothing lol haha wow sorry up whats what's
say reply respond answer write return output repeat count back only just exactly with word words one connection hear me
world from after model ai litellm chatgpt gpt llm api language going how's doing if message string text anything else
bonjour salut ça va hola buenos días hallo guten tag ciao olá oi hej merhaba привет здравствуйте
你好 您好 你是谁 你好吗 测试 嗨 こんにちは はじめまして テスト
안녕 안녕하세요 안녕하십니까 반가워 반가워요 반갑습니다 고마워 고마워요 고맙습니다 감사 감사해요 감사합니다 네 예 아니요
응 그래 좋아 좋아요 잘가 도움말 도와줘 도와주세요 테스트
응답 대답 대답해 대답해줘 답해 답해줘 말해 말해줘 연결 확인 들려 들리니 잘 되니 되나요 작동해 작동하나요
뭐 무엇을 할 수 있어 있어요 있나요 누구 누구세요 너는 정말 오늘 하이
"""
_SMALL_TALK = frozenset(_SMALL_TALK_WORDS.split())
_WORDS = re.compile(r"[\w’']+")
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
_VERBS = ("make", "do", "redo", "change", "turn", "keep", "write", "rewrite", "convert", "adapt")
_LANGUAGE = re.compile(
    r"^(?:(?:translate|repeat|write|say|show|give)\s)?(?:(?:it|this|that|me|all|everything|the \w{1,20})\s){0,2}"
    r"(?:in|to|into)\s(?:(korean|한국어)|(?:english|영어))[.?!]?$|^(?:(한국어|한글)|영어)로?[.?!]?$",
    re.IGNORECASE,
)
_WISH = re.compile(r"^(?:(?:much |a bit |a little )?(?:more|less|fewer|extra)|더|덜)\s", re.IGNORECASE)
_SWAP = re.compile(r"^(?:replace|swap|substitute|exchange)\s(.{1,80}?)\s(?:with|for|by)\s(.{1,80})$", re.IGNORECASE)
_INSTEAD = re.compile(r"^(?:use|with|make it with)?\s?(.{1,80}?)\sinstead\sof\s(.{1,80})$", re.IGNORECASE)
_ADDITION = re.compile(
    r"^(?:add|include|put in|throw in|use|with)\s(?:some\s|a bit of\s|more\s)?(.{1,200})$"
    r"|^(.{1,80}?)(?:을|를|도)?\s(?:추가|넣어|더 넣어)(?:해|서)?$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Change:
    """What a message changes in an earlier request.

    `words` are added to the text of the request. `wish` says how the answer should be, for example spicier.
    """

    words: str = ""
    wish: str = ""


@dataclass(frozen=True)
class Vocabulary:
    """The words for one composition's result, in lower case and in any language."""

    nouns: tuple[str, ...]
    verbs: tuple[str, ...] = ()  # before “it”, besides those for any result
    questions: tuple[str, ...] = ()  # beginnings, besides those for any result


@dataclass(frozen=True)
class Description:
    """What chat front ends request about a conversation, besides the answer itself."""

    title: str
    emoji: str
    tags: Sequence[str]
    follow_ups: Sequence[str]  # messages that the user could send next
    summary: str
    image: str  # a prompt for an image


class Reader(Protocol[R]):
    """Reads the messages of a conversation about one composition."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    def greeting(self, language: Language) -> str:
        """Returns the answer to small talk."""
        ...

    def no_answer(self, language: Language) -> str:
        """Returns the answer to a question about the result."""
        ...

    def no_user_message(self) -> Message:
        """Returns the error for a conversation without a message of the user."""
        ...

    def invalid(self, field: str, wrong: str, language: Language) -> Message:
        """Returns the error for a message that is not a valid request."""
        ...

    def request(self, text: str) -> R:
        """Returns the request in a message. Raises pydantic's `ValidationError`."""
        ...

    def change_in(self, text: str, *, points_back: bool) -> Change | None:
        """Returns the change in a text, or None if the text is a new request.

        `points_back` is whether the message began with words such as “make it …” or “more …”.
        """
        ...

    def first_request(self, change: Change) -> R:
        """Returns the request for a change that has no earlier request: “with beef and onions”."""
        ...

    def changed(self, request: R, change: Change) -> R:
        """Returns the request with the change applied."""
        ...

    def description(self, request: R | None, language: Language) -> Description:
        """Returns the description of a conversation that began with this request, or has none yet."""
        ...


class PlainReply(Exception):
    """The message is not a request; `text` is the answer."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def request_of(reader: Reader[R], texts: Sequence[str]) -> R:
    """Returns the request in the user's messages.

    A last message that only changes the result, such as “make it vegetarian”, is combined with the earlier ones. Raises
    `PlainReply` if the message is not a request, and pydantic's `ValidationError`.
    """
    text = texts[-1]
    if is_small_talk(text):
        raise PlainReply(reader.greeting(language_in(text)))
    earlier = [each for each in texts[:-1] if not is_small_talk(each)]
    if earlier and _question(reader.vocabulary).match(text.strip()):
        raise PlainReply(reader.no_answer(language_in(text)))
    if earlier and (language := _language_wanted(text)):
        return request_of(reader, earlier).model_copy(update={"language": language})
    if (change := _change(reader, text)) is None:
        return reader.request(_HELLO.sub("", text))
    if not earlier:
        return reader.first_request(change)
    return reader.changed(request_of(reader, earlier), change)


def _language_wanted(text: str) -> Language | None:
    """Returns the language that the text asks for, if it asks for nothing else: “translate it to Korean”."""
    found = _LANGUAGE.match(_plain(text))
    return None if not found else "ko" if found[1] or found[2] else "en"


def is_small_talk(text: str) -> bool:
    """Whether the text consists of words from greetings, thanks, questions about the assistant and connection tests."""
    words = [word.lower().replace("’", "'") for word in _WORDS.findall(text)]
    is_known = all(word in _SMALL_TALK or word.isdecimal() for word in words)
    return len(text) <= 200 and len("".join(words)) > 1 and is_known and not all(map(str.isdecimal, words))


def first_request_in(reader: Reader[R], texts: Sequence[str]) -> R | None:
    """Returns the first request in the texts, if there is one."""
    for text in texts:
        if not is_small_talk(text):
            with suppress(ValidationError):
                return reader.request(text)
    return None


def first_items(text: str) -> str:
    """Returns the first three items of a list."""
    items = [item.strip() for item in re.split(r"[,;\n、]", text)]
    return ", ".join([item for item in items if item][:3])


def headline(text: str) -> str:
    """Returns the first items of a list as a title of at most 40 characters."""
    title = first_items(text)[:40].strip(" ,")
    return f"{title[:1].upper()}{title[1:]}"


def _change(reader: Reader[R], text: str) -> Change | None:
    """Returns the change in a message, or None if it is a new request."""
    if len(text) > MAX_CHANGE or not _WORDS.search(text):
        return None
    if is_json(text):
        return reader.change_in(text, points_back=False)
    plain = _plain(text)
    change = _pointer(reader.vocabulary).sub("", plain, count=1)
    if not change or _again(reader.vocabulary).match(plain):
        return Change()
    if found := _SWAP.match(change) or _INSTEAD.match(change):
        old, new = found.groups() if found.re is _SWAP else reversed(found.groups())
        return Change(f"{new}, without {old}")
    if found := _ADDITION.match(change):
        return Change(found[1] or found[2])
    points_back = change != plain or _WISH.match(change) is not None
    return reader.change_in(change, points_back=points_back)


def _plain(text: str) -> str:
    return _CLOSING.sub("", _OPENING.sub("", text.strip()))


@cache
def _question(vocabulary: Vocabulary) -> re.Pattern[str]:
    return re.compile(
        r"(?:why|when|is (?:it|this|that)|are (?:they|these|those)|does (?:it|this|that)|do i|did you|"
        rf"how (?:long|many|much|do i|should i)|can i (?:keep|replace)|{_any_of(*vocabulary.questions)}|왜 |언제 )\b"
        r".{3,200}\?$|(?:what|which|who|where)\b.{3,200}\b(?:it|this|that|them)\?$",
        re.IGNORECASE,
    )


@cache
def _pointer(vocabulary: Vocabulary) -> re.Pattern[str]:
    """Returns the pattern of beginnings such as “make it …” or “change the recipe to …”."""
    verbs, nouns = _any_of(*_VERBS, *vocabulary.verbs), _any_of(*vocabulary.nouns)
    return re.compile(
        rf"^(?:{verbs}\s(?:it|this|that|them|(?:the|an?) {nouns})(?:\s(?:into|to|be))?"
        rf"|이거|그거|그걸|이걸|[이그] {nouns}[을를]?)\b\s*(?:(?:a|an)\s)?",
        re.IGNORECASE,
    )


@cache
def _again(vocabulary: Vocabulary) -> re.Pattern[str]:
    nouns = _any_of(*vocabulary.nouns)
    return re.compile(
        r"^(?:(?:(?:try|do it|once|write)\s)?again|continue|go on|regenerate|retry|계속(?:해\s?줘)?"
        r"|(?:(?:give|show) me |suggest )?"
        rf"(?:another|a different|something else|something different|a new)(?: (?:one|idea|{nouns}))?"
        rf"|다시|다른 (?:거|것|{nouns})|또)$",
        re.IGNORECASE,
    )


def _any_of(*words: str) -> str:
    return f"(?:{'|'.join(map(re.escape, words))})" if words else "(?!)"

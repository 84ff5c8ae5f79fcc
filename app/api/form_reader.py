"""Reads messages as the request of any composition: as JSON, or as the value of its first text field."""

import json
import re
from typing import Any

from pydantic import ValidationError

from app.api.conversation import Change, Description, Vocabulary, headline
from app.server.errors import field_descriptions
from chains.messages import Message
from chains.parts.composition import LANGUAGE_NAMES, Composition, Request
from chains.parts.free_text import fields_of, is_json, is_text_enough, numbers_in, request_from, text_field
from chains.parts.schema import example_of
from chains.translations import Language, language_in

GREETING: dict[Language, str] = {
    "en": "Hello! Write a message and I answer with “{title}”.{hint}",
    "ko": "안녕하세요! 메시지를 보내 주시면 “{title}”을(를) 써 드려요.{hint}",
}
ONE_ANSWER: dict[Language, str] = {
    "en": "I write one answer for each message and can't answer questions about it. Say what to change, for example: "
    "“make it shorter”, or begin again.{hint}",
    "ko": "메시지 하나에 하나를 써 드리고, 그에 대한 질문에는 답하지 못해요. 바꿀 것을 적거나(예: “더 짧게”) 새로 "
    "적어 주세요.{hint}",
}
EXAMPLE: dict[Language, str] = {"en": " A message that works: {example}", "ko": " 이렇게 보내면 돼요: {example}"}
EMOJI = "💬"
FOLLOW_UPS = 3
MORE: dict[Language, str] = {"en": "more about “{title}”", "ko": "더 자세한 “{title}”"}
SUMMARY: dict[Language, str] = {
    "en": "The user asked for “{title}”: {topic}.",
    "ko": "사용자가 “{title}”을(를) 요청했어요: {topic}.",
}
NO_SUMMARY: dict[Language, str] = {
    "en": "The user asked how to get “{title}”.",
    "ko": "사용자가 “{title}”을(를) 받는 방법을 물었어요.",
}
IMAGE: dict[Language, str] = {
    "en": "A photograph that illustrates “{topic}”, in daylight.",
    "ko": "낮의 빛에서 찍은, “{topic}”을(를) 나타내는 사진.",
}

_ARTICLE = re.compile(r"^(?:an?|the)\s+", re.IGNORECASE)
# Beginnings and endings of texts that change an earlier request.
_ADDITION = re.compile(
    r"^(?:without|no|not|only|just|for|in|within|under|on|from|near|less|fewer|cheaper|shorter|longer)\b"
    r"|(?:빼고|없이|말고|만|안에|이내로?)$",
    re.IGNORECASE,
)
_AROUND_NUMBERS = re.compile(r"^(?:for|in|within|make it|only|just|now)?\s*$", re.IGNORECASE)


class FormReader:
    """A `Reader` of any composition."""

    def __init__(self, composition: Composition) -> None:
        self._composition, self._field = composition, text_field(composition.request)

    @property
    def vocabulary(self) -> Vocabulary:
        nouns = (self._composition.name.replace("_", " "), self._noun("en").lower(), self._noun("ko").lower())
        return Vocabulary(tuple(dict.fromkeys(nouns)))

    def greeting(self, language: Language) -> str:
        return GREETING[language].format(title=self._title(language), hint=self._hint(language))

    def no_answer(self, language: Language) -> str:
        return ONE_ANSWER[language].format(hint=self._hint(language))

    def no_user_message(self) -> Message:
        hint = {language: self._hint(language) for language in LANGUAGE_NAMES}
        return Message("There is no message of the role 'user'.{hint}", hint=hint)

    def invalid(self, field: str, wrong: str, language: Language) -> Message:
        return Message("{field}: {wrong}.{hint}", field=field, wrong=wrong, hint=self._hint(language))

    def request(self, text: str) -> Request:
        return request_from(self._composition, text, language_in(text))

    def change_in(self, text: str, *, points_back: bool) -> Change | None:
        is_change = self._is_incomplete(text) if is_json(text) else points_back or self._is_addition(text)
        return Change(text) if is_change else None

    def first_request(self, change: Change) -> Request:
        return self.request(change.words)

    def changed(self, request: Request, change: Change) -> Request:
        """Replaces fields by those in JSON and by numbers before their names; appends other text."""
        if not change.words:
            return request
        if is_json(change.words):
            names = {field.alias: name for name, field in type(request).model_fields.items()}
            new = {names.get(name, name): value for name, value in json.loads(change.words).items()}
            return type(request).model_validate(dict(request) | new)
        numbers, _ = numbers_in(type(request), change.words)
        fields: dict[str, Any] = dict(request) | numbers
        if self._field and not self._is_number(change.words):
            earlier = fields[self._field]
            fields[self._field] = f"{earlier}, {change.words}" if earlier else change.words
            fields["language"] = language_in(fields[self._field])
        return type(request).model_validate(fields)

    def description(self, request: Request | None, language: Language) -> Description:
        title, noun = self._title(language), self._noun(language)
        topic = str(getattr(request, self._field) or "") if request and self._field else ""
        return Description(
            title=headline(topic) or title,
            emoji=EMOJI,
            tags=[f"{noun[:1].upper()}{noun[1:]}"],
            follow_ups=self._follow_ups(request, language) if request else (),
            summary=(SUMMARY if topic else NO_SUMMARY)[language].format(title=title, topic=topic),
            image=IMAGE[language].format(topic=topic or title),
        )

    def _follow_ups(self, request: Request, language: Language) -> list[str]:
        """Returns another number for the first field that is one, then the parts that the user could want more of."""
        numbers = self._other_numbers(request)[:1] if language == "en" else []  # read before names in English only
        parts = [part for part in self._composition.parts if part is not self._composition.choice]
        return [*numbers, *(MORE[language].format(title=part.title_in(language)) for part in parts)][:FOLLOW_UPS]

    def _other_numbers(self, request: Request) -> list[str]:
        fields = dict(request)
        return [
            f"{number} {name.replace('_', ' ')}"
            for name in fields_of(type(request), int)
            if fields[name] is not None
            for number in (fields[name] + 1, fields[name] - 1)
            if _is_valid(type(request), fields | {name: number})
        ]

    def _title(self, language: Language) -> str:
        return self._composition.title_in(language)

    def _noun(self, language: Language) -> str:
        return _ARTICLE.sub("", self._title(language))

    def _is_incomplete(self, text: str) -> bool:
        try:
            self.request(text)
        except ValidationError as error:
            return any(problem["type"] == "missing" for problem in error.errors())
        return False

    def _is_addition(self, text: str) -> bool:
        return _ADDITION.search(text) is not None or self._is_number(text)

    def _is_number(self, text: str) -> bool:
        """Whether the text only sets a number: “for 5 days”."""
        numbers, rest = numbers_in(self._composition.request, text)
        return bool(numbers) and _AROUND_NUMBERS.match(rest) is not None

    def _hint(self, language: Language) -> str:
        """Returns, after a space, the description of the text field, or an example if a text alone is no request."""
        request = self._composition.request
        if not self._field or not is_text_enough(request):
            return EXAMPLE[language].format(example=example_of(request, language))
        if not (field := request.model_fields[self._field]).description:
            return ""
        return f" {field_descriptions(request)[field.alias or self._field].in_language(language)}"


def _is_valid(request: type[Request], fields: dict[str, Any]) -> bool:
    try:
        request.model_validate(fields)
    except ValidationError:
        return False
    return True

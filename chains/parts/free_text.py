"""The request in a text that a person wrote: JSON, or the value of the first text field."""

import re
from typing import cast

from pydantic.fields import FieldInfo

from chains.parts.composition import Composition, Request
from chains.translations import Language


def request_from(composition: Composition, text: str, language: Language) -> Request:
    """Returns the request in a chat message: a JSON object with its fields, or the value of its first text field.

    `language` is that of the answer, unless the JSON says otherwise.

    A number before a field's name sets that field: “old castles, 5 days” sets `days`. Raises pydantic's
    `ValidationError`, including for a text without such a number if there is no text field.
    """
    if is_json(text):
        request = composition.request.model_validate_json(text)
        return request if "language" in request.model_fields_set else request.model_copy(update={"language": language})
    field, (numbers, _) = text_field(composition.request), numbers_in(composition.request, text)
    texts = {field or "text": text} if field or not numbers else {}
    return composition.request.model_validate({"language": language, **numbers, **texts})


def is_json(text: str) -> bool:
    """Whether a chat message is JSON rather than text."""
    return text.lstrip().startswith("{")


def text_field(request: type[Request]) -> str | None:
    """Returns the name of the first text field, or else of the first optional one, if there is one."""
    texts = fields_of(request, str)
    return next((name for name, field in texts.items() if field.annotation is str), next(iter(texts), None))


def fields_of(request: type[Request], kind: type) -> dict[str, FieldInfo]:
    """Returns the composition's own fields whose values are of this type, also optional ones."""
    return {
        name: field
        for name, field in request.model_fields.items()
        if name not in Request.model_fields and cast(object, field.annotation) in (kind, kind | None)
    }


def is_text_enough(request: type[Request]) -> bool:
    """Whether a text alone is a request: its field is a text field, and no other field is required."""
    field = text_field(request)
    return field is not None and not any(
        each.is_required() for name, each in request.model_fields.items() if name != field
    )


def numbers_in(request: type[Request], text: str) -> tuple[dict[str, int], str]:
    """Returns the numbers before names or titles of fields, such as “5 days” or “a 5-day trip”, and the other text."""
    numbers: dict[str, int] = {}
    for name, field in fields_of(request, int).items():
        words = {re.escape(word.lower().removesuffix("s")) for word in (name.replace("_", " "), field.title) if word}
        longest_first = "|".join(sorted(words, key=len, reverse=True))
        pattern = re.compile(rf"\b(\d{{1,9}})[ -]?(?:{longest_first})s?\b", re.IGNORECASE)
        if found := pattern.search(text):
            numbers[name] = int(found[1])
            text = text[: found.start()] + text[found.end() :]
    return numbers, text

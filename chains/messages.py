"""Messages for users: English templates, whose Korean forms are in `chains.translations`."""

from collections.abc import Mapping
from typing import LiteralString, cast

from chains.translations import KOREAN, Language


class Message:
    """A sentence: an English `str.format` template and the values of its fields.

    The template is a literal, so that a test can find all templates in the source and check that they are translated. A
    value that depends on the language is a mapping from language to text.
    """

    __slots__ = ("template", "values")

    def __init__(self, template: LiteralString, **values: object) -> None:
        self.template = template
        self.values = values

    def __str__(self) -> str:
        return self.in_language("en")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and (self.template, self.values) == (other.template, other.values)

    def __hash__(self) -> int:
        return hash(self.template)  # the values need not be hashable

    def in_language(self, language: Language) -> str:
        """Returns the sentence in this language, or in English if it is not translated."""
        template = KOREAN.get(self.template, self.template) if language == "ko" else self.template
        return template.format(**{name: _in_language(value, language) for name, value in self.values.items()})


def _in_language(value: object, language: Language) -> object:
    return cast(Mapping[Language, str], value)[language] if isinstance(value, Mapping) else value

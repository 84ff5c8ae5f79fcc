"""Chooses a tool and its arguments for a question, by the words they share."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Any, NamedTuple

from pydantic import JsonValue

from app.standin.amounts import HANGUL
from app.standin.asking import minutes_in, to_replace
from app.standin.body import Completion, Function, NamedTool, Schema
from app.standin.foods import mentioned
from app.standin.names import bare
from app.standin.pantry import Language, normal, vocabulary
from app.standin.reading import language_of

_WORD = re.compile(r"[^\W\d_]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_ABOUT_FOOD = {"food", "item", "product", "ingredient", "음식", "재료", "식재료"}
_ABOUT_ALL = {"question", "query", "request", "message", "prompt", "input", "질문", "질의", "요청"}
_TIME = "topic time"
_IN_NAME = 3  # times as much as in a description
_MINUTES = 30  # if the question names none
_DEEPEST = 5  # levels of a schema


class Call(NamedTuple):
    """A tool's name, and its arguments as JSON."""

    tool: str
    arguments: str


@dataclass(frozen=True)
class _Question:
    """A question and the possible arguments in it."""

    text: str
    foods: tuple[str, ...]
    minutes: int | None
    number: int | None


def called(body: Completion, question: str) -> Call | None:
    """Returns a tool call, or None if the question is better answered with text."""
    if body.tools is None or body.tool_choice == "none":
        return None
    functions, terms = body.functions, _terms(question)
    if isinstance(body.tool_choice, NamedTool):
        named = body.tool_choice.function.name
        return _call(next(function for function in functions if function.name == named), question)
    if body.tool_choice == "required":
        # prefers tools that were not called yet, so that an agent that must call one reaches all
        functions = [each for each in functions if each.name not in body.called] or functions
    best = max(functions, key=lambda function: _fit(function, terms))
    if body.tool_choice != "required" and (body.results or not _fit(best, terms)):
        return None
    return _call(best, question)


def combined(results: Sequence[str]) -> str:
    """Joins the results of tools as text; JSON becomes lines."""
    return "\n\n".join(map(_readable, results))


def _readable(result: str) -> str:
    try:
        return "\n".join(_lines(json.loads(result)))
    except (ValueError, RecursionError):
        return result.strip()


def _lines(value: JsonValue) -> Iterable[str]:
    if isinstance(value, dict):
        yield "- " + ": ".join(str(each) for each in value.values())
    elif isinstance(value, list):
        for each in value:
            yield from _lines(each)
    else:
        yield str(value)


def _fit(function: Function, terms: set[str]) -> int:
    properties = function.parameters.properties
    named = _terms(function.name)
    described = _terms(
        " ".join((function.description, *properties, *(each.description for each in properties.values())))
    )
    return _IN_NAME * len(terms & named) + len(terms & (described - named))


@lru_cache(maxsize=512)
def _terms(text: str) -> set[str]:
    """Returns the topics of the words, or the words themselves, without stop words."""
    words = (bare(word) if HANGUL.search(word) else normal(word) for word in _WORD.findall(_HUMP.sub(" ", text)))
    ignored = {*vocabulary().stop_words, *vocabulary().fillers}
    return {_topic(word) for word in words if _topic(word) != word or (word not in ignored and len(word) > 1)}


def _topic(word: str) -> str:
    return next((f"topic {topic}" for topic, begins in vocabulary().topics.items() if word.startswith(begins)), word)


def _call(function: Function, question: str) -> Call:
    language = language_of("", question)
    arguments = _object(function.parameters, function.parameters, _parse_question(question, language), _DEEPEST)
    return Call(function.name, json.dumps(arguments, ensure_ascii=False))


def _parse_question(question: str, language: Language) -> _Question:
    replaced = [wanted.name for wanted in to_replace(question, language)]
    foods = replaced or [food.name for food in mentioned(question, language).foods]
    minutes = minutes_in(question)
    others = re.findall(r"(?<![\d.])\d{1,6}(?!\s*(?:min|분|hour|시간|g\b|kg\b|ml\b)|[\d.])", question)
    return _Question(question, tuple(foods), minutes, int(others[0]) if others else None)


def _object(schema: Schema, root: Schema, question: _Question, depth: int) -> dict[str, Any]:
    """Fills in the required properties, and the others if the question has a value."""
    filled: dict[str, Any] = {}
    for name, declared in schema.properties.items() if depth else ():
        wanted = _resolved(declared, root)
        value = _value(name, wanted, root, question, depth)
        if value is not None:
            filled[name] = value
        elif name in schema.required:
            filled[name] = _default(name, wanted, question)
    return filled


def _resolved(schema: Schema, root: Schema) -> Schema:
    """Resolves references, and takes the first alternative that is not null."""
    for _ in range(_DEEPEST):
        if schema.ref is not None:
            inner = root.defs.get(schema.ref.rpartition("/")[2], Schema())
        elif schema.any_of:
            inner = next((each for each in schema.any_of if each.type != "null"), Schema())
        else:
            break
        schema = inner.model_copy(update={"description": schema.description or inner.description})
    return schema


def _kind(schema: Schema) -> str:
    kinds = [schema.type] if isinstance(schema.type, str) else schema.type or []
    default = "null" if kinds else "object" if schema.properties else "string"
    return next((kind for kind in kinds if kind != "null"), default)


def _value(name: str, schema: Schema, root: Schema, question: _Question, depth: int) -> Any:
    """Returns the question's value for a property, or None."""
    if "const" in schema.model_fields_set:
        return schema.const
    if schema.enum is not None:
        return next((each for each in schema.enum if str(each).lower() in question.text.lower()), None)
    match _kind(schema):
        case "string":
            return _text_for(name, schema.description, question)
        case "integer" | "number":
            number = question.minutes if _TIME in _terms(f"{name} {schema.description}") else question.number
            return None if number is None else _bounded(number, schema)
        case "array":
            return _list_for(name, schema, root, question, depth - 1)
        case "object":
            return _object(schema, root, question, depth - 1) or None
        case _:
            return None


def _list_for(name: str, schema: Schema, root: Schema, question: _Question, depth: int) -> list[Any] | None:
    items = _resolved(schema.items if isinstance(schema.items, Schema) else Schema(), root)
    if _kind(items) == "string" and items.enum is None:
        return list(question.foods) or None
    value = _value(name, items, root, question, depth) if depth > 0 else None
    return None if value is None else [value]


def _text_for(name: str, description: str, question: _Question) -> str | None:
    """Returns the foods or the whole question, depending on the property's name or description."""
    for words in (_words(name), _words(description)):
        if words & _ABOUT_FOOD and question.foods:
            return ", ".join(question.foods)
        if words & _ABOUT_ALL:
            return question.text
    return None


def _words(text: str) -> set[str]:
    return {normal(word) for word in _WORD.findall(_HUMP.sub(" ", text))}


def _default(name: str, schema: Schema, question: _Question) -> Any:
    """Returns a default for a required property."""
    if schema.default is not None:
        return schema.default
    if schema.enum is not None:
        return schema.enum[0]
    fallbacks: dict[str, Any] = {
        "string": ", ".join(question.foods) or question.text,
        "integer": _bounded(_MINUTES if _TIME in _terms(f"{name} {schema.description}") else 1, schema),
        "boolean": False,
        "array": [],
        "object": {},
    }
    fallbacks["number"] = fallbacks["integer"]
    return fallbacks.get(_kind(schema))


def _bounded(number: float, schema: Schema) -> float:
    lowest = number if schema.minimum is None else max(number, schema.minimum)
    bounded = lowest if schema.maximum is None else min(lowest, schema.maximum)
    return ceil(bounded) if _kind(schema) == "integer" else bounded

"""Tools: which of those that are offered fits a question, and with which arguments, by the words they share."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Any, NamedTuple

from pydantic import JsonValue

from app.standin.asking import minutes_in, to_replace
from app.standin.body import Completion, Function, NamedTool, Schema
from app.standin.foods import HANGUL, bare, mentioned
from app.standin.pantry import Language, normal, vocabulary
from app.standin.reading import language_of

_WORD = re.compile(r"[^\W\d_]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_ABOUT_FOOD = {"food", "item", "product", "ingredient", "음식", "재료", "식재료"}
_ABOUT_ALL = {"question", "query", "request", "message", "prompt", "input", "질문", "질의", "요청"}
_TIME = "topic time"
_IN_NAME = 3  # times as much as in a description
_MINUTES = 30  # where the question names none
_DEEPEST = 5  # levels of a schema


class Call(NamedTuple):
    """A tool's name, and its arguments as JSON."""

    tool: str
    arguments: str


@dataclass(frozen=True)
class _Asked:
    """A question, and what of it can be an argument."""

    text: str
    foods: tuple[str, ...]
    minutes: int | None
    number: int | None


def called(body: Completion, question: str) -> Call | None:
    """The call that answers the question, or nothing if it is better answered in text."""
    if body.tools is None or body.tool_choice == "none":
        return None
    functions, asked = body.functions, _terms(question)
    if isinstance(body.tool_choice, NamedTool):
        named = body.tool_choice.function.name
        return _call(next(function for function in functions if function.name == named), question)
    if body.tool_choice == "required":
        # one that has not had its turn, or an agent that must call would never come to another
        functions = [each for each in functions if each.name not in body.called] or functions
    best = max(functions, key=lambda function: _fit(function, asked))
    if body.tool_choice != "required" and (body.results or not _fit(best, asked)):
        return None
    return _call(best, question)


def told(results: Sequence[str]) -> str:
    """What tools answered, as text; JSON becomes lines."""
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


def _fit(function: Function, asked: set[str]) -> int:
    properties = function.parameters.properties
    named = _terms(function.name)
    described = _terms(
        " ".join((function.description, *properties, *(each.description for each in properties.values())))
    )
    return _IN_NAME * len(asked & named) + len(asked & (described - named))


@lru_cache(maxsize=512)
def _terms(text: str) -> set[str]:
    """What the words mean: their topic, else the word itself; words that tell nothing are left out."""
    words = (bare(word) if HANGUL.search(word) else normal(word) for word in _WORD.findall(_HUMP.sub(" ", text)))
    ignored = {*vocabulary().stop_words, *vocabulary().fillers}
    return {_topic(word) for word in words if _topic(word) != word or (word not in ignored and len(word) > 1)}


def _topic(word: str) -> str:
    return next((f"topic {topic}" for topic, begins in vocabulary().topics.items() if word.startswith(begins)), word)


def _call(function: Function, question: str) -> Call:
    language = language_of("", question)
    arguments = _object(function.parameters, function.parameters, _asked(question, language), _DEEPEST)
    return Call(function.name, json.dumps(arguments, ensure_ascii=False))


def _asked(question: str, language: Language) -> _Asked:
    replaced = [wanted.name for wanted in to_replace(question, language)]
    foods = replaced or [food.name for food in mentioned(question, language).foods]
    minutes = minutes_in(question)
    others = re.findall(r"(?<![\d.])\d{1,6}(?!\s*(?:min|분|hour|시간|g\b|kg\b|ml\b)|[\d.])", question)
    return _Asked(question, tuple(foods), minutes, int(others[0]) if others else None)


def _object(schema: Schema, root: Schema, asked: _Asked, depth: int) -> dict[str, Any]:
    """The required properties, and of the others those that the question says something of."""
    filled: dict[str, Any] = {}
    for name, declared in schema.properties.items() if depth else ():
        wanted = _resolved(declared, root)
        value = _said(name, wanted, root, asked, depth)
        if value is not None:
            filled[name] = value
        elif name in schema.required:
            filled[name] = _default(name, wanted, asked)
    return filled


def _resolved(schema: Schema, root: Schema) -> Schema:
    """The schema that stands behind references, and the first of alternatives that is not null."""
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


def _said(name: str, schema: Schema, root: Schema, asked: _Asked, depth: int) -> Any:
    """What the question says of a property, if anything."""
    if "const" in schema.model_fields_set:
        return schema.const
    if schema.enum is not None:
        return next((each for each in schema.enum if str(each).lower() in asked.text.lower()), None)
    match _kind(schema):
        case "string":
            return _text_for(name, schema.description, asked)
        case "integer" | "number":
            number = asked.minutes if _TIME in _terms(f"{name} {schema.description}") else asked.number
            return None if number is None else _bounded(number, schema)
        case "array":
            return _list_for(name, schema, root, asked, depth - 1)
        case "object":
            return _object(schema, root, asked, depth - 1) or None
        case _:
            return None


def _list_for(name: str, schema: Schema, root: Schema, asked: _Asked, depth: int) -> list[Any] | None:
    items = _resolved(schema.items if isinstance(schema.items, Schema) else Schema(), root)
    if _kind(items) == "string" and items.enum is None:
        return list(asked.foods) or None
    said = _said(name, items, root, asked, depth) if depth > 0 else None
    return None if said is None else [said]


def _text_for(name: str, description: str, asked: _Asked) -> str | None:
    """The foods or the whole question, whichever the name, else the description, asks for."""
    for words in (_words(name), _words(description)):
        if words & _ABOUT_FOOD and asked.foods:
            return ", ".join(asked.foods)
        if words & _ABOUT_ALL:
            return asked.text
    return None


def _words(text: str) -> set[str]:
    return {normal(word) for word in _WORD.findall(_HUMP.sub(" ", text))}


def _default(name: str, schema: Schema, asked: _Asked) -> Any:
    """What a required property is given that the question says nothing of."""
    if schema.default is not None:
        return schema.default
    if schema.enum is not None:
        return schema.enum[0]
    fallbacks: dict[str, Any] = {
        "string": ", ".join(asked.foods) or asked.text,
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

"""Mistakes in the declaration of a composition end the start with one line."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from langchain_core.prompts import ChatPromptTemplate
from pydantic import Field, create_model

from app.stores import EVENT_NAMES
from chains import (
    Choice,
    Composition,
    CompositionError,
    Part,
    Request,
)
from tests.commands import sizzle_in


class Topic(Request):
    """A request with one field."""

    topic: str


TWICE = "is used twice: parts, fields of the request and what the Choice gives need different names"
PITCH = Choice("pitch", "{topic}", gives=("headline",))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            (Part("a", "{topik}"),),
            "talk: 'a' names 'topik', which nothing gives; it can name language, seed, topic, language_name",
        ),
        (
            (Part("a", "{topic}", title=cast(Any, {"en": "A", "kr": "가"})),),
            "talk: 'kr' is not a language of titles: use en or ko",
        ),
        ((Part("a", "{b}"), Part("b", "{a}"), Part("c", "{a}")), "talk: these parts wait for each other: a, b"),
        ((Part("a", "{a}"),), "talk: these parts wait for each other: a"),
        ((Part("a", "{topic}"), Part("a", "{topic}")), f"talk: 'a' {TWICE}"),
        ((Part("topic", "{language_name}"),), f"talk: 'topic' {TWICE}"),
        ((Part("Big-Talk", "{topic}"),), "talk: 'Big-Talk' is not an identifier in lower case, such as day_by_day"),
        *(
            ((Part(name, "{topic}"),), f"talk: {name!r} is the name of an event")
            for name in (*EVENT_NAMES.values(), "error")
        ),
        ((), "talk: it has no parts"),
        ((Part("talk", "{topic}"),), "talk: the part 'talk' has the name of the composition"),
        ((Part("a", "{topic}", code="b"), Part("b", "{topic}")), "talk: two parts have the code 'b'"),
        ((Part("a", "{topic}", max_tokens=0),), "talk: 'a' has max_tokens below 1"),
        (
            (Choice("pitch", "{topic}", gives=("headline",), noun="my pitch"), Part("a", "{headline}")),
            "talk: 'my pitch', the noun of 'pitch', is not an identifier in lower case",
        ),
        (
            (Choice("pitch", "{topic}", gives={"headline": "x", "why": "x"}), Part("a", "{headline}")),
            "talk: 'pitch' has to give a tuple of names, or a mapping of names to different JSON fields",
        ),
        (
            (Choice("pitch", "{topic}"), Part("a", "{pitch}")),
            "talk: 'pitch' has to give a tuple of names, or a mapping of names to different JSON fields",
        ),
        (
            (Choice("pitch", "{topic}", gives=cast(Any, "headline")), Part("a", "{headline}")),
            "talk: 'pitch' has to give a tuple of names, or a mapping of names to different JSON fields",
        ),
        ((PITCH, Part("a", "{topic}")), "talk: no part uses what 'pitch' gives"),
        (
            (PITCH, Choice("b", "{topic}", gives=("c",)), Part("d", "{headline} {c}")),
            "talk: it has more than one Choice",
        ),
        (
            (Choice("pitch", "{topic}", gives=("headline",), options=1), Part("a", "{headline}")),
            "talk: 'pitch' has fewer than 2 options",
        ),
        (
            (Choice("pitch", "{topic}", gives=("headline",), noun="topic"), Part("a", "{headline}")),
            "talk: 'topic', the noun of 'pitch', is a field of the request",
        ),
        (
            (Choice("pitch", "{topic}", gives=("headline",), noun="variables"), Part("a", "{headline}")),
            "talk: 'variables', the noun of 'pitch', is an attribute of every request",
        ),
        ((Part("copy", "{topic}"),), "talk: 'copy' is an attribute of every request"),
        *(
            (
                (Part("a", prompt),),
                "talk: the prompt of the part 'a' has a stray brace: write {{ and }} for braces in the text",
            )
            for prompt in ("{topic", "topic}", "{}", '{"a": 1}', "{topic.x}")
        ),
        *(
            ((Part("a", prompt),), "talk: the prompt of the part 'a' formats the variable 'topic': write {topic} alone")
            for prompt in ("{topic:d}", "{topic!r}", "{topic:{topic}}")
        ),
        *(
            (
                (Part("a", "{topic}", code=code),),
                f"talk: {code!r}, the code of 'a', has to consist of letters, digits and _ . -",
            )
            for code in ("a|b", "a b", "a\n", "가")
        ),
        *(
            ((Part("a", "{topic}", temperature=temperature),), "talk: 'a' has a temperature outside 0 to 2")
            for temperature in (-3, 2.1, float("nan"))
        ),
        ((Part("a", " "),), "talk: 'a' has an empty prompt"),
        *(
            ((Part(**{"name": "a", "prompt": "{topic}", **wrong}),), f"talk: the {message}")
            for wrong, message in (
                (
                    {"prompt": ChatPromptTemplate([("human", "{topic}")])},
                    "prompt of 'a' has to be str, not ChatPromptTemplate",
                ),
                ({"title": 3}, "title of 'a' has to be str or Mapping, not int"),
                ({"max_tokens": "600"}, "max_tokens of 'a' has to be int, not str"),
                ({"temperature": None}, "temperature of 'a' has to be int or float, not NoneType"),
                ({"name": 1}, "name of 1 has to be str, not int"),
            )
        ),
        *(
            (parts, "talk: parts has to be a tuple of Part, and one alone needs a comma: (Part(…),)")
            for parts in (cast(Any, Part("a", "{topic}")), cast(Any, [Part("a", "{topic}")]), cast(Any, ("a",)))
        ),
    ],
)
def test_a_wrong_declaration_is_refused_in_one_line(parts: tuple[Part, ...], message: str) -> None:
    with pytest.raises(CompositionError) as refused:
        Composition(name="talk", request=Topic, system="Be brief.", parts=parts)
    assert str(refused.value) == message


@pytest.mark.parametrize("request_type", [dict, Topic(topic="tides"), None])
def test_a_request_that_is_no_subclass_is_refused_in_one_line(request_type: Any) -> None:
    with pytest.raises(CompositionError) as refused:
        Composition(name="talk", request=request_type, system="Be brief.", parts=(Part("a", "x"),))
    assert str(refused.value) == "talk: request has to be a subclass of Request"


def test_a_request_with_an_unknown_type_is_refused_in_one_line() -> None:
    unknown: Any = "Unknown"
    request_type = create_model("Unfinished", __base__=Request, topic=(unknown, ...))
    with pytest.raises(
        CompositionError, match=r"^talk: the request has no JSON Schema: .*`Unfinished.model_rebuild\(\)`$"
    ):
        Composition(name="talk", request=request_type, system="Be brief.", parts=(Part("a", "x"),))


def test_a_request_without_a_json_schema_is_refused_in_one_line() -> None:
    class Call(Request):
        callback: Callable[[str], str]

    with pytest.raises(CompositionError, match=r"^talk: the request has no JSON Schema: Cannot generate .*Callable.*$"):
        Composition(name="talk", request=Call, system="Be brief.", parts=(Part("a", "x"),))


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"exclude": True}, "talk: the field 'topic' of the request is excluded from what is stored"),
        (
            {"serialization_alias": "subject"},
            "talk: the field 'topic' of the request is stored as 'subject', which it is not read as: use alias",
        ),
    ],
)
def test_a_request_that_could_not_be_read_again_is_refused_in_one_line(field: Any, message: str) -> None:
    class Stored(Request):
        topic: str = Field(**field)

    with pytest.raises(CompositionError) as refused:
        Composition(name="talk", request=Stored, system="Be brief.", parts=(Part("a", "{topic}"),))
    assert str(refused.value) == message


@pytest.mark.parametrize("alias", ["alias", "validation_alias"])
def test_a_field_can_have_an_alias(alias: str) -> None:
    class Stored(Request):
        topic: str = Field(**cast(Any, {alias: "subject"}))

    Composition(name="talk", request=Stored, system="Be brief.", parts=(Part("a", "{topic}"),))


@pytest.mark.parametrize(
    ("name", "system", "message"),
    [
        ("A talk", "Be brief.", "A talk: 'A talk' is not an identifier in lower case, such as day_by_day"),
        ("talk", "{a}", "talk: the system prompt names 'a', which the request does not give"),
        ("talk", None, "talk: the system of 'talk' has to be str, not NoneType"),
        ("talk", "{", "talk: the system prompt has a stray brace: write {{ and }} for braces in the text"),
    ],
)
def test_a_wrong_name_or_system_prompt_is_refused_in_one_line(name: str, system: Any, message: str) -> None:
    with pytest.raises(CompositionError) as refused:
        Composition(name=name, request=Topic, system=system, parts=(Part("a", "{topic}"),))
    assert str(refused.value) == message


MODULE = """
from chains import Composition, Part, Request
class Topic(Request):
    topic: str
def talk(prompt, name="talk"):
    return Composition(name=name, request=Topic, system="Be brief.", parts=(Part("a", prompt),))
"""


def serve_composition(reference: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Runs `sizzle serve --composition` in this folder, to its end."""
    return sizzle_in(folder, "serve", "--port", "0", "--composition", reference)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("TALK = talk('{a}')", "talks:TALK: talk: these parts wait for each other: a."),
        ("TALK = talk('{topic}', name='runs')", "talks:TALK: the server has routes of its own at /runs."),
        ("TALK = talk('{topic}', name='recipe')", "talks:TALK: there are two compositions named 'recipe'."),
        ("TALK = talk()", "talks:TALK: TypeError: talk() missing 1 required positional argument: 'prompt' (line 7)."),
        ("TALK = 3", "talks:TALK: talks has no composition TALK."),
        ("TALKS = talk('{topic}')", "talks:TALK: talks has no composition TALK; its compositions are TALKS."),
        ("import unheard_of", "talks:TALK: No module named 'unheard_of'."),
    ],
)
def test_serve_refuses_a_wrong_composition_in_one_line(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "talks.py").write_text(MODULE + source)
    done = serve_composition("talks:TALK", tmp_path)
    assert [done.returncode, done.stderr] == [1, f"sizzle: {message}\n"]


def test_serve_refuses_a_module_with_the_name_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(MODULE + "TALK = talk('{topic}')")
    done = serve_composition("app:TALK", tmp_path)
    assert done.stderr == "sizzle: app:TALK: app is a module of Sizzle. Give yours another name.\n"


@pytest.mark.parametrize("reference", ["trip", ":TRIP", "examples.trip:", "examples..trip:TRIP", "a b:C"])
def test_serve_says_what_a_reference_looks_like(tmp_path: Path, reference: str) -> None:
    done = serve_composition(reference, tmp_path)
    message = f"sizzle: {reference}: expected module:NAME, such as examples.trip:TRIP.\n"
    assert [done.returncode, done.stderr] == [1, message]

"""Every message for users has a Korean form with the same fields."""

import ast
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from types import ModuleType
from typing import Literal, get_args

import pydantic_core.core_schema
import pytest
from pydantic import BaseModel, Field, ValidationError

from chains.completion import CompletionRequest
from chains.errors import ConfigError, SizzleError
from chains.models import failures
from chains.parts.composition import Request
from chains.parts.requests import run_request
from chains.recipe.composition import RECIPE
from chains.translations import KOREAN
from chains.validation import KOREAN_VALIDATION, validation_message

ROOT = Path(__file__).parent.parent
SOURCES = [
    path
    for package in ("app", "chains")
    for path in sorted((ROOT / package).rglob("*.py"))
    if "standin" not in path.parts and path.name != "__main__.py"
]
# impossible in a request: Python values without a form in JSON, and arguments of functions
NOT_OF_A_REQUEST = re.compile(
    "no_such|needs_python|frozen_(field|instance|dict)|get_attribute|dataclass_exact|named_tuple|default_factory|"
    "iteration|ordered_dict|counter|mapping|deque|hashable|value_error|assertion|sentinel|ellipsis|date|time|"
    "is_instance|is_subclass|string_sub_type|callable|argument|decimal|fraction|complex"
)


def module_of(path: Path) -> ModuleType:
    return importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def message_classes() -> set[str]:
    """The names of all classes that take a template, except those whose messages only the server's operator reads."""
    for path in SOURCES:
        module_of(path)
    errors = [SizzleError]
    for error in errors:
        errors += error.__subclasses__()
    return {"Message", "HTTPError"} | {error.__name__ for error in errors if not issubclass(error, ConfigError)}


def templates_in(node: ast.expr, module: ModuleType) -> Iterator[str]:
    """The possible templates of an argument. Raises if they are unknown."""
    match node:
        case ast.Constant(value=str(template)):
            yield template
        case ast.IfExp(body=one, orelse=other):
            yield from templates_in(one, module)
            yield from templates_in(other, module)
        case ast.Name(id=name) if isinstance(found := getattr(module, name, None), str):
            yield found
        case ast.Subscript(value=ast.Name(id=name)):
            yield from getattr(module, name).values()
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="get"), args=[_, default]):
            yield from getattr(module, name).values()
            yield from templates_in(default, module)
        case ast.Call(func=ast.Name(id="Message")) | ast.Attribute(attr="reason"):
            return  # found by itself
        case ast.Call(func=ast.Name(id="cast")) if re.search("description|_kinds", ast.unparse(node)):
            return  # see `descriptions` and `reasons`
        case _:
            raise AssertionError(f"{module.__name__}:{node.lineno}: which template is this? {ast.unparse(node)}")


def calls() -> Iterator[tuple[ModuleType, ast.FunctionDef | None, ast.Call]]:
    """Each call that takes a template, with its function."""
    names = message_classes()
    for path in SOURCES:
        functions: dict[ast.AST, ast.FunctionDef] = {}
        for node in ast.walk(ast.parse(path.read_text())):  # outer functions come before inner ones
            if isinstance(node, ast.FunctionDef):
                functions.update(dict.fromkeys(ast.walk(node), node))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                yield module_of(path), functions.get(node), node


def is_parameter(argument: ast.expr, function: ast.FunctionDef | None) -> bool:
    """Whether the template is a parameter of the function; then its callers are checked."""
    parameters = {each.arg for each in function.args.args} if function else set[str]()
    return isinstance(argument, ast.Name) and argument.id in parameters


def assigned_to(argument: ast.expr, function: ast.FunctionDef | None) -> list[ast.expr]:
    """The values assigned to a local variable of the function, or the argument itself."""
    if not (function and isinstance(argument, ast.Name)):
        return [argument]
    values = [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        and any(isinstance(name, ast.Name) and name.id == argument.id for name in node.targets)
    ]
    return values or [argument]


def templates() -> set[str]:
    found = set[str]()
    for module, function, call in calls():
        argument = call.args[1 if isinstance(call.func, ast.Name) and call.func.id == "HTTPError" else 0]
        if not is_parameter(argument, function):
            for value in assigned_to(argument, function):
                found.update(templates_in(value, module))
    return found


def descriptions() -> set[str]:
    """The descriptions of requests' fields, except those that bring their Korean form."""
    modules = [module_of(path) for path in SOURCES]
    models = {one for module in modules for one in vars(module).values() if isinstance(one, type)}
    models |= {run_request(RECIPE), RECIPE.request}
    return {
        field.description
        for model in models
        if issubclass(model, BaseModel)
        and (model.__module__.startswith("app.") or issubclass(model, Request | CompletionRequest))
        and model.__module__ != "app.api.compositions"  # answers
        and model.__name__ != "Settings"
        for field in model.model_fields.values()
        if field.description and not (isinstance(field.json_schema_extra, dict) and "x-ko" in field.json_schema_extra)
    }


def sentences_of_validators() -> set[str]:
    """The messages of our own validators of requests."""
    return {
        template
        for path in SOURCES
        if path.name == "request.py" or path.parent.name == "api"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "ValueError" and call.args
        for template in templates_in(call.args[0], module_of(path))
    }


def reasons() -> set[str]:
    """The reasons why something is not cooked."""
    kinds = tomllib.loads((ROOT / "chains" / "recipe" / "data" / "not_food.toml").read_text())
    return {kind["message"] for kind in kinds.values() if "message" in kind}


def statuses() -> set[str]:
    """The messages for HTTP statuses of providers."""
    by_module = vars(failures).values()
    found = [text for value in by_module for text in (value.values() if isinstance(value, dict) else [value])]
    return {text for text in found if isinstance(text, str) and "{label}" in text}


def fields(template: str) -> set[tuple[str, str, str]]:
    """The fields with their formats."""
    return {(name, form or "", how or "") for _, name, form, how in Formatter().parse(template) if name}


def test_every_template_in_the_source_has_a_korean_form() -> None:
    """None is missing, and none is superfluous."""
    needed = templates() | descriptions() | sentences_of_validators() | reasons() | {""}
    needed |= statuses()
    assert len(needed) > 60
    assert needed - KOREAN.keys() == {""}
    assert KOREAN.keys() - needed == set()


@pytest.mark.parametrize("template", KOREAN)
def test_a_korean_form_has_the_fields_of_the_english_one(template: str) -> None:
    assert fields(KOREAN[template]) == fields(template)
    assert re.search("[가-힣]", KOREAN[template]) or not re.search("[A-Za-z]", re.sub(r"\{.*?\}", "", template))


def test_what_pydantic_can_say_of_a_request_has_a_korean_form() -> None:
    kinds = get_args(pydantic_core.core_schema.ErrorType)
    missing = [kind for kind in kinds if kind not in KOREAN_VALIDATION and not NOT_OF_A_REQUEST.search(kind)]
    assert missing == []
    assert KOREAN_VALIDATION.keys() - set(kinds) == set()


class Everything(BaseModel):
    whole: int = Field(ge=1, le=5)
    text: str = Field(min_length=3, max_length=5, pattern="^[a-z]+$")
    one_of: Literal["a", "b"]
    several: list[int] = Field(min_length=1, max_length=2)
    flag: bool
    number: float = Field(gt=0, lt=1, multiple_of=0.25, allow_inf_nan=False)


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "[]",
        "{",
        '{"whole": 0, "text": "a", "one_of": "c", "several": [], "flag": "perhaps", "number": 0}',
        '{"whole": 6, "text": "abcdef", "one_of": 1, "several": [1, 2, 3], "flag": 3, "number": 1}',
        '{"whole": 1.5, "text": "ABC", "one_of": null, "several": "x", "flag": null, "number": "x"}',
        '{"whole": "x", "text": 1, "one_of": [], "several": ["x"], "flag": [], "number": 0.3}',
        '{"whole": null, "text": "\\ud800", "one_of": {}, "several": {}, "flag": {}, "number": NaN}',
    ],
)
def test_pydantics_messages_are_in_korean_with_their_figures(body: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        Everything.model_validate_json(body)
    for problem in refusal.value.errors():
        korean = validation_message(problem, "ko")
        assert "' or '" not in korean
        assert re.search("[가-힣]", korean)
        assert not re.search("Input|should|valid", korean)
        if problem["type"] != "json_invalid":
            figures = re.findall(r"[0-9]+", validation_message(problem))
            assert [figure for figure in figures if figure not in korean] == []

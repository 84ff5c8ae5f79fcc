"""Completes FastAPI's OpenAPI document with events, states and errors, which it cannot derive.

The schema of a stream's media type describes one event, as in OpenAPI 3.2.
"""

from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from typing import Any, get_args

from fastapi import FastAPI
from pydantic import TypeAdapter
from typing_extensions import override

from app.runs.state import RunState
from app.server.guard import WITHOUT_TOKEN
from app.stores import EVENT_NAMES
from app.stores.entries import FOR_STORES
from chains.race import Progress

COMPONENT = "#/components/schemas/{model}"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
RACE_EVENTS: tuple[type, ...] = get_args(Progress)
AT_MS = {"type": "integer", "minimum": 0, "description": "Milliseconds since the run began."}
REFUSAL = {
    "title": "Refusal",
    "description": "What went wrong, as a user-facing message.",
    "type": "object",
    "properties": {"detail": {"type": "string"}},
    "required": ["detail"],
}
PROBLEM = {
    "type": "object",
    "properties": {
        "field": {"type": "string", "description": "The invalid field or header, or body or request."},
        "message": {"type": "string", "description": "What is wrong."},
        "expected": {"type": "string", "description": "What is expected."},
    },
    "required": ["field", "message", "expected"],
}
BAD_INPUT = {
    "title": "BadInput",
    "description": "The invalid fields.",
    "type": "object",
    "properties": {"detail": {"type": "array", "items": PROBLEM, "minItems": 1}},
    "required": ["detail"],
}
RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
LOCATION = {"Location": {"description": "The address of the created resource.", "schema": {"type": "string"}}}
EVERYWHERE = (400, 421, 431)

Responses = dict[int | str, dict[str, Any]]


def errors(*statuses: int) -> Responses:
    """Returns the error responses with these statuses, for the `responses` of a route."""
    return {status: _error(status) for status in statuses}


def _error(status: int) -> dict[str, Any]:
    names_fields = status in (400, 422)
    response = {
        "description": HTTPStatus(status).phrase,
        "content": content("BadInput" if names_fields else "Refusal"),
    }
    return response | ({"headers": RETRY_AFTER} if status == 503 else {})


def content(model: str) -> dict[str, Any]:
    """Returns the content of a JSON body described by a component."""
    return {"application/json": {"schema": {"$ref": COMPONENT.format(model=model)}}}


def events_of(model: str | None = None) -> dict[str, Any]:
    """Returns the content of an event stream whose data is text, or JSON described by a component."""
    data: dict[str, Any] = {"type": "string"}
    if model:
        data |= {"contentMediaType": "application/json", "contentSchema": {"$ref": COMPONENT.format(model=model)}}
    fields = {"id": {"type": "string"}, "event": {"type": "string"}, "data": data, "retry": {"type": "integer"}}
    return {"text/event-stream": {"schema": {"type": "object", "properties": fields}}}


def object_of(**types: str) -> dict[str, Any]:
    """Returns the schema of an object with these fields."""
    return {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in types.items()},
        "required": [*types],
    }


@cache
def events_schema() -> dict[str, Any]:
    """Returns the JSON Schema of the `data` of a run's events, each under its event's name."""
    definitions = _definitions("#/$defs/{model}")
    names = {name: {"$ref": f"#/$defs/{kind.__name__}"} for kind, name in EVENT_NAMES.items()}
    return {
        "$schema": DIALECT,
        "title": "Events of a run",
        "description": "An object with one property: the event's name, and under it the event's data.",
        "type": "object",
        "properties": names,
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "$defs": definitions,
    }


def _definitions(template: str) -> dict[str, Any]:
    kinds = [*EVENT_NAMES, *RACE_EVENTS, RunState]
    inputs = [(kind.__name__, "serialization", TypeAdapter(kind)) for kind in kinds]
    definitions: dict[str, Any] = TypeAdapter.json_schemas(inputs, ref_template=template)[1]["$defs"]  # pyright: ignore
    for kind in EVENT_NAMES:
        definitions[kind.__name__]["properties"]["at_ms"] = AT_MS
        definitions[kind.__name__]["required"].append("at_ms")
    for name in FOR_STORES:
        del definitions["RunStart"]["properties"][name]
    del definitions["Client"]
    fields = definitions["RunState"]["properties"]
    definitions["RunState"]["properties"] = {name: each for name, each in fields.items() if name[0] != "_"}
    for name in ("RunStart", "RunState"):  # the request is that of the run's composition
        definitions[name]["properties"]["request"] = {"type": "object"}
    return _with_nullable_seed(definitions)


def _with_nullable_seed(schemas: dict[str, Any]) -> dict[str, Any]:
    """Makes the seed nullable. Its own schema is not, because LangServe's playground does not support null."""
    for schema in schemas.values():
        seed = schema.get("properties", {}).get("seed")
        if seed and "type" in seed:
            seed["anyOf"] = [{"type": seed.pop("type"), "minimum": seed.pop("minimum", 0)}, {"type": "null"}]
    return schemas


def _components() -> dict[str, Any]:
    events = {"Event": _any_of("Event", EVENT_NAMES), "RaceEvent": _any_of("RaceEvent", RACE_EVENTS)}
    return _definitions(COMPONENT) | events | {"Refusal": REFUSAL, "BadInput": BAD_INPUT}


def _any_of(title: str, kinds: Iterable[type]) -> dict[str, Any]:
    return {"title": title, "anyOf": [{"$ref": COMPONENT.format(model=kind.__name__)} for kind in kinds]}


def describe_guard(document: dict[str, Any], *, needs_token: bool) -> None:
    """Adds what the server and the guard answer on every route, and how a program sends a token if there is any."""
    for path, operations in document["paths"].items():
        is_private = needs_token and path not in WITHOUT_TOKEN
        for operation in operations.values():
            operation["responses"] |= errors(*EVERYWHERE, 401) if is_private else errors(*EVERYWHERE)
            if is_private:
                operation["security"] = [{"token": []}]
    if needs_token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}


class AppWithout422(FastAPI):
    """An application that answers bad input with another status than the 422 that FastAPI documents."""

    @override
    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            document = super().openapi()
            for operation in (operation for path in document["paths"].values() for operation in path.values()):
                operation["responses"].pop("422", None)
            for schema in ("HTTPValidationError", "ValidationError"):
                document.get("components", {}).get("schemas", {}).pop(schema, None)
        assert self.openapi_schema  # noqa: S101  FastAPI keeps it
        return self.openapi_schema


class DocumentedApp(FastAPI):
    """An application whose OpenAPI document includes events, states and errors."""

    @override
    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            document = super().openapi()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(_components() | _with_nullable_seed(schemas))
            schemas.pop("ValidationError", None)
            schemas["HTTPValidationError"] = BAD_INPUT  # FastAPI's name for a 422
        assert self.openapi_schema  # noqa: S101  set by FastAPI
        return self.openapi_schema

"""What the JSON Schema of a request says about its fields."""

import json
from collections.abc import Mapping
from typing import Any, cast

from chains.parts.composition import Request
from chains.translations import Language

Schema = Mapping[str, Any]

# a value of each format of a text
FORMATS = {
    "date": "2027-03-14",
    "time": "18:30:00",
    "date-time": "2027-03-14T18:30:00Z",
    "duration": "PT45M",
    "uuid": "2b1f8c1e-7d0a-4f0e-9a55-0c6f3c1d9e42",
    "email": "someone@example.com",
    "uri": "https://example.com/",
}


def resolved(field: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Returns the schema without references; of an optional field, the one other than null."""
    if "$ref" in field:
        return resolved(definitions.get(field["$ref"].rsplit("/", 1)[-1], {}), definitions)
    options = [option for option in cast(list[Schema], field.get("anyOf", [])) if option.get("type") != "null"]
    return resolved(options[0], definitions) if len(options) == 1 else field


def example_of(request: type[Request], language: Language = "en") -> str:
    """Returns a request as JSON with its required fields, or if there are none with all fields of its own.

    The values are those of the schema or made up. A field whose type allows no guess has the value “…”.
    """
    schema = request.model_json_schema()
    properties, definitions = schema["properties"], schema.get("$defs", {})
    names = schema.get("required") or [name for name in properties if name not in Request.model_fields]
    fields = {name: _example(name, properties[name], definitions) for name in names}
    return json.dumps(fields if language == "en" else fields | {"language": language}, ensure_ascii=False)


def _example(name: str, field: Schema, definitions: Mapping[str, Schema]) -> Any:
    schema = {**resolved(field, definitions), **field}
    if examples := [*schema.get("examples", ()), *schema.get("enum", ())]:
        return examples[0]
    match schema:
        case {"default": value} | {"const": value}:
            return value
        case {"format": str(name)} if name in FORMATS:
            return FORMATS[name]
        case {"type": "string"}:
            return _text(name.replace("_", " "), schema.get("minLength", 0), schema.get("maxLength"))
        case {"type": "integer" | "number"}:
            return _number(schema)
        case {"type": "boolean"}:
            return True
        case {"type": "array"}:
            return [_example(name, schema.get("items", {}), definitions)] * max(1, schema.get("minItems", 1))
        case {"type": "object"}:
            properties: Mapping[str, Schema] = schema.get("properties", {})
            return {each: _example(each, properties[each], definitions) for each in schema.get("required", ())}
        case _:
            return "…"


def _text(word: str, least: int, most: int | None) -> str:
    repeated = " ".join([word] * (1 + least // len(word)))
    return repeated[:most]


def _number(schema: Schema) -> int | float:
    if "minimum" in schema:
        return schema["minimum"]
    if "exclusiveMinimum" in schema:
        return schema["exclusiveMinimum"] + 1
    return min(1, schema.get("maximum", 1), schema.get("exclusiveMaximum", 2) - 1)

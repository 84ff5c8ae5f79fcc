"""What is right for a field without a description: its type and limits, from its JSON Schema."""

from collections.abc import Mapping

from chains.messages import Message
from chains.parts.schema import FORMATS, Schema, resolved
from chains.translations import Language

KINDS: dict[str, dict[Language, str]] = {
    "string": {"en": "Text", "ko": "글"},
    "integer": {"en": "A whole number", "ko": "정수"},
    "number": {"en": "A number", "ko": "수"},
    "boolean": {"en": "true or false", "ko": "true 또는 false"},
    "array": {"en": "A list", "ko": "목록"},
    "object": {"en": "A JSON object", "ko": "JSON 객체"},
}
LIMITS = {"string": ("minLength", "maxLength"), "array": ("minItems", "maxItems")}
UNITS: dict[str, dict[Language, str]] = {
    "string": {"en": " characters", "ko": "자"},
    "array": {"en": " items", "ko": "개"},
}


def expected_of(schema: Schema, name: str) -> Message:
    """Returns what this property of a schema has to be, or an empty message if the schema leaves that open."""
    field = resolved(schema.get("properties", {}).get(name, {}), schema.get("$defs", {}))
    values = field.get("enum", [field["const"]] if "const" in field else [])
    if values:
        return Message("One of {names}.", names=", ".join(map(str, values)))
    kind = field.get("type", "")
    if kind not in KINDS:
        return Message("")
    least, most = (field.get(limit) for limit in LIMITS.get(kind, ("minimum", "maximum")))
    limits = _such_as(field) or _limits(least, most, UNITS.get(kind, {"en": "", "ko": ""}))
    texts = {language: f"{text}{limits[language]}." for language, text in KINDS[kind].items()}
    return Message("{message}", message=texts)


def _such_as(field: Schema) -> dict[Language, str]:
    value = FORMATS.get(field.get("format", ""))
    return {"en": f", such as {value}", "ko": f", 예: {value}"} if value else {}


def _limits(least: object, most: object, unit: Mapping[Language, str]) -> dict[Language, str]:
    match least, most:
        case None, None:
            return {"en": "", "ko": ""}
        case _, None:
            return {"en": f", at least {least}{unit['en']}", "ko": f", {least}{unit['ko']} 이상"}
        case None, _:
            return {"en": f", at most {most}{unit['en']}", "ko": f", {most}{unit['ko']} 이하"}
        case _ if least == most:
            return {"en": f", {least}{unit['en']}", "ko": f", {least}{unit['ko']}"}
        case _:
            return {"en": f", {least} to {most}{unit['en']}", "ko": f", {least}~{most}{unit['ko']}"}

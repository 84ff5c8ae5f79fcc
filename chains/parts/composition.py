"""The declaration of a composition: the parts of one answer.

A prompt's variables are its dependencies: a part waits for the variables in its prompt, and for nothing else. The
chain, the order of the calls, the parts that are rewritten together, and the forms all follow from that.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from string import Formatter
from typing import Annotated, Any, cast

from langchain_core.prompts import ChatPromptTemplate
from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, WithJsonSchema
from typing_extensions import override

from chains.errors import CompositionError
from chains.translations import Language

Title = str | Mapping[Language, str]

LANGUAGE_NAMES: dict[Language, str] = {"en": "English", "ko": "Korean (한국어)"}
LANGUAGE_NAME = "language_name"  # a variable of every prompt
MIN_OPTIONS = 2
MAX_TEMPERATURE = 2

STORED = "stored"  # the context in which a request is validated that was accepted before

_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_CODE = re.compile(r"[A-Za-z0-9_.-]+")
_EVENTS = {"run", "proposal", "alternate", "part_start", "fragment", "part_end", "error", "end"}  # names on the wires
_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("name", "system", "prompt", "role", "code", "noun"), (str,)),
    **dict.fromkeys(("title", "notice"), (str, Mapping)),
    **dict.fromkeys(("max_tokens", "options"), (int,)),
    "temperature": (int, float),
}


def _own_fields_first(schema: dict[str, Any]) -> None:
    properties = schema["properties"]
    for name in ("language", "seed"):
        properties[name] = properties.pop(name)


class Request(BaseModel):
    """Base of a composition's request. Fields are accepted by name and by alias; unknown ones are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        validate_by_alias=True,
        json_schema_extra=_own_fields_first,
    )

    language: Language = Field(
        default="en", title="Language", description="The language of the answer: en for English or ko for Korean."
    )
    # with a factory and its own schema, because LangServe's playground supports null neither as type nor as default
    seed: Annotated[
        int | None, Field(ge=0, le=2**53, strict=True), WithJsonSchema({"type": "integer", "minimum": 0})
    ] = Field(
        default_factory=lambda: None,
        title="Seed",
        description="A whole number from 0 to 2^53 that repeats the pick, or nothing for chance.",
    )

    def variables(self) -> dict[str, Any]:
        """Returns the values of the prompts' variables that the request gives, by the names of its fields."""
        return self.model_dump()

    def understood(self) -> dict[str, str | float]:
        """Returns the texts and numbers that prompts get in place of those that were sent, by the aliases of fields."""
        sent, values = self.model_dump(), self.variables()
        changed = {name: values[name] for name in sent if name in values and values[name] != sent[name]}
        aliases = {name: field.alias or name for name, field in type(self).model_fields.items()}
        return {aliases[name]: value for name, value in changed.items() if isinstance(value, str | int | float)}


@dataclass(frozen=True)
class Part:
    """One part of the answer, written by one call to a model.

    `prompt` is an f-string template whose variables are fields of the request, `language_name`, other parts, and what
    the `Choice` gives. `role` names a list of models in the registry, `max_tokens` limits the answer. `code` is the
    part's name in `POST /generate`, by default the same.
    """

    name: str
    prompt: str
    title: Title = ""
    role: str = "large"
    max_tokens: int = 600
    temperature: float = 0.25
    code: str = ""

    @cached_property
    def variables(self) -> frozenset[str]:
        """The variables of the prompt."""
        return _variables(self.prompt)

    @property
    def template(self) -> str:
        """The prompt as it is sent."""
        return self.prompt

    def title_in(self, language: Language) -> str:
        return _title_or_name(self.title, self.name, language)


@dataclass(frozen=True)
class Choice(Part):
    """A part that proposes `options` JSON objects, of which one is picked at random.

    `gives` names the variables that the picked option sets; a mapping also names the JSON field of each. The first is
    the option's name. A prompt that does not name these fields is followed by the form of the answer. The text of the
    part lists the options that were not picked. A request for a run can choose an option of an earlier run in the field
    `noun`; `check` validates its name and raises `ValueError`.
    """

    gives: tuple[str, ...] | Mapping[str, str] = ()
    options: int = 3
    noun: str = "choice"
    check: Callable[[str], str] | None = None

    @cached_property
    def fields(self) -> dict[str, str]:
        """The JSON field of each variable."""
        return dict(self.gives) if isinstance(self.gives, Mapping) else {name: name for name in self.gives}

    @property
    @override
    def template(self) -> str:
        fields = self.fields.values()
        # not \b: in Korean a particle follows without a space
        if all(re.search(rf"(?<![A-Za-z0-9_]){re.escape(field)}(?![A-Za-z0-9_])", self.prompt) for field in fields):
            return self.prompt
        form = ", ".join(f'{json.dumps(field)}: "…"' for field in fields).replace("{", "{{").replace("}", "}}")
        return (
            f"{self.prompt}\nAnswer with a JSON array of {self.options} objects and nothing else, "
            f"each of the form {{{{{form}}}}}."
        )


@dataclass(frozen=True, eq=False)
class Composition:
    """The parts of an answer in reading order. At most one is a `Choice`, which is shown last.

    `system` begins every part's prompt; its variables are fields of the request and `language_name`. Raises
    `CompositionError`, in one line, for a name that is unknown, used twice or not an identifier in lower case, for a
    cycle, for a stray brace, for a `Choice` that no part uses, and for what no model or wire can take.
    """

    name: str
    request: type[Request]
    system: str
    parts: tuple[Part, ...]
    title: Title = ""
    notice: Title = ""  # shown after the last part

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise CompositionError(f"{self.name}: {problem}")

    def _problems(self) -> Iterable[str]:
        parts = cast(object, self.parts)
        if not isinstance(parts, tuple) or not all(isinstance(part, Part) for part in cast(tuple[object, ...], parts)):
            yield "parts has to be a tuple of Part, and one alone needs a comma: (Part(…),)"
        request = cast(object, self.request)
        if not isinstance(request, type) or not issubclass(request, Request):
            yield "request has to be a subclass of Request"
        for declared in (self, *self.parts):
            yield from _problems_of_types(declared)
        try:
            self.request.model_json_schema()
        except PydanticUserError as error:
            yield f"the request has no JSON Schema: {error.message.rstrip('.')}"
        yield from self._problems_of_storage()
        if sum(isinstance(part, Choice) for part in self.parts) > 1:
            yield "it has more than one Choice"
        prompts = {f"the prompt of the part {part.name!r}": part.prompt for part in self.parts}
        for where, template in {"the system prompt": self.system, **prompts}.items():
            yield from (f"{where} {problem}" for problem in _problems_in(template))
        if self.choice:
            yield from self._problems_of_choice(self.choice)
        yield from self._problems_of_names()
        yield from self._problems_of_titles()
        for part in self.parts:
            yield from self._problems_of_part(part)
        yield from self._problems_of_graph()

    def _problems_of_storage(self) -> Iterable[str]:
        """A stored request is read again after a restart, and all its values are those of prompts."""
        for name, field in self.request.model_fields.items():
            if field.exclude:
                yield f"the field {name!r} of the request is excluded from what is stored"
            if (alias := field.serialization_alias) not in (None, field.validation_alias):
                yield f"the field {name!r} of the request is stored as {alias!r}, which it is not read as: use alias"

    def _problems_of_names(self) -> Iterable[str]:
        names = [*self.request.model_fields, LANGUAGE_NAME, *self.names, *(self.choice.fields if self.choice else ())]
        yield from (
            f"{name!r} is not an identifier in lower case, such as day_by_day"
            for name in (self.name, *names)
            if not _NAME.fullmatch(name)
        )
        yield from (
            f"{name!r} is used twice: parts, fields of the request and what the Choice gives need different names"
            for name in dict.fromkeys(names)
            if names.count(name) > 1
        )
        yield from (f"{name!r} is an attribute of every request" for name in names if hasattr(Request, name))
        yield from (f"{name!r} is the name of an event" for name in self.codes.values() if name in _EVENTS)
        if self.name in self.names:
            yield f"the part {self.name!r} has the name of the composition"
        codes = [*self.codes.values()]
        yield from (f"two parts have the code {code!r}" for code in dict.fromkeys(codes) if codes.count(code) > 1)
        unknown = _variables(self.system) - self.request.model_fields.keys() - {LANGUAGE_NAME}
        yield from (f"the system prompt names {name!r}, which the request does not give" for name in sorted(unknown))
        for part in self.parts:
            known = ", ".join(name for name in names if name != part.name)
            unknown = sorted(part.variables - set(names))
            yield from (f"{part.name!r} names {name!r}, which nothing gives; it can name {known}" for name in unknown)

    def _problems_of_titles(self) -> Iterable[str]:
        for title in (self.title, self.notice, *(part.title for part in self.parts)):
            unknown = [] if isinstance(title, str) else sorted(title.keys() - LANGUAGE_NAMES.keys())
            yield from (
                f"{language!r} is not a language of titles: use {' or '.join(LANGUAGE_NAMES)}" for language in unknown
            )

    def _problems_of_part(self, part: Part) -> Iterable[str]:
        if not part.prompt.strip():
            yield f"{part.name!r} has an empty prompt"
        if part.max_tokens < 1:
            yield f"{part.name!r} has max_tokens below 1"
        if not 0 <= part.temperature <= MAX_TEMPERATURE:
            yield f"{part.name!r} has a temperature outside 0 to {MAX_TEMPERATURE}"
        if not _CODE.fullmatch(self.codes[part.name]):
            yield f"{part.code!r}, the code of {part.name!r}, has to consist of letters, digits and _ . -"

    def _problems_of_graph(self) -> Iterable[str]:
        if self.choice and not self._direct_dependents(self.choice):
            yield f"no part uses what {self.choice.name!r} gives"
        if not self.parts:
            yield "it has no parts"
        if cycle := [part.name for part in self.parts if part.name in self._reachable(part.name)]:
            yield f"these parts wait for each other: {', '.join(cycle)}"

    def _problems_of_choice(self, choice: Choice) -> Iterable[str]:
        if choice.options < MIN_OPTIONS:
            yield f"{choice.name!r} has fewer than {MIN_OPTIONS} options"
        if not choice.gives or isinstance(choice.gives, str) or len(set(choice.fields.values())) < len(choice.fields):
            yield f"{choice.name!r} has to give a tuple of names, or a mapping of names to different JSON fields"
        if not _NAME.fullmatch(choice.noun):
            yield f"{choice.noun!r}, the noun of {choice.name!r}, is not an identifier in lower case"
        if choice.noun in self._request_names:
            yield f"{choice.noun!r}, the noun of {choice.name!r}, is a field of the request"
        if hasattr(Request, choice.noun):
            yield f"{choice.noun!r}, the noun of {choice.name!r}, is an attribute of every request"

    @property
    def _request_names(self) -> set[str]:
        fields = self.request.model_fields
        return {*fields, *(field.alias for field in fields.values() if field.alias)}

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts)

    @cached_property
    def codes(self) -> dict[str, str]:
        """The code of each part in `POST /generate`."""
        return {part.name: part.code or part.name for part in self.parts}

    @cached_property
    def choice(self) -> Choice | None:
        return next((part for part in self.parts if isinstance(part, Choice)), None)

    @cached_property
    def reading_order(self) -> tuple[Part, ...]:
        return tuple(sorted(self.parts, key=lambda part: part is self.choice))

    def title_in(self, language: Language) -> str:
        return _title_or_name(self.title, self.name, language)

    def __getitem__(self, name: str) -> Part:
        """Returns the part of this name. Raises `KeyError`."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Part]:
        return {part.name: part for part in self.parts}

    def source(self, variable: str) -> str | None:
        """Returns the part that gives this variable, or None if the request gives it."""
        if self.choice and variable in self.choice.fields:
            return self.choice.name
        return variable if variable in self._by_name else None

    def needs(self, name: str) -> tuple[str, ...]:
        """Returns the parts whose results this part's prompt contains."""
        sources = {self.source(variable) for variable in self[name].variables}
        return tuple(each for each in self.names if each in sources)

    def dependents(self, name: str) -> tuple[str, ...]:
        """Returns the parts that need this one, directly or through others. They are rewritten with it."""
        reachable = self._reachable(name)
        return tuple(each for each in self.names if each in reachable)

    def _direct_dependents(self, part: Part) -> list[str]:
        return [each.name for each in self.parts if part.name in self.needs(each.name)]

    def _reachable(self, name: str) -> set[str]:
        found: set[str] = set()
        waiting = [name]
        while waiting:
            for dependent in self._direct_dependents(self[waiting.pop()]):
                if dependent not in found:
                    found.add(dependent)
                    waiting.append(dependent)
        return found

    @cached_property
    def call_order(self) -> tuple[str, ...]:
        """The order of precedence of waiting calls: parts with most dependents first, then the longest."""
        return tuple(sorted(self.names, key=lambda name: (-len(self.dependents(name)), -self[name].max_tokens)))

    def prompt_variables(self, name: str) -> frozenset[str]:
        """Returns the variables of the part's messages."""
        return self[name].variables | _variables(self.system)

    def prompt(self, name: str) -> ChatPromptTemplate:
        """Returns the template of the part's messages."""
        return ChatPromptTemplate([("system", self.system), ("human", self[name].template)])

    def variables(self, request: Request) -> dict[str, Any]:
        """Returns the prompts' variables that the request gives."""
        values = {**request.model_dump(), **request.variables()}
        own = {name: values[name] for name in self.request.model_fields}  # without an option or the results of parts
        return {**own, LANGUAGE_NAME: LANGUAGE_NAMES[request.language]}

    def titles(self, names: Iterable[str]) -> dict[Language, str]:
        """Returns the titles of these parts in each language, separated by commas."""
        parts = [self[name] for name in names]
        return {language: ", ".join(part.title_in(language) for part in parts) for language in LANGUAGE_NAMES}


def title_in(title: Title, language: Language) -> str:
    """Returns the title in this language, or in English."""
    if isinstance(title, str):
        return title
    return title.get(language) or title.get("en") or next(iter(title.values()), "")


def _title_or_name(title: Title, name: str, language: Language) -> str:
    return title_in(title or name.replace("_", " ").capitalize(), language)


def _variables(template: str) -> frozenset[str]:
    return frozenset(ChatPromptTemplate([("human", template)]).input_variables)


def _problems_of_types(declared: Part | Composition) -> Iterable[str]:
    for attribute, value in vars(declared).items():
        types = _TYPES.get(attribute, (object,))
        if not isinstance(value, types):
            expected = " or ".join(each.__name__ for each in types)
            yield f"the {attribute} of {declared.name!r} has to be {expected}, not {type(value).__name__}"


def _problems_in(template: str) -> Iterable[str]:
    stray = "has a stray brace: write {{ and }} for braces in the text"
    try:
        fields = [field for field in Formatter().parse(template) if field[1] is not None]
    except ValueError:
        yield stray
        return
    for _, name, specification, conversion in fields:
        if not (name or "").isidentifier():
            yield stray
        elif specification or conversion:
            yield f"formats the variable {name!r}: write {{{name}}} alone"

"""The state that the parts of one run share."""

import asyncio
from collections.abc import Collection, Mapping
from enum import Enum
from html import escape
from typing import Any, cast

from pydantic_core import to_json

from chains.errors import DependencyFailedError
from chains.parts.choice import Options
from chains.parts.composition import Choice, Composition
from chains.parts.events import Draft, Failed
from chains.surrogates import replaced
from chains.translations import Language


class RunContext:
    """The variables, the options and the deadline of one run.

    `texts` are those of the draft. `proposes` is whether the `Choice`, if there is one, still has to propose options.
    `ends_at` is on the clock of the running loop.
    """

    def __init__(self, composition: Composition, draft: Draft, deadline_s: float) -> None:
        self.language: Language = draft.request.language
        self.texts = draft.texts
        self.ends_at = asyncio.get_running_loop().time() + deadline_s
        choice = composition.choice
        is_chosen = draft.options and not draft.proposes_more
        self.proposes = choice is not None and not is_chosen and choice.name not in draft.texts
        self._options = _options(choice, draft, proposes=self.proposes) if choice else None
        self.variables = Variables(composition)
        self.variables.update(composition.variables(draft.request))
        self.variables.update(draft.texts)

    @property
    def options(self) -> Options:
        """The options of the composition's `Choice`."""
        assert self._options  # noqa: S101  only a Choice looks for them
        return self._options


class Variables:
    """The values of the prompts' variables, which parts set and wait for."""

    def __init__(self, composition: Composition) -> None:
        self._composition = composition
        self._values: dict[str, asyncio.Future[Any]] = {}

    def set(self, name: str, value: Any) -> None:
        """Sets a variable, unless it is set."""
        future = self._value(name)
        if not future.done():
            future.set_result(value)

    def update(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            self.set(name, value)

    async def of(self, names: Collection[str]) -> dict[str, Any]:
        """Returns the values of these variables, escaped for a prompt, as soon as all are set.

        Raises `DependencyFailedError` if one of them failed.
        """
        # shielded, because other parts wait for the same futures
        values = {name: await asyncio.shield(self._value(name)) for name in names}
        for name, value in values.items():
            if isinstance(value, Failed):
                raise self._failure(name)
        return material(values)

    def _value(self, name: str) -> asyncio.Future[Any]:
        if name not in self._values:
            self._values[name] = asyncio.get_running_loop().create_future()
        return self._values[name]

    def _failure(self, variable: str) -> DependencyFailedError:
        part = self._composition.source(variable) or variable
        return DependencyFailedError("Needs “{part}”, which failed.", part=self._composition.titles([part]))


def _options(choice: Choice, draft: Draft, *, proposes: bool) -> Options:
    if not proposes:
        return Options.given(draft.options, draft.picked)
    picked = draft.picked if draft.options else None
    return Options(choice.options, draft.request.seed, found=draft.options, picked=picked)


def material(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values as text, objects as JSON, with `<`, `>` and `&` escaped so that no text can close its tag."""
    return {name: value if type(value) in (bool, int, float) else _escaped(value) for name, value in values.items()}


def _escaped(value: object) -> str:
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(map(_escaped, cast(Collection[object], value)))
    if isinstance(value, Enum):
        return _escaped(value.value)
    if isinstance(value, Mapping):
        return _escaped(to_json(value).decode())
    return "" if value is None else escape(replaced(str(value)), quote=False)

"""Compositions: several LLM calls, declared as the parts of one answer and streamed at once.

`Composition`, `Part`, `Choice` and `Request` declare one; `compose` makes the LangChain chain; `astream_parts` streams
its events. `part` labels a step of a hand-written chain.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chains.errors import CompositionError, ConfigError, ProviderError, SizzleError
    from chains.parts.compose import compose, part
    from chains.parts.composition import Choice, Composition, Part, Request
    from chains.parts.events import Alternate, Draft, Failed, Fragment, PartEnd, PartEvent, PartStart, Proposal
    from chains.parts.stream import astream_parts

__all__ = [
    "Alternate",
    "Choice",
    "Composition",
    "CompositionError",
    "ConfigError",
    "Draft",
    "Failed",
    "Fragment",
    "Part",
    "PartEnd",
    "PartEvent",
    "PartStart",
    "Proposal",
    "ProviderError",
    "Request",
    "SizzleError",
    "astream_parts",
    "compose",
    "part",
]

_MODULES = {
    "chains.errors": ("CompositionError", "ConfigError", "ProviderError", "SizzleError"),
    "chains.parts.compose": ("compose", "part"),
    "chains.parts.composition": ("Choice", "Composition", "Part", "Request"),
    "chains.parts.stream": ("astream_parts",),
}


def __getattr__(name: str) -> object:
    """Imports a public name when it is first used, because LangChain takes a second to import."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = next((module for module, names in _MODULES.items() if name in names), "chains.parts.events")
    return getattr(import_module(module), name)

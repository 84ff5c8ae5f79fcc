"""The compositions that are served: the recipe, and those that `--composition` names."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from traceback import extract_tb
from types import ModuleType

from chains.errors import CompositionError
from chains.parts.composition import Composition
from chains.recipe.composition import RECIPE

ROUTES = {
    "chains",
    "completion",
    "docs",
    "examples",
    "generate",
    "healthz",
    "livez",
    "metrics",
    "r",
    "race",
    "readyz",
    "runs",
    "schema",
    "sizzle",
    "static",
    "v1",
}


@dataclass(frozen=True)
class Place:
    """Where a composition is served: the prefix of its routes, the file of its page, and its model in `/v1`."""

    prefix: str
    page: str
    model: str


ROOT = Place("", "index.html", "sizzle")


def place_of(composition: Composition) -> Place:
    """Returns the place of a composition: the recipe is at the root, every other one under its name."""
    if composition is RECIPE:
        return ROOT
    return Place(f"/{composition.name}", "composition.html", composition.name)


def load_compositions(references: Iterable[str]) -> dict[str, Composition]:
    """Returns the recipe and the compositions at these `module:NAME` references, by name.

    Modules are also found in the working directory. Raises `CompositionError`, in one line, for a reference without a
    composition, and for two compositions of one name.
    """
    compositions = {RECIPE.name: RECIPE}
    for reference in references:
        composition = _load(reference)
        if compositions.setdefault(composition.name, composition) is not composition:
            raise CompositionError(f"{reference}: there are two compositions named {composition.name!r}.")
    return compositions


def _load(reference: str) -> Composition:
    module_name, _, name = reference.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), name)):
        raise CompositionError(f"{reference}: expected module:NAME, such as examples.trip:TRIP.")
    module = _module(module_name, reference)
    composition = getattr(module, name, None)
    if not isinstance(composition, Composition):
        if module_name.partition(".")[0] in ("app", "chains"):
            raise CompositionError(f"{reference}: {module_name} is a module of Sizzle. Give yours another name.")
        declared = [each for each, value in vars(module).items() if isinstance(value, Composition)]
        others = f"; its compositions are {', '.join(declared)}" if declared else ""
        raise CompositionError(f"{reference}: {module_name} has no composition {name}{others}.")
    if place_of(composition) is not ROOT and composition.name in ROUTES:
        raise CompositionError(f"{reference}: the server has routes of its own at /{composition.name}.")
    return composition


def _module(name: str, reference: str) -> ModuleType:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(name)
    except CompositionError as error:
        raise CompositionError(f"{reference}: {error}.") from None
    except ImportError as error:
        raise CompositionError(f"{reference}: {error}.") from None
    except (Exception, SystemExit) as error:  # the module is its author's
        text = f"{type(error).__name__}: {' '.join(str(error).split())}{_line_of(error, name)}"
        raise CompositionError(f"{reference}: {text}.") from error


def _line_of(error: BaseException, module: str) -> str:
    """Returns the module's own line at which its import failed; a syntax error names it itself."""
    file = module.rpartition(".")[2] + ".py"
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if Path(frame.filename).name == file]
    return f" (line {lines[-1]})" if lines else ""


def qualified_name(composition: Composition, part: str) -> str:
    """Returns the unique name of a part: `trip.route` for the trip's `route`; the recipe's parts have no prefix."""
    return part if place_of(composition) is ROOT else f"{composition.name}.{part}"


def part_roles(compositions: Mapping[str, Composition]) -> dict[str, str]:
    """Returns the role of every part, by its qualified name."""
    return {qualified_name(each, part.name): part.role for each in compositions.values() for part in each.parts}

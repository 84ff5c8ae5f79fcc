"""The earliest possible time of each part, from the provider's pace, in our schedule and the C# project's."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.prompts import MODELS
from benchmarks.provider import Pace
from benchmarks.tokens import recipe_ends


@dataclass(frozen=True)
class Call:
    """A call to the provider: seconds from the request."""

    requested: float
    first: float
    last: float


Plan = Mapping[str, Call]


def our_plan(pace: Pace, picked: int) -> Plan:
    """Nutrition starts at once, dependent parts as soon as the picked recipe is complete in the stream."""
    proposal = _call(pace, "alternates", 0)
    picked_at = proposal.first + recipe_ends(pace.lengths["alternates"])[picked] * pace.interval_s(MODELS["alternates"])
    return _plan(pace, proposal, picked_at, nutrition_at=0)


def csharp_plan(pace: Pace) -> Plan:
    """All parts start after the whole proposal, the steps after the ingredients."""
    proposal = _call(pace, "alternates", 0)
    return _plan(pace, proposal, proposal.last, nutrition_at=proposal.last)


def end(plan: Plan) -> float:
    """The critical path: seconds from the request to the last token."""
    return max(call.last for call in plan.values())


def _plan(pace: Pace, proposal: Call, picked_at: float, nutrition_at: float) -> Plan:
    ingredients = _call(pace, "ingredients", picked_at)
    return {
        "alternates": proposal,
        "nutrition": _call(pace, "nutrition", nutrition_at),
        "ingredients": ingredients,
        "intro": _call(pace, "intro", picked_at),
        "sides": _call(pace, "sides", picked_at),
        "steps": _call(pace, "steps", ingredients.last),
    }


def _call(pace: Pace, part: str, requested: float) -> Call:
    first = requested + pace.ttft_s
    return Call(requested, first, first + (pace.lengths[part] - 1) * pace.interval_s(MODELS[part]))

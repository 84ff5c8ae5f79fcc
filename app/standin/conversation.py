"""The conversation: whether a request is answered in text, by the cook or from what tools brought, or by a tool."""

from app.standin import cook, tools
from app.standin.body import Completion
from app.standin.tools import Call


def reply(body: Completion, seed: int) -> Call | str:
    """The text or the call. `seed` is for a request that names none."""
    system = "\n".join(body.said_by("system", "developer"))
    questions = body.said_by("user")
    call = tools.called(body, questions[-1] if questions else "")
    if call is not None:
        return call
    human = "\n".join(questions)
    if body.results:
        return cook.passed_on(tools.told(body.results), system, questions[-1] if questions else "")
    # Only a prompt of ours is one task spread over several messages.
    tagged = "<ingredients_on_hand>" in human
    return cook.reply(system, human if tagged else "".join(questions[-1:]), seed if body.seed is None else body.seed)

"""Decides whether a request is answered with a recipe, with the results of tools, or with a tool call."""

from app.standin import cook, tools
from app.standin.body import Completion
from app.standin.tools import Call


def reply(body: Completion, seed: int) -> Call | str:
    """Returns a text or a tool call. `seed` is used if the request has none."""
    system = "\n".join(body.texts_of("system", "developer"))
    questions = body.texts_of("user")
    call = tools.called(body, questions[-1] if questions else "")
    if call is not None:
        return call
    human = "\n".join(questions)
    if body.results:
        return cook.passed_on(tools.combined(body.results), system, questions[-1] if questions else "")
    # Only our own prompts spread one task over several messages.
    tagged = "<ingredients_on_hand>" in human
    return cook.reply(system, human if tagged else "".join(questions[-1:]), seed if body.seed is None else body.seed)

"""Decides who answers a request: the cook, the rules for other tasks, the results of tools, or a call of a tool."""

from app.standin import cook, general, tools
from app.standin.body import Completion
from app.standin.task import is_general
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
    task = human if tagged else "".join(questions[-1:])
    write = general.reply if is_general(system, task) else cook.reply
    return write(system, task, seed if body.seed is None else body.seed)

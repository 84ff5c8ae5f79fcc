"""The chain: each step is `prompt | model | parser`, and recipe_chain() composes them.

request ─┬─ nutrition
         ├─ proposal ── fills the shortlist while it is being written
         ├─ alternates ── the recipes that are not picked
         └─ pick ─┬─ intro
                  ├─ sides
                  └─ ingredients ── steps
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, LiteralString
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import (
    Runnable,
    RunnableConfig,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from langchain_core.runnables.config import merge_configs
from typing_extensions import override

from chains._fast.runnables import fast, run_handlers_inline
from chains.errors import ProposalError, ProviderError, SizzleError, TruncatedResponseError
from chains.parts.choice import ProposalReader, Shortlist, recipes_in
from chains.parts.hedging import Hedge
from chains.parts.parsers import TextParser, WholeText
from chains.parts.retry import RetryingStep, Variables
from chains.recipe.prompts import PROMPTS
from chains.recipe.request import (
    DEFAULT_SERVINGS,
    PARTS,
    STEP_REQUESTS,
    Draft,
    Failed,
    Part,
    Recipe,
    RecipeRequest,
    Step,
)
from chains.recipe.restrictions import restrictions_in

logger = logging.getLogger(__name__)

ChatModel = Runnable[LanguageModelInput, AIMessage]

LANGUAGE_NAMES = {"en": "English", "ko": "Korean (한국어)"}
PROPOSALS = 2  # a list of fewer than two usable recipes is asked for once more
DEADLINE_S = 120
TOO_LATE: LiteralString = "There was no time left to write this: try again."


def recipe_chain(
    models: Mapping[Step, ChatModel],
    others: Mapping[Step, Sequence[ChatModel]] | None = None,
    deadline_s: float = DEADLINE_S,
    hedge_after_s: float | None = None,
) -> RunnableLambda[Any, dict[Part, Any]]:
    """From a `RecipeRequest`, or its dict, to each part's text; the alternates are a list of `Recipe`.

    Call it with `ainvoke`: a part that failed is then a `Failed` with the reason, and no failure reaches the part's
    siblings. Its tokens come out while it runs as `astream_events`: see `astream_fragments`.

    `others` are the models that a step is tried on when its own fails. What is not written `deadline_s` seconds after
    the beginning has failed. A call that wrote nothing for `hedge_after_s` seconds is made to the next model, too.
    Of a `Draft` only what is missing is written.
    """
    hedging = Hedge(hedge_after_s) if hedge_after_s else None
    steps = {name: attempts(name, [model, *(others or {}).get(name, ())], hedging) for name, model in models.items()}
    ingredients_then_steps = (
        RunnablePassthrough.assign(ingredients=part("ingredients", steps["ingredients"]))
        | RunnablePassthrough.assign(steps=part("steps", steps["steps"]))
    )  # fmt: skip
    dish = RunnableLambda(pick) | RunnableParallel(
        intro=part("intro", steps["intro"]),
        sides=part("sides", steps["sides"]),
        method=ingredients_then_steps,
    )
    written = fast(
        RunnableParallel(
            nutrition=part("nutrition", steps["nutrition"]),
            proposal=steps["proposal"],
            alternates=part("alternates", RunnableGenerator(alternates)),
            dish=dish,
        )
    )

    async def recipe(asked: RecipeRequest, config: RunnableConfig) -> dict[Part, Any]:
        return written_parts(await written.ainvoke(begin(asked, deadline_s), run_handlers_inline(config)))

    # as it is: a binding (`with_types`) lets handlers of a run around it in, where `callbacks` is to keep them out
    return RunnableLambda(recipe)


def step(name: Step, model: ChatModel, parser: StrOutputParser | None = None) -> Runnable[Variables, str]:
    """One call to a model, from the prompt's variables to its text."""
    return (PROMPTS[name] | model | (parser or TextParser())).with_config(metadata={"step": name})


def attempts(name: Step, models: Sequence[ChatModel], hedging: Hedge | None = None) -> RetryingStep:
    """A step on the first of these models, and when that fails on the next."""
    kind = ProposalStep if name == "proposal" else RetryingStep
    return kind([fast(step(name, model)) for model in models], models, hedging)


def standalone(name: Step, model: ChatModel) -> Runnable[Any, str]:
    """A step by itself, from a request that holds what its prompt needs. Here a failure is raised, as is a cut-off."""
    asked_as = STEP_REQUESTS[name]

    async def given(request: RecipeRequest | Variables) -> Variables:
        return variables(asked_as.model_validate(request))

    return (RunnableLambda(given) | step(name, model, WholeText())).with_types(input_type=asked_as, output_type=str)


def part(name: Part, written: Runnable[Variables, Any]) -> Runnable[Variables, Any]:
    """A step as a part of the recipe: a run under the part's name, which fails alone: the failure becomes its value."""

    async def write(inputs: Variables, config: RunnableConfig) -> Any:
        kept = inputs["kept"].get(name)
        if kept is not None:
            return kept
        try:
            async with asyncio.timeout_at(inputs["ends_at"]):
                return await written.ainvoke(inputs, config)
        except Exception as error:  # noqa: BLE001  whatever it is, the siblings go on
            return Failed(why(error).message_in(inputs["language"]), cut_off=isinstance(error, TruncatedResponseError))

    return RunnableLambda(write, name=name)


def begin(asked: RecipeRequest | Draft | Variables, deadline_s: float) -> Variables:
    """The prompts' variables as far as they are known, and what is still to be done."""
    draft = asked if isinstance(asked, Draft) else Draft(RecipeRequest.model_validate(asked))
    known, request = draft.recipes, draft.request
    return {
        **variables(request),
        "shortlist": Shortlist.given(known, draft.picked) if known else Shortlist(request.seed),
        "kept": draft.texts,
        "ends_at": asyncio.get_running_loop().time() + deadline_s,
    }


def variables(asked: RecipeRequest) -> Variables:
    """The prompts' variables that the request knows, its free text read for diets, what to avoid and servings."""
    said = restrictions_in(asked.ingredients_on_hand)
    return {
        **asked.model_dump(),
        "diet": ", ".join(filter(None, (asked.diet, *said.diets))),
        "avoid": ", ".join(filter(None, (asked.avoid, *said.avoided))),
        "servings": said.servings if said.servings and asked.servings == DEFAULT_SERVINGS else asked.servings,
        "language_name": LANGUAGE_NAMES[asked.language],
    }


class ProposalStep(RetryingStep):
    """The proposal's attempts, which fill the shortlist, unless it is complete, and close it.

    One whose list leaves it with too few recipes has failed.
    """

    @override
    async def ainvoke(self, input: Variables, config: RunnableConfig | None = None, **kwargs: Any) -> str:
        shortlist: Shortlist = input["shortlist"]
        if shortlist.is_closed:
            return ""
        reason = ""
        try:
            async with asyncio.timeout_at(input["ends_at"]):
                return await super().ainvoke(input, config)
        except Exception as error:  # noqa: BLE001  like a part, it fails alone
            reason = why(error).message_in(input["language"])
            return ""
        finally:
            shortlist.close(reason)

    @override
    async def _write(self, turn: int, input: Variables, config: RunnableConfig | None) -> str:
        shortlist: Shortlist = input["shortlist"]
        try:
            text = await super()._write(
                turn, input, merge_configs(config, {"callbacks": [ProposalListener(shortlist)]})
            )
        except ProviderError:
            if not shortlist.is_full:
                raise
            return ""  # whatever happened behind the recipes
        shortlist.lists += 1
        if not shortlist.is_full:
            for recipe in recipes_in(text):
                shortlist.add(recipe)
        if shortlist.is_enough:
            return text
        failure = ProposalError("The model did not propose two recipes that can be read: try again.")
        failure.retryable = shortlist.lists < PROPOSALS
        raise failure


class ProposalListener(AsyncCallbackHandler):
    """Adds each recipe in the streamed JSON to the shortlist, as soon as it is complete.

    It listens to the model, for a chain that is called as a whole hands nothing on before its end, and one that is
    streamed costs each token twice as much.
    """

    run_inline = True

    def __init__(self, shortlist: Shortlist) -> None:
        self._shortlist = shortlist
        self._readers: dict[UUID, ProposalReader] = {}  # by the call, of which there are two where one is hedged

    @override
    async def on_llm_new_token(self, token: str | list[str | dict[str, Any]], *, run_id: UUID, **kwargs: Any) -> None:
        if not token or run_id not in self._readers:  # without a text, what was written so far is retracted
            self._readers[run_id] = ProposalReader()
        for recipe in self._readers[run_id].feed(str(token)):
            self._shortlist.add(recipe)


async def pick(inputs: Variables) -> Variables:
    """Adds the picked recipe, or why there is none, to the prompts' variables."""
    shortlist: Shortlist = inputs["shortlist"]
    match await shortlist.pick():
        case Recipe(name, intro):
            return {**inputs, "recipe_name": name, "recipe_intro": intro}
        case Failed() as failure:
            return {**inputs, "recipe_name": failure, "recipe_intro": failure}


async def alternates(inputs: AsyncIterator[Variables]) -> AsyncIterator[list[Recipe]]:
    """The recipes that are not picked, in lists of one, for LangChain gathers a stream by `+`."""
    async for variables in inputs:
        async for recipe in variables["shortlist"].others():
            yield [recipe]


def why(error: Exception) -> SizzleError:
    """The error in words for people; what is no fault of a provider or of the input goes to the log."""
    if isinstance(error, SizzleError):
        return error
    if isinstance(error, TimeoutError):
        return SizzleError(TOO_LATE)
    logger.error("a step failed", exc_info=error)
    return SizzleError("Something went wrong on our side: try again.")


def written_parts(results: dict[str, Any]) -> dict[Part, Any]:
    """The parts in one flat dict."""
    dish, method = results["dish"], results["dish"]["method"]
    written = {**results, **dish, "ingredients": method["ingredients"], "steps": method["steps"]}
    return {part: written[part] for part in PARTS}

"""The chain of a composition. Each step is `prompt | model | parser`; one `RunnableParallel` runs all parts.

request ── RunnableParallel ─┬─ a lambda for each part: waits for its prompt's variables, then runs its step
                             └─ a lambda for the `Choice`: its variables are set when the picked option is complete

The result of a part that fails is a `Failed`; only the parts that need it fail too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, cast
from uuid import UUID

from langchain_core.callbacks.manager import adispatch_custom_event
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnableParallel
from langchain_core.runnables.config import merge_configs
from typing_extensions import override

from chains._fast import InlineHandler
from chains.errors import ProposalError, TruncatedResponseError, explained
from chains.parts.choice import Options, ProposalReader, options_in
from chains.parts.composition import Choice, Composition, Request
from chains.parts.context import RunContext, material
from chains.parts.events import Alternate, Draft, Failed, Option
from chains.parts.hedging import Hedge
from chains.parts.parsers import TextParser, WholeText
from chains.parts.requests import part_request
from chains.parts.retry import RetryingStep
from chains.translations import Language

ChatModel = Runnable[LanguageModelInput, AIMessage]
Wrap = Callable[[Runnable[Any, Any]], Runnable[Any, Any]]
Watch = Callable[[str], AbstractContextManager[None]]

MAX_PROPOSALS = 2  # a list with too few usable options is requested again once
DEADLINE_S = 120


class PartOutput(NamedTuple):
    """The result of a part: its text, the other options of a `Choice`, or a `Failed`."""

    part: str
    value: Any


class KeptOutput(NamedTuple):
    """The text that a `Draft` had for a part."""

    part: str
    value: str


def compose(
    composition: Composition,
    models: Mapping[str, Sequence[ChatModel]],
    *,
    deadline_s: float = DEADLINE_S,
    hedge_after_s: float | None = None,
    wrap: Wrap = lambda chain: chain,
    watch: Watch = lambda part: nullcontext(),
) -> RunnableLambda[Any, dict[str, Any]]:
    """Returns a chain from a request, its dict or a `Draft` to the result of each part.

    A result is a text, the other options of a `Choice`, or a `Failed`.

    `models` holds any chat models of LangChain by the part's name: the first one is called, and the others are tried
    when it fails. Parts that are incomplete `deadline_s` seconds after the start fail. If a call has
    produced no token after `hedge_after_s` seconds, the next model is called in parallel. `wrap` is applied to every
    chain that LangChain would run. `watch` returns a context manager for the work on a part.

    Call it with `ainvoke`, or stream it with `astream_parts`. Only the parts missing from a `Draft` are generated.
    """
    hedge = Hedge(hedge_after_s) if hedge_after_s else None

    def branch(name: str) -> Runnable[RunContext, Any]:
        variants = [wrap(step(composition, name, model)) for model in models[name]]
        needs, declared = composition.prompt_variables(name), composition[name]
        if isinstance(declared, Choice):
            proposal = ProposalStep(declared, needs, variants, models[name], hedge)
            return _choice_branch(declared, proposal, watch)
        return _branch(name, RetryingStep(needs, variants, models[name], hedge), watch)

    together = wrap(RunnableParallel({name: branch(name) for name in composition.call_order}))

    async def run(request: Request | Draft | Mapping[str, Any], config: RunnableConfig) -> dict[str, Any]:
        draft = request if isinstance(request, Draft) else Draft(composition.request.model_validate(request))
        outputs = await together.ainvoke(RunContext(composition, draft, deadline_s), config)
        return {name: outputs[name].value for name in composition.names}

    # a lambda, because closing the stream of a RunnableParallel leaves its branches running; and without `with_types`,
    # because a binding would inherit the outer run's callbacks even when `callbacks` is set
    return RunnableLambda(run, name=composition.name)


def step(
    composition: Composition, name: str, model: ChatModel, parser: StrOutputParser | None = None
) -> Runnable[dict[str, Any], str]:
    """Returns the chain of one call to a model, from the prompt's variables to the text."""
    chain = composition.prompt(name) | model | (parser or TextParser())
    return chain.with_config(metadata={"part": name, "is_proposal": composition[name] is composition.choice})


def standalone(composition: Composition, name: str, model: ChatModel) -> Runnable[Any, str]:
    """Returns the chain of one part alone, whose request contains the results that it needs. Failures are raised."""
    request_type = part_request(composition, name)
    results = request_type.model_fields.keys() - composition.request.model_fields.keys()

    async def variables(request: Request | Mapping[str, Any]) -> dict[str, Any]:
        valid = request_type.model_validate(request)
        return material({**composition.variables(valid), **valid.model_dump(include=results)})

    chain = RunnableLambda(variables) | step(composition, name, model, WholeText())
    return chain.with_types(input_type=request_type, output_type=str)


def part(name: str, step: Runnable[Any, Any]) -> RunnableLambda[Any, Any]:
    """Makes `step` a part of a hand-written LCEL chain: `astream_parts` streams it under this name.

    Its value is the step's, or a `Failed` with a message in the language of the inputs.
    """
    labelled = step.with_config(metadata={"part": name})

    async def run(inputs: Any, config: RunnableConfig) -> Any:
        language = cast(Mapping[str, Any], inputs).get("language", "en") if isinstance(inputs, Mapping) else "en"
        value = await _value_or_failed(labelled.ainvoke(inputs, config), language)
        await adispatch_custom_event("part", PartOutput(name, value), config=config)
        return value

    return RunnableLambda(run, name=name)


def _branch(name: str, step: RetryingStep, watch: Watch) -> Runnable[RunContext, PartOutput | KeptOutput]:
    async def run(context: RunContext, config: RunnableConfig) -> PartOutput | KeptOutput:
        if name in context.texts:
            return KeptOutput(name, context.texts[name])
        value = await _value_or_failed(_in_time(step, context, config, watch(name)), context.language)
        context.variables.set(name, value)
        return PartOutput(name, value)

    return RunnableLambda(run, name=name)


async def _in_time(
    step: RetryingStep, context: RunContext, config: RunnableConfig, watching: AbstractContextManager[None]
) -> str:
    async with asyncio.timeout_at(context.ends_at):
        await step.is_ready(context)
        with watching:
            return await step.ainvoke(context, config)


def _choice_branch(choice: Choice, step: "ProposalStep", watch: Watch) -> Runnable[RunContext, PartOutput | KeptOutput]:
    async def run(context: RunContext, config: RunnableConfig) -> PartOutput | KeptOutput:
        if not context.proposes:
            await _pick(choice, context, config)
            text = context.texts.get(choice.name, "")
            context.variables.set(choice.name, text)
            return KeptOutput(choice.name, text)
        proposing = asyncio.create_task(_propose(step, context, config, watch(choice.name)))
        try:
            await _pick(choice, context, config)
            others = await _announced(choice.name, context.options, config)
            await proposing
        finally:
            proposing.cancel()
            await asyncio.gather(proposing, return_exceptions=True)  # so that its call is closed with this run
        value = await _value_or_failed(_checked(context.options, others), context.language)
        if isinstance(value, Failed) and context.options.was_picked:  # only its other options are missing
            value = Failed(value.message, cut_off=True)
        text = "".join(Alternate(choice.name, option).text for option in others)
        context.variables.set(choice.name, value if isinstance(value, Failed) else text)
        return PartOutput(choice.name, value)

    return RunnableLambda(run, name=choice.name)


async def _propose(
    step: "ProposalStep", context: RunContext, config: RunnableConfig, watching: AbstractContextManager[None]
) -> None:
    """Fills the options and always closes them."""
    reason = ""
    try:
        await _in_time(step, context, config, watching)
    except Exception as error:  # noqa: BLE001  the parts that need the pick get the reason
        reason = explained(error).message_in(context.language)
    finally:
        context.options.close(reason)


async def _pick(choice: Choice, context: RunContext, config: RunnableConfig) -> None:
    """Sets the variables that the `Choice` gives, or a `Failed` for each."""
    picked = await context.options.pick()
    if not isinstance(picked, Failed):
        await adispatch_custom_event("proposal", context.options.proposal(), config=config)
    for variable, field in choice.fields.items():
        context.variables.set(variable, picked if isinstance(picked, Failed) else picked[field])


async def _announced(name: str, options: Options, config: RunnableConfig) -> list[Option]:
    """Reports the options that are not picked, each as soon as it is complete, and returns them."""
    others: list[Option] = []
    async for option in options.others():
        others.append(option)
        await adispatch_custom_event("proposal", options.proposal(), config=config)
        await adispatch_custom_event("alternate", Alternate(name, option), config=config)
    return others


async def _checked(options: Options, others: list[Option]) -> list[Option]:
    options.check()
    return others


async def _value_or_failed(value: Awaitable[Any], language: Language) -> Any:
    try:
        return await value
    except Exception as error:  # noqa: BLE001  the other parts continue
        return Failed(explained(error).message_in(language), cut_off=isinstance(error, TruncatedResponseError))


class ProposalStep(RetryingStep):
    """A `RetryingStep` that fills the options while it streams. An attempt fails if there are too few options."""

    def __init__(
        self,
        choice: Choice,
        needs: frozenset[str],
        variants: Sequence[Runnable[dict[str, Any], str]],
        models: Sequence[Any],
        hedge: Hedge | None = None,
    ) -> None:
        super().__init__(needs, variants, models, hedge)
        self._choice = choice

    @override
    async def _attempt(
        self, index: int, context: RunContext, variables: dict[str, Any], config: RunnableConfig | None
    ) -> str:
        options, fields = context.options, tuple(self._choice.fields.values())
        listener = ProposalListener(options, fields)
        try:
            text = await super()._attempt(index, context, variables, merge_configs(config, {"callbacks": [listener]}))
        except Exception:
            if not options.is_full:
                raise
            return ""  # a failure after the last option does not matter
        options.completed_lists += 1
        if not options.is_full:
            for option in options_in(text, fields, most=self._choice.options):
                options.add(option)
        if options.is_enough:
            return text
        failure = ProposalError("The model proposed fewer than two usable options: try again.")
        failure.retryable = options.completed_lists < MAX_PROPOSALS
        raise failure


class ProposalListener(InlineHandler):
    """Adds each option in the streamed JSON as soon as it is complete.

    It is a callback, because `ainvoke` returns nothing before the end and streaming through the chain doubles the cost
    of a token.
    """

    def __init__(self, options: Options, fields: Collection[str]) -> None:
        self._options, self._fields = options, fields
        self._readers: dict[UUID, ProposalReader] = {}  # by call: a hedged attempt has two

    @override
    async def on_llm_new_token(self, token: str | list[str | dict[str, Any]], *, run_id: UUID, **kwargs: Any) -> None:
        if not token or run_id not in self._readers:  # an empty token retracts the text so far
            self._readers[run_id] = ProposalReader(self._fields)
        for option in self._readers[run_id].feed(str(token)):
            self._options.add(option)

"""fast(): the same chain, of which LangChain's handlers are told only what somebody listens for.

LangChain makes a run of each Runnable: three tasks, two events, a level above every token, half a millisecond in all. A
recipe was 41 runs, which took longer than its six requests; so it is 15. What is composed with `|`, `RunnableParallel`
and `assign` does here what it did there, but is no run, nor are prompts and parsers, of which a model's run tells.
Models and `RunnableLambda`s are runs, but what is the same each time is put together and looked at once: a prompt, a
model and a parser take 0.6 ms, not 1.3, and a lambda takes neither a task nor a look at its signature.
"""

# pyright: reportPrivateUsage=false
# (a chat model is made to be called by what has an underscore)

import asyncio
from inspect import iscoroutinefunction
from typing import Any, Literal, cast

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForChainRun,
    AsyncCallbackManagerForLLMRun,
)
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import BaseOutputParser
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.prompts import BasePromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnableParallel, RunnableSequence
from langchain_core.runnables.base import RunnableBinding
from langchain_core.runnables.config import (
    ensure_config,
    get_async_callback_manager_for_config,
    var_child_runnable_config,
)
from langchain_core.runnables.passthrough import RunnableAssign
from langchain_core.runnables.utils import accepts_config
from langchain_core.utils.utils import LC_ID_PREFIX
from typing_extensions import override

from chains._fast.tokens import is_inline
from chains.models.chat import ProviderChat

Step = Runnable[Any, Any]
Run = AsyncCallbackManagerForChainRun | AsyncCallbackManagerForLLMRun


def fast(chain: Step) -> Step:
    """The chain, to be called by `ainvoke` from within a run: its runs are that one's children.

    Prompts are given a dict. Of what is bound to a `RunnableLambda` only its name is told. A `ProviderChat` is asked
    though LangChain's cache, if there is one, holds an answer, which would be no stream; LangSmith is told of its
    parameters, but not among the metadata. A lambda that is no coroutine function, and every other kind of Runnable,
    such as a model that can be chosen, stays as it is.
    """
    match chain:
        case RunnableSequence(steps=steps):
            return _Sequence([fast(step) for step in steps])
        case RunnableParallel(steps__=steps):
            return _Parallel({name: fast(step) for name, step in steps.items()})
        case RunnableAssign():
            mapper = cast(RunnableParallel[Any], chain.mapper)  # pyright: ignore[reportUnknownMemberType]
            return _Assign(cast(RunnableParallel[Any], fast(mapper)))
        case RunnableLambda() if not hasattr(chain, "func") and iscoroutinefunction(chain.afunc):
            return _Lambda(chain.afunc, name=chain.name)
        case ProviderChat(callbacks=None, tags=None):
            return _Model(chain)
        case RunnableBinding(bound=bound, kwargs=kwargs, config=config, config_factories=[]) if (
            not kwargs and config.keys() == {"metadata"}
        ):
            return _Bound(bound=fast(bound), config=config)
        case RunnableBinding(bound=bound):
            return chain.model_copy(update={"bound": fast(bound)})
        case _:
            return chain


def run_handlers_inline(config: RunnableConfig) -> RunnableConfig:
    """The config, whose handler for `astream_events` is told of an event without a task: LangChain makes one for each.

    There are 30 in a recipe: where eight begin at once, the first fragment comes an eighth earlier for their lack.
    Handlers of others, who may take their time, are told as ever.
    """
    for handler in cast(AsyncCallbackManager, config.get("callbacks")).handlers:
        if is_inline(handler):
            handler.run_inline = True
    return config


class _Sequence(RunnableSequence[Any, Any]):
    def __init__(self, steps: list[Step]) -> None:
        super().__init__(*steps)

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        for step in self.steps:
            if isinstance(step, BasePromptTemplate):
                input = await step.aformat_prompt(**input)
            elif isinstance(step, BaseOutputParser):
                input = await step.aparse_result([ChatGeneration(message=input)])
            else:
                input = await step.ainvoke(input, config)
        return input


class _Parallel(RunnableParallel[Any]):
    def __init__(self, steps: dict[str, Step]) -> None:
        super().__init__(steps)

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> dict[str, Any]:
        values = await asyncio.gather(*(step.ainvoke(input, config, **kwargs) for step in self.steps__.values()))
        return dict(zip(self.steps__, values, strict=True))


class _Assign(RunnableAssign):
    def __init__(self, mapper: RunnableParallel[Any]) -> None:
        super().__init__(mapper)

    @override
    async def ainvoke(self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return {**input, **await self.mapper.ainvoke(input, config, **kwargs)}  # pyright: ignore[reportUnknownMemberType]


class _Bound(RunnableBinding[Any, Any]):
    """What metadata is bound to, which holds against the caller's; LangChain's looks for a config in the context."""

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        config = config or {}
        metadata = {**config.get("metadata", {}), **self.config.get("metadata", {})}
        return await self.bound.ainvoke(input, {**config, "metadata": metadata}, **kwargs)


class _Model(Runnable[Any, AIMessage]):
    """A model, whose `_agenerate` tells the handlers of new text."""

    def __init__(self, model: ProviderChat) -> None:
        self.name = model.get_name()
        self._model, self._params = model, model._get_invocation_params()
        self._metadata = {**model._get_ls_params_with_defaults(), **(model.metadata or {})}

    @override
    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        return self._model.invoke(input, config, **kwargs)

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        if kwargs:  # other parameters than those that are told
            return await self._model.ainvoke(input, config, **kwargs)
        messages = self._model._convert_input(input).to_messages()
        run = await self._begin(messages, *_run_around(config))
        try:
            if self._model.rate_limiter:
                await self._model.rate_limiter.aacquire()
            [answer] = (await self._model._agenerate(messages, run_manager=run)).generations
        except Exception as error:
            await run.on_llm_error(error, response=LLMResult(generations=[[]]))
            raise
        message = cast(AIMessage, answer.message)
        message.id = message.id or f"{LC_ID_PREFIX}-{run.run_id}-0"
        message.response_metadata = {**(answer.generation_info or {}), **message.response_metadata}
        await _end(run, "on_llm_end", LLMResult(generations=[[answer]]))
        return message

    async def _begin(
        self, messages: list[BaseMessage], within: RunnableConfig, callbacks: AsyncCallbackManager
    ) -> AsyncCallbackManagerForLLMRun:
        told = callbacks.copy()
        told.add_tags(within.get("tags", []))
        told.add_metadata({**within.get("metadata", {}), **self._metadata}, inherit=False)
        [run] = await told.on_chat_model_start(
            self._model._serialized,
            [[*messages]],
            name=within.get("run_name"),
            invocation_params={**self._params},
            options={"stop": None},
            batch_size=1,
        )
        return run


class _Lambda(RunnableLambda[Any, Any]):
    def __init__(self, function: Any, name: str | None) -> None:
        super().__init__(function, name=name)
        self._does, self._takes_config = function, accepts_config(function)

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        within, callbacks = _run_around(config)
        run = await callbacks.on_chain_start(None, input, name=within.pop("run_name", None) or self.name)
        within["callbacks"] = run.get_child()
        within.pop("run_id", None)
        around = var_child_runnable_config.set(within)  # where bindings look, and calls that are given no config
        try:
            output: Any = await (self._does(input, config=within) if self._takes_config else self._does(input))
        except BaseException as error:
            await run.on_chain_error(error)
            raise
        finally:
            var_child_runnable_config.reset(around)
        await _end(run, "on_chain_end", output)
        return output


def _run_around(config: RunnableConfig | None) -> tuple[RunnableConfig, AsyncCallbackManager]:
    """The config, for one to change, and the callbacks of the run above, or else those that LangChain would take."""
    callbacks = (config or {}).get("callbacks")
    if config and isinstance(callbacks, AsyncCallbackManager):  # no need to look at the environment
        return {**config}, callbacks
    ensured = ensure_config(config)
    return ensured, get_async_callback_manager_for_config(ensured)


async def _end(run: Run, event: Literal["on_chain_end", "on_llm_end"], result: Any) -> None:
    """Tells of a run's end, for which LangChain makes a task, lest a handler that waits be cut off."""
    if all(map(is_inline, run.handlers)):
        for handler in run.handlers:
            await getattr(handler, event)(result, run_id=run.run_id, parent_run_id=run.parent_run_id, tags=run.tags)
    else:
        await getattr(run, event)(result)

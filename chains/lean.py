"""lean(): the same chain, of which LangChain's handlers are told only what somebody listens for.

LangChain makes a run of each Runnable: three tasks, two events, a level above every token, half a millisecond in all. A
recipe was 41 runs, which took longer than its six requests; so it is 15. What is composed with `|`, `RunnableParallel`
and `assign` does here what it did there, but is no run, nor are prompts and parsers, of which a model's run tells.
Models and `RunnableLambda`s are runs, the latter without a task of their own and without a look at their signature each
time.
"""

import asyncio
from inspect import iscoroutinefunction
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackHandler, AsyncCallbackManager
from langchain_core.output_parsers import BaseOutputParser
from langchain_core.outputs import ChatGeneration
from langchain_core.prompts import BasePromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnableParallel, RunnableSequence
from langchain_core.runnables.base import RunnableBinding
from langchain_core.runnables.config import (
    ensure_config,
    get_async_callback_manager_for_config,
    patch_config,
    var_child_runnable_config,
)
from langchain_core.runnables.passthrough import RunnableAssign
from langchain_core.runnables.utils import accepts_config
from typing_extensions import override

Step = Runnable[Any, Any]


def lean(chain: Step) -> Step:
    """The chain, to be called by `ainvoke` from within a run: its runs are that one's children.

    Prompts are given a dict. Of what is bound to a `RunnableLambda` only its name is told. One that is no coroutine
    function, and every other kind of Runnable, stays as it is.
    """
    match chain:
        case RunnableSequence(steps=steps):
            return _Sequence([lean(step) for step in steps])
        case RunnableParallel(steps__=steps):
            return _Parallel({name: lean(step) for name, step in steps.items()})
        case RunnableAssign():
            mapper = cast(RunnableParallel[Any], chain.mapper)  # pyright: ignore[reportUnknownMemberType]
            return _Assign(cast(RunnableParallel[Any], lean(mapper)))
        case RunnableLambda() if not hasattr(chain, "func") and iscoroutinefunction(chain.afunc):
            return _Lambda(chain.afunc, name=chain.name)
        case RunnableBinding(bound=bound):
            return chain.model_copy(update={"bound": lean(bound)})
        case _:
            return chain


def told_in_turn(config: RunnableConfig) -> RunnableConfig:
    """The config, whose handler for `astream_events` is told of an event without a task: LangChain makes one for each.

    There are 30 in a recipe: where eight begin at once, the first fragment comes an eighth earlier for their lack.
    Handlers of others, who may take their time, are told as ever.
    """
    for handler in cast(AsyncCallbackManager, config.get("callbacks")).handlers:
        if isinstance(handler, AsyncCallbackHandler) and type(handler).__module__.startswith("langchain_core.tracers."):
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


class _Lambda(RunnableLambda[Any, Any]):
    def __init__(self, function: Any, name: str | None) -> None:
        super().__init__(function, name=name)
        self._does, self._takes_config = function, accepts_config(function)

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        config = config or {}
        callbacks = config.get("callbacks")  # those of the run above, which need no look at the environment
        if not isinstance(callbacks, AsyncCallbackManager):
            callbacks = get_async_callback_manager_for_config(ensure_config(config))
        run = await callbacks.on_chain_start(None, input, name=config.get("run_name") or self.name)
        within = patch_config(config, callbacks=run.get_child())
        around = var_child_runnable_config.set(within)  # where bindings look, and calls that are given no config
        try:
            output: Any = await (self._does(input, config=within) if self._takes_config else self._does(input))
        except BaseException as error:
            await run.on_chain_error(error)
            raise
        finally:
            var_child_runnable_config.reset(around)
        await run.on_chain_end(output)
        return output

"""Retries: if a provider fails, the part is generated again with the same model or the next one in its list."""

import asyncio
from collections.abc import Sequence
from random import uniform
from typing import Any

from langchain_core.runnables import ConfigurableFieldSpec, Runnable, RunnableConfig
from langchain_core.runnables.graph import Graph
from typing_extensions import override

from chains.attempt import current_attempt
from chains.errors import ProviderError, SizzleError
from chains.parts.context import RunContext
from chains.parts.hedging import Hedge

MAX_ATTEMPTS = 3
RETRY_DELAY_S = (0.2, 0.6)  # before the same model is called again; random, which spreads the retries of many calls


class RetryingStep(Runnable[RunContext, str]):
    """Runs a part's step when its variables are set, in at most three attempts. Each attempt is a run of its own.

    `with_retry` cannot switch models, `with_fallbacks` cannot retry, and neither works after the first token. A
    provider that sends Retry-After is retried once if the deadline allows; otherwise the next model with a healthy
    provider is used, or if there is none, the same model after a delay, unless the provider said not to retry. If
    `configurable` names a model, only that model is used. After any exception of another library's chat model the next
    model is used.
    """

    def __init__(
        self,
        needs: frozenset[str],
        variants: Sequence[Runnable[dict[str, Any], str]],
        models: Sequence[Any],
        hedge: Hedge | None = None,
    ) -> None:
        """`variants` has the step with each of its `models`; `needs` are the variables of its prompt."""
        self._needs, self._variants, self._models, self._hedge = needs, variants, models, hedge

    @property
    @override
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        return self._variants[0].config_specs

    @override
    def get_graph(self, config: RunnableConfig | None = None) -> Graph:
        """Returns the graph of the step."""
        return self._variants[0].get_graph(config)

    @override
    def invoke(self, input: RunContext, config: RunnableConfig | None = None, **kwargs: Any) -> str:
        raise TypeError("a composition cannot be invoked synchronously: use ainvoke")

    async def is_ready(self, context: RunContext) -> None:
        """Waits until the variables of the prompt are set. Raises `DependencyFailedError`."""
        await context.variables.of(self._needs)

    @override
    async def ainvoke(self, input: RunContext, config: RunnableConfig | None = None, **kwargs: Any) -> str:
        variables = await input.variables.of(self._needs)
        indexes = self._indexes(config)
        index, has_waited = self._first_healthy(indexes) or 0, False
        for attempt in range(1, MAX_ATTEMPTS + 1):
            current_attempt.set(attempt)
            try:
                return await self._attempt(index, input, variables, config)
            except Exception as error:
                indexes = self._remaining(index, error, indexes)
                if attempt == MAX_ATTEMPTS or not indexes:
                    raise
                last, wait = index, self._retry_after(index, error, input.ends_at)
            index = self._next(last, indexes, waits=wait is not None and not has_waited)
            if index == last:
                has_waited = True
                await asyncio.sleep(max(wait or 0, uniform(*RETRY_DELAY_S)))  # noqa: S311  a delay, not a secret
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(
        self, index: int, context: RunContext, variables: dict[str, Any], config: RunnableConfig | None
    ) -> str:
        variant = self._variants[index]
        other = self._first_healthy(_rotated(index, self._indexes(config))) if self._hedge else None
        if self._hedge is None or other is None:
            return await variant.ainvoke(variables, config)
        return await self._hedge.ainvoke(variant, self._variants[other], variables, config)

    def _indexes(self, config: RunnableConfig | None) -> Sequence[int]:
        names_its_model = "model" in (config or {}).get("configurable", {})
        return range(1 if names_its_model else len(self._models))

    def _first_healthy(self, indexes: Sequence[int]) -> int | None:
        # chat models of other libraries have no circuit breaker
        return next((index for index in indexes if not getattr(self._models[index], "is_open", False)), None)

    def _remaining(self, index: int, error: Exception, indexes: Sequence[int]) -> Sequence[int]:
        """Returns the models that may be called after this failure of one of them."""
        if isinstance(error, ProviderError):
            may_retry, others_may = error.retryable and error.same_model_may_retry, error.retryable
        else:  # chat models of other libraries retry by themselves
            may_retry, others_may = False, not isinstance(error, SizzleError)
        if may_retry:
            return indexes
        return _rotated(index, indexes) if others_may else ()

    def _retry_after(self, index: int, error: Exception, ends_at: float) -> float | None:
        """Returns the Retry-After delay in seconds, or None if there is none or the deadline is earlier."""
        left = ends_at - asyncio.get_running_loop().time()
        wait = error.retry_after if isinstance(error, ProviderError) else None
        first_token_s: float = getattr(self._models[index], "first_token_s", 0)
        return wait if wait is not None and wait + first_token_s < left else None

    def _next(self, last: int, indexes: Sequence[int], waits: bool) -> int:
        """Returns the next model: the same one if its provider said when to retry, or if there is no other."""
        if waits and last in indexes:
            return last
        other = self._first_healthy(_rotated(last, indexes))
        if other is None:
            return last if last in indexes else indexes[0]
        return other


def _rotated(index: int, indexes: Sequence[int]) -> list[int]:
    """Returns the other indexes, first those after `index`."""
    return [*(other for other in indexes if other > index), *(other for other in indexes if other < index)]

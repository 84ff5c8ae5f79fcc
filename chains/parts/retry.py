"""RetryingStep: a step whose provider fails is tried again, on the same model or on the next one of its list."""

import asyncio
from collections.abc import Sequence
from random import uniform
from typing import Any

from langchain_core.runnables import ConfigurableFieldSpec, Runnable, RunnableConfig
from langchain_core.runnables.graph import Graph
from typing_extensions import override

from chains.errors import ProviderError
from chains.parts.hedging import Hedge

MOST = 3
PAUSE_S = (0.2, 0.6)  # before the same model is asked again; by chance, so that not all come back at once

Variables = dict[str, Any]


class RetryingStep(Runnable[Variables, str]):
    """A step that is tried up to three times, each time as a run of its own.

    `with_retry` knows no other model and `with_fallbacks` no second time, and neither goes on behind a first token.
    A provider that says for how long it wants to be spared is asked again, once, if the run's deadline allows; else the
    next model is whose provider does not rest; where there is none, the same one is after a pause, unless the provider
    said not to try again. A call that names
    its model, by the configurable field, has that one only.
    """

    def __init__(
        self, written: Sequence[Runnable[Variables, str]], models: Sequence[Any], hedging: Hedge | None = None
    ) -> None:
        """`written` is the step on each of its `models`."""
        self._written, self._models, self._hedging = written, models, hedging

    @property
    @override
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        return self._written[0].config_specs

    @override
    def get_graph(self, config: RunnableConfig | None = None) -> Graph:
        """The step's."""
        return self._written[0].get_graph(config)

    @override
    def invoke(self, input: Variables, config: RunnableConfig | None = None, **kwargs: Any) -> str:
        """One attempt, on the first model: what is not asynchronous is a notebook's."""
        return self._written[0].invoke(input, config)

    @override
    async def ainvoke(self, input: Variables, config: RunnableConfig | None = None, **kwargs: Any) -> str:
        turns = self._turns(config)
        turn, has_waited = self._awake(turns) or 0, False
        for attempt in range(1, MOST + 1):
            try:
                return await self._write(turn, input, config)
            except ProviderError as error:
                turns = turns if error.same_model_may_retry else _behind(turn, turns)
                if attempt == MOST or not error.retryable or not turns:
                    raise
                last, wait = turn, self._wait(turn, error, input["ends_at"])
            turn = self._next(last, turns, waits=wait is not None and not has_waited)
            if turn == last:
                has_waited = True
                await asyncio.sleep(max(wait or 0, uniform(*PAUSE_S)))  # noqa: S311  a pause, not a secret
        raise AssertionError("the last attempt returns or raises")

    async def _write(self, turn: int, input: Variables, config: RunnableConfig | None) -> str:
        written = self._written[turn]
        other = self._awake(_behind(turn, self._turns(config))) if self._hedging else None
        if self._hedging is None or other is None:
            return await written.ainvoke(input, config)
        return await self._hedging.ainvoke(written, self._written[other], input, config)

    def _turns(self, config: RunnableConfig | None) -> Sequence[int]:
        names_its_model = "model" in (config or {}).get("configurable", {})
        return range(1 if names_its_model else len(self._models))

    def _awake(self, turns: Sequence[int]) -> int | None:
        """The first of these whose provider does not rest."""
        return next((turn for turn in turns if not self._models[turn].is_open), None)

    def _wait(self, turn: int, error: ProviderError, ends_at: float) -> float | None:
        """For how many seconds the provider asked to be spared, if there is time to write behind them."""
        left = ends_at - asyncio.get_running_loop().time()
        wait = error.retry_after
        return wait if wait is not None and wait + self._models[turn].first_token_s < left else None

    def _next(self, last: int, turns: Sequence[int], waits: bool) -> int:
        """Whose turn it is: the same one's, if it said when, or if there is no other."""
        if waits and last in turns:
            return last
        other = self._awake(_behind(last, turns))
        if other is None:
            return last if last in turns else turns[0]
        return other


def _behind(turn: int, turns: Sequence[int]) -> list[int]:
    """The others, those after `turn` first."""
    return [*(other for other in turns if other > turn), *(other for other in turns if other < turn)]

"""Processes of a deployment that share this one: each has an event loop of its own, which can be stopped."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from typing_extensions import override

from app.models import Served
from app.runs.dispatched import DispatchedRuns
from app.runs.worker import Worker
from app.stores.redis.log import RedisEventLog
from chains import Composition, Part, Request, compose
from chains.parts.requests import run_request

T = TypeVar("T")

LEASE_S = 0.25
TOKENS = 8  # of a call


class Topic(Request):
    """A request with one field, which is unique in a test."""

    topic: str


TALK = Composition(
    name="lecture",
    request=Topic,
    system="Be brief.",
    parts=(Part("outline", "[{topic}] Outline it."), Part("talk", "[{topic}] <{outline}>"), Part("title", "[{topic}]")),
)
REQUESTS = {"lecture": run_request(TALK)}


@dataclass
class Pace:
    """How many tokens each call may have sent, and what the calls were sent and would answer, by topic and part."""

    tokens: float = 0
    prompts: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))

    def answer(self, topic: str, part: str, call: int) -> list[str]:
        return [f"{topic} {part} {call}: ", *(f"{number} " for number in range(1, TOKENS))]


class PacedChat(GenericFakeChatModel):
    """Writes one part. No two of its answers are the same."""

    pace: Any
    part: str

    @override
    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        prompt = str(messages[-1].content)
        topic, began = prompt.partition("[")[2].partition("]")[0], self.pace.tokens
        prompts = self.pace.prompts[topic, self.part]
        prompts.append(prompt)
        for number, text in enumerate(self.pace.answer(topic, self.part, len(prompts))):
            while self.pace.tokens - began <= number:  # noqa: ASYNC110  it is shared by several loops
                await asyncio.sleep(0.005)
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))


def served_at(pace: Pace) -> Mapping[str, Served]:
    models = {name: [PacedChat(messages=iter(()), pace=pace, part=name)] for name in TALK.names}
    chain = compose(TALK, models)
    return {"lecture": Served(TALK, {}, {}, {}, chain, chain)}


class Node:
    """A process that serves runs and, with a `worker`, writes them."""

    def __init__(self, url: str, served: Mapping[str, Served], *, worker: bool) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._stack, self._awake = AsyncExitStack(), threading.Event()
        self._awake.set()
        self.runs, self.log = self.call(self._open(url, served, worker=worker))

    async def _open(
        self, url: str, served: Mapping[str, Served], *, worker: bool
    ) -> tuple[DispatchedRuns, RedisEventLog]:
        log = await self._stack.enter_async_context(aclosing(RedisEventLog(url, REQUESTS, lease_s=LEASE_S)))
        runs = DispatchedRuns(served, log)
        if worker:
            working = Worker(served, runs, log, limit=8, lease_s=LEASE_S, drain_s=0)
            runs.own = working.live
            await self._stack.enter_async_context(working.working())
        return runs, log

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs it in the process."""
        return self.start(work).result(30)

    def start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    @property
    def is_stopped(self) -> bool:
        return not self._awake.is_set()

    def stop(self) -> None:
        """Nothing happens in the process any more, as after SIGSTOP, or as far as others can tell after SIGKILL."""
        self._awake.clear()
        self._loop.call_soon_threadsafe(self._awake.wait)

    def wake(self) -> None:
        self._awake.set()

    def close(self) -> None:
        """Ends the process as SIGTERM does, unless it has ended."""
        if self._loop.is_closed():
            return
        self.wake()
        self.call(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

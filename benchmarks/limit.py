"""The limit of servers whose tokens are LangChain events: the floor, with each call as a model run.

It has no prompts, parsers, ChatOpenAI, deadlines, retries or log. Of LangChain it uses six runs, one event per piece of
text (or per proposed recipe), and one per start and end, created as in our server: with `tap_output_aiter` and
unvalidated chunks.
"""

import sys
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import orjson
import uvicorn
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableConfig, RunnableLambda

from benchmarks.floor import START, Floor, emit
from benchmarks.wire import fragment
from chains._fast.tokens import text_chunk

_callbacks: ContextVar[Any] = ContextVar("callbacks")


class Limit(Floor):
    """An ASGI application."""

    async def _generate(self, receive: Any, send: Any) -> None:
        body = orjson.loads((await receive())["body"])
        await send(START)

        async def recipe(body: Any, config: RunnableConfig) -> None:
            _callbacks.set(config.get("callbacks"))
            await self._write(send, body)

        events: AsyncIterator[Any] = RunnableLambda(recipe).astream_events(body, version="v2")
        async for event in events:
            if event["event"] == "on_chat_model_stream" and event["name"] != "alternates":
                await emit(send, fragment(event["name"], event["data"]["chunk"].content))
        await send({"type": "http.response.body", "body": b""})

    async def _part(self, send: Any, part: str, values: dict[str, str]) -> str:
        return "".join([piece async for piece in self._ask(part, values)])

    async def _ask(self, part: str, values: dict[str, str]) -> AsyncIterator[str]:
        [run] = await _callbacks.get().on_chat_model_start({}, [[HumanMessage(part)]], name=part)
        [events] = run.handlers
        text = ""
        async for chunk in events.tap_output_aiter(run.run_id, self._chunks(part, values)):
            text += chunk.content
            yield chunk.content
        await run.on_llm_end(LLMResult(generations=[[ChatGeneration(message=AIMessage(text))]]))

    async def _chunks(self, part: str, values: dict[str, str]) -> AsyncIterator[AIMessageChunk]:
        untold = ""
        async for piece in super()._ask(part, values):
            untold += piece
            if part != "alternates" or "}" in piece:
                yield text_chunk(untold)
                untold = ""
        if untold:
            yield text_chunk(untold)


if __name__ == "__main__":
    uvicorn.run(Limit(sys.argv[1]), host="127.0.0.1", port=0)

"""The loop as an expert writes it by hand: AsyncOpenAI, a queue, FastAPI, and the C# project's schedule.

The whole proposal comes first, unstreamed, for nobody sees it; then the alternates and four parts at once, the steps
as soon as the ingredients are complete.
"""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Callable

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI
from pydantic import BaseModel

from benchmarks.asks import MODELS, messages, variables
from benchmarks.wire import alternate, fragment
from chains.recipe.request import Step

Put = Callable[[bytes | None], None]


class Asked(BaseModel):
    ingredientsOnHand: str
    prepTime: int


class Kitchen:
    def __init__(self, base_url: str) -> None:
        self._openai = AsyncOpenAI(base_url=base_url, api_key="none")

    async def stream(self, asked: Asked) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        writing = asyncio.create_task(self._write(asked, queue.put_nowait))
        writing.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (event := await queue.get()) is not None:
                yield event
            await writing
        finally:
            writing.cancel()

    async def _write(self, asked: Asked, put: Put) -> None:
        known = variables(asked.model_dump())
        recipes = json.loads(await self._complete("proposal", known))
        recipe = recipes.pop(random.randrange(3))  # noqa: S311
        for other in recipes:
            put(alternate(other))
        known |= {"recipe_name": recipe["name"], "recipe_intro": recipe["intro"]}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._method(known, put))
            for part in ("intro", "nutrition", "sides"):
                tasks.create_task(self._part(part, known, put))

    async def _method(self, known: dict[str, str], put: Put) -> None:
        ingredients = await self._part("ingredients", known, put)
        await self._part("steps", {**known, "ingredients": ingredients}, put)

    async def _complete(self, step: Step, known: dict[str, str]) -> str:
        answer = await self._openai.chat.completions.create(model=MODELS[step], messages=messages(step, known))
        return answer.choices[0].message.content or ""

    async def _part(self, part: Step, known: dict[str, str], put: Put) -> str:
        text = ""
        async with await self._openai.chat.completions.create(
            model=MODELS[part],
            messages=messages(part, known),
            stream=True,
        ) as chunks:
            async for chunk in chunks:
                if chunk.choices and (piece := chunk.choices[0].delta.content):
                    text += piece
                    put(fragment(part, piece))
        return text


def create_app(base_url: str) -> FastAPI:
    app, kitchen = FastAPI(), Kitchen(base_url)

    @app.post("/generate")
    async def generate(asked: Asked) -> StreamingResponse:
        return StreamingResponse(kitchen.stream(asked), media_type="text/event-stream")

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(sys.argv[1]), host="127.0.0.1", port=0)

"""A server written by hand: AsyncOpenAI, a queue, FastAPI, and the C# project's schedule.

The whole proposal comes first, without streaming; then the alternates and four parts in parallel, and the steps after
the ingredients.
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

from benchmarks.prompts import MODELS, messages, variables
from benchmarks.wire import alternate, fragment

Put = Callable[[bytes | None], None]


class RecipeBody(BaseModel):
    ingredientsOnHand: str
    prepTime: int


class Writer:
    def __init__(self, base_url: str) -> None:
        self._openai = AsyncOpenAI(base_url=base_url, api_key="none")

    async def stream(self, body: RecipeBody) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        writing = asyncio.create_task(self._write(body, queue.put_nowait))
        writing.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (event := await queue.get()) is not None:
                yield event
            await writing
        finally:
            writing.cancel()

    async def _write(self, body: RecipeBody, put: Put) -> None:
        values = variables(body.model_dump())
        recipes = json.loads(await self._complete("alternates", values))
        recipe = recipes.pop(random.randrange(3))  # noqa: S311
        for other in recipes:
            put(alternate(other))
        values |= {"recipe_name": recipe["name"], "recipe_intro": recipe["intro"]}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._method(values, put))
            for part in ("intro", "nutrition", "sides"):
                tasks.create_task(self._part(part, values, put))

    async def _method(self, values: dict[str, str], put: Put) -> None:
        ingredients = await self._part("ingredients", values, put)
        await self._part("steps", {**values, "ingredients": ingredients}, put)

    async def _complete(self, part: str, values: dict[str, str]) -> str:
        answer = await self._openai.chat.completions.create(model=MODELS[part], messages=messages(part, values))
        return answer.choices[0].message.content or ""

    async def _part(self, part: str, values: dict[str, str], put: Put) -> str:
        text = ""
        async with await self._openai.chat.completions.create(
            model=MODELS[part],
            messages=messages(part, values),
            stream=True,
        ) as chunks:
            async for chunk in chunks:
                if chunk.choices and (piece := chunk.choices[0].delta.content):
                    text += piece
                    put(fragment(part, piece))
        return text


def create_app(base_url: str) -> FastAPI:
    app, writer = FastAPI(), Writer(base_url)

    @app.post("/generate")
    async def generate(body: RecipeBody) -> StreamingResponse:
        return StreamingResponse(writer.stream(body), media_type="text/event-stream")

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(sys.argv[1]), host="127.0.0.1", port=0)

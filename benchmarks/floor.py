"""The floor: our schedule with only aiohttp, orjson and uvicorn's raw ASGI.

Chunks that arrive together are forwarded as one fragment.
"""

import asyncio
import random
import re
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import uvicorn

from benchmarks.prompts import MODELS, messages, variables
from benchmarks.wire import alternate, fragment

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
JSON = {"Content-Type": "application/json"}


class Floor:
    """An ASGI application."""

    def __init__(self, base_url: str) -> None:
        self._url = f"{base_url}/chat/completions"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._generate(receive, send)

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as self._http:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _generate(self, receive: Any, send: Any) -> None:
        body = orjson.loads((await receive())["body"])
        await send(START)
        await self._write(send, body)
        await send({"type": "http.response.body", "body": b""})

    async def _write(self, send: Any, body: dict[str, Any]) -> None:
        values = variables(body)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._part(send, "nutrition", values))
            tasks.create_task(self._dishes(send, values, tasks))

    async def _dishes(self, send: Any, values: dict[str, str], tasks: asyncio.TaskGroup) -> None:
        picked, recipes, text = random.randrange(3), [], ""  # noqa: S311
        async for piece in self._ask("alternates", values):
            text += piece
            if "}" not in piece:
                continue
            for found in re.findall(r"\{[^}]*\}", text)[len(recipes) :]:
                recipes.append(orjson.loads(found))
                if len(recipes) == picked + 1:
                    self._start(tasks, send, {**values, **_named(recipes[picked])})
                elif len(recipes) <= 3:
                    await emit(send, alternate(recipes[-1]))

    def _start(self, tasks: asyncio.TaskGroup, send: Any, values: dict[str, str]) -> None:
        tasks.create_task(self._part(send, "intro", values))
        tasks.create_task(self._part(send, "sides", values))
        tasks.create_task(self._method(send, values))

    async def _method(self, send: Any, values: dict[str, str]) -> None:
        ingredients = await self._part(send, "ingredients", values)
        await self._part(send, "steps", {**values, "ingredients": ingredients})

    async def _part(self, send: Any, part: str, values: dict[str, str]) -> str:
        text = ""
        async for piece in self._ask(part, values):
            text += piece
            await emit(send, fragment(part, piece))
        return text

    async def _ask(self, part: str, values: dict[str, str]) -> AsyncIterator[str]:
        body = orjson.dumps({"model": MODELS[part], "messages": messages(part, values), "stream": True})
        async with self._http.post(self._url, data=body, headers=JSON) as response:
            rest = b""
            async for block in response.content.iter_any():
                *events, rest = (rest + block).split(b"\n\n")
                if piece := "".join([_text(event) for event in events]):
                    yield piece


def _text(event: bytes) -> str:
    if event == b"data: [DONE]":
        return ""
    return orjson.loads(event[6:])["choices"][0]["delta"].get("content") or ""


def _named(recipe: dict[str, str]) -> dict[str, str]:
    return {"recipe_name": recipe["name"], "recipe_intro": recipe["intro"]}


async def emit(send: Any, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


if __name__ == "__main__":
    uvicorn.run(Floor(sys.argv[1]), host="127.0.0.1", port=0)

"""An idiomatic LCEL server: stock runnables, `assign`, `astream_events`, `StreamingResponse`."""

import json
import random
import sys
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel, RunnablePassthrough
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from benchmarks.prompts import MODELS, PROMPTS, variables
from benchmarks.wire import alternate, fragment


class RecipeBody(BaseModel):
    ingredientsOnHand: str
    prepTime: int


def recipe_chain(base_url: str) -> Runnable[Any, Any]:
    def step(name: str) -> Runnable[Any, str]:
        model = ChatOpenAI(model=MODELS[name], base_url=base_url, api_key=SecretStr("none"), metadata={"part": name})
        return PROMPTS[name] | model | StrOutputParser()

    proposal = step("alternates") | RunnableLambda(pick)
    return (
        RunnablePassthrough.assign(dish=proposal)
        | RunnableLambda(with_recipe)
        | RunnableParallel(
            method=RunnablePassthrough.assign(ingredients=step("ingredients"))
            | RunnablePassthrough.assign(steps=step("steps")),
            intro=step("intro"),
            nutrition=step("nutrition"),
            sides=step("sides"),
        )
    )


def pick(proposal: str) -> dict[str, Any]:
    recipes = json.loads(proposal)
    picked = recipes.pop(random.randrange(3))  # noqa: S311
    return {"picked": picked, "alternates": recipes}


def with_recipe(values: dict[str, Any]) -> dict[str, Any]:
    recipe = values["dish"]["picked"]
    return {**values, "recipe_name": recipe["name"], "recipe_intro": recipe["intro"]}


async def stream(chain: Runnable[Any, Any], body: RecipeBody) -> AsyncIterator[bytes]:
    events: AsyncIterator[Any] = chain.astream_events(variables(body.model_dump()), version="v2")
    async for event in events:
        if event["event"] == "on_chat_model_stream":
            part, text = event["metadata"]["part"], event["data"]["chunk"].content
            if part != "alternates" and text:
                yield fragment(part, text)
        elif event["event"] == "on_chain_end" and event["name"] == "pick":
            for recipe in event["data"]["output"]["alternates"]:
                yield alternate(recipe)


def create_app(base_url: str) -> FastAPI:
    app, chain = FastAPI(), recipe_chain(base_url)

    @app.post("/generate")
    async def generate(body: RecipeBody) -> StreamingResponse:
        return StreamingResponse(stream(chain, body), media_type="text/event-stream")

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(sys.argv[1]), host="127.0.0.1", port=0)

"""LangServe: the chain and its steps for the playground and `RemoteRunnable`. An adapter without logic of its own.

LangServe is deprecated upstream, so nothing else of Sizzle depends on it.
"""

import warnings
from collections.abc import Mapping
from typing import Any, cast

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse
from langchain_core.runnables import Runnable, RunnableLambda
from langserve import add_routes  # pyright: ignore[reportUnknownVariableType]
from starlette.types import ASGIApp, Receive, Scope, Send

from app.refusals import BadInput
from chains.errors import SizzleError
from chains.markdown import markdown_chain
from chains.recipe import ChatModel, standalone
from chains.schema import STEPS, Step

MAX_BATCH = 20  # inputs of one call


def add_chain_routes(app: FastAPI, recipe: RunnableLambda[Any, Any], models: Mapping[Step, ChatModel]) -> None:
    """Adds `/chains/recipe` and `/chains/<step>`, each with its playground, and the index page `/chains`."""
    # LangServe gives its schema of a configurable field, an enum, the field's default as a string
    warnings.filterwarnings("ignore", "Pydantic serializer warnings", UserWarning)
    chains: dict[str, Runnable[Any, str]] = {"recipe": markdown_chain(recipe)}
    chains |= {step: standalone(step, models[step]) for step in STEPS}
    for name, chain in chains.items():
        add_routes(
            app,
            chain.with_config(run_name=name),
            path=f"/chains/{name}",
            config_keys=("configurable",),  # of which only `model` exists
            dependencies=[Depends(_bounded_batch)],
            disabled_endpoints=["stream_events", "feedback", "public_trace_link"],
        )

    @app.get("/chains", include_in_schema=False)
    async def index() -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]
        links = "".join(f'<li><a href="/chains/{name}/playground/">{name}</a></li>' for name in chains)
        return HTMLResponse(_INDEX.format(links=links))


class Quiet:
    """Keeps traces out of the log: LangServe tells its client of a failure in a stream, and then raises it again.

    What a provider did is in the log already, in our words.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except RuntimeError as error:  # which Starlette makes of one that comes when the answer has begun
            if not isinstance(error.__cause__, SizzleError):
                raise


async def _bounded_batch(request: Request) -> None:
    if not request.url.path.endswith("/batch"):
        return
    try:
        inputs = (await request.json())["inputs"]
    except (ValueError, TypeError, KeyError):
        return  # LangServe's own 422 names what is wrong
    if not isinstance(inputs, list):
        raise BadInput("inputs", "This is not a list.", f"A list of at most {MAX_BATCH} inputs.")
    if len(cast(list[object], inputs)) > MAX_BATCH:
        raise HTTPException(413, f"inputs: at most {MAX_BATCH} in one batch, not {len(cast(list[object], inputs))}.")


_INDEX = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Sizzle: chains</title>
<link rel="icon" href="/static/favicon.svg">
<h1>Sizzle’s chains</h1>
<p>Each in LangServe’s playground: the whole recipe, and the steps that it is made of.</p>
<ul>{links}</ul>
<p><a href="/">The page</a> · <a href="/openapi.json">All routes, as OpenAPI</a></p>
</html>
"""

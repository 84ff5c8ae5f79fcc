"""The chain and its steps in LangServe, for playgrounds and `RemoteRunnable`.

LangServe is deprecated upstream, so nothing else depends on it. Its `APIHandler` does the work; the routes are our own,
because those of `add_routes` answer invalid input with 500, accept any type of body, and unpack 64 KB of a path to a
gigabyte (`config_hashes`).
"""

import base64
import hashlib
import json
import re
import warnings
from typing import Any, cast

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, Response
from langchain_core.runnables import Runnable
from langserve import APIHandler  # pyright: ignore[reportMissingTypeStubs]
from pydantic import BaseModel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.admission import Admission
from app.api.error_handlers import add_error_handlers
from app.api.openapi import DocumentedApp, errors
from app.api.web import playgrounds_page
from app.models import Served
from app.server.disconnect import run_until_disconnect
from app.server.errors import HTTPError, describe_fields
from app.server.page import page_response
from app.server.security_headers import POLICY
from app.server.telemetry import TELEMETRY
from chains.errors import SizzleError
from chains.parts.compose import standalone
from chains.parts.composition import Composition
from chains.parts.markdown import markdown_chain
from chains.parts.requests import part_request, whole_request

MAX_BATCH = 20  # inputs of one call
NO_NESTED_RUNS = {"include_names": list[str]()}  # they contain prompts and the provider's messages
INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def router(composition: Composition) -> APIRouter:
    """Returns the page with the playgrounds of a composition."""
    routes, page = APIRouter(), playgrounds_page(composition)

    @routes.get("/chains", include_in_schema=False)
    async def index(request: Request) -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]
        return page_response(page, request.scope)

    return routes


def chains_app(served: Served, admission: Admission) -> FastAPI:
    """Returns the application under `/chains`, with a playground for the composition and for each part."""
    # LangServe's schema of a configurable enum has a string as its default
    warnings.filterwarnings("ignore", "Pydantic serializer warnings", UserWarning)
    app = DocumentedApp(title="Sizzle's chains in LangServe", docs_url=None, redoc_url=None, telemetry=TELEMETRY)
    add_error_handlers(app)
    composition, models = served.composition, served.configurable_models
    chains: dict[str, Runnable[Any, str]] = {composition.name: markdown_chain(composition, served.configurable_chain)}
    chains |= {name: standalone(composition, name, models[name]) for name in composition.names}
    for name, chain in chains.items():
        # of a config only `configurable` is read, and of that only `model`
        handler = APIHandler(chain.with_config(run_name=name), path=f"/{name}", config_keys=("configurable",))
        is_whole = name == composition.name
        request = whole_request(composition) if is_whole else part_request(composition, name)
        calls = len(composition.parts) if is_whole else 1
        app.include_router(_calls(handler, request, admission, calls), prefix=f"/{name}", tags=[name])
        app.include_router(_pages(handler), prefix=f"/{name}", tags=[name])
    return app


def _calls(handler: Any, model: type[BaseModel], admission: Admission, calls: int) -> APIRouter:
    """Returns the routes that run the chain, after they have booked its `calls` for their number of inputs.

    They book before they validate the inputs, which can take longer. Invoke and batch are cancelled when the client
    disconnects.
    """

    async def book() -> None:
        await admission.book(calls)

    async def book_batch(request: Request) -> None:
        inputs = await _number_of_inputs(request)
        if inputs > MAX_BATCH:
            raise HTTPError(413, "inputs: at most {most} in one batch.", most=MAX_BATCH)
        await admission.book(calls * inputs)

    booked, batch_booked = [Depends(book)], [Depends(book_batch)]
    routes = APIRouter(responses=errors(400, 401, 403, 413, 415, 421, 429, 431, 502, 503))
    stream_events: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}

    @routes.post("/invoke", dependencies=booked, response_model=handler.InvokeResponse)
    async def invoke(body: handler.InvokeRequest, request: Request) -> Response:  # pyright: ignore
        return await run_until_disconnect(request, handler.invoke(await _langserve_request(request)))

    @routes.post("/batch", dependencies=batch_booked, response_model=handler.BatchResponse)
    async def batch(body: handler.BatchRequest, request: Request) -> Response:  # pyright: ignore
        return await run_until_disconnect(request, handler.batch(await _langserve_request(request)))

    @routes.post("/stream", dependencies=booked, response_class=Response, responses=stream_events)
    async def stream(body: handler.StreamRequest, request: Request) -> Response:  # pyright: ignore
        return await handler.stream(await _langserve_request(request))

    @routes.post("/stream_log", dependencies=booked, response_class=Response, responses=stream_events)
    async def stream_log(body: handler.StreamLogRequest, request: Request) -> Response:  # pyright: ignore
        return await handler.stream_log(await _langserve_request(request, **NO_NESTED_RUNS))

    for endpoint in cast(tuple[Any, ...], (invoke, batch, stream, stream_log)):
        describe_fields(endpoint, model)
    return routes


def _pages(handler: APIHandler) -> APIRouter:
    """Returns the routes that do not run the chain: its schemas and the playground."""
    routes = APIRouter()

    @routes.get("/input_schema")
    async def input_schema(request: Request) -> dict[str, Any]:
        return await handler.input_schema(request)

    @routes.get("/output_schema")
    async def output_schema(request: Request) -> dict[str, Any]:
        return await handler.output_schema(request)

    @routes.get("/config_schema")
    async def config_schema(request: Request) -> dict[str, Any]:
        return await handler.config_schema(request)

    @routes.get("/playground/{file_path:path}", include_in_schema=False)
    async def playground(file_path: str, request: Request) -> Response:
        try:
            file = await handler.playground(file_path, request)
        except (OSError, ValueError):  # a folder, a name too long, a null byte
            raise HTTPException(404) from None
        if file.status_code == 404:
            raise HTTPException(404)
        if file.media_type == "text/html":
            file.headers["Content-Security-Policy"] = _playground_policy(file.body)
        return file

    return routes


async def _number_of_inputs(request: Request) -> int:
    """Returns how many inputs a batch has, whose body FastAPI has parsed and not yet validated."""
    body: object = json.loads(await request.body() or b"null")  # FastAPI does not parse an empty one
    inputs = cast(dict[str, object], body).get("inputs") if isinstance(body, dict) else None
    return len(cast(list[object], inputs)) if isinstance(inputs, list) else 1


async def _langserve_request(request: Request, **more: object) -> Request:
    """Returns the request with a body reduced to the input and the config."""
    body: dict[str, Any] = await request.json()  # already validated by FastAPI
    fields = {name: body[name] for name in ("input", "inputs", "config") if name in body} | more
    content = json.dumps(fields).encode()

    async def receive() -> Message:
        return {"type": "http.request", "body": content}

    return Request(request.scope, receive)


def _playground_policy(page: bytes) -> str:
    """Returns a policy without Trusted Types, because the playground's form library compiles functions."""
    digests = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in INLINE_SCRIPT.findall(page)]
    scripts = " ".join(["'self'", "'unsafe-eval'", *(f"'sha256-{digest}'" for digest in digests)])
    return f"{POLICY}; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:"


class SuppressReportedErrors:
    """Ends the streams whose error LangServe has reported to its client and raises again.

    The provider's failure is in the log already, without its own message.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except RuntimeError as error:  # Starlette's form of an error after the response has started
            if not isinstance(error.__cause__, SizzleError):
                raise
            await send({"type": "http.response.body", "body": b""})

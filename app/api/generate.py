"""`POST /generate`, the C# project's wire."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from app.api.deps import KeepAliveS, RunsDep
from app.api.inputs import body_of
from app.api.openapi import errors, events_of
from app.runs.runs import Runs
from app.server.errors import describe_body
from app.server.event_source import EventSourceResponse
from app.wires.frames import join_frames
from app.wires.seed import SeedEncoder
from chains.parts.composition import Composition, Request

SEED_WIRE = {
    "description": "Server-sent events: `data: <code>|<text>`, and named events with JSON after the code.",
    "content": events_of(),
}


def router(composition: Composition) -> APIRouter:
    """Returns the route of a composition."""
    routes = APIRouter(responses=errors(400, 403, 413, 415, 429, 503))

    async def own_run(body: Annotated[Request, body_of(composition.request)], runs: RunsDep) -> AsyncGenerator[UUID]:
        """A run that ends with its connection, because the client has no id to resume with."""
        run_id = await runs.start(composition.name, body, ephemeral=True)
        try:
            yield run_id
        finally:
            await runs.forget(run_id)

    @routes.post("/generate", response_class=EventSourceResponse, responses={200: SEED_WIRE})
    async def generate(
        run_id: Annotated[UUID, Depends(own_run)], runs: RunsDep, keep_alive_s: KeepAliveS
    ) -> EventSourceResponse:
        """Streams the parts as `data: <code>|<text>` events; named events report the progress."""
        return EventSourceResponse(_frames(runs, run_id, composition), keep_alive_s=keep_alive_s)

    describe_body(generate, composition.request)
    return routes


async def _frames(runs: Runs, run_id: UUID, composition: Composition) -> AsyncGenerator[bytes]:
    encoder = SeedEncoder(composition)
    async with aclosing(runs.follow(run_id)) as batches:
        async for entries in batches:
            for chunk in join_frames(encoder.encode, entries):
                yield chunk

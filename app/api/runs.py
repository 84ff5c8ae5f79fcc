"""The run stream under `/runs`."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse, Response

from app.api.deps import KeepAliveS, RootPath, RunsDep
from app.api.inputs import body_of, part_of
from app.api.openapi import LOCATION, Responses, content, errors, events_of, object_of
from app.compositions import place_of
from app.runs.errors import CapacityError, IdempotencyKeyReusedError, RunError, WrongKeyError
from app.runs.live import STORE_UNAVAILABLE
from app.runs.runs import Runs
from app.server.errors import InvalidFieldError, describe_body, describe_path, error_response
from app.server.event_source import EventSourceResponse
from app.stores import EventId, EventLogError, ExpiredRunError, UnavailableError, UnknownRunError, json_default
from app.wires.frames import join_frames
from app.wires.run_stream import RETRY, SHUTDOWN_MESSAGE, encode_entry
from chains.messages import Message
from chains.parts.composition import Composition, Request as CompositionRequest
from chains.parts.requests import run_request

logger = logging.getLogger(__name__)

NOT_FOUND = Message("Run not found. It may have been lost when the server restarted.")
UNAVAILABLE = Message(STORE_UNAVAILABLE)
EXPIRED = Message("This run has expired. Please send its request again.")
KEY = "Idempotency-Key"
KEY_RULE = Message("1 to 200 visible ASCII characters, and the same key for the same request only.")
ID_RULE = Message("The id of an event of this run, as it was sent.")
LAST_ID = "Last-Event-ID"
RUN_KEY = "Sizzle-Run-Key"
RUN_STREAM: Responses = {
    200: {
        "description": "Server-sent events. The data is one line of JSON; its schema depends on the event's name.",
        "content": events_of("Event"),
    },
    204: {"description": "`Last-Event-ID` is the run's last event: no more events follow."},
}
STARTED = {
    "headers": LOCATION | {RUN_KEY: {"description": "The right to change the run.", "schema": {"type": "string"}}},
    "content": {"application/json": {"schema": object_of(run_id="string", key="string")}},
}
REWRITTEN = {
    "headers": LOCATION,
    "content": {"application/json": {"schema": object_of(run_id="string", part="string", attempt="integer")}},
}


# coroutine functions, because FastAPI calls any other in a thread
async def _run_id(run_id: str) -> UUID:
    """Parses the run id. Anything that is not a UUID is an unknown run."""
    try:
        return UUID(run_id)
    except ValueError:
        raise UnknownRunError from None


async def _key(idempotency_key: Annotated[str | None, Header()] = None) -> str | None:
    key = idempotency_key
    if key is not None and not (1 <= len(key) <= 200 and all("!" <= character <= "~" for character in key)):
        raise InvalidFieldError(KEY, Message("Invalid Idempotency-Key."), KEY_RULE)
    return key


async def _last_event_id(last_event_id: Annotated[str | None, Header()] = None) -> EventId | None:
    try:
        return EventId.parse(last_event_id) if last_event_id else None  # an EventSource may send an empty one
    except ValueError:
        raise InvalidFieldError(LAST_ID, Message("Invalid Last-Event-ID."), ID_RULE) from None


RunId = Annotated[UUID, Depends(_run_id)]
IdempotencyKey = Annotated[str | None, Depends(_key)]


async def _own_run_id(run_id: RunId, runs: RunsDep, sizzle_run_key: Annotated[str, Header()] = "") -> UUID:
    """Returns the id after checking the run's key."""
    await runs.check_key(run_id, sizzle_run_key)
    return run_id


OwnRunId = Annotated[UUID, Depends(_own_run_id)]


_existing_runs = APIRouter()


@_existing_runs.get("/runs/{run_id}", responses={200: {"content": content("RunState")}} | errors(404, 410))
async def state(run_id: RunId, runs: RunsDep) -> Response:
    """Returns the current state of the run."""
    return Response(orjson.dumps(await runs.state(run_id), default=json_default), media_type="application/json")


@_existing_runs.delete("/runs/{run_id}", status_code=204, responses=errors(403, 404, 410))
async def cancel(run_id: OwnRunId, runs: RunsDep) -> None:
    """Cancels the run and closes its calls to providers; its text stays. Needs the run's key."""
    await runs.cancel(run_id)
    logger.info("Run cancelled.", extra={"run": str(run_id)})


@_existing_runs.head("/runs/{run_id}/events", include_in_schema=False)
@_existing_runs.get(
    "/runs/{run_id}/events", response_class=EventSourceResponse, responses=RUN_STREAM | errors(404, 410)
)
async def events(
    run_id: RunId, runs: RunsDep, keep_alive_s: KeepAliveS, last: Annotated[EventId | None, Depends(_last_event_id)]
) -> Response:
    """Streams the run's events from the first one, or those after `Last-Event-ID`."""
    if await runs.is_complete(run_id, last or EventId("", 0)):
        return Response(status_code=204)
    frames = _run_frames(runs, run_id, last)
    return EventSourceResponse(frames, keep_alive_s=keep_alive_s, shutdown_message=SHUTDOWN_MESSAGE)


def include(app: FastAPI, composition: Composition, prefix: str) -> None:
    """Adds the routes of a composition's runs: not in a router of their own, for which FastAPI would make all twice."""
    is_of_composition = Depends(_check_composition(composition))
    app.include_router(_new_runs(composition), prefix=prefix)
    app.include_router(_existing_runs, prefix=prefix, dependencies=[is_of_composition])
    app.include_router(_rewrites(composition), prefix=prefix, dependencies=[is_of_composition])


def _new_runs(composition: Composition) -> APIRouter:
    routes = APIRouter(responses=errors(400, 403, 413, 415, 429, 503))
    model = run_request(composition)

    @routes.post("/runs", status_code=201, responses={201: STARTED})
    async def start(
        body: Annotated[CompositionRequest, body_of(model)], runs: RunsDep, key: IdempotencyKey, root: RootPath
    ) -> JSONResponse:
        """Starts a run. A repeated `Idempotency-Key` starts no second one.

        The `key` in the response is needed to cancel the run and to regenerate its parts.
        """
        try:
            run_id = await runs.start(composition.name, body, key)
        except IdempotencyKeyReusedError as error:
            raise InvalidFieldError(KEY, error.message, KEY_RULE) from None
        run_key = await runs.key_of(run_id)
        headers = {"Location": root + _path(composition, run_id), RUN_KEY: run_key}
        return JSONResponse({"run_id": str(run_id), "key": run_key}, 201, headers)

    describe_body(start, model)
    return routes


def _rewrites(composition: Composition) -> APIRouter:
    routes = APIRouter(responses=errors(403, 404, 409, 410, 429, 503))

    @routes.post("/runs/{run_id}/parts/{part}", status_code=202, responses={202: REWRITTEN})
    async def rewrite(
        run_id: OwnRunId, part: Annotated[str, part_of(composition)], runs: RunsDep, root: RootPath
    ) -> JSONResponse:
        """Regenerates a part and the parts made from it. Needs the run's key."""
        attempt = await runs.rewrite(run_id, part)
        logger.info("Part regenerated.", extra={"run": str(run_id), "part": part, "attempt": attempt})
        content = {"run_id": str(run_id), "part": part, "attempt": attempt}
        return JSONResponse(content, 202, {"Location": root + _path(composition, run_id)})

    describe_path(rewrite, part=composition.names)
    return routes


def _path(composition: Composition, run_id: UUID) -> str:
    return f"{place_of(composition).prefix}/runs/{run_id}"


def _check_composition(composition: Composition) -> Callable[..., Awaitable[None]]:
    async def check(run_id: RunId, runs: RunsDep) -> None:
        await runs.check_composition(run_id, composition.name)

    return check


async def run_error(request: Request, error: Exception) -> Response:
    """Answers errors of runs and of their logs."""
    match error:
        case UnknownRunError():
            return error_response(request, 404, NOT_FOUND)
        case ExpiredRunError():
            return error_response(request, 410, EXPIRED)
        case WrongKeyError(message=message):
            return error_response(request, 403, message)
        case UnavailableError():
            return error_response(request, 503, UNAVAILABLE, {"Retry-After": "5"})
        case CapacityError(message=message, retry_after=seconds):
            return error_response(request, 503, message, {"Retry-After": str(seconds)})
        case RunError(message=message):
            return error_response(request, 409, message)
        case _:
            raise error


async def _run_frames(runs: Runs, run_id: UUID, last: EventId | None) -> AsyncGenerator[bytes]:
    opening = RETRY  # in the block of the first event, because some clients take a block of its own for an empty event
    with suppress(EventLogError):  # it has just expired; a reconnecting client gets a 410
        async with aclosing(runs.follow(run_id, last)) as batches:
            async for entries in batches:
                for chunk in join_frames(encode_entry, entries):
                    yield opening + chunk
                    opening = b""

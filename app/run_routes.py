"""The routes of runs: `POST /generate`, which is Wire 1, and Wire 2 under `/runs`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import JSONResponse, Response

from app.event_source import EventSource
from app.eventlog import EventId, EventLogError, ExpiredRun, UnknownRun, plain
from app.openapi import LOCATION, Responses, content, errors, events_of, object_of
from app.origins import refuse_foreign_changes, require_json
from app.refusals import BadInput, told
from app.runs import KeyReused, RunRefusal, Runs, Unavailable, WrongKey
from app.sse import FAREWELL, RETRY, Wire1, pieces, wire2
from chains.messages import Message
from chains.recipe.request import Part, RecipeRequest, RunRequest

UNKNOWN = Message("There is no such run: it may have been lost when the server was started anew.")
EXPIRED = Message("This run ended a while ago and is no longer kept: ask for the recipe again.")
KEY = "Idempotency-Key"
KEY_RULE = Message("1 to 200 visible ASCII characters, and the same key for the same request only.")
ID_RULE = Message("The id of an event of this run, as it was sent.")
LAST_ID = "Last-Event-ID"
RUN_KEY = "Sizzle-Run-Key"
WIRE_1 = {
    "description": "Server-sent events: `data: <code>|<text>`, and named events with JSON after the code.",
    "content": events_of(),
}
WIRE_2: Responses = {
    200: {
        "description": "Server-sent events; the data of each is one line of JSON, by the event's name.",
        "content": events_of("Event"),
    },
    204: {"description": "`Last-Event-ID` is the run's last event: nothing will come."},
}
STARTED = {
    "headers": LOCATION | {RUN_KEY: {"description": "The right to change the run.", "schema": {"type": "string"}}},
    "content": {"application/json": {"schema": object_of(run_id="string", key="string")}},
}
REWRITTEN = {
    "headers": LOCATION,
    "content": {"application/json": {"schema": object_of(run_id="string", part="string", attempt="integer")}},
}

router = APIRouter(dependencies=[Depends(refuse_foreign_changes)])


# all of these are coroutine functions, for FastAPI calls any other in a thread
async def _runs(request: Request) -> Runs:
    return request.app.state.runs


async def _run_id(run_id: str) -> UUID:
    """The id in the path. What is none names no run, either."""
    try:
        return UUID(run_id)
    except ValueError:
        raise UnknownRun from None


async def _key(idempotency_key: Annotated[str | None, Header()] = None) -> str | None:
    key = idempotency_key
    if key is not None and not (1 <= len(key) <= 200 and all("!" <= character <= "~" for character in key)):
        raise BadInput(KEY, Message("This is no key."), KEY_RULE)
    return key


async def _last(last_event_id: Annotated[str | None, Header()] = None) -> EventId | None:
    try:
        return EventId.parse(last_event_id) if last_event_id else None  # an EventSource may send an empty one
    except ValueError:
        raise BadInput(LAST_ID, Message("This is no event's id."), ID_RULE) from None


AllRuns = Annotated[Runs, Depends(_runs)]
RunId = Annotated[UUID, Depends(_run_id)]


async def _own_run_id(run_id: RunId, runs: AllRuns, sizzle_run_key: Annotated[str, Header()] = "") -> UUID:
    """The id of a run that the caller has begun, as the run's key proves."""
    await runs.check_key(run_id, sizzle_run_key)
    return run_id


OwnRunId = Annotated[UUID, Depends(_own_run_id)]


async def _own_run(asked: RecipeRequest, runs: AllRuns) -> AsyncGenerator[UUID]:
    """A run that ends with its reader, who has no id to come back with."""
    run_id = await runs.start(asked)
    try:
        yield run_id
    finally:
        await runs.forget(run_id)


@router.post(
    "/generate",
    response_class=EventSource,
    dependencies=[Depends(require_json)],
    responses={200: WIRE_1} | errors(400, 403, 413, 415, 503),
)
async def generate(run_id: Annotated[UUID, Depends(_own_run)], runs: AllRuns, request: Request) -> EventSource:
    """Streams a recipe as `data: <code>|<text>` events; named events tell how the run goes on."""
    return EventSource(_wire1(runs, run_id), keep_alive_s=request.app.state.keep_alive_s)


@router.post(
    "/runs",
    status_code=201,
    dependencies=[Depends(require_json)],
    responses={201: STARTED} | errors(400, 403, 413, 415, 503),
)
async def start(asked: RunRequest, runs: AllRuns, key: Annotated[str | None, Depends(_key)]) -> JSONResponse:
    """Starts writing a recipe, whether or not anybody reads. The same `Idempotency-Key` starts no second one.

    The answer's `key` is needed to stop the run and to have parts written again.
    """
    try:
        run_id = await runs.start(asked, key)
    except KeyReused as error:
        raise BadInput(KEY, error.message, KEY_RULE) from None
    own = runs.key_of(run_id)
    return JSONResponse({"run_id": str(run_id), "key": own}, 201, {"Location": f"/runs/{run_id}", RUN_KEY: own})


@router.get("/runs/{run_id}", responses={200: {"content": content("RunState")}} | errors(404, 410))
async def state(run_id: RunId, runs: AllRuns) -> Response:
    """What the run has come to so far."""
    return Response(orjson.dumps(await runs.state(run_id), default=plain), media_type="application/json")


@router.delete("/runs/{run_id}", status_code=204, responses=errors(403, 404, 410))
async def cancel(run_id: OwnRunId, runs: AllRuns) -> None:
    """Ends the run and closes its calls to the providers. What was written stays. Needs the run's key."""
    await runs.cancel(run_id)


@router.head("/runs/{run_id}/events", include_in_schema=False)
@router.get("/runs/{run_id}/events", response_class=EventSource, responses=WIRE_2 | errors(404, 410))
async def events(
    run_id: RunId, runs: AllRuns, request: Request, last: Annotated[EventId | None, Depends(_last)]
) -> Response:
    """Streams the run's events from the first one on, or behind the one that `Last-Event-ID` names."""
    if await runs.is_read(run_id, last or EventId("", 0)):
        return Response(status_code=204)
    frames = _wire2(runs, run_id, last)
    return EventSource(frames, keep_alive_s=request.app.state.keep_alive_s, farewell=FAREWELL)


@router.post(
    "/runs/{run_id}/parts/{part}", status_code=202, responses={202: REWRITTEN} | errors(403, 404, 409, 410, 503)
)
async def rewrite(run_id: OwnRunId, part: Part, runs: AllRuns) -> JSONResponse:
    """Has a part, and what is made from it, written again. Needs the run's key."""
    attempt = await runs.rewrite(run_id, part)
    told = {"run_id": str(run_id), "part": part, "attempt": attempt}
    return JSONResponse(told, 202, {"Location": f"/runs/{run_id}"})


async def refused(request: Request, error: Exception) -> Response:
    """What a run refuses, or that it is not there, in words for people."""
    match error:
        case UnknownRun():
            return told(request, 404, UNKNOWN)
        case ExpiredRun():
            return told(request, 410, EXPIRED)
        case WrongKey(message=message):
            return told(request, 403, message)
        case Unavailable(message=message, retry_after=seconds):
            return told(request, 503, message, {"Retry-After": str(seconds)})
        case RunRefusal(message=message):
            return told(request, 409, message)
        case _:
            raise error


async def _wire1(runs: Runs, run_id: UUID) -> AsyncGenerator[bytes]:
    wire = Wire1()
    async with aclosing(runs.follow(run_id)) as news:
        async for events in news:
            for piece in pieces(wire.encode, events):
                yield piece


async def _wire2(runs: Runs, run_id: UUID, last: EventId | None) -> AsyncGenerator[bytes]:
    opening = RETRY  # in the block of the first event, because a block of its own is an empty event to some clients
    with suppress(EventLogError):  # it has expired at this very moment: who comes back is told so
        async with aclosing(runs.follow(run_id, last)) as news:
            async for events in news:
                for piece in pieces(wire2, events):
                    yield opening + piece
                    opening = b""

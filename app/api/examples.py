"""The example pages, and the broadcasts that one of them follows over four transports."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Annotated, LiteralString

import orjson
from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict

from app.admission import too_many_runs
from app.api.deps import BroadcastsDep, KeepAliveS, ModelsDep, RootPath, SendTimeoutS
from app.clients import current_client
from app.runs.broadcasts import Broadcast, End, Piece, TooManyBroadcastsError, now_ms
from app.server.disconnect import run_until_disconnect
from app.server.errors import HTTPError, InvalidFieldError
from app.server.event_source import EventSourceResponse
from app.server.languages import language_of
from app.server.page import WEB, page_response
from app.server.traffic import TrafficTotal, Transport
from app.wires.frames import json_frame
from chains.errors import PromptTooLongError
from chains.messages import Message
from chains.recipe.request import Question

PAGES = ("fetch", "eventsource", "comparison", "transports")
LONG_POLL_S = 20
GONE: LiteralString = "There is no such broadcast: it ended more than a minute ago, or nobody followed it."
FULL: LiteralString = "This server follows as many answers as it can: try again in a minute."
NO_STORE = {"Cache-Control": "no-store"}
WS_NOT_FOUND = 4404  # in the range for applications, RFC 6455 §7.4.2

After = Annotated[int, Query(ge=0)]

router = APIRouter(prefix="/examples", include_in_schema=False)


class BroadcastRequest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    query: Question


@router.get("/")
async def index(request: Request) -> HTMLResponse:
    return _page("index", request)


@router.get("/clock")
async def clock() -> JSONResponse:
    """Returns the server's time, on the clock that stamps the pieces of a broadcast."""
    return JSONResponse({"now": now_ms()}, headers=NO_STORE)


@router.get("/{name}")
async def example(name: str, request: Request) -> HTMLResponse:
    if name not in PAGES:
        raise HTTPException(404)
    return _page(name, request)


def _page(name: str, request: Request) -> HTMLResponse:
    return page_response(WEB / "examples" / f"{name}.html", request.scope)


@router.post("/broadcasts")
async def start(
    body: BroadcastRequest, broadcasts: BroadcastsDep, models: ModelsDep, request: Request, root: RootPath
) -> JSONResponse:
    """Starts one completion for all followers; it stops after ten seconds without any."""
    most = models.admission.runs_of(current_client())
    if most is not None and broadcasts.count_of(current_client()) >= most:
        raise too_many_runs(most)
    await models.admission.book(1)
    try:
        name = broadcasts.start(body.query, language_of(request))
    except PromptTooLongError as error:
        raise InvalidFieldError("query", error.message, Message("A shorter question.")) from None
    except TooManyBroadcastsError:
        raise HTTPError(503, FULL, {"Retry-After": f"{broadcasts.retention_s:.0f}"}) from None
    return JSONResponse({"id": name}, 201, {"Location": f"{root}/examples/broadcasts/{name}"})


async def _broadcast(name: str, broadcasts: BroadcastsDep) -> Broadcast:
    if name not in broadcasts:
        raise HTTPError(404, GONE)
    return broadcasts[name]


AnyBroadcast = Annotated[Broadcast, Depends(_broadcast)]


@router.get("/broadcasts/{name}")
async def poll(broadcast: AnyBroadcast, request: Request, after: After = 0, wait: bool = False) -> Response:
    """Returns the pieces after number `after`. With `wait`, waits up to 20 seconds for one."""
    broadcast.count("long_polling" if wait else "polling", request.scope["traffic"])
    with broadcast.followed():
        if wait:
            with suppress(TimeoutError):
                async with asyncio.timeout(LONG_POLL_S):
                    await run_until_disconnect(request, broadcast.wait_for_more(after))
    payload = {"pieces": broadcast.pieces[after:], "end": broadcast.end}
    return Response(orjson.dumps(payload), media_type="application/json", headers=NO_STORE)


@router.head("/broadcasts/{name}/events")
@router.get("/broadcasts/{name}/events", response_class=EventSourceResponse)
async def events(
    broadcast: AnyBroadcast,
    request: Request,
    keep_alive_s: KeepAliveS,
    after: After = 0,
    last_event_id: Annotated[int, Header(ge=0)] = 0,
) -> Response:
    """Streams each piece as an event with its number as the id, then `end`; a reader that had the end gets a 204."""
    broadcast.count("sse", request.scope["traffic"])
    after = last_event_id or after
    if broadcast.end and after > len(broadcast.pieces):
        return Response(status_code=204)
    return EventSourceResponse(_events(broadcast, after), keep_alive_s=keep_alive_s)


async def _events(broadcast: Broadcast, after: int) -> AsyncGenerator[bytes]:
    async with aclosing(broadcast.follow(after)) as items:
        async for piece in items:
            match piece:
                case Piece(n=n):
                    yield json_frame(piece, id=n)
                case End():
                    yield json_frame(piece, id=len(broadcast.pieces) + 1, event="end")


@router.websocket("/broadcasts/{name}/socket")
async def socket(
    name: str,
    websocket: WebSocket,
    broadcasts: BroadcastsDep,
    send_timeout_s: SendTimeoutS,
    after: After = 0,
) -> None:
    """Sends each piece as a message, then `{"end": …}`, and closes."""
    await websocket.accept()
    if name not in broadcasts:  # after the handshake, because a page cannot see why one failed
        return await websocket.close(WS_NOT_FOUND, GONE)
    with suppress(WebSocketDisconnect, TimeoutError):
        await _send_all(broadcasts[name], websocket, after, send_timeout_s)
    return None


async def _send_all(broadcast: Broadcast, websocket: WebSocket, after: int, send_timeout_s: float) -> None:
    broadcast.count("websocket", websocket.scope["traffic"])
    async with aclosing(broadcast.follow(after)) as items:
        async for piece in items:
            message = {"end": piece} if isinstance(piece, End) else piece
            async with asyncio.timeout(send_timeout_s):
                await websocket.send_text(orjson.dumps(message).decode())
    await websocket.close()


@router.get("/broadcasts/{name}/traffic")
async def traffic(broadcast: AnyBroadcast) -> dict[Transport, TrafficTotal]:
    """Returns the traffic of each transport for this broadcast so far."""
    return broadcast.totals()

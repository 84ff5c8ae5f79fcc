"""The example pages, and the broadcasts that one of them follows over four transports at once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Annotated, LiteralString

import orjson
from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict

from app.broadcasts import Broadcast, Broadcasts, End, Piece, TooManyBroadcasts, now_ms
from app.disconnect import unless_gone
from app.event_source import EventSource
from app.languages import language_of
from app.origins import is_foreign, refuse_foreign_pages, require_json
from app.pages import WEB
from app.refusals import BadInput, Refusal
from app.traffic import Spent, Transport
from chains.errors import PromptTooLongError
from chains.messages import Message
from chains.recipe.request import Question

PAGES = ("fetch", "eventsource", "comparison", "transports")
LONG_POLL_S = 20
GONE: LiteralString = "There is no such broadcast: it ended more than a minute ago, or nobody followed it."
FULL: LiteralString = "This server follows as many answers as it can: try again in a minute."
NO_STORE = {"Cache-Control": "no-store"}
FOREIGN = 1008  # "policy violation", RFC 6455 §7.4.1; before the handshake it is a 403
UNKNOWN = 4404  # of the range for applications, RFC 6455 §7.4.2

After = Annotated[int, Query(ge=0)]

router = APIRouter(prefix="/examples", include_in_schema=False)
guards = [Depends(refuse_foreign_pages), Depends(require_json)]


class BroadcastRequest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    query: Question


@router.get("/")
async def index() -> FileResponse:
    return _page("index")


@router.get("/clock")
async def clock() -> JSONResponse:
    """The server's time, on the clock that stamps the pieces of a broadcast."""
    return JSONResponse({"now": now_ms()}, headers=NO_STORE)


@router.get("/{name}")
async def example(name: str) -> FileResponse:
    if name not in PAGES:
        raise HTTPException(404)
    return _page(name)


def _page(name: str) -> FileResponse:
    return FileResponse(WEB / "examples" / f"{name}.html")


@router.post("/broadcasts", dependencies=guards)
async def start(asked: BroadcastRequest, request: Request) -> JSONResponse:
    """Has a completion written, once, for all who follow it; it stops when nobody has for ten seconds."""
    broadcasts: Broadcasts = request.app.state.broadcasts
    try:
        name = broadcasts.start(asked.query, language_of(request))
    except PromptTooLongError as error:
        raise BadInput("query", error.message, Message("A shorter question.")) from None
    except TooManyBroadcasts:
        raise Refusal(503, FULL, {"Retry-After": f"{broadcasts.kept_s:.0f}"}) from None
    return JSONResponse({"id": name}, 201, {"Location": f"/examples/broadcasts/{name}"})


async def _broadcast(name: str, request: Request) -> Broadcast:
    broadcasts: Broadcasts = request.app.state.broadcasts
    if name not in broadcasts:
        raise Refusal(404, GONE)
    return broadcasts[name]


Known = Annotated[Broadcast, Depends(_broadcast)]


@router.get("/broadcasts/{name}")
async def poll(broadcast: Known, request: Request, after: After = 0, wait: bool = False) -> Response:
    """The pieces behind number `after`, at once, or, with `wait`, as soon as there is one, for up to 20 seconds."""
    broadcast.count("long_polling" if wait else "polling", request.scope["traffic"])
    with broadcast.followed():
        if wait:
            with suppress(TimeoutError):
                async with asyncio.timeout(LONG_POLL_S):
                    await unless_gone(request, broadcast.grown(after))
    told = {"pieces": broadcast.pieces[after:], "end": broadcast.end}
    return Response(orjson.dumps(told), media_type="application/json", headers=NO_STORE)


@router.head("/broadcasts/{name}/events")
@router.get("/broadcasts/{name}/events", response_class=EventSource)
async def events(
    broadcast: Known, request: Request, after: After = 0, last_event_id: Annotated[int, Header(ge=0)] = 0
) -> Response:
    """Each piece as an event with its number as the id; `end` is the last, and a reader that had it gets 204."""
    broadcast.count("sse", request.scope["traffic"])
    after = last_event_id or after
    if broadcast.end and after > len(broadcast.pieces):
        return Response(status_code=204)
    return EventSource(_events(broadcast, after), keep_alive_s=request.app.state.keep_alive_s)


async def _events(broadcast: Broadcast, after: int) -> AsyncGenerator[bytes]:
    async with aclosing(broadcast.follow(after)) as news:
        async for piece in news:
            match piece:
                case Piece(n=n):
                    yield b"id: %d\ndata: %b\n\n" % (n, orjson.dumps(piece))
                case End():
                    yield b"id: %d\nevent: end\ndata: %b\n\n" % (len(broadcast.pieces) + 1, orjson.dumps(piece))


@router.websocket("/broadcasts/{name}/socket")
async def socket(name: str, websocket: WebSocket, after: After = 0) -> None:
    """Each piece as a message, then `{"end": …}`, then the socket closes. Another site's pages are refused."""
    if is_foreign(websocket.headers, websocket.app.state.origins):  # no CORS stands before a socket
        return await websocket.close(FOREIGN)
    broadcasts: Broadcasts = websocket.app.state.broadcasts
    await websocket.accept()
    if name not in broadcasts:  # said so late because a page is told nothing of a handshake that failed
        return await websocket.close(UNKNOWN, GONE)
    with suppress(WebSocketDisconnect, TimeoutError):
        await _send_all(broadcasts[name], websocket, after)
    return None


async def _send_all(broadcast: Broadcast, websocket: WebSocket, after: int) -> None:
    broadcast.count("websocket", websocket.scope["traffic"])
    async with aclosing(broadcast.follow(after)) as news:
        async for piece in news:
            message = {"end": piece} if isinstance(piece, End) else piece
            async with asyncio.timeout(websocket.app.state.send_timeout_s):
                await websocket.send_text(orjson.dumps(message).decode())
    await websocket.close()


@router.get("/broadcasts/{name}/traffic")
async def traffic(broadcast: Known) -> dict[Transport, Spent]:
    """What each transport has taken to follow this broadcast so far."""
    return broadcast.spent()

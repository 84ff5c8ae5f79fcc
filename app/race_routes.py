"""The page `/race`, and the race that it starts: who is measured, and `POST /race`, which streams how it goes."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated, LiteralString

import orjson
from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.event_source import EventSource
from app.languages import language_of
from app.openapi import errors, events_of
from app.origins import refuse_foreign_changes, require_json
from app.pages import WEB
from app.refusals import BadInput, Refusal, described
from app.settings import STANDIN
from chains.messages import Message, validation_message
from chains.models.chat import ProviderChat
from chains.race import MAX_TOKENS, CallStart, Progress, RaceEnd, RaceStart, Result, RoundEnd, entrants, race
from chains.recipe.request import Language

OFF: LiteralString = (
    "The race is off here, because it makes calls that a provider charges for. "
    "Set SIZZLE_RACE=true and start Sizzle again, or run `sizzle race` in a terminal."
)
BUSY: LiteralString = "Another race is under way, and two would slow each other down. Try again when it has ended."
EVENT_NAMES: dict[type[Progress], str] = {
    RaceStart: "start",
    CallStart: "call",
    RoundEnd: "round",
    Result: "result",
    RaceEnd: "end",
}

router = APIRouter(dependencies=[Depends(refuse_foreign_changes)])


class RaceRequest(BaseModel):
    """Who is to be measured, and how often."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rounds: Annotated[int, Field(ge=1, le=20, strict=True)] = Field(
        default=3, description="How often each model is measured: a whole number from 1 to 20."
    )
    models: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None, description="The names of models that have a key, or nothing for all of them."
    )


class Track:
    """Where races are held, one at a time in a process. Closed where they would cost money that nobody agreed to."""

    def __init__(self, is_open: bool) -> None:
        self.is_open = is_open
        self.lock = asyncio.Lock()


EVENTS = {
    "description": f"Server-sent events, the data of each one line of JSON: {', '.join(EVENT_NAMES.values())}.",
    "content": events_of("RaceEvent"),
}


def _track(request: Request) -> Track:
    return request.app.state.track


def _models(request: Request) -> Mapping[str, ProviderChat]:
    return request.app.state.models.completing


def _permitted(track: Annotated[Track, Depends(_track)]) -> None:
    if not track.is_open:
        raise Refusal(403, OFF)


async def _asked(request: Request, models: Annotated[Mapping[str, ProviderChat], Depends(_models)]) -> RaceRequest:
    try:
        asked = RaceRequest.model_validate_json(await request.body())
    except ValidationError as error:
        problem = error.errors()[0]
        field = str(problem["loc"][0]) if problem["loc"] else "body"
        wrong = Message("{message}", message=f"{validation_message(problem, language_of(request))}.")
        raise BadInput(field, wrong, _EXPECTED.get(field, _EXPECTED["body"])) from None
    for name in asked.models or ():
        if name not in models:
            unknown = Message("There is no model {name!r} with a key.", name=name)
            raise BadInput("models", unknown, Message("Some of {names}.", names=", ".join(models)))
    return asked


async def _alone(track: Annotated[Track, Depends(_track)]) -> AsyncGenerator[None]:
    """Holds the track until the answer has ended, or its reader has gone."""
    if track.lock.locked():
        raise Refusal(409, BUSY)
    async with track.lock:
        yield


@router.get("/race", include_in_schema=False)
async def page() -> FileResponse:
    return FileResponse(WEB / "race" / "race.html")


@router.get("/race/entrants")
async def who(
    request: Request,
    track: Annotated[Track, Depends(_track)],
    models: Annotated[Mapping[str, ProviderChat], Depends(_models)],
) -> dict[str, object]:
    """The models that would be measured and how, whether the stand-in is among them, and what forbids a race."""
    racing = entrants(models)
    has_standin = any(entrant.provider == STANDIN for entrant in racing)
    off = None if track.is_open else Message(OFF).in_language(language_of(request))
    return {"entrants": racing, "max_tokens": MAX_TOKENS, "standin": has_standin, "off": off}


@router.post(
    "/race",
    response_class=EventSource,
    dependencies=[Depends(_permitted), Depends(require_json)],
    responses={200: EVENTS} | errors(400, 403, 409, 413, 415, 422),
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": RaceRequest.model_json_schema()}}}},
)
async def start(
    asked: Annotated[RaceRequest, Depends(_asked)],
    models: Annotated[Mapping[str, ProviderChat], Depends(_models)],
    _: Annotated[None, Depends(_alone)],
    request: Request,
) -> EventSource:
    """Measures the models, and streams each call, round and result; `end`, always last, has the ranking."""
    racing = {name: models[name] for name in asked.models or models}
    return EventSource(_events(racing, asked.rounds, language_of(request)), keep_alive_s=request.app.state.keep_alive_s)


async def _events(racing: Mapping[str, ProviderChat], rounds: int, language: Language) -> AsyncGenerator[bytes]:
    async with aclosing(race(racing, rounds, language=language)) as told:
        async for progress in told:
            yield b"event: %b\ndata: %b\n\n" % (EVENT_NAMES[type(progress)].encode(), orjson.dumps(progress))


_EXPECTED = described(RaceRequest)
_EXPECTED["body"] = Message("A JSON object with {fields}, or an empty one.", fields=", ".join(RaceRequest.model_fields))

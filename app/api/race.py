"""The page `/race`, its entrants, and `POST /race`, which streams the progress of a race."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated, LiteralString

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.api.deps import ClientDep, KeepAliveS, ModelsDep, RaceLockDep
from app.api.openapi import errors, events_of
from app.server.errors import HTTPError, InvalidFieldError, field_descriptions
from app.server.event_source import EventSourceResponse
from app.server.languages import language_of
from app.server.page import WEB, page_response
from app.settings import STANDIN
from app.wires.frames import json_frame
from chains.messages import Message
from chains.models.chat import ProviderChat
from chains.race import MAX_TOKENS, CallStart, Progress, RaceEnd, RaceStart, Result, RoundEnd, entrants, race
from chains.translations import Language
from chains.validation import validation_message

OFF: LiteralString = (
    "The race is off here, because it makes calls that a provider charges for. "
    "Set SIZZLE_RACE=true and start Sizzle again, or run `sizzle race` in a terminal."
)
BUSY: LiteralString = "You have another race running, and two would slow each other down. Try again when it has ended."
EVENT_NAMES: dict[type[Progress], str] = {
    RaceStart: "start",
    CallStart: "call",
    RoundEnd: "round",
    Result: "result",
    RaceEnd: "end",
}

router = APIRouter()


class RaceRequest(BaseModel):
    """Which models to measure, and how often."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rounds: Annotated[int, Field(ge=1, le=20, strict=True)] = Field(
        default=3, description="How often each model is measured: a whole number from 1 to 20."
    )
    models: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None, description="The names of models that have a key, or nothing for all of them."
    )


EVENTS = {
    "description": f"Server-sent events, the data of each one line of JSON: {', '.join(EVENT_NAMES.values())}.",
    "content": events_of("RaceEvent"),
}


def _require_open(race_lock: RaceLockDep) -> None:
    if not race_lock.is_open:
        raise HTTPError(403, OFF)


async def _race_request(request: Request, models: ModelsDep) -> RaceRequest:
    try:
        body = RaceRequest.model_validate_json(await request.body())
    except ValidationError as error:
        problem = error.errors()[0]
        field = str(problem["loc"][0]) if problem["loc"] else "body"
        wrong = Message("{message}", message=f"{validation_message(problem, language_of(request))}.")
        status = 400 if problem["type"] == "json_invalid" else 422
        raise InvalidFieldError(field, wrong, _EXPECTED.get(field, _EXPECTED["body"]), status) from None
    for name in body.models or ():
        if name not in models.completion_models:
            unknown = Message("There is no model {name!r} with a key.", name=name)
            raise InvalidFieldError(
                "models",
                unknown,
                Message("Some of {names}.", names=", ".join(models.completion_models)),
            )
    return body


async def _hold_lock(race_lock: RaceLockDep, client: ClientDep) -> AsyncGenerator[None]:
    """Holds the client's lock until the response has ended."""
    if race_lock.is_held(client):
        raise HTTPError(409, BUSY)
    with race_lock.hold(client):
        yield


@router.get("/race", include_in_schema=False)
async def page(request: Request) -> HTMLResponse:
    return page_response(WEB / "race" / "race.html", request.scope)


@router.get("/race/entrants")
async def list_entrants(
    request: Request,
    race_lock: RaceLockDep,
    models: ModelsDep,
) -> dict[str, object]:
    """Returns the models that would be measured, whether the stand-in is among them, and why a race is not allowed."""
    racers = entrants(models.completion_models)
    has_standin = any(entrant.provider == STANDIN for entrant in racers)
    off = None if race_lock.is_open else Message(OFF).in_language(language_of(request))
    return {"entrants": racers, "max_tokens": MAX_TOKENS, "standin": has_standin, "off": off}


@router.post(
    "/race",
    response_class=EventSourceResponse,
    dependencies=[Depends(_require_open)],
    responses={200: EVENTS} | errors(400, 403, 409, 413, 415, 422, 429, 503),
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": RaceRequest.model_json_schema()}}}},
)
async def start(
    body: Annotated[RaceRequest, Depends(_race_request)],
    models: ModelsDep,
    _: Annotated[None, Depends(_hold_lock)],
    request: Request,
    keep_alive_s: KeepAliveS,
) -> EventSourceResponse:
    """Measures the models, and streams each call, round and result; `end`, always last, has the ranking."""
    racers = {name: models.completion_models[name] for name in body.models or models.completion_models}
    await models.admission.book(len(racers) * (1 + body.rounds))
    return EventSourceResponse(_events(racers, body.rounds, language_of(request)), keep_alive_s=keep_alive_s)


async def _events(racers: Mapping[str, ProviderChat], rounds: int, language: Language) -> AsyncGenerator[bytes]:
    async with aclosing(race(racers, rounds, language=language)) as updates:
        async for progress in updates:
            yield json_frame(progress, event=EVENT_NAMES[type(progress)])


_EXPECTED = field_descriptions(RaceRequest)
_EXPECTED["body"] = Message("A JSON object with {fields}, or an empty one.", fields=", ".join(RaceRequest.model_fields))

"""Compositions with chat models of other libraries, without a server or a registry."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from typing_extensions import override

from chains import (
    Alternate,
    Composition,
    Fragment,
    Part,
    PartEnd,
    PartEvent,
    PartStart,
    Request,
    astream_parts,
    compose,
)
from examples.trip import TRIP, TripRequest
from tests.servers import options_of, provider, run

WISHES = {"interests": "food markets, hiking", "days": 2, "seed": 1}
assert TRIP.choice
PLACES = options_of(TRIP.choice)
PICKED = 0  # by the seed
TEXTS = {name: f"{name} one, {name} two." for name in TRIP.names if name != "ideas"}


class Topic(Request):
    """A request with one field."""

    topic: str


TALK = Composition(name="talk", request=Topic, system="Be brief.", parts=(Part("outline", "{topic}"),))


def test_any_chat_model_of_langchain_writes_the_parts() -> None:
    """The events are the same as with models of the registry."""
    events: list[PartEvent] = []

    async def collect(url: str) -> None:
        model = ChatOpenAI(model="any", base_url=url, api_key=SecretStr("any"))
        chain = compose(TRIP, {name: [model] for name in TRIP.names})
        async with aclosing(astream_parts(chain, TripRequest.model_validate(WISHES))) as stream:
            events.extend([event async for event in stream])

    with provider(compositions=[TRIP]) as scripted:
        run(collect(scripted.url))
    written: dict[str, str] = {}
    for event in events:
        if isinstance(event, Fragment):
            written[event.part] = written.get(event.part, "") + event.text
    assert written == TEXTS
    assert [event.option for event in events if isinstance(event, Alternate)] == PLACES[PICKED + 1 :]
    assert {event.part: event.status for event in events if isinstance(event, PartEnd)} == dict.fromkeys(
        TRIP.names, "ok"
    )


class BrokenChat(GenericFakeChatModel):
    """A model of another library that fails at the end of its text."""

    @override
    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        async for chunk in super()._astream(*args, **kwargs):
            yield chunk
        raise ConnectionError("sk-canary-1234")


def test_the_next_of_any_chat_models_is_tried_when_one_fails(caplog: pytest.LogCaptureFixture) -> None:
    """The text of the failed attempt is discarded, as with the models of the registry."""

    def fake(model: type[GenericFakeChatModel], text: str) -> GenericFakeChatModel:
        return model(messages=iter([AIMessage(text)]))

    async def collect(models: list[GenericFakeChatModel]) -> list[PartEvent]:
        chain = compose(TALK, {"outline": models})
        async with aclosing(astream_parts(chain, Topic(topic="tides"))) as events:
            return [event async for event in events]

    events = run(collect([fake(BrokenChat, "Half"), fake(GenericFakeChatModel, "Whole")]))
    attempts = [event.attempt for event in events if isinstance(event, PartStart)]
    texts = [event.text for event in events if isinstance(event, Fragment)]
    (end,) = [event for event in events if isinstance(event, PartEnd)]
    assert [attempts, texts, end.status] == [[1, 2], ["Half", "Whole"], "ok"]
    assert "sk-canary" not in caplog.text
    events = run(collect([fake(BrokenChat, "Half"), fake(BrokenChat, "Again")]))
    assert [event.status for event in events if isinstance(event, PartEnd)] == ["failed"]

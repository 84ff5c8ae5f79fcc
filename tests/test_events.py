"""The events of a recipe that LangChain's handlers receive."""

import asyncio
import json
from collections import Counter
from typing import Any
from uuid import uuid4

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import RunnableConfig, RunnableLambda
from typing_extensions import override

from app.models import open_models
from chains.parts.retry import MAX_ATTEMPTS
from tests.servers import RECIPES, Finish, Gate, Script, apart, provider, run, settings_from

REQUEST = {"ingredients_on_hand": "beef, onions", "prep_time": 30}


class Slow(AsyncCallbackHandler):
    """Takes its time over each token."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    @override
    async def on_llm_new_token(self, token: Any, *, chunk: Any = None, run_id: Any, **kwargs: Any) -> None:
        earlier = self.texts.get(run_id, "")
        await asyncio.sleep(0.001)
        self.texts[run_id] = earlier + chunk.text


class Synchronous(BaseCallbackHandler):
    """The same with a synchronous handler."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    @override
    def on_llm_new_token(self, token: Any, *, chunk: Any = None, run_id: Any, **kwargs: Any) -> None:
        self.texts[run_id] = self.texts.get(run_id, "") + chunk.text


class Failing(AsyncCallbackHandler):
    """Fails at every token."""

    @override
    async def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        raise RuntimeError("a handler's own fault")


def test_every_handler_receives_every_token_in_order() -> None:
    """The tokens are ordinary messages, which add up to the whole answer."""
    listeners = [Slow(), Synchronous()]
    handlers = [Failing(), *listeners]  # a failing handler does not affect the others
    chunks: dict[str, list[AIMessageChunk]] = {}
    whole: dict[str, AIMessage] = {}

    async def writing(url: str) -> None:
        async with open_models(settings_from(groq_api_key="k", groq_base_url=url)) as models:
            async for event in models.recipe.chain.astream_events(REQUEST, {"callbacks": handlers}, version="v2"):
                data: Any = event["data"]
                if event["event"] == "on_chat_model_stream":
                    chunks.setdefault(event["run_id"], []).append(data["chunk"])
                if event["event"] == "on_chat_model_end":
                    whole[event["run_id"]] = data["output"]

    with provider() as scripted:
        run(writing(scripted.url))
    assert len(whole) == 6
    texts = {run_id: message.content for run_id, message in whole.items()}
    assert [{str(run_id): text for run_id, text in each.texts.items()} for each in listeners] == [texts, texts]
    for run_id, messages in chunks.items():
        alone = [AIMessageChunk(content=message.content) for message in messages]
        assert messages == alone
        assert [message.model_dump() for message in messages] == [message.model_dump() for message in alone]
        assert len({id(message.response_metadata) for message in messages}) == len(messages)
        assert sum(messages[1:], messages[0]).content == texts[run_id]


def test_a_token_event_describes_its_run_as_the_start_event_does() -> None:
    """Name, tags, metadata and parent runs are the same, although they are built once for all of a call's tokens."""
    beginnings: dict[str, Any] = {}
    texts = list[Any]()

    async def writing(url: str) -> None:
        async with open_models(settings_from(groq_api_key="k", groq_base_url=url)) as models:
            async for event in models.recipe.chain.astream_events(REQUEST, {"tags": ["quick"]}, version="v2"):
                if event["event"] == "on_chat_model_start":
                    beginnings[event["run_id"]] = _run_of(event)
                if event["event"] == "on_chat_model_stream":
                    texts.append(event)

    with provider() as scripted:
        run(writing(scripted.url))
    assert {event["run_id"] for event in texts} == beginnings.keys()
    assert [_run_of(event) for event in texts] == [beginnings[event["run_id"]] for event in texts]
    assert all("quick" in data["tags"] and data["parent_ids"] for data in beginnings.values())


def test_nested_events_have_the_same_text() -> None:
    """A chain that streams the recipe's events can be streamed itself."""
    inner, outer = Counter[tuple[str, str]](), Counter[tuple[str, str]]()

    async def cooking(url: str) -> None:
        async with open_models(settings_from(groq_api_key="k", groq_base_url=url)) as models:

            async def whole(request: dict[str, Any], config: RunnableConfig) -> None:
                async for event in models.recipe.chain.astream_events(request, config, version="v2"):
                    inner.update(_new_text(event))

            async for event in RunnableLambda(whole).astream_events(REQUEST, version="v2"):
                outer.update(_new_text(event))

    with provider() as scripted:
        run(cooking(scripted.url))
    assert len({run_id for run_id, _ in inner}) == 6
    assert inner == outer


def test_two_calls_with_one_id_are_complete() -> None:
    """LangChain's tap ignores a second run of the same id."""
    gate = Gate()

    async def answers(url: str) -> list[str]:
        async with open_models(settings_from(groq_api_key="k", groq_base_url=url)) as models:

            async def twice(request: Any, config: RunnableConfig) -> list[str]:
                alike: RunnableConfig = {**config, "run_id": uuid4()}
                second = asyncio.create_task(models.recipe.models["intro"].ainvoke("Introduce it.", alike))
                while not scripted.calls:  # noqa: ASYNC110  they belong to another thread's loop
                    await asyncio.sleep(0.002)
                first = await models.recipe.models["intro"].ainvoke("Introduce it.", alike)
                gate.open()
                return [first.text, (await second).text]

            events = [event async for event in RunnableLambda(twice).astream_events("", version="v2")]
            data: Any = events[-1]["data"]
            return data["output"]

    with provider({"completion": [[gate, *apart("Slow ", "but ", "whole.")], ["Quick."]]}) as scripted:
        assert run(answers(scripted.url)) == ["Quick.", "Slow but whole."]


def test_handlers_receive_a_proposal_recipe_by_recipe() -> None:
    """They also get the first token, which shows that the call has started."""
    letters = json.dumps(RECIPES)
    data = _proposal_tokens(apart(*letters))
    assert "".join(data) == letters
    assert [text.count("}") for text in data] == [0, 1, 1, 1, 0]


def test_handlers_receive_buffered_text_when_a_proposal_breaks_off() -> None:
    """Buffered text is flushed although it is not a recipe."""
    letters = json.dumps(RECIPES)
    broken_off = letters[: letters.index("}") + 10]
    data = _proposal_tokens([*apart(*broken_off), Finish(None)])
    assert "".join(data) == broken_off * MAX_ATTEMPTS  # attempts


def _proposal_tokens(script: Script) -> list[str]:
    """The tokens of the proposal that the handlers receive."""
    data: list[str] = []

    async def proposing(url: str) -> None:
        async with open_models(settings_from(groq_api_key="k", groq_base_url=url)) as models:
            async for event in models.recipe.chain.astream_events(REQUEST, version="v2"):
                data.extend(_text_of(event, "alternates"))

    with provider({"proposal": script}) as scripted:
        run(proposing(scripted.url))
    return data


def _run_of(event: Any) -> dict[str, Any]:
    return {field: event[field] for field in ("name", "tags", "metadata", "parent_ids")}


def _new_text(event: Any) -> list[tuple[str, str]]:
    return [(event["run_id"], event["data"]["chunk"].content)] if event["event"] == "on_chat_model_stream" else []


def _text_of(event: Any, part: str) -> list[str]:
    is_told = event["event"] == "on_chat_model_stream" and event["metadata"]["part"] == part
    return [event["data"]["chunk"].content] if is_told else []

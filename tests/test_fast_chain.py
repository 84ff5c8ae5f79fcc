"""A fast chain gives the same results as the chain, with fewer runs for LangChain's handlers."""

import json
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.load import dumps
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import LLMResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnableParallel, RunnablePassthrough
from typing_extensions import override

from app.models import open_models
from chains._fast.runnables import fast
from chains.errors import ProviderError
from chains.parts.compose import step
from chains.recipe.composition import RECIPE
from tests.servers import Refuse, apart, provider, run, settings_from

DISH = {
    "ingredients_on_hand": "beef",
    "prep_time": 30,
    "diet": "",
    "avoid": "",
    "servings": 2,
    "language_name": "English",
    "recipe_name": "Pepper Steak",
    "recipe_intro": "Hot.",
}
MODEL = FakeListChatModel(responses=["done"])


async def shout(inputs: dict[str, Any]) -> dict[str, Any]:
    return {**inputs, "dish": inputs["dish"].upper()}


async def tag(inputs: dict[str, Any], config: RunnableConfig) -> list[str]:
    return [*config.get("tags", []), inputs["dish"]]


async def burn(inputs: dict[str, Any]) -> None:
    raise RuntimeError(f"{inputs['dish']} is burnt")


def composed() -> Runnable[Any, Any]:
    """A chain with one of each kind that fast() supports, nested."""
    step = ChatPromptTemplate([("human", "Cook {dish}")]) | MODEL | StrOutputParser()
    return RunnableLambda(shout) | RunnableParallel(
        step=step.with_config(metadata={"step": "steps"}),
        more=RunnablePassthrough.assign(tags=RunnableLambda(tag)) | RunnablePassthrough.assign(written=step),
    )


def test_a_fast_chain_gives_what_the_chain_gives() -> None:
    """Sequences, parallels, assignments, lambdas, bindings, prompts and parsers pass values and the config on."""
    config: RunnableConfig = {"tags": ["quick"]}
    expected = run(composed().ainvoke({"dish": "tart"}, config))
    assert expected["more"]["tags"] == ["quick", "TART"]
    assert run(fast(composed()).ainvoke({"dish": "tart"}, config)) == expected


def test_a_models_run_is_a_child_of_the_lambda_around_it() -> None:
    """A binding finds the outer run in the context."""

    async def parents() -> list[str]:
        step = fast((ChatPromptTemplate([("human", "Cook {dish}")]) | MODEL).with_config(metadata={"step": "steps"}))

        async def part(inputs: dict[str, Any], config: RunnableConfig) -> Any:
            return await step.ainvoke(inputs, config)

        chain = fast(RunnableLambda(part))

        async def whole(inputs: dict[str, Any], config: RunnableConfig) -> Any:
            return await chain.ainvoke(inputs, config)

        names = dict[str, str]()
        async for event in RunnableLambda(whole).astream_events({"dish": "tart"}, version="v2"):
            names[event["run_id"]] = event["name"]
            if event["event"] == "on_chat_model_start":
                return [names[run_id] for run_id in event["parent_ids"]]
        return []

    assert run(parents()) == ["whole", "part"]


def test_models_and_lambdas_are_runs_and_nothing_else_is() -> None:
    """All are children of the outer run, and a model's run has the bound metadata."""

    async def received() -> list[tuple[str, str, int, str | None]]:
        chain = fast(composed())

        async def whole(inputs: dict[str, Any], config: RunnableConfig) -> Any:
            return await chain.ainvoke(inputs, config)

        events = RunnableLambda(whole).astream_events({"dish": "tart"}, version="v2")
        ends = [event async for event in events if event["event"].endswith(("_start", "_end"))]
        return [
            (event["name"], event["event"], len(event["parent_ids"]), event.get("metadata", {}).get("step"))
            for event in ends
        ]

    model = "FakeListChatModel"
    assert Counter(run(received())) == Counter(
        [
            *[("whole", f"on_chain_{when}", 0, None) for when in ("start", "end")],
            *[(name, f"on_chain_{when}", 1, None) for name in ("shout", "tag") for when in ("start", "end")],
            *[(model, f"on_chat_model_{when}", 1, step) for step in (None, "steps") for when in ("start", "end")],
        ]
    )


class Errors(AsyncCallbackHandler):
    def __init__(self) -> None:
        self.received: list[str] = []

    @override
    async def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        self.received.append(str(error))


def test_handlers_receive_the_error_of_a_lambda() -> None:
    """The exception propagates."""
    errors = Errors()
    with pytest.raises(RuntimeError):
        run(fast(RunnableLambda(burn)).ainvoke({"dish": "tart"}, {"callbacks": [errors]}))
    assert errors.received == ["tart is burnt"]


class Recording(AsyncCallbackHandler):
    """Records what it receives about models, except times and ids."""

    def __init__(self) -> None:
        self.received: list[tuple[str, Any]] = []

    @override
    async def on_chat_model_start(self, *args: Any, run_id: Any, parent_run_id: Any, **kwargs: Any) -> None:
        self.received.append(("start", (args, kwargs | {"tags": _tags(kwargs["tags"])})))

    @override
    async def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        [[answer]] = response.generations
        self.received.append(("end", (answer.text, answer.generation_info, _tags(kwargs["tags"]))))

    @override
    async def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.received.append(("error", (str(error), kwargs["response"], _tags(kwargs["tags"]))))


class Meddling(AsyncCallbackHandler):
    """Changes what it receives, and fails at every end."""

    run_inline = True

    @override
    async def on_chat_model_start(self, serialized: Any, messages: list[Any], **kwargs: Any) -> None:
        messages[0].clear()
        kwargs["invocation_params"].clear()

    @override
    async def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        raise RuntimeError("a handler's own fault")

    @override
    async def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        raise RuntimeError("a handler's own fault")


def test_handlers_receive_the_same_about_a_call() -> None:
    """Events and handlers have the same name, tags, metadata, prompt, parameters, answer and failure."""
    with provider({"intro": [[*apart("Quick ", "and hot.")], [Refuse(400)]] * 2}) as scripted:
        plain, lean_ones = run(_received_about_intros(scripted.url))
    assert [len(received) for received in plain] == [5, 4]  # events: a start, two tokens, an end; and a start
    assert lean_ones == plain


def test_a_handler_that_fails_or_changes_messages_does_no_harm() -> None:
    """It affects neither the answer, nor the request, nor the next call's handlers."""
    recording = Recording()
    with provider({"intro": ["Quick and hot."]}) as scripted:
        texts = run(_intros(scripted.url, [Meddling()], [recording]))
    assert texts == ["Quick and hot."] * 2
    assert scripted.calls[0] == scripted.calls[1]
    (_, prompts), received = recording.received[0][1]
    assert [message.type for message in prompts[0]] == ["system", "human"]
    assert received["invocation_params"]["temperature"] > 0


def test_a_steps_metadata_wins_over_its_callers() -> None:
    """The caller's metadata is added to it."""

    async def intro(url: str) -> list[dict[str, Any]]:
        async with open_models(settings_from(groq_api_key="k", groq_base_url=url)) as models:
            return await _events(
                fast(step(RECIPE, "intro", models.recipe.models["intro"])), {"metadata": {"part": "x", "by": "us"}}
            )

    with provider() as scripted:
        received = [event["metadata"] for event in run(intro(scripted.url))]
    assert {(metadata["part"], metadata["by"]) for metadata in received} == {("intro", "us")}


async def _received_about_intros(url: str) -> list[list[Any]]:
    """The events and the calls of a handler, for an intro that succeeds and one that fails."""
    async with open_models(settings_from(groq_api_key="k", groq_base_url=url)) as models:
        intro = step(RECIPE, "intro", models.recipe.models["intro"])
        return [await _reports_of(chain) for chain in (intro, fast(intro))]


async def _reports_of(chain: Runnable[Any, Any]) -> list[Any]:
    recording = Recording()
    config: RunnableConfig = {"tags": ["all"], "metadata": {"by": "us"}, "callbacks": [recording]}
    events = [*await _events(chain, config), *await _events(chain, config)]
    return [events, recording.received]


async def _events(chain: Runnable[Any, Any], config: RunnableConfig) -> list[dict[str, Any]]:
    events = RunnableLambda(_within(chain)).astream_events(DISH, config, version="v2")
    models = [event async for event in events if "chat_model" in event["event"]]
    alike = [json.loads(dumps(event).replace(event["run_id"], "this")) for event in models]
    return [event | {"parent_ids": None, "tags": _tags(event["tags"])} for event in alike]


async def _intros(url: str, *callbacks: list[Any]) -> list[str]:
    """One text for each of these callbacks, by the fast chain."""
    async with open_models(settings_from(groq_api_key="k", groq_base_url=url)) as models:
        chain = RunnableLambda(_within(fast(step(RECIPE, "intro", models.recipe.models["intro"]))))
        return [await chain.ainvoke(DISH, {"callbacks": each}) for each in callbacks]


def _within(chain: Runnable[Any, Any]) -> Any:
    async def whole(inputs: dict[str, Any], config: RunnableConfig) -> Any:
        with suppress(ProviderError):
            return await chain.ainvoke(inputs, config)

    return whole


def _tags(tags: list[str]) -> set[str]:
    """Without the tag of the sequence, which is not a run."""
    return set(tags) - {"seq:step:2"}

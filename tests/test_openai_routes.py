"""The OpenAI-compatible routes with OpenAI's own client, with ChatOpenAI and with httpx."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import openai
import pytest
from httpx_sse import connect_sse
from langchain_openai import ChatOpenAI
from openai import OpenAI
from openai.types.chat import ChatCompletionChunk

from tests.client import ask, wait_until
from tests.conftest import ServeScripts, Uncalled
from tests.servers import PROMPTS, Finish, Gate, Refuse, run

MESSAGES: list[Any] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "tofu; 5 minutes"},
    {"role": "assistant", "content": "# Tofu"},
    {"role": "user", "content": [{"type": "text", "text": "beef, onions; "}, {"type": "text", "text": "45 minutes"}]},
]
HEADINGS = ["About this dish", "Ingredients", "Steps", "On the side", "Good to know", "Other ideas"]


@contextmanager
def openai_client(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=20) as client:
        yield client


def streamed(url: str, **options: Any) -> list[ChatCompletionChunk]:
    with openai_client(url) as client:
        return list(client.chat.completions.create(model="sizzle", messages=MESSAGES, stream=True, **options))


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def headings(markdown: str) -> list[str]:
    return [line.removeprefix("## ") for line in markdown.splitlines() if line.startswith("## ")]


def test_a_stream_has_the_protocols_shape(serve_scripts: ServeScripts) -> None:
    """Role, content, an empty delta with the reason, one id, and no usage unless requested."""
    url, _ = serve_scripts()
    opening, *contents, closing = streamed(url)
    assert [opening.choices[0].delta.role, opening.choices[0].delta.content] == ["assistant", ""]
    assert all(chunk.choices[0].delta.content and not chunk.choices[0].finish_reason for chunk in contents)
    assert closing.choices[0].delta.model_dump(exclude_none=True) == {}
    assert closing.choices[0].finish_reason == "stop"
    assert {(chunk.id, chunk.model, chunk.object) for chunk in (opening, *contents, closing)} == {
        (opening.id, "sizzle", "chat.completion.chunk")
    }
    assert len(contents) > 1
    assert headings(text_of(contents)) == HEADINGS


def test_the_raw_stream_ends_with_done(serve_scripts: ServeScripts) -> None:
    """It has data lines of JSON, with a null usage except in the last one, then `[DONE]`."""
    url, _ = serve_scripts()
    body = {"model": "sizzle", "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
    with (
        httpx.Client(timeout=20) as client,
        connect_sse(client, "POST", f"{url}/v1/chat/completions", json=body) as source,
    ):
        *chunks, done = [event.data for event in source.iter_sse()]
    assert done == "[DONE]"
    assert {json.loads(chunk)["usage"] is None for chunk in chunks[:-1]} == {True}
    assert json.loads(chunks[-1])["choices"] == []


def test_usage_counts_all_calls(sizzle_url: str) -> None:
    """The sum over the parts is in the last chunk if requested, and in the whole answer."""
    last = streamed(sizzle_url, stream_options={"include_usage": True})[-1]
    assert last.usage is not None
    assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens
    with openai_client(sizzle_url) as client:
        whole = client.chat.completions.create(model="sizzle", messages=MESSAGES)
    assert whole.usage is not None
    assert whole.usage.prompt_tokens > 6 * 100
    assert whole.usage.completion_tokens > len((whole.choices[0].message.content or "").split())


def test_the_whole_answer_has_the_text_of_the_stream(serve_scripts: ServeScripts) -> None:
    """Parts are Markdown sections in reading order. All text parts of the last user message count."""
    url, provider = serve_scripts()
    with openai_client(url) as client:
        whole = client.chat.completions.create(model="sizzle", messages=MESSAGES)
    assert whole.choices[0].finish_reason == "stop"
    assert headings(whole.choices[0].message.content or "") == HEADINGS
    assert "## Steps\n\nsteps one, steps two.\n\n## On the side" in (whole.choices[0].message.content or "")
    prompt = provider.calls[0]["body"]["messages"][-1]["content"]
    assert "<ingredients_on_hand>\nbeef, onions\n</ingredients_on_hand>" in prompt
    assert "<prep_time_minutes>45</prep_time_minutes>" in prompt


def test_text_arrives_while_the_rest_is_generated(serve_scripts: ServeScripts) -> None:
    """The dish and its introduction are readable while the steps wait."""
    gate = Gate()
    url, _ = serve_scripts({"steps": [gate, "steps one."]})
    with (
        openai_client(url) as client,
        client.chat.completions.create(model="sizzle", messages=MESSAGES, stream=True) as chunks,
    ):
        text = ""
        for chunk in chunks:
            text += text_of([chunk])
            if "## Steps" in text:
                gate.open()
    assert "intro one, intro two." in text.split("## Steps")[0]
    assert headings(text) == HEADINGS


def test_korean_is_answered_in_korean(sizzle_url: str) -> None:
    """The language is that of the message."""
    with openai_client(sizzle_url) as client:
        message: Any = {"role": "user", "content": "소고기, 양파 30분"}
        whole = client.chat.completions.create(model="sizzle", messages=[message])
    assert "## 만드는 법" in (whole.choices[0].message.content or "")


def test_chat_openai_gets_a_recipe(serve_scripts: ServeScripts) -> None:
    """LangChain's own client works blocking and streaming."""
    url, _ = serve_scripts()
    model = ChatOpenAI(base_url=f"{url}/v1", api_key="any", model="groq-gpt-oss-120b")  # type: ignore[arg-type]
    assert headings(model.invoke("beef, onions").text) == HEADINGS
    assert headings("".join(chunk.text for chunk in model.stream("beef, onions"))) == HEADINGS


def test_models_are_those_of_the_registry_with_a_key(serve_scripts: ServeScripts, sizzle_url: str) -> None:
    """`sizzle` stands for the configured models; `owned_by` names the provider or the stand-in."""
    url, provider = serve_scripts()
    with openai_client(url) as client:
        owners = {model.id: model.owned_by for model in client.models.list()}
        assert owners == {"sizzle": "Groq", "groq-gpt-oss-20b": "Groq", "groq-gpt-oss-120b": "Groq"}
        assert client.models.retrieve("sizzle").id == "sizzle"
        client.chat.completions.create(model="groq-gpt-oss-120b", messages=MESSAGES)
    assert {call["body"]["model"] for call in provider.calls} == {"openai/gpt-oss-120b"}
    with openai_client(sizzle_url) as client:
        assert {model.owned_by for model in client.models.list()} == {"Rule-based stand-in"}


@pytest.mark.parametrize(
    ("body", "status", "param", "says"),
    [
        ({"model": "gpt-5"}, 404, "model", "sizzle"),
        ({"messages": [{"role": "user", "content": "?"}]}, 400, "messages", "ingredients: "),
        ({"messages": [{"role": "user", "content": "beef; 500 minutes"}]}, 400, "messages", "time: "),
        ({"messages": [{"role": "user", "content": None}]}, 400, "messages", "beef, onions; 30 minutes"),
        ({"messages": [{"role": "system", "content": "beef"}]}, 400, "messages", "no message of the role 'user'"),
        ({"messages": []}, 400, "messages", "at least 1"),
        ({"messages": None}, 400, "messages", "list"),
        ({"n": 2}, 400, "n", "1"),
        ({"tools": [{"type": "function"}]}, 400, "tools", "not supported"),
        ({"stream": "yes please"}, 400, "stream", "boolean"),
    ],
)
def test_bad_input_is_an_error_in_openais_form(
    uncalled: Uncalled, body: dict[str, Any], status: int, param: str, says: str
) -> None:
    """It names the parameter and what is right, and nothing is sent to a provider."""
    url, provider = uncalled
    answer = ask("POST", f"{url}/v1/chat/completions", json={"model": "sizzle", "messages": MESSAGES} | body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert [error["type"], error["param"], says in error["message"]] == ["invalid_request_error", param, True]
    assert provider.calls == []


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "nothing", 404), ("GET", "chat/completions", 405)])
def test_a_wrong_address_is_an_error_in_openais_form(sizzle_url: str, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, f"{sizzle_url}/v1/{path}")
    assert [answer.status_code, answer.json()["error"]["code"]] == [status, "unknown_url"]


@pytest.mark.parametrize("stream", [True, False])
def test_a_failed_recipe_is_an_error_with_our_message(
    serve_scripts: ServeScripts, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    """A whole answer is a 502; a stream ends with the error. Neither repeats the provider."""
    url, _ = serve_scripts({step: [Refuse(401)] for step in PROMPTS})
    body = {"model": "sizzle", "messages": MESSAGES, "stream": stream}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=20)
    body = answer.text
    assert answer.status_code == (200 if stream else 502)
    assert "did not accept the key (401)" in body
    assert "canary" not in body + caplog.text
    with openai_client(url) as client, pytest.raises(openai.APIError, match="did not accept the key"):
        list(client.chat.completions.create(model="sizzle", messages=MESSAGES, stream=True))


@pytest.mark.parametrize("sides", [["Half", Finish(None)], ["Half", b"data: {\n\n"], [Refuse(500)]])
def test_a_broken_part_is_recognizable(serve_scripts: ServeScripts, sides: Any) -> None:
    """The finish_reason is `length`."""
    url, _ = serve_scripts({"sides": sides})
    assert streamed(url)[-1].choices[0].finish_reason == "length"


def test_a_failed_part_has_its_reason_in_the_text(serve_scripts: ServeScripts) -> None:
    """The others are complete; a part that is cut off at its limit makes the finish_reason `length`."""
    url, _ = serve_scripts({"sides": [Refuse(500)], "intro": ["Half", Finish("length")]})
    chunks = streamed(url)
    assert "> Groq failed (500): try again." in text_of(chunks)
    assert headings(text_of(chunks)) == HEADINGS
    assert chunks[-1].choices[0].finish_reason == "length"


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_closes_the_calls(
    serve_scripts: ServeScripts, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    """The provider sees it within a second, also for a client that waits for the whole answer; nothing is logged."""
    url, provider = serve_scripts({step: [Gate()] for step in PROMPTS})
    body = {"model": "sizzle", "messages": MESSAGES, "stream": stream}

    async def leave() -> None:
        async with httpx.AsyncClient(timeout=20) as client:
            asking = asyncio.create_task(client.post(f"{url}/v1/chat/completions", json=body))
            while not provider.calls and not asking.done():  # noqa: ASYNC110  the provider has a thread of its own
                await asyncio.sleep(0.01)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    run(leave())
    assert provider.calls
    assert wait_until(lambda: len(provider.closed) == len(provider.calls), seconds=1)
    assert "Exception" not in caplog.text


@pytest.mark.parametrize("name", ["a/b", "a%2Fb", "accounts%2Ffireworks%2Fmodels%2Fx", "gpt-5"])
def test_a_model_that_is_not_there_is_named(sizzle_url: str, name: str) -> None:
    answer = ask("GET", f"{sizzle_url}/v1/models/{name}")
    error = answer.json()["error"]
    assert [answer.status_code, error["code"], error["param"]] == [404, "model_not_found", "model"]
    assert name.replace("%2F", "/") in error["message"]


def test_a_model_whose_name_has_slashes_is_found(serve_scripts: ServeScripts, tmp_path: Any) -> None:
    registry = tmp_path / "registry.toml"
    model = '[models."mine/small"]\nprovider = "groq"\nid = "small"\ncontext_window = 8192\nmax_output = 1024\n'
    registry.write_text(model, encoding="utf-8")
    url, _ = serve_scripts(registry=registry)
    with OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=20) as client:
        assert client.models.retrieve("mine/small").id == "mine/small"
    assert ask("GET", f"{url}/v1/models/mine%2Fsmall/").json()["id"] == "mine/small"

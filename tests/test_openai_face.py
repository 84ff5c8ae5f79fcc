"""The OpenAI-compatible face, asked by OpenAI's own client, by ChatOpenAI, and by hand."""

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

from tests.client import wait_until
from tests.conftest import ServeScripts
from tests.servers import PROMPTS, Finish, Gate, Refuse, run

ASKED: list[Any] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "tofu; 5 minutes"},
    {"role": "assistant", "content": "# Tofu"},
    {"role": "user", "content": [{"type": "text", "text": "beef, onions; "}, {"type": "text", "text": "45 minutes"}]},
]
HEADINGS = ["About this dish", "Ingredients", "Steps", "On the side", "Good to know", "Other ideas"]


@contextmanager
def client(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=20) as asked:
        yield asked


def streamed(url: str, **options: Any) -> list[ChatCompletionChunk]:
    with client(url) as asked:
        return list(asked.chat.completions.create(model="sizzle", messages=ASKED, stream=True, **options))


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def headings(markdown: str) -> list[str]:
    return [line.removeprefix("## ") for line in markdown.splitlines() if line.startswith("## ")]


def test_a_stream_has_the_protocols_shape(serve_scripts: ServeScripts) -> None:
    """Role, content, an empty delta with the reason, and one id throughout; no usage unless it is asked for."""
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
    """As curl shows it: data lines of JSON, usage null until the last, then `[DONE]`."""
    url, _ = serve_scripts()
    body = {"model": "sizzle", "messages": ASKED, "stream": True, "stream_options": {"include_usage": True}}
    with (
        httpx.Client(timeout=20) as asked,
        connect_sse(asked, "POST", f"{url}/v1/chat/completions", json=body) as source,
    ):
        *chunks, done = [event.data for event in source.iter_sse()]
    assert done == "[DONE]"
    assert {json.loads(chunk)["usage"] is None for chunk in chunks[:-1]} == {True}
    assert json.loads(chunks[-1])["choices"] == []


def test_usage_counts_all_calls(sizzle_url: str) -> None:
    """In the last chunk when it is asked for, and in the whole answer: the sum over the steps."""
    last = streamed(sizzle_url, stream_options={"include_usage": True})[-1]
    assert last.usage is not None
    assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens
    with client(sizzle_url) as asked:
        whole = asked.chat.completions.create(model="sizzle", messages=ASKED)
    assert whole.usage is not None
    assert whole.usage.prompt_tokens > 6 * 100
    assert whole.usage.completion_tokens > len((whole.choices[0].message.content or "").split())


def test_the_whole_answer_is_what_the_stream_says(serve_scripts: ServeScripts) -> None:
    """Parts as Markdown sections in reading order; the last user message counts, in all its text parts."""
    url, provider = serve_scripts()
    with client(url) as asked:
        whole = asked.chat.completions.create(model="sizzle", messages=ASKED)
    assert whole.choices[0].finish_reason == "stop"
    assert headings(whole.choices[0].message.content or "") == HEADINGS
    assert "## Steps\n\nsteps one, steps two.\n\n## On the side" in (whole.choices[0].message.content or "")
    prompt = provider.calls[0]["body"]["messages"][-1]["content"]
    assert "<ingredients_on_hand>\nbeef, onions\n</ingredients_on_hand>" in prompt
    assert "<prep_time_minutes>45</prep_time_minutes>" in prompt


def test_text_comes_while_the_rest_is_being_written(serve_scripts: ServeScripts) -> None:
    """The dish and its introduction can be read while the steps wait."""
    gate = Gate()
    url, _ = serve_scripts({"steps": [gate, "steps one."]})
    with client(url) as asked, asked.chat.completions.create(model="sizzle", messages=ASKED, stream=True) as chunks:
        text = ""
        for chunk in chunks:
            text += text_of([chunk])
            if "## Steps" in text:
                gate.open()
    assert "intro one, intro two." in text.split("## Steps")[0]
    assert headings(text) == HEADINGS


def test_korean_is_answered_in_korean(sizzle_url: str) -> None:
    """The language is that of the message."""
    with client(sizzle_url) as asked:
        message: Any = {"role": "user", "content": "소고기, 양파 30분"}
        whole = asked.chat.completions.create(model="sizzle", messages=[message])
    assert "## 만드는 법" in (whole.choices[0].message.content or "")


def test_chat_openai_has_a_recipe(serve_scripts: ServeScripts) -> None:
    """LangChain's own client, blocking and streaming."""
    url, _ = serve_scripts()
    model = ChatOpenAI(base_url=f"{url}/v1", api_key="any", model="groq-gpt-oss-120b")  # type: ignore[arg-type]
    assert headings(model.invoke("beef, onions").text) == HEADINGS
    assert headings("".join(chunk.text for chunk in model.stream("beef, onions"))) == HEADINGS


def test_models_are_those_of_the_registry_with_a_key(serve_scripts: ServeScripts, sizzle_url: str) -> None:
    """`sizzle` is the one that the settings made; the list says whose each is, the stand-in too."""
    url, provider = serve_scripts()
    with client(url) as asked:
        owners = {model.id: model.owned_by for model in asked.models.list()}
        assert owners == {"sizzle": "Groq", "groq-gpt-oss-20b": "Groq", "groq-gpt-oss-120b": "Groq"}
        assert asked.models.retrieve("sizzle").id == "sizzle"
        asked.chat.completions.create(model="groq-gpt-oss-120b", messages=ASKED)
    assert {call["body"]["model"] for call in provider.calls} == {"openai/gpt-oss-120b"}
    with client(sizzle_url) as asked:
        assert {model.owned_by for model in asked.models.list()} == {"Rule-based stand-in"}


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
    serve_scripts: ServeScripts, body: dict[str, Any], status: int, param: str, says: str
) -> None:
    """It names the parameter and what is right, and nothing is sent to a provider."""
    url, provider = serve_scripts()
    answer = httpx.post(f"{url}/v1/chat/completions", json={"model": "sizzle", "messages": ASKED} | body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert [error["type"], error["param"], says in error["message"]] == ["invalid_request_error", param, True]
    assert provider.calls == []


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "nothing", 404), ("GET", "chat/completions", 405)])
def test_a_wrong_address_is_an_error_in_openais_form(sizzle_url: str, method: str, path: str, status: int) -> None:
    """Not the page's form of errors."""
    answer = httpx.request(method, f"{sizzle_url}/v1/{path}")
    assert [answer.status_code, answer.json()["error"]["code"]] == [status, "unknown_url"]


@pytest.mark.parametrize("stream", [True, False])
def test_a_recipe_that_fails_is_an_error_in_our_words(
    serve_scripts: ServeScripts, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    """A whole answer is a 502; a stream says what there is and ends with the error; none repeats the provider."""
    url, _ = serve_scripts({step: [Refuse(401)] for step in PROMPTS})
    body = {"model": "sizzle", "messages": ASKED, "stream": stream}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=20)
    said = answer.text
    assert answer.status_code == (200 if stream else 502)
    assert "did not accept the key (401)" in said
    assert "canary" not in said + caplog.text
    with client(url) as asked, pytest.raises(openai.APIError, match="did not accept the key"):
        list(asked.chat.completions.create(model="sizzle", messages=ASKED, stream=True))


@pytest.mark.parametrize("sides", [["Half", Finish(None)], ["Half", b"data: {\n\n"], [Refuse(500)]])
def test_a_broken_part_never_passes_for_whole(serve_scripts: ServeScripts, sides: Any) -> None:
    """The protocol's word for it is `length`."""
    url, _ = serve_scripts({"sides": sides})
    assert streamed(url)[-1].choices[0].finish_reason == "length"


def test_a_failed_part_is_told_in_its_place(serve_scripts: ServeScripts) -> None:
    """The others are whole; a part cut off at its limit makes the reason `length`."""
    url, _ = serve_scripts({"sides": [Refuse(500)], "intro": ["Half", Finish("length")]})
    chunks = streamed(url)
    assert "> Groq failed (500): try again." in text_of(chunks)
    assert headings(text_of(chunks)) == HEADINGS
    assert chunks[-1].choices[0].finish_reason == "length"


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_closes_the_calls(
    serve_scripts: ServeScripts, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    """Also one that waits for the whole answer: the provider sees it within a second, and no log cries over it."""
    url, provider = serve_scripts({step: [Gate()] for step in PROMPTS})
    body = {"model": "sizzle", "messages": ASKED, "stream": stream}

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

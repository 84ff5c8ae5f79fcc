"""The stand-in's API, with OpenAI's own client where possible."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from openai import NotFoundError, OpenAI

from app.standin import MODEL_ID, serving
from tests.client import ask
from tests.standin.prompts import messages


def post(base_url: str, body: object) -> httpx.Response:
    headers = {"Authorization": "Bearer any"}
    content = body if isinstance(body, str) else json.dumps(body)
    return ask("POST", f"{base_url}/chat/completions", content=content, headers=headers)


def test_a_stream_joins_to_the_text_that_is_sent_whole(client: OpenAI) -> None:
    """The streamed tokens are the text of the whole answer."""
    for language in ("English", "Korean"):
        sent = messages(language=language)
        whole = client.chat.completions.create(model=MODEL_ID, messages=sent)
        stream = client.chat.completions.create(model=MODEL_ID, messages=sent, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == whole.choices[0].message.content
        assert whole.choices[0].finish_reason == "stop"


def test_the_chunks_arrive_in_the_order_of_the_api(base_url: str) -> None:
    """First the role, then the tokens, an empty delta with the reason, the usage, and DONE."""
    body = {
        "model": MODEL_ID,
        "messages": messages(),
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.2,
        "reasoning_effort": "low",
    }
    response = post(base_url, body)
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    first, *middle, last, usage = (json.loads(event.removeprefix("data: ")) for event in events)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all(set(chunk["choices"][0]["delta"]) == {"content"} for chunk in middle)
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in [first, *middle])
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "stop")
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == len(middle)
    assert usage["usage"]["total_tokens"] == usage["usage"]["prompt_tokens"] + len(middle)
    assert {chunk["object"] for chunk in [first, *middle, last, usage]} == {"chat.completion.chunk"}
    assert {chunk["system_fingerprint"] for chunk in [first, last]} == {"rule-based-stand-in"}


@pytest.mark.parametrize("parameter", ["max_tokens", "max_completion_tokens"])
def test_an_answer_is_cut_off_at_the_cap(client: OpenAI, parameter: str) -> None:
    """With a token limit the answer is the beginning of the text, and the reason is length."""
    sent = messages()
    full = client.chat.completions.create(model=MODEL_ID, messages=sent).choices[0].message.content or ""
    limit: Any = {parameter: 7}
    cut = client.chat.completions.create(model=MODEL_ID, messages=sent, **limit)
    assert cut.choices[0].finish_reason == "length"
    assert cut.usage is not None
    assert cut.usage.completion_tokens == 7
    text = cut.choices[0].message.content or ""
    assert text == full[: len(text)]


@pytest.mark.parametrize("stop", ['"intro": "', ["no such text", '"intro": "']])
def test_an_answer_ends_before_a_stop_marker(client: OpenAI, stop: str | list[str]) -> None:
    """A marker ends the text even if it spans several tokens."""
    sent = messages()
    full = client.chat.completions.create(model=MODEL_ID, messages=sent).choices[0].message.content or ""
    chunks = list(client.chat.completions.create(model=MODEL_ID, messages=sent, stream=True, stop=stop))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == full[: full.index('"intro": "')]
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_the_models_say_what_they_are(client: OpenAI, base_url: str) -> None:
    """The only model is listed as a rule-based stand-in, and not as a language model."""
    (model,) = client.models.list().data
    assert model.id == MODEL_ID
    assert "rule-based stand-in" in model.owned_by
    one = ask("GET", f"{base_url}/models/{MODEL_ID}", headers={"Authorization": "Bearer any"}).json()
    assert "rule-based stand-in, not a language model" in one["description"]
    with pytest.raises(NotFoundError):
        client.models.retrieve("gpt-oss-120b")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer"}, {"Authorization": "Basic any"}])
def test_without_a_key_nothing_is_answered(base_url: str, headers: dict[str, str]) -> None:
    """A missing or empty key is a 401 in OpenAI's format, on every route."""
    body = {"model": MODEL_ID, "messages": messages()}
    chat = ask("POST", f"{base_url}/chat/completions", json=body, headers=headers)
    listed = ask("GET", f"{base_url}/models", headers=headers)
    assert [response.status_code for response in (chat, listed)] == [401, 401]
    assert [response.json()["error"]["code"] for response in (chat, listed)] == ["invalid_api_key"] * 2


@pytest.mark.parametrize(
    ("change", "status", "param", "code"),
    [
        ({"model": "gpt-oss-120b"}, 404, "model", "model_not_found"),
        ({"messages": None}, 400, "messages", "invalid_value"),
        ({"messages": []}, 400, "messages", "invalid_value"),
        ({"messages": "hello"}, 400, "messages", "invalid_value"),
        ({"messages": [{"role": "user", "content": 5}]}, 400, "messages", "invalid_value"),
        ({"model": 5}, 400, "model", "invalid_value"),
        ({"stream": "yes"}, 400, "stream", "invalid_value"),
        ({"max_tokens": 0}, 400, "max_tokens", "invalid_value"),
        ({"max_completion_tokens": "9"}, 400, "max_completion_tokens", "invalid_value"),
        ({"seed": 1.5}, 400, "seed", "invalid_value"),
        ({"stop": ["a", "b", "c", "d", "e"]}, 400, "stop", "invalid_value"),
        ({"n": 2}, 400, "n", "unsupported_value"),
    ],
)
def test_a_wrong_parameter_is_named(
    base_url: str, change: dict[str, object], status: int, param: str, code: str
) -> None:
    """Each mistake in the body has its status, and the error names the parameter."""
    response = post(base_url, {"model": MODEL_ID, "messages": messages(), **change})
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["param"], error["code"], error["type"]) == (param, code, "invalid_request_error")


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"text"', "\ud83d".encode("utf-8", "replace").decode()])
def test_a_body_other_than_a_json_object_is_a_400(base_url: str, body: str) -> None:
    """The error has OpenAI's format."""
    response = post(base_url, body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_unknown_paths_and_methods_are_answered_in_the_same_form(base_url: str) -> None:
    """A 404 and a 405 have OpenAI's error object, too, and the 405 lists the allowed methods."""
    lost = ask("POST", base_url.removesuffix("/v1") + "/v2/responses")
    assert (lost.status_code, lost.json()["error"]["code"]) == (404, "unknown_url")
    wrong = ask("GET", f"{base_url}/chat/completions")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_supported")
    assert wrong.headers["allow"] == "POST"


def test_the_same_seed_gives_the_same_text_in_another_server(client: OpenAI) -> None:
    """The text depends only on the messages and the seed; the body's seed has precedence over the server's."""

    def text(of: OpenAI, seed: int | None) -> str:
        more: Any = {} if seed is None else {"seed": seed}
        return of.chat.completions.create(model=MODEL_ID, messages=messages(), **more).choices[0].message.content or ""

    with (
        serving(ttft_ms=0, tokens_per_s=0, seed=5) as url,
        OpenAI(base_url=url, api_key="any", max_retries=0) as other,
    ):
        assert text(other, None) == text(client, 5)
        assert text(other, 3) == text(client, 3)
    assert len({text(client, seed) for seed in range(6)}) > 1


def test_streams_are_paced_side_by_side() -> None:
    """Two paced streams advance at the same time."""
    order: list[str] = []

    def read(name: str) -> None:
        for _ in client.chat.completions.create(model=MODEL_ID, messages=messages(), stream=True, max_tokens=20):
            order.append(name)  # noqa: PERF401  as they arrive

    with (
        serving(ttft_ms=20, tokens_per_s=20) as url,
        OpenAI(base_url=url, api_key="any", max_retries=0) as client,
        ThreadPoolExecutor() as readers,
    ):
        list(readers.map(read, "ab"))
    assert order.index("b") < len(order) - 1 - order[::-1].index("a")
    assert order.index("a") < len(order) - 1 - order[::-1].index("b")


def test_leaving_ends_open_streams(caplog: pytest.LogCaptureFixture) -> None:
    """Leaving the context cuts a stream that would take minutes, and logs no traceback."""
    with ExitStack() as server, ExitStack() as clients:
        url = server.enter_context(serving(ttft_ms=0, tokens_per_s=0.5))
        client = clients.enter_context(OpenAI(base_url=url, api_key="any", max_retries=0))
        stream = client.chat.completions.create(model=MODEL_ID, messages=messages(), stream=True)
        assert next(stream).choices[0].delta.role == "assistant"
        server.close()
        with pytest.raises(Exception, match=r"(?i)connection|incomplete|peer|closed"):
            list(stream)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_taken_port_is_an_os_error(base_url: str) -> None:
    """Two servers cannot have the same port."""
    port = int(base_url.split(":")[2].removesuffix("/v1"))
    with pytest.raises(OSError, match="in use"), serving(port=port):
        pass

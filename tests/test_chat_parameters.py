"""Parameters of `/v1/chat/completions`, and its addresses."""

from typing import Any

import pytest
from openai import OpenAI

from tests.client import ask
from tests.conftest import ServeScripts, Uncalled
from tests.test_chat_front_ends import FIRST, RECIPE, chat, content, user

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"n": 2}, "n"),
    ({"tools": [{"type": "function"}]}, "tools"),
    ({"functions": [{"name": "f"}]}, "functions"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}}, "response_format"),
    ({"response_format": "json"}, "response_format"),
    ({"logprobs": True}, "logprobs"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ({"stop": 7}, "stop"),
]


@pytest.mark.parametrize(("more", "param"), REFUSED)
def test_an_unsupported_parameter_is_refused_in_one_sentence(
    uncalled: Uncalled, more: dict[str, Any], param: str
) -> None:
    url, provider = uncalled
    answer = chat(url, user(FIRST), **more)
    error = answer.json()["error"]
    assert [answer.status_code, error["type"], error["param"]] == [400, "invalid_request_error", param]
    assert [error["message"].count("."), "\n" in error["message"]] in ([1, False], [2, False])
    assert provider.calls == []


ACCEPTED: list[dict[str, Any]] = [
    {"tools": [{"type": "function"}], "tool_choice": "none"},
    {"tools": [], "functions": [], "tool_choice": "auto"},
    {"response_format": {"type": "text"}, "modalities": ["text"], "logprobs": False, "top_logprobs": 0, "n": 1},
    {"temperature": 2, "top_p": 0.1, "presence_penalty": 1, "frequency_penalty": 1, "logit_bias": {"50256": -100}},
    {"max_tokens": 5, "max_completion_tokens": 5, "reasoning_effort": "high", "verbosity": "low"},
    {"prediction": {"type": "content", "content": "x"}, "store": True, "metadata": {"a": "b"}, "user": "u"},
    {"stream_options": None, "stop": None, "seed": None, "audio": None, "service_tier": "auto", "unknown": 1},
    {"stop": "\n\nnever there"},
    {"stop": ""},
    {"stop": []},
    {"stop": [""]},
    {"stop": ["", "\n\nnever there", ""]},
]


@pytest.mark.parametrize("more", ACCEPTED)
def test_parameters_without_effect_are_accepted(serve_scripts: ServeScripts, more: dict[str, Any]) -> None:
    url, _ = serve_scripts()
    assert RECIPE in content(chat(url, user(FIRST), **more))


@pytest.mark.parametrize("stream", [True, False])
def test_the_answer_ends_before_a_stop_sequence(serve_scripts: ServeScripts, stream: bool) -> None:
    url, _ = serve_scripts()
    with OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=20) as client:
        messages: Any = [user(FIRST)]
        if stream:
            chunks = list(
                client.chat.completions.create(model="sizzle", messages=messages, stream=True, stop=["## St"])
            )
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
            assert chunks[-1].choices[0].finish_reason == "stop"
        else:
            whole = client.chat.completions.create(model="sizzle", messages=messages, stop="## St")
            text = whole.choices[0].message.content or ""
    assert ["## Ingredients" in text, "## St" in text] == [True, False]


def test_a_seed_repeats_the_pick(sizzle_url: str) -> None:
    titles = {content(chat(sizzle_url, user(FIRST), seed=-7)).splitlines()[0] for _ in range(3)}
    assert len(titles) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/responses", 404),
        ("POST", "/v1/completions", 404),
        ("POST", "/v1/embeddings", 404),
        ("GET", "/v1/", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/models/sizzle", 405),
        ("POST", "/chat/completions", 404),
        ("GET", "/models", 404),
        ("POST", "/responses", 404),
    ],
)
def test_a_wrong_address_is_answered_with_the_right_one(sizzle_url: str, method: str, path: str, status: int) -> None:
    answer = ask(method, sizzle_url + path, **({"json": {}} if method == "POST" else {}))
    error = answer.json()["error"]
    assert [answer.status_code, error["code"], error["type"]] == [status, "unknown_url", "invalid_request_error"]
    assert "POST /v1/chat/completions" in error["message"]


def test_a_trailing_slash_makes_no_difference(serve_scripts: ServeScripts) -> None:
    url, _ = serve_scripts()
    answer = ask("POST", f"{url}/v1/chat/completions/", json={"model": "sizzle", "messages": [user(FIRST)]})
    assert [answer.status_code, ask("GET", f"{url}/v1/models/").json()["object"]] == [200, "list"]

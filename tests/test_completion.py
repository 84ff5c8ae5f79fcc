"""`GET /completion` over a real socket: both formats, limits and failures."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from itertools import pairwise
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse
from hypothesis import given, strategies as st

from chains.completion import until
from chains.errors import ProviderError
from chains.models.timeouts import timeout_stream
from tests.client import wait_until
from tests.conftest import ServeScripts
from tests.servers import Finish, Gate, Refuse, apart, run

REQUEST = {"query": "What goes with beef?"}


def get(url: str, **params: Any) -> httpx.Response:
    return httpx.get(f"{url}/completion", params=REQUEST | params, timeout=20)


def events(url: str, **params: Any) -> list[str]:
    """The data of every event, as an `EventSource` reads it."""
    with (
        httpx.Client(timeout=20) as client,
        connect_sse(client, "GET", f"{url}/completion", params=REQUEST | params) as source,
    ):
        return [event.data for event in source.iter_sse()]


def test_text_arrives_as_it_is_generated(serve_scripts: ServeScripts) -> None:
    """The first words are readable while the provider is still generating."""
    gate = Gate()
    url, _ = serve_scripts({"completion": ["Onions ", gate, "and 소금\n"]})
    with httpx.stream("GET", f"{url}/completion", params=REQUEST, timeout=20) as answer:
        pieces = answer.iter_text()
        assert next(pieces) == "Onions "
        gate.open()
        assert "".join(pieces) == "and 소금\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_an_event_source_gets_each_piece_and_the_end(serve_scripts: ServeScripts) -> None:
    """Each piece is JSON with a response, and the last event is `[DONE]`."""
    url, _ = serve_scripts({"completion": apart("Onions\n\n", "and ", "\u2028 salt\r\n")})
    *pieces, last = events(url)
    assert [json.loads(piece) for piece in pieces] == [
        {"response": text} for text in ("Onions\n\n", "and ", "\u2028 salt\r\n")
    ]
    assert last == "[DONE]"


@pytest.mark.parametrize(
    ("accepted", "kind"),
    [
        ("Text/Event-Stream", "event-stream"),
        ("text/plain;q=0.5, text/event-stream; charset=utf-8; q=0.5", "event-stream"),
        ("text/event-stream;q=0", "plain"),
        ("text/event-stream;q=0.3, text/plain", "plain"),
        ("*/*", "plain"),
    ],
)
def test_events_are_sent_only_to_clients_that_prefer_them(
    serve_scripts: ServeScripts, accepted: str, kind: str
) -> None:
    url, _ = serve_scripts()
    for method in ("GET", "HEAD"):
        answer = httpx.request(method, f"{url}/completion", params=REQUEST, headers={"Accept": accepted}, timeout=20)
        assert answer.headers["content-type"].partition(";")[0] == f"text/{kind}"


def test_an_answer_stops_before_a_marker_split_over_chunks(serve_scripts: ServeScripts) -> None:
    """Text that only resembles a marker is not lost, and the call to the provider is closed at the marker."""
    gate = Gate()
    url, provider = serve_scripts({"completion": ["a E", "NOT b E", "N", "D", " c", gate]})
    assert get(url, stop=["END", "nothing"]).text == "a ENOT b "
    assert wait_until(lambda: provider.closed == ["completion"], seconds=2)
    url, _ = serve_scripts({"completion": ["a E", "N"]})
    assert get(url, stop="END").text == "a EN"


@given(
    text=st.text("abc", max_size=30),
    markers=st.lists(st.text("abc", min_size=1, max_size=4), max_size=4),
    cuts=st.lists(st.integers(0, 30)),
)
def test_where_an_answer_stops_does_not_depend_on_its_pieces(text: str, markers: list[str], cuts: list[int]) -> None:
    """It ends before the first complete marker, and before the longer one if two end together."""

    async def answered() -> str:
        places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})

        async def pieces() -> AsyncIterator[str]:
            for start, end in pairwise(places):
                yield text[start:end]

        return "".join([piece async for piece in until(markers, pieces())])

    ends = [end for end in range(len(text) + 1) if any(text[:end].endswith(marker) for marker in markers)]
    whole = text[: ends[0]] if ends else text
    marker = max((marker for marker in markers if ends and whole.endswith(marker)), key=len, default="")
    assert run(answered()) == whole.removesuffix(marker)


def test_a_request_can_name_the_model_and_its_limit(serve_scripts: ServeScripts) -> None:
    """An answer that is cut off at the requested limit is complete."""
    url, provider = serve_scripts({"completion": ["Onions", Finish("length")]})
    assert get(url, model="groq-gpt-oss-120b", max_tokens=7).text == "Onions"
    sent = provider.calls[-1]["body"]
    assert [sent["model"], sent["max_completion_tokens"]] == ["openai/gpt-oss-120b", 7]
    assert sent["messages"] == [{"role": "user", "content": REQUEST["query"]}]


@pytest.mark.parametrize(
    ("params", "field", "right"),
    [
        ({"query": " "}, "query", "1 to 20,000 characters"),
        ({"query": "a" * 20_001}, "query", "1 to 20,000 characters"),
        ({"query": "a" * 20_000, "model": "small"}, "query", "larger model"),
        ({"model": "http://127.0.0.1:1/v1"}, "model", "groq-gpt-oss-20b"),
        ({"max_tokens": 0}, "max_tokens", "from 1"),
        ({"max_tokens": 65_537}, "max_tokens", "1 to 65,536"),
        ({"max_tokens": "many"}, "max_tokens", "from 1"),
        ({"stop": ["x"] * 9}, "stop", "at most 8"),
        ({"stop": ""}, "stop", "1 to 100 characters"),
        ({"temperature": 2}, "temperature", "query, model, max_tokens, stop"),
    ],
)
def test_bad_input_names_the_field_and_what_is_right(
    serve_scripts: ServeScripts, tmp_path: Any, params: dict[str, Any], field: str, right: str
) -> None:
    """Nothing is sent to a provider."""
    registry = tmp_path / "registry.toml"
    registry.write_text(
        '[models.small]\nprovider = "groq"\nid = "small"\ncontext_window = 4096\nmax_output = 1024\n', encoding="utf-8"
    )
    url, provider = serve_scripts(registry=registry)
    answer = get(url, **params)
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert [problem["field"], right in problem["expected"]] == [field, True]
    assert provider.calls == []


def test_a_refused_question_is_a_502_or_an_event(serve_scripts: ServeScripts, caplog: pytest.LogCaptureFixture) -> None:
    """Both have our own message, and an `EventSource` gets the end so that it does not reconnect."""
    url, provider = serve_scripts({"completion": [Refuse(429)]})
    answer = get(url)
    assert [answer.status_code, "wait a minute" in answer.json()["detail"]] == [502, True]
    error, done = events(url)
    assert ["wait a minute" in json.loads(error)["error"], done] == [True, "[DONE]"]
    assert "canary" not in answer.text + error + caplog.text
    assert len(provider.calls) == 2


@pytest.mark.parametrize(
    ("end", "reason"),
    [(Finish(None), "broke off"), (Finish("length"), "limit of tokens"), (Finish("content_filter"), "content filter")],
)
def test_a_broken_answer_is_recognizable(serve_scripts: ServeScripts, end: Finish, reason: str) -> None:
    """The text is followed by the reason, and the plain text is incomplete."""
    url, _ = serve_scripts({"completion": ["Onions and", end]})
    received: list[str] = []
    with httpx.stream("GET", f"{url}/completion", params=REQUEST, timeout=20) as answer:
        pieces = map(received.append, answer.iter_text())
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)
    assert "".join(received).startswith("Onions and\n\n[")
    assert reason in "".join(received)
    piece, error, done = events(url)
    assert [json.loads(piece), done] == [{"response": "Onions and"}, "[DONE]"]
    assert reason in json.loads(error)["error"]


def test_a_reader_that_leaves_closes_the_call(serve_scripts: ServeScripts) -> None:
    """The provider sees the connection close within a second."""
    url, provider = serve_scripts({"completion": ["Onions ", Gate()]})
    with httpx.stream("GET", f"{url}/completion", params=REQUEST, timeout=20) as answer:
        next(answer.iter_text())
    assert wait_until(lambda: provider.closed == ["completion"], seconds=1)


@pytest.mark.parametrize("content", ['"so \\ud83d"', '{"a": "canary"}', '[[[[["canary"]]]]]'])
def test_invalid_text_of_a_provider_does_no_harm(
    serve_scripts: ServeScripts, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    """Half an emoji becomes a question mark; invalid text gets our own message, and no log repeats it."""
    chunk = f'data: {{"choices": [{{"index": 0, "delta": {{"content": {content}}}, "finish_reason": null}}]}}\n\n'
    url, _ = serve_scripts({"completion": ["Onions ", chunk.encode()]})
    *pieces, last, done = events(url)
    answered = "".join(json.loads(each).get("response", each) for each in [*pieces, last])
    assert ("so ?" if content.startswith('"') else "an invalid response") in answered
    assert done == "[DONE]"
    assert "canary" not in last + caplog.text


def test_a_stream_as_a_whole_has_a_deadline() -> None:
    """At the deadline the source is closed, even if it is active, and even from another task."""
    closed: list[bool] = []

    async def endless() -> AsyncGenerator[int]:
        try:
            while True:
                yield 1
                await asyncio.sleep(0.01)
        finally:
            closed.append(True)

    async def read() -> None:
        limited = timeout_stream(0.1, endless())
        assert await asyncio.create_task(anext_of(limited)) == 1
        async for _ in limited:
            pass

    async def anext_of(items: AsyncGenerator[int]) -> int:
        return await anext(items)

    with pytest.raises(ProviderError, match=r"longer than 0\.1 seconds"):
        run(read())
    assert closed == [True]

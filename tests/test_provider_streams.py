"""Readers of any provider's stream get correct text, on every route."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from chains.models.coalescing import ReadCoalescing
from chains.models.timeouts import LARGEST_BLOCK, ReadTimeout
from tests.client import Event, ask, events_named, follow, read, start, texts, wait_until, written
from tests.conftest import Serve, ServeScripts
from tests.servers import RECIPES, Finish, Gate, Script, chunk, default_script, run as run_async, serving

CANARY = "sk-canary-7f3a9"
QUESTION = {"query": "What goes with beef?"}
DRAFT = json.dumps([{"name": "Draft Stew", "intro": "A draft."}, {"name": "Draft Soup", "intro": "Another."}])


def raw(content: Any = None, **fields: Any) -> bytes:
    delta = {} if content is None else {"content": content}
    return b"data: %b\n\n" % json.dumps({"choices": [{"index": 0, "delta": delta, **fields}]}).encode()


def end_of(events: list[Event], part: str) -> dict[str, Any]:
    (end,) = [end for end in events_named(events, "part_end") if end["part"] == part]
    return end


def everywhere(url: str, run: str) -> str:
    """Everything that readers of any route can see of a run."""
    return ask("GET", run).text + str(follow(run)) + ask("GET", f"{url}/healthz").text


ENDINGS: dict[str, tuple[Script, str | None]] = {
    "stop, and again with the usage": (
        [raw("Beef."), raw("", finish_reason="stop"), raw("", finish_reason="stop"), b"data: [DONE]\n\n", Finish(None)],
        "stop",
    ),
    "a word of its own": ([raw("Beef."), raw(finish_reason="eos"), Finish(None)], "stop"),
    "no reason but [DONE]": ([raw("Beef."), b"data: [DONE]\n\n", Finish(None)], None),
    "a delta that is null": (
        [raw("Beef."), b'data: {"choices": [{"delta": null, "finish_reason": "stop"}]}\n\n', Finish(None)],
        "stop",
    ),
    "a byte order mark": ([b"\xef\xbb\xbf" + raw("Beef."), raw(finish_reason="stop"), Finish(None)], "stop"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_answer_is_whole_however_its_provider_says_so(serve_scripts: ServeScripts, ending: str) -> None:
    script, reason = ENDINGS[ending]
    url, provider = serve_scripts({"intro": script, "completion": script})
    run = start(url)
    assert written(follow(run))["intro"] == "Beef."
    state = ask("GET", run).json()["parts"]["intro"]
    assert [state["state"], state["finish_reason"]] == ["ok", reason]
    assert [call["step"] for call in provider.calls].count("intro") == 1
    assert ask("GET", f"{url}/completion", params=QUESTION).text == "Beef."


def test_a_pause_after_a_reason_with_text_is_not_the_end(serve: Serve) -> None:
    """Some providers say `stop` in every chunk and continue after a pause."""

    async def body() -> AsyncIterator[bytes]:
        yield raw("Beef ", finish_reason="stop")
        await asyncio.sleep(0.4 * 4)
        yield raw("and onions.", finish_reason="stop")

    async def completions(request: Request) -> Response:
        return StreamingResponse(body(), media_type="text/event-stream")

    with serving(Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"])])) as provider:
        url = serve(groq_api_key="k", groq_base_url=f"{provider}/v1")
        assert httpx.get(f"{url}/completion", params=QUESTION, timeout=20).text == "Beef and onions."


TYPES = ["application/json", "text/plain", "text/html", "application/octet-stream"]


@pytest.mark.parametrize("content_type", TYPES)
def test_a_stream_with_any_content_type_is_read(serve: Serve, content_type: str) -> None:
    async def completions(_: Request) -> Response:
        return Response(raw("Beef.") + raw(finish_reason="stop"), media_type=content_type)

    with serving(Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"])])) as provider:
        url = serve(groq_api_key="k", groq_base_url=f"{provider}/v1")
        assert ask("GET", f"{url}/completion", params=QUESTION).text == "Beef."


@pytest.mark.parametrize(
    ("body", "logged"),
    [
        (f"<!doctype html>{CANARY}", "a page"),
        (f'{{"hello": "{CANARY}"}}', "a document without an answer"),
        (f"upstream connect error: {CANARY}", "a body without an event"),
    ],
)
def test_the_log_says_what_arrived_instead_of_a_stream(
    serve: Serve, caplog: pytest.LogCaptureFixture, body: str, logged: str
) -> None:
    async def completions(_: Request) -> Response:
        return Response(body, media_type="application/json")

    with serving(Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"])])) as provider:
        url = serve(groq_api_key="k", groq_base_url=f"{provider}/v1")
        refused = ask("GET", f"{url}/completion", params=QUESTION)
    assert refused.status_code == 502
    assert logged in caplog.text
    assert CANARY not in caplog.text + refused.text


FAILURES: dict[str, tuple[bytes, bool]] = {  # whether it is retried
    "OpenRouter's 502": (raw(finish_reason="error", error={"code": 502, "message": CANARY}), True),
    "an abort": (raw(finish_reason="abort"), True),
    "vLLM's 400": (b'data: {"object": "error", "code": 400, "message": "%b"}\n\n' % CANARY.encode(), False),
    "a detail": (b'data: {"detail": "%b"}\n\n' % CANARY.encode(), True),
    "an error event": (b'event: error\ndata: {"message": "%b"}\n\n' % CANARY.encode(), True),
    "a key that is refused": (b'data: {"error": {"code": "invalid_api_key"}}\n\n', False),
    "a reason that holds the key": (raw(finish_reason=f"error: Bearer {CANARY}"), True),
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_in_the_stream_is_one_though_stop_follows(
    serve_scripts: ServeScripts, caplog: pytest.LogCaptureFixture, failure: str
) -> None:
    event, is_retried = FAILURES[failure]
    broken: Script = [raw("Pork"), event, raw(finish_reason="stop"), b"data: [DONE]\n\n", Finish(None)]
    url, provider = serve_scripts({"intro": [broken, [raw("Beef."), raw(finish_reason="stop"), Finish(None)]]})
    run = start(url)
    texts = written(follow(run))
    calls = [call["step"] for call in provider.calls].count("intro")
    state = ask("GET", run).json()["parts"]["intro"]
    assert [calls, state["state"]] == ([2, "ok"] if is_retried else [1, "failed"])
    assert texts["intro"] == ("Beef." if is_retried else "Pork")
    assert CANARY not in everywhere(url, run) + caplog.text


@pytest.mark.parametrize("word", [f"done {CANARY}", {"x": CANARY}, [CANARY], 7, True])
def test_a_providers_word_for_the_end_is_not_repeated(
    serve_scripts: ServeScripts, caplog: pytest.LogCaptureFixture, word: Any
) -> None:
    script: Script = [raw("Beef."), raw(finish_reason=word), b"data: [DONE]\n\n", Finish(None)]
    url, _ = serve_scripts({"intro": script, "proposal": [json.dumps(RECIPES), raw(finish_reason=word), Finish(None)]})
    run = start(url)
    follow(run)
    assert ask("GET", run).json()["status"] == "ok"
    body = {"input": {"ingredientsOnHand": "beef", "recipe_name": "Stew"}}
    trace = httpx.post(f"{url}/chains/intro/stream_log", json=body, timeout=20).text
    chat = {"model": "sizzle", "messages": [{"role": "user", "content": "beef"}]}
    answer = httpx.post(f"{url}/v1/chat/completions", json=chat, timeout=20).text
    assert CANARY not in everywhere(url, run) + trace + answer + caplog.text


THINKING: dict[str, list[str]] = {
    "in tags": ["<think>", DRAFT, "</think>", "\n\n"],
    "in tags that are cut": ["<th", "ink>", DRAFT, "</thi", "nk>", "\n"],
    "without an opening tag": ["Okay, so the user wants recipes: ", DRAFT, "\n</think>\n\n"],
    "without an opening tag and unlike other thinking": ["Draft: ", DRAFT, "\n</think>\n\n"],
}


@pytest.mark.parametrize("thinking", THINKING)
def test_thinking_is_in_no_recipe(serve_scripts: ServeScripts, thinking: str) -> None:
    """A rejected draft is never picked, and prompts of dependent parts never contain thinking."""
    thoughts = THINKING[thinking]
    scripts: dict[str, Any] = {
        step: [*thoughts, *default_script(step)] for step in ("proposal", "intro", "ingredients")
    }
    url, provider = serve_scripts(scripts)
    run = start(url)
    texts = written(follow(run))
    assert texts == {part: state["text"] for part, state in ask("GET", run).json()["parts"].items()}
    assert texts["intro"] == "intro one, intro two."
    assert "Draft" not in "".join(texts.values())
    assert "think" not in ask("GET", run).text
    (steps,) = [call for call in provider.calls if call["step"] == "steps"]
    assert "Draft" not in json.dumps(steps["body"])
    assert "ingredients one, ingredients two." in json.dumps(steps["body"])


def test_thinking_counts_as_progress(serve: Serve, tmp_path: Any) -> None:
    """A model that thinks for longer than the timeout is not disconnected."""
    registry = tmp_path / "registry.toml"
    registry.write_text('[providers.groq]\nlabel = "Groq"\nbase_url = "http://x/v1"\nnext_token_s = 0.5\n')

    async def body() -> AsyncIterator[bytes]:
        yield raw("<think>")
        for _ in range(10):
            await asyncio.sleep(0.2)
            yield raw("hm ")
        yield raw("</think>Beef.") + raw(finish_reason="stop")

    async def completions(_: Request) -> Response:
        return StreamingResponse(body(), media_type="text/event-stream")

    with serving(Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"])])) as provider:
        url = serve(groq_api_key="k", groq_base_url=f"{provider}/v1", registry=registry)
        assert httpx.get(f"{url}/completion", params=QUESTION, timeout=20).text == "Beef."


def test_a_model_that_thinks_without_an_opening_tag_is_remembered(serve_scripts: ServeScripts) -> None:
    """In its next answer the thinking is not shown at all."""
    thoughts = ["Draft: beef.", "\n</think>\n\n"]
    url, _ = serve_scripts({"intro": [*thoughts, "Beef."]})
    first, second = follow(start(url)), follow(start(url))
    assert written(first)["intro"] == written(second)["intro"] == "Beef."
    assert "Draft" not in str(second)


def test_a_provider_that_ignores_its_limit_of_tokens_is_cut_off(serve_scripts: ServeScripts) -> None:
    """The limit is 64 characters per token and at least 64 K characters; the finish_reason is `length`."""
    endless: Script = [*["x" * 8192] * 20, Gate()]
    url, provider = serve_scripts({"nutrition": endless, "completion": endless})
    events = read(url)
    end = end_of(events, "nutrition")
    assert [end["status"], end["finish_reason"], len(texts(events)["ing"])] == ["cut_off", "length", 65_536]
    assert len(ask("GET", f"{url}/completion?query=beef&max_tokens=1100").text.partition("\n")[0]) == 70_400
    assert wait_until(lambda: sorted(provider.closed) == ["completion", "nutrition"], seconds=5)


HOSTILE: dict[str, Script] = {
    "nested braces": ["{" * 150 + "}" * 150] * 20,
    "braces that never end": ["{}" * 500] * 40,
    "one endless text": [chunk({"content": "x" * 100_000})] * 30,
    "blank lines": [b"\n" * 500_000],
    "comments": [b": ping\n\n" * 100_000],
    "events of nothing": [b"data: {}\n\n" * 50_000],
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_provider_costs_its_own_part_only(serve_scripts: ServeScripts, attack: str) -> None:
    url, _ = serve_scripts({"proposal": [*HOSTILE[attack], Finish(None)]})
    events = read(url)
    assert end_of(events, "nutrition")["status"] == "ok"
    assert events_named(events, "end")[0]["status"] == "failed"
    assert len(ask("GET", f"{url}/healthz").content) < 10_000


def empty_body() -> StreamReader:
    loop = asyncio.get_running_loop()
    return StreamReader(BaseProtocol(loop), 2**20, loop=loop)


@pytest.mark.parametrize(("interval_s", "blocks"), [(0.3, [b"a", b"b", b"cd"]), (0, [b"a", b"b", b"c"])])
def test_what_a_stream_sends_within_an_interval_is_read_together(interval_s: float, blocks: list[bytes]) -> None:
    """A stream is fast, so that its reads wait, after it had data again within an interval."""

    async def read_three() -> list[bytes]:
        body, read = empty_body(), list[bytes]()
        with ReadCoalescing(per_stream_s=interval_s).stream(body) as coalesced:
            for data in (b"a", b"b", b"c"):
                body.feed_data(data)
                reading = asyncio.create_task(coalesced.readany())
                await asyncio.sleep(0)
                if data == b"c":
                    body.feed_data(b"d")
                read.append(await reading)
        return read

    assert run_async(read_three()) == blocks


@pytest.mark.parametrize("interval_s", [0, 0.1])
def test_what_arrived_before_a_connection_broke_is_read(interval_s: float) -> None:
    """The error is raised by the next read, whether the stream is slow or fast."""

    async def read_all() -> list[bytes]:
        body, read = empty_body(), list[bytes]()
        with ReadCoalescing(per_stream_s=interval_s).stream(body) as coalesced:
            for data in (b"a", b"b"):
                body.feed_data(data)
                read.append(await coalesced.readany())
            reading = asyncio.create_task(coalesced.readany())
            if interval_s:  # the read is waiting
                await asyncio.sleep(0)
            body.feed_data(b"data: [DONE]")
            body.set_exception(ConnectionResetError())
            read.append(await reading)
            with pytest.raises(ConnectionResetError):
                await coalesced.readany()
        return read

    assert run_async(read_all()) == [b"a", b"b", b"data: [DONE]"]


def test_all_fast_streams_are_read_in_the_same_turn() -> None:
    async def read_two() -> tuple[bool, bool]:
        coalescing, bodies = ReadCoalescing(per_stream_s=0.15), (empty_body(), empty_body())
        with coalescing.stream(bodies[0]) as first, coalescing.stream(bodies[1]) as second:
            for _ in range(2):
                for body, coalesced in zip(bodies, (first, second), strict=True):
                    body.feed_data(b"x")
                    await coalesced.readany()
            for body in bodies:
                body.feed_data(b"x")
            readings = [asyncio.create_task(each.readany()) for each in (first, second)]
            await asyncio.sleep(0)
            were_done = any(reading.done() for reading in readings)
            await readings[0]
            return were_done, readings[1].done()

    assert run_async(read_two()) == (False, True)


@pytest.mark.parametrize("event", [b"data: {}\n\n", b": x\n\n", b'data: {"choices": []}\n\n'])
def test_other_tasks_run_while_a_flood_is_read(event: bytes) -> None:
    """However much one read returns, it is decoded block by block."""

    async def longest_wait() -> tuple[int, int]:
        body = empty_body()
        body.feed_data(event * (2**20 // len(event)))
        body.feed_eof()
        turns, largest = 0, 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        with ReadTimeout(body, asyncio.get_running_loop().time() + 60) as reader:
            while block := await reader.read():
                largest = max(largest, len(block))
        counting.cancel()
        return turns, largest

    turns, largest = run_async(longest_wait())
    assert largest == LARGEST_BLOCK
    assert turns >= 2**20 // LARGEST_BLOCK - 2

"""`POST /race`: what is measured, in which order, and what happens when a model fails."""

import json
import threading
import time
from contextlib import aclosing
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse

from app.models import open_models
from chains.race import RaceEnd, Result, race
from tests.client import wait_until
from tests.conftest import Serve, ServeScripts
from tests.race_answers import ANSWER, ONE, OTHER, usage
from tests.servers import Finish, Gate, Refuse, Script, provider, run, settings_from


def events(url: str, **asked: Any) -> list[tuple[str, Any]]:
    """The events of `POST /race`."""
    with httpx.Client(timeout=30) as client, connect_sse(client, "POST", f"{url}/race", json=asked) as source:
        return [(event.event, json.loads(event.data)) for event in source.iter_sse()]


def results(url: str, **asked: Any) -> dict[str, Any]:
    return {said["model"]: said for name, said in events(url, **asked) if name == "result"}


def test_each_call_is_told_and_the_ranking_is_the_end(serve_scripts: ServeScripts) -> None:
    """Start, warm-ups, rounds with their figures, a result for each model, and `end` always last."""
    url, _ = serve_scripts({"completion": ANSWER}, race=True)
    told = events(url, rounds=2)
    assert [(name, said.get("model"), said.get("round")) for name, said in told] == [
        ("start", None, None),
        ("call", ONE, 0),
        ("call", OTHER, 0),
        ("call", ONE, 1),
        ("round", ONE, 1),
        ("call", OTHER, 1),
        ("round", OTHER, 1),
        ("call", ONE, 2),
        ("round", ONE, 2),
        ("result", ONE, None),
        ("call", OTHER, 2),
        ("round", OTHER, 2),
        ("result", OTHER, None),
        ("end", None, None),
    ]
    entrant = {"model": ONE, "provider": "groq", "label": "Groq"}
    assert told[0][1] == {"entrants": [entrant, entrant | {"model": OTHER}], "rounds": 2}
    best = {said["model"]: said["best"]["ttft_ms"] for name, said in told if name == "result"}
    assert told[-1][1] == {"ranking": sorted(best, key=lambda name: best[name])}
    assert [said["figures"]["tokens"] for name, said in told if name == "round"] == [3] * 4


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (["Slice ", Finish(None)], "broke off"),
        (["Slice ", Finish("content_filter")], "content filter"),
        ([Finish("stop")], "without a word"),
        ([Finish("length")], "before it wrote a word"),
        (["Slice ", b"data: {half\n\n"], "can't be read"),
        ([Refuse(503)], "failed (503)"),
    ],
)
def test_an_answer_that_is_not_whole_is_a_failure(serve_scripts: ServeScripts, script: Script, reason: str) -> None:
    """It fails that model in words of our own, and the race still comes to its end."""
    url, _ = serve_scripts({"completion": [ANSWER, ANSWER, script, ANSWER]}, race=True)
    measured = results(url, rounds=1)
    assert reason in measured[ONE]["failure"]
    assert [measured[OTHER]["failure"], len(measured[OTHER]["rounds"])] == [None, 1]


def test_an_answer_cut_off_at_the_limit_is_whole_enough(serve_scripts: ServeScripts) -> None:
    """The limit is ours, so reaching it is no failure."""
    url, _ = serve_scripts({"completion": ["Slice ", "the ", usage(2), Finish("length")]}, race=True)
    assert results(url, rounds=1, models=[ONE])[ONE]["failure"] is None


def test_the_first_token_is_the_first_text(serve_scripts: ServeScripts) -> None:
    """The empty delta that opens an answer stops no clock: time to the first token covers the wait after it."""
    gate, held = Gate(), 0.0
    url, scripted = serve_scripts({"completion": [ANSWER, [gate, "Slice ", "it.", usage(5)]]}, race=True)
    asked = {"rounds": 1, "models": [ONE]}
    with httpx.Client(timeout=30) as client, connect_sse(client, "POST", f"{url}/race", json=asked) as source:
        for event in source.iter_sse():
            told = json.loads(event.data)
            if event.event == "call" and told["round"] == 1:
                assert wait_until(lambda: len(scripted.calls) == 2, seconds=5)
                start = time.perf_counter()
                threading.Event().wait(0.1)
                held = (time.perf_counter() - start) * 1000
                gate.open()
            if event.event == "result":
                assert held <= told["best"]["ttft_ms"] < told["best"]["total_ms"]
    assert held


@pytest.mark.parametrize(
    ("counted", "tokens", "has_rate"),
    [([], None, False), ([usage(1)], 1, False), ([usage(40)], 40, True), ([usage(40, reasoning_tokens=30)], 10, True)],
    ids=["uncounted", "one", "text", "reasoning"],
)
def test_tokens_are_those_of_the_text_as_the_provider_counts_them(
    serve_scripts: ServeScripts, counted: Script, tokens: int | None, has_rate: bool
) -> None:
    """Without a count, or for a single token, there is no rate; reasoning, which comes first, is not part of it."""
    url, _ = serve_scripts({"completion": ["Slice ", "it.", *counted]}, race=True)
    best = results(url, rounds=1, models=[ONE])[ONE]["best"]
    assert [best["tokens"], best["tokens_per_s"] is not None] == [tokens, has_rate]


def test_a_call_without_end_is_given_up() -> None:
    """A model that keeps a call open beyond the deadline fails, and the call is closed."""

    async def told(url: str) -> list[Any]:
        settings = settings_from(groq_api_key="sk-1", groq_base_url=url)
        async with (
            open_models(settings) as cooks,
            aclosing(race({ONE: cooks.completion_models[ONE]}, 3, deadline_s=0.3)) as going,
        ):
            return [progress async for progress in going]

    with provider({"completion": ["Slice ", Gate()]}) as scripted:
        *_, result, end = run(told(scripted.url))
        assert wait_until(lambda: scripted.closed == ["completion"], seconds=2)
    reason = "Groq took longer than 0.3 seconds for one answer: try again."
    assert [result, end] == [Result(ONE, (), None, None, reason), RaceEnd((ONE,))]


def test_one_race_at_a_time_and_it_ends_with_its_reader(serve_scripts: ServeScripts) -> None:
    """A second race gets 409; when the reader leaves, its call is closed and the next race can start."""
    url, scripted = serve_scripts({"completion": [["Slice ", Gate()], ANSWER]}, race=True)
    with httpx.stream("POST", f"{url}/race", json={}, timeout=30) as first:
        assert wait_until(lambda: len(scripted.calls) == 1, seconds=5)
        second = httpx.post(f"{url}/race", json={})
        assert [first.status_code, second.status_code] == [200, 409]
        assert "running" in second.json()["detail"]
    assert wait_until(lambda: scripted.closed == ["completion"], seconds=2)
    assert wait_until(lambda: httpx.post(f"{url}/race", json={"rounds": 1}).status_code == 200, seconds=2)


def test_bad_input_does_not_hold_the_track(serve_scripts: ServeScripts) -> None:
    """A refused request leaves the way free for the next."""
    url, _ = serve_scripts({"completion": ANSWER}, race=True)
    assert httpx.post(f"{url}/race", json={"rounds": 0}).status_code == 422
    assert events(url, rounds=1)[-1][0] == "end"


def test_with_a_key_the_race_is_off_unless_the_settings_allow_it(serve_scripts: ServeScripts) -> None:
    """It is a 403 that says what to set, nothing is sent, and the page is told as much."""
    url, scripted = serve_scripts()
    answer = httpx.post(f"{url}/race", json={})
    assert [answer.status_code, "SIZZLE_RACE=true" in answer.json()["detail"]] == [403, True]
    assert scripted.calls == []
    told = httpx.get(f"{url}/race/entrants").json()
    assert [told["off"], told["standin"]] == [answer.json()["detail"], False]


def test_without_a_key_the_race_is_on(serve: Serve) -> None:
    """The stand-in costs nothing."""
    url = serve(standin_ttft_ms=5, standin_tokens_per_s=0)
    told = httpx.get(f"{url}/race/entrants").json()
    assert [told["off"], told["standin"], [entrant["model"] for entrant in told["entrants"]]] == [
        None,
        True,
        ["stand-in"],
    ]
    assert events(url, rounds=1)[-1] == ("end", {"ranking": ["stand-in"]})


@pytest.mark.parametrize(
    ("asked", "field", "right"),
    [
        ({"rounds": 0}, "rounds", "from 1 to 20"),
        ({"rounds": 21}, "rounds", "from 1 to 20"),
        ({"rounds": "3"}, "rounds", "from 1 to 20"),
        ({"rounds": True}, "rounds", "from 1 to 20"),
        ({"models": []}, "models", "names of models"),
        ({"models": ["stand-in"]}, "models", ONE),
        ({"models": [ONE, "https://example.org/v1"]}, "models", ONE),
        ({"prompt": "Hi"}, "prompt", "rounds, models"),
        ([], "body", "rounds, models"),
        ("{", "body", "rounds, models"),
    ],
)
def test_bad_input_names_the_field_and_what_is_right(
    serve_scripts: ServeScripts, asked: Any, field: str, right: str
) -> None:
    """It is a 422 in the form of the other routes, and nothing is sent to a provider."""
    url, scripted = serve_scripts(race=True)
    body = asked if isinstance(asked, str) else json.dumps(asked)
    answer = httpx.post(f"{url}/race", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert [problem["field"], right in problem["expected"]] == [field, True]
    assert scripted.calls == []


def test_a_form_on_another_page_can_not_start_a_race(serve_scripts: ServeScripts) -> None:
    """Only JSON that says so is taken, which a browser asks the server about before it sends it."""
    url, scripted = serve_scripts(race=True)
    answer = httpx.post(f"{url}/race", content="{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
    assert scripted.calls == []

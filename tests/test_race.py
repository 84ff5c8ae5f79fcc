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
from tests.client import ask, wait_until
from tests.conftest import Serve, ServeScripts
from tests.race_answers import ANSWER, ONE, OTHER, usage
from tests.servers import Finish, Gate, Refuse, Script, provider, run, settings_from


def events(url: str, **body: Any) -> list[tuple[str, Any]]:
    """The events of `POST /race`."""
    with httpx.Client(timeout=30) as client, connect_sse(client, "POST", f"{url}/race", json=body) as source:
        return [(event.event, json.loads(event.data)) for event in source.iter_sse()]


def results(url: str, **body: Any) -> dict[str, Any]:
    return {data["model"]: data for name, data in events(url, **body) if name == "result"}


def test_each_call_is_reported_and_the_ranking_is_last(serve_scripts: ServeScripts) -> None:
    """Start, warm-ups, rounds with their figures, a result for each model, and `end`, always last."""
    url, _ = serve_scripts({"completion": ANSWER}, race=True)
    received = events(url, rounds=2)
    assert [(name, data.get("model"), data.get("round")) for name, data in received] == [
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
    assert received[0][1] == {"entrants": [entrant, entrant | {"model": OTHER}], "rounds": 2}
    best = {data["model"]: data["best"]["ttft_ms"] for name, data in received if name == "result"}
    assert received[-1][1] == {"ranking": sorted(best, key=lambda name: best[name])}
    assert [data["figures"]["tokens"] for name, data in received if name == "round"] == [3] * 4


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (["Slice ", Finish(None)], "broke off"),
        (["Slice ", Finish("content_filter")], "content filter"),
        ([Finish("stop")], "an empty answer"),
        ([Finish("length")], "before it wrote text"),
        (["Slice ", b"data: {half\n\n"], "an invalid response"),
        ([Refuse(503)], "failed (503)"),
    ],
)
def test_an_incomplete_answer_is_a_failure(serve_scripts: ServeScripts, script: Script, reason: str) -> None:
    """The model fails with our own message, and the race continues to its end."""
    url, _ = serve_scripts({"completion": [ANSWER, ANSWER, script, ANSWER]}, race=True)
    measured = results(url, rounds=1)
    assert reason in measured[ONE]["failure"]
    assert [measured[OTHER]["failure"], len(measured[OTHER]["rounds"])] == [None, 1]


def test_an_answer_cut_off_at_the_limit_counts(serve_scripts: ServeScripts) -> None:
    """The limit is ours, so reaching it is not a failure."""
    url, _ = serve_scripts({"completion": ["Slice ", "the ", usage(2), Finish("length")]}, race=True)
    assert results(url, rounds=1, models=[ONE])[ONE]["failure"] is None


def test_the_first_token_is_the_first_text(serve_scripts: ServeScripts) -> None:
    """The empty delta at the start of an answer is not a token."""
    gate, waited_ms = Gate(), 0.0
    url, scripted = serve_scripts({"completion": [ANSWER, [gate, "Slice ", "it.", usage(5)]]}, race=True)
    body = {"rounds": 1, "models": [ONE]}
    with httpx.Client(timeout=30) as client, connect_sse(client, "POST", f"{url}/race", json=body) as source:
        for event in source.iter_sse():
            received = json.loads(event.data)
            if event.event == "call" and received["round"] == 1:
                assert wait_until(lambda: len(scripted.calls) == 2, seconds=5)
                start = time.perf_counter()
                threading.Event().wait(0.1)
                waited_ms = (time.perf_counter() - start) * 1000
                gate.open()
            if event.event == "result":
                assert waited_ms <= received["best"]["ttft_ms"] < received["best"]["total_ms"]
    assert waited_ms


@pytest.mark.parametrize(
    ("counted", "tokens", "has_rate"),
    [([], None, False), ([usage(1)], 1, False), ([usage(40)], 40, True), ([usage(40, reasoning_tokens=30)], 10, True)],
    ids=["uncounted", "one", "text", "reasoning"],
)
def test_tokens_are_those_of_the_text_as_the_provider_counts_them(
    serve_scripts: ServeScripts, counted: Script, tokens: int | None, has_rate: bool
) -> None:
    """Without a count, or for a single token, there is no rate; reasoning is not counted."""
    url, _ = serve_scripts({"completion": ["Slice ", "it.", *counted]}, race=True)
    best = results(url, rounds=1, models=[ONE])[ONE]["best"]
    assert [best["tokens"], best["tokens_per_s"] is not None] == [tokens, has_rate]


def test_an_endless_call_is_closed() -> None:
    """A model fails if its call exceeds the deadline, and the call is closed."""

    async def received(url: str) -> list[Any]:
        settings = settings_from(groq_api_key="sk-1", groq_base_url=url)
        async with (
            open_models(settings) as opened,
            aclosing(race({ONE: opened.completion_models[ONE]}, 3, deadline_s=0.3)) as progress_events,
        ):
            return [progress async for progress in progress_events]

    with provider({"completion": ["Slice ", Gate()]}) as scripted:
        *_, result, end = run(received(scripted.url))
        assert wait_until(lambda: scripted.closed == ["completion"], seconds=2)
    reason = "Groq took longer than 0.3 seconds for one answer: try again."
    assert [result, end] == [Result(ONE, (), None, None, reason), RaceEnd((ONE,))]


def test_a_client_has_one_race_at_a_time_and_it_ends_with_its_reader(serve_scripts: ServeScripts) -> None:
    """A second race gets a 409. When the reader leaves, its call is closed and the next race can start."""
    url, scripted = serve_scripts({"completion": [["Slice ", Gate()], ANSWER]}, race=True)
    with httpx.stream("POST", f"{url}/race", json={}, timeout=30) as first:
        assert wait_until(lambda: len(scripted.calls) == 1, seconds=5)
        second = ask("POST", f"{url}/race", json={})
        assert [first.status_code, second.status_code] == [200, 409]
        assert "running" in second.json()["detail"]
    assert wait_until(lambda: scripted.closed == ["completion"], seconds=2)
    assert wait_until(lambda: ask("POST", f"{url}/race", json={"rounds": 1}).status_code == 200, seconds=2)


def test_bad_input_does_not_lock_the_race(serve_scripts: ServeScripts) -> None:
    """After a refused request another race can start."""
    url, _ = serve_scripts({"completion": ANSWER}, race=True)
    assert ask("POST", f"{url}/race", json={"rounds": 0}).status_code == 422
    assert events(url, rounds=1)[-1][0] == "end"


def test_with_a_key_the_race_is_off_unless_the_settings_allow_it(serve_scripts: ServeScripts) -> None:
    """The 403 names the setting, nothing is sent, and the page gets the reason."""
    url, scripted = serve_scripts()
    answer = ask("POST", f"{url}/race", json={})
    assert [answer.status_code, "SIZZLE_RACE=true" in answer.json()["detail"]] == [403, True]
    assert scripted.calls == []
    received = ask("GET", f"{url}/race/entrants").json()
    assert [received["off"], received["standin"]] == [answer.json()["detail"], False]


def test_without_a_key_the_race_is_on(serve: Serve) -> None:
    """The stand-in costs nothing."""
    url = serve(standin_ttft_ms=5, standin_tokens_per_s=0)
    received = ask("GET", f"{url}/race/entrants").json()
    assert [received["off"], received["standin"], [entrant["model"] for entrant in received["entrants"]]] == [
        None,
        True,
        ["stand-in"],
    ]
    assert events(url, rounds=1)[-1] == ("end", {"ranking": ["stand-in"]})


@pytest.mark.parametrize(
    ("body", "field", "right"),
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
    serve_scripts: ServeScripts, body: Any, field: str, right: str
) -> None:
    """It is a 422 like that of other routes, or a 400 if it is no JSON, and nothing is sent to a provider."""
    url, scripted = serve_scripts(race=True)
    text = body if isinstance(body, str) else json.dumps(body)
    answer = ask("POST", f"{url}/race", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == (400 if text == "{" else 422)
    (problem,) = answer.json()["detail"]
    assert [problem["field"], right in problem["expected"]] == [field, True]
    assert scripted.calls == []


def test_a_form_of_another_page_cannot_start_a_race(serve_scripts: ServeScripts) -> None:
    """Only JSON is accepted, for which a browser sends a preflight first."""
    url, scripted = serve_scripts(race=True)
    answer = ask("POST", f"{url}/race", content="{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
    assert scripted.calls == []

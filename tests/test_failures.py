"""Failures of a part and their effect on the others."""

import json
from typing import Any

import httpx
import pytest

from app.models import open_models
from chains.parts.events import Failed
from tests.client import CODES, REQUEST, events_named, read, texts, wait_until
from tests.conftest import ServeScripts
from tests.servers import RECIPES, Finish, Gate, Refuse, Script, provider, run, settings_from


@pytest.mark.parametrize("part", ["ingredients", "intro", "nutrition", "sides", "steps"])
def test_a_part_fails_alone(serve_scripts: ServeScripts, part: str) -> None:
    """The other parts are complete, except the steps if the ingredients fail."""
    url, _ = serve_scripts({part: [Refuse(500)]})
    events = read(url)
    lost = {"ingredients", "steps"} if part == "ingredients" else {part}
    assert {end["part"] for end in events_named(events, "part_end") if end["status"] == "failed"} == lost
    assert {end["part"] for end in events_named(events, "part_end") if end["status"] == "ok"} == CODES.keys() - lost
    assert {error["part"] for error in events_named(events, "error")} == lost
    assert events_named(events, "end")[0]["status"] == "partial"


def test_a_part_that_breaks_off_keeps_what_was_written(serve_scripts: ServeScripts) -> None:
    """A stream without a finish_reason is cut off, never ok; one at its token limit says so."""
    url, _ = serve_scripts({"intro": ["half a sen", Finish(None)], "steps": ["1. Cut", Finish("length")]})
    events = read(url)
    ends = {end["part"]: end for end in events_named(events, "part_end")}
    assert texts(events)["int"] == "half a sen"
    assert [ends["intro"]["status"], ends["intro"]["finish_reason"]] == ["cut_off", None]
    assert [ends["steps"]["status"], ends["steps"]["finish_reason"]] == ["cut_off", "length"]
    assert "limit" in ends["steps"]["message"]
    assert events_named(events, "end")[0]["status"] == "partial"


def test_an_error_within_the_stream_fails_the_part(serve_scripts: ServeScripts) -> None:
    """This covers `data: {"error": …}` after some text, unreadable JSON and an empty answer."""
    url, _ = serve_scripts(
        {
            "intro": ["some ", b'data: {"error": {"message": "sk-canary-1234 overloaded"}}\n\n'],
            "sides": [b"data: {half\n\n"],
            "nutrition": [Finish("stop")],
        }
    )
    events = read(url)
    assert {end["part"] for end in events_named(events, "part_end") if end["status"] == "failed"} == {
        "intro",
        "sides",
        "nutrition",
    }
    assert texts(events)["int"] == "some "


@pytest.mark.parametrize(
    ("status", "hint"),
    [(400, "registry"), (401, "API key"), (403, "API key"), (404, "model's id"), (429, "wait"), (503, "try again")],
)
def test_a_refused_proposal_fails_the_run_with_a_message(
    serve_scripts: ServeScripts, caplog: pytest.LogCaptureFixture, status: int, hint: str
) -> None:
    """The error says what to do, the nutrition part is complete, and the provider's words are nowhere."""
    url, _ = serve_scripts({"proposal": [Refuse(status)]})
    events = read(url)
    assert hint in next(error for error in events_named(events, "error") if error["part"] is None)["message"]
    assert events_named(events, "end")[0]["status"] == "failed"
    assert texts(events) == {"ing": "nutrition one, nutrition two."}
    assert "canary" not in str(events) + caplog.text
    assert "provider words" not in str(events) + caplog.text
    assert "Traceback" not in str(events) + caplog.text


@pytest.mark.parametrize(
    "written",
    [
        '```json\n[{"name": "A", "intro": "a"}, {"name": "B", "intro": "b",},]\n```',
        'Here are {three} 5" ideas: [{"name":"A","intro":"a {x}"},{"name":"B","intro":"b"}] Enjoy!',
        '{"recipes": [{"name": "A", "intro": "a", "tags": {"k": 1}}, {"name": "B", "intro": "b"}]}',
        '[{"name": "", "intro": "none"}, {"title": 1}, {"name": "A", "intro": "a"}, {"name": "B", "intro": "b"}, {"na',
    ],
)
def test_the_proposal_is_read_tolerantly(serve_scripts: ServeScripts, written: str) -> None:
    """Code fences, trailing commas, prose, a wrapping object and unusable or incomplete entries are accepted."""
    url, provider = serve_scripts({"proposal": [written[i : i + 3] for i in range(0, len(written), 3)]})
    events = read(url)
    assert [recipe["name"] for recipe in events_named(events, "proposal")[-1]["options"]] == ["A", "B"]
    assert events_named(events, "end")[0]["status"] == "ok"
    assert [call["step"] for call in provider.calls].count("proposal") == 1


def test_too_few_recipes_are_requested_again(serve_scripts: ServeScripts) -> None:
    """After a list with one usable recipe the proposal is requested again, and its recipes are used."""
    url, provider = serve_scripts({"proposal": [[json.dumps(RECIPES[:1])], [json.dumps(RECIPES[1:])]]})
    events = read(url)
    assert [call["step"] for call in provider.calls].count("proposal") == 2
    assert events_named(events, "proposal")[-1]["options"] == RECIPES
    assert events_named(events, "end")[0]["status"] == "ok"


@pytest.mark.parametrize("proposed", ["I can't.", "[]", json.dumps(RECIPES[:1])])
def test_too_few_recipes_twice_fail_the_run(serve_scripts: ServeScripts, proposed: str) -> None:
    """After the second such list the run fails with a clear message."""
    url, provider = serve_scripts({"proposal": [proposed]})
    events = read(url)
    assert events_named(events, "end")[0]["status"] == "failed"
    assert "two usable" in next(error["message"] for error in events_named(events, "error") if error["part"] is None)
    assert len([error for error in events_named(events, "error") if error["part"] is None]) == 1
    assert [call["step"] for call in provider.calls].count("proposal") == 2


def test_a_client_that_goes_away_closes_the_calls(serve_scripts: ServeScripts) -> None:
    """All running calls are closed within a second when the client leaves, before and after the first token."""
    gate = Gate()
    parts = ("intro", "ingredients", "nutrition", "sides")
    seen: list[str] = []
    url, provider = serve_scripts(
        {"intro": ["a ", gate], "ingredients": [gate], "nutrition": ["b ", gate], "sides": [gate, "c"]}
    )
    with httpx.Client() as client, client.stream("POST", f"{url}/generate", json=REQUEST) as response:
        lines = response.iter_lines()
        while sum(line == "event: part_start" for line in seen) < 5:
            seen.append(next(lines))
        assert wait_until(lambda: {call["step"] for call in provider.calls} >= set(parts), seconds=1)
    assert wait_until(lambda: set(provider.closed) == set(parts), seconds=1)


def test_a_client_that_goes_away_before_the_pick_closes_the_calls(serve_scripts: ServeScripts) -> None:
    """A silent proposal is closed, too, and no further call is made."""
    gate = Gate()
    url, provider = serve_scripts({"proposal": [gate], "nutrition": [gate]})
    with httpx.Client() as client, client.stream("POST", f"{url}/generate", json=REQUEST) as response:
        lines = response.iter_lines()
        assert sum(next(lines) == "event: part_start" for _ in range(9)) == 2
        assert wait_until(lambda: len(provider.calls) == 2, seconds=1)
    assert wait_until(lambda: set(provider.closed) == {"proposal", "nutrition"}, seconds=1)
    assert len(provider.calls) == 2


def test_an_empty_proposal_is_requested_again(serve_scripts: ServeScripts) -> None:
    """An empty answer is a list with too few recipes."""
    url, provider = serve_scripts({"proposal": [[Finish("stop")], [json.dumps(RECIPES)]]})
    assert events_named(read(url), "end")[0]["status"] == "ok"
    assert [call["step"] for call in provider.calls].count("proposal") == 2


def test_half_an_emoji_becomes_a_question_mark(serve_scripts: ServeScripts) -> None:
    """Lone surrogates, which are possible in JSON but not in UTF-8, become question marks."""
    named = json.dumps([{"name": f"{name}\ud83d", "intro": "x\udd25"} for name in "AB"])
    url, provider = serve_scripts({"proposal": [named], "ingredients": ["- beef \ud83d"], "intro": ["so \ud83d", "!"]})
    events = read(url)
    assert events_named(events, "end")[0]["status"] == "ok"
    assert [recipe["name"] for recipe in events_named(events, "proposal")[-1]["options"]] == ["A?", "B?"]
    assert [texts(events)["int"], texts(events)["add"]] == ["so ?!", "- beef ?"]
    assert "steps" in {call["step"] for call in provider.calls}


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ([Finish("length")], "raise the step's max_tokens"),
        (["  \n ", Finish("stop")], "an empty answer"),
        (["half ", b"data: {half\n\n"], "an invalid response"),
        (["half ", b'data: {"error": {"message": "x"}}\n\n'], "failed"),
    ],
)
def test_a_failure_says_what_happened(
    serve_scripts: ServeScripts, caplog: pytest.LogCaptureFixture, script: Script, reason: str
) -> None:
    """Answers with only reasoning, only white space or unreadable data each have a message and a log line."""
    url, _ = serve_scripts({"intro": script})
    (end,) = [end for end in events_named(read(url), "part_end") if end["status"] == "failed"]
    assert [end["part"], reason in end["message"]] == ["intro", True]
    assert "Groq (openai/gpt-oss-120b): " in caplog.text


def test_the_chain_by_itself_gives_texts_and_failures() -> None:
    """Without a server, `ainvoke` returns each part's text or `Failed`."""

    async def cook(url: str) -> Any:
        async with open_models(settings_from(groq_api_key="k", groq_base_url=url)) as models:
            return await models.recipe.chain.ainvoke({"ingredientsOnHand": "beef", "seed": 1})

    with provider({"ingredients": [Refuse(404)]}) as scripted:
        parts = run(cook(scripted.url))
    assert [parts["intro"], len(parts["alternates"])] == ["intro one, intro two.", 2]
    assert parts["ingredients"] == Failed(
        "Groq does not know the model or the address (404): check the model's id in the registry and the "
        "provider's base URL."
    )
    assert parts["steps"] == Failed("Needs “Ingredients”, which failed.")

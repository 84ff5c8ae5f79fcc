"""Faults that last: how the part and the run end, and that no provider's words are repeated."""

import logging
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.client import CODES, events_named, read, wait_until
from tests.fault_recipes import BEGUN, ServeFaults, assert_secret, attempts, end_of, good_recipe, shown
from tests.faults import (
    CUTS,
    FAULTS,
    STATUSES_FINAL,
    TRUNCATIONS,
    nobody,
    refusal,
)

# what is to be looked at after a refusal for good
SETTINGS = {
    400: "registry",
    401: "API key",
    402: "credit",
    403: "API key",
    404: "registry",
    413: "max_tokens",
    422: "registry",
}


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that is logged, by whomever."""
    caplog.set_level(logging.DEBUG)
    return caplog


def answered(method: str, url: str, **asked: Any) -> str:
    """Everything that is answered, even by a stream that is broken off."""
    said = ""
    with (
        httpx.stream(method, url, timeout=20, **asked) as answer,
        suppress(httpx.ReadError, httpx.RemoteProtocolError),
    ):
        said += str(answer.headers)
        for piece in answer.iter_text():
            said += piece
    return said


def test_no_provider_at_all_fails_the_run_in_words(serve_faults: ServeFaults, caplog: pytest.LogCaptureFixture) -> None:
    """With nobody at either base URL the run fails, and says what to look at."""
    with nobody() as nowhere:
        url, _ = serve_faults({}, fireworks_base_url=nowhere, groq_base_url=nowhere)
        events = read(url)
    assert events_named(events, "end")[0]["status"] == "failed"
    assert shown(events) == {}
    assert "base URL" in end_of(events, "alternates")["message"]
    assert_secret(url, events, caplog.text)


@pytest.mark.parametrize("status", STATUSES_FINAL)
def test_a_refusal_for_good_is_not_tried_again(
    play: ServeFaults, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """What no attempt would change fails the part, whose message names the setting to look at."""
    url, server = play({"intro": [refusal(status, "Retry-After: 0")]})
    events = read(url)
    end = end_of(events, "intro")
    assert [end["status"], server.providers_of("intro")] == ["failed", ["fireworks"]]
    assert str(status) in end["message"]
    assert SETTINGS[status] in end["message"]
    assert {**good_recipe(events), "int": ""} == {"int": "", **shown(events)}
    assert events_named(events, "end")[0]["status"] == "partial"
    assert_secret(url, events, caplog.text)


@pytest.mark.parametrize("reason", CUTS)
def test_an_end_with_a_reason_is_shown_as_what_it_is(
    play: ServeFaults, caplog: pytest.LogCaptureFixture, reason: str
) -> None:
    """An answer at its limit, or cut by a filter, is kept as `cut_off` with its reason, and not asked for again."""
    url, server = play({"intro": [CUTS[reason]]})
    events = read(url)
    end = end_of(events, "intro")
    assert [end["status"], end["finish_reason"], server.providers_of("intro")] == ["cut_off", reason, ["fireworks"]]
    assert shown(events) == {**good_recipe(events), "int": BEGUN}
    assert events_named(events, "end")[0]["status"] == "partial"
    assert_secret(url, events, caplog.text)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_stays_ends_the_part_after_three_attempts(
    play: ServeFaults, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """Three attempts, no more; what was written is kept and never passes for finished; the siblings are complete."""
    url, server = play({"intro": [FAULTS[fault]]})
    events = read(url)
    end = end_of(events, "intro")
    assert [end["status"], end["finish_reason"]] == ["cut_off" if fault in TRUNCATIONS else "failed", None]
    assert [server.providers_of("intro")[:2], len(server.providers_of("intro"))] == [["fireworks", "groq"], 3]
    assert [number for number, _ in attempts(events, "intro")] == [1, 2, 3]
    kept = BEGUN if "after the first token" in fault else ""
    assert {"int": "", **shown(events)} == {**good_recipe(events), "int": kept}
    assert [events_named(events, "end")[0]["status"], bool(end["message"])] == ["partial", True]
    assert_secret(url, events, caplog.text)


@pytest.mark.parametrize("step", ["proposal", "ingredients"])
@pytest.mark.parametrize("fault", ["503", "clean end after the first token", "reset after the first token", "HTML"])
def test_what_is_made_from_a_part_that_is_lost_is_not_written(serve_faults: ServeFaults, fault: str, step: str) -> None:
    """Half a list of ingredients, or none, makes no steps; without a proposal there is only what needs no dish."""
    url, server = serve_faults({step: [FAULTS[fault]]})
    events = read(url)
    lost = {
        "proposal": {"alternates", "ingredients", "intro", "sides", "steps"},
        "ingredients": {"ingredients", "steps"},
    }
    assert {end["part"] for end in events_named(events, "part_end") if end["status"] == "ok"} == CODES.keys() - lost[
        step
    ]
    assert [server.providers_of("steps"), len(server.providers_of(step))] == [[], 3]
    assert events_named(events, "end")[0]["status"] == {"proposal": "failed", "ingredients": "partial"}[step]


@pytest.mark.parametrize("fault", ["reset", "clean end", "stall", "error event"])
def test_what_an_attempt_wrote_outlives_a_silent_one(play: ServeFaults, fault: str) -> None:
    """When the last attempt has no text, the reader is left with that of an earlier one, which is not `ok`."""
    url, _ = play({"intro": [FAULTS[f"{fault} after the first token"], refusal(503), refusal(503)]})
    events = read(url)
    assert end_of(events, "intro")["status"] in ("failed", "cut_off")
    assert shown(events) == {**good_recipe(events), "int": BEGUN}


def test_a_run_is_over_at_its_deadline(serve_faults: ServeFaults) -> None:
    """Parts under way then fail, what they wrote is kept, and their calls are closed."""
    stalls = FAULTS["stall with pings after the first token"]
    url, server = serve_faults({"intro": [stalls]}, registry=None, run_deadline_s=2)  # with all patience
    events = read(url)
    assert [end_of(events, "intro")["status"], server.providers_of("intro")] == ["failed", ["fireworks"]]
    assert shown(events) == {**good_recipe(events), "int": BEGUN}
    assert 1900 < events_named(events, "end")[0]["total_ms"] < 4000
    assert wait_until(lambda: all(call.closed for call in server.of("intro")), seconds=1)


def test_no_other_face_repeats_what_a_provider_says(
    serve_faults: ServeFaults, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor do LangServe's traces and a plain completion, whatever a provider does."""
    url, server = serve_faults({})
    dish = {"ingredientsOnHand": "beef", "recipe_name": "Stew"}
    for fault in (fault for fault in FAULTS if "stall" not in fault):
        server.play({"intro": [FAULTS[fault]], "completion": [FAULTS[fault]]})
        said = answered("POST", f"{url}/chains/intro/stream_log", json={"input": dish})
        said += answered("GET", f"{url}/completion", params={"query": "What is a roux?"})
        assert [bool(server.providers_of("intro")), bool(server.providers_of("completion"))] == [True, True]
        assert_secret(url, [], said + caplog.text)

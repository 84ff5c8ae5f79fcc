"""Faults that last: how the part and the run end, and that no provider's words are repeated."""

import logging
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.client import CODES, events_named, read, wait_until
from tests.fault_recipes import PARTIAL_TEXT, ServeFaults, assert_secret, attempts, end_of, good_recipe, shown
from tests.faults import (
    CUTS,
    FAULTS,
    STATUSES_FINAL,
    TRUNCATIONS,
    nobody,
    refusal,
)

# the setting to check after a permanent refusal
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
    """Captures all log messages."""
    caplog.set_level(logging.DEBUG)
    return caplog


def answered(method: str, url: str, **options: Any) -> str:
    """The headers and the body of a response, even if it breaks off."""
    received = ""
    with (
        httpx.stream(method, url, timeout=20, **options) as answer,
        suppress(httpx.ReadError, httpx.RemoteProtocolError),
    ):
        received += str(answer.headers)
        for piece in answer.iter_text():
            received += piece
    return received


def test_without_any_provider_the_run_fails_with_a_message(
    serve_faults: ServeFaults, caplog: pytest.LogCaptureFixture
) -> None:
    """If no base URL can be reached, the run fails with a message that names the setting."""
    with nobody() as nowhere:
        url, _ = serve_faults({}, fireworks_base_url=nowhere, groq_base_url=nowhere)
        events = read(url)
    assert events_named(events, "end")[0]["status"] == "failed"
    assert shown(events) == {}
    assert "base URL" in end_of(events, "alternates")["message"]
    assert_secret(url, events, caplog.text)


@pytest.mark.parametrize("status", STATUSES_FINAL)
def test_a_permanent_refusal_is_not_retried(play: ServeFaults, caplog: pytest.LogCaptureFixture, status: int) -> None:
    """The part fails with a message that names the setting to check."""
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
def test_a_cut_answer_has_its_reason(play: ServeFaults, caplog: pytest.LogCaptureFixture, reason: str) -> None:
    """An answer cut at its limit or by a filter is `cut_off` with its reason and is not retried."""
    url, server = play({"intro": [CUTS[reason]]})
    events = read(url)
    end = end_of(events, "intro")
    assert [end["status"], end["finish_reason"], server.providers_of("intro")] == ["cut_off", reason, ["fireworks"]]
    assert shown(events) == {**good_recipe(events), "int": PARTIAL_TEXT}
    assert events_named(events, "end")[0]["status"] == "partial"
    assert_secret(url, events, caplog.text)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lasting_fault_ends_the_part_after_three_attempts(
    play: ServeFaults, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """The text is kept, but the part is never `ok`; the other parts are complete."""
    url, server = play({"intro": [FAULTS[fault]]})
    events = read(url)
    end = end_of(events, "intro")
    assert [end["status"], end["finish_reason"]] == ["cut_off" if fault in TRUNCATIONS else "failed", None]
    assert [server.providers_of("intro")[:2], len(server.providers_of("intro"))] == [["fireworks", "groq"], 3]
    assert [number for number, _ in attempts(events, "intro")] == [1, 2, 3]
    text = PARTIAL_TEXT if "after the first token" in fault else ""
    assert {"int": "", **shown(events)} == {**good_recipe(events), "int": text}
    assert [events_named(events, "end")[0]["status"], bool(end["message"])] == ["partial", True]
    assert_secret(url, events, caplog.text)


@pytest.mark.parametrize("step", ["proposal", "ingredients"])
@pytest.mark.parametrize("fault", ["503", "clean end after the first token", "reset after the first token", "HTML"])
def test_parts_that_need_a_lost_part_are_not_generated(serve_faults: ServeFaults, fault: str, step: str) -> None:
    """Without all ingredients there are no steps; without a proposal only the nutrition part is generated."""
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
def test_text_survives_an_attempt_without_text(play: ServeFaults, fault: str) -> None:
    """If the last attempt has no text, that of an earlier one is kept, and the part is not `ok`."""
    url, _ = play({"intro": [FAULTS[f"{fault} after the first token"], refusal(503), refusal(503)]})
    events = read(url)
    assert end_of(events, "intro")["status"] in ("failed", "cut_off")
    assert shown(events) == {**good_recipe(events), "int": PARTIAL_TEXT}


def test_a_run_ends_at_its_deadline(serve_faults: ServeFaults) -> None:
    """Running parts fail, their text is kept, and their calls are closed."""
    stalls = FAULTS["stall with pings after the first token"]
    url, server = serve_faults({"intro": [stalls]}, registry=None, run_deadline_s=2)  # with the default timeouts
    events = read(url)
    assert [end_of(events, "intro")["status"], server.providers_of("intro")] == ["failed", ["fireworks"]]
    assert shown(events) == {**good_recipe(events), "int": PARTIAL_TEXT}
    assert 1900 < events_named(events, "end")[0]["total_ms"] < 4000
    assert wait_until(lambda: all(call.closed for call in server.of("intro")), seconds=1)


def test_no_other_route_repeats_a_providers_words(serve_faults: ServeFaults, caplog: pytest.LogCaptureFixture) -> None:
    """This covers LangServe's log stream and plain completions."""
    url, server = serve_faults({})
    dish = {"ingredientsOnHand": "beef", "recipe_name": "Stew"}
    for fault in (fault for fault in FAULTS if "stall" not in fault):
        server.play({"intro": [FAULTS[fault]], "completion": [FAULTS[fault]]})
        received = answered("POST", f"{url}/chains/intro/stream_log", json={"input": dish})
        received += answered("GET", f"{url}/completion", params={"query": "What is a roux?"})
        assert [bool(server.providers_of("intro")), bool(server.providers_of("completion"))] == [True, True]
        assert_secret(url, [], received + caplog.text)

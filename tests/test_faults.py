"""Faults that another attempt repairs: which provider is called next, and what the reader sees."""

import json
import logging

import pytest

from tests.client import CODES, ask, events_named, follow, read, start, wait_until, written
from tests.fault_recipes import LABELS, ORDER, ServeFaults, assert_secret, attempts, good_recipe, shown
from tests.faults import (
    CANARY,
    FAULTS,
    FAULTS_WITH_A_TIME,
    GOOD,
    good_text,
    nobody,
    refusal,
)

# Groq writes the steps, because a success of Fireworks between its failures would reset their count
ON_FIREWORKS, STEPS_ON_GROQ = ("intro", "nutrition", "sides"), {"steps": "groq-gpt-oss-120b"}


def part_of(step: str) -> str:
    return "alternates" if step == "proposal" else step


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Captures all log messages."""
    caplog.set_level(logging.DEBUG)
    return caplog


@pytest.mark.parametrize("step", ORDER)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_other_provider_repairs_a_fault(
    play: ServeFaults, caplog: pytest.LogCaptureFixture, fault: str, step: str
) -> None:
    """The next model in the list is called, and the recipe is as if nothing had happened."""
    url, server = play({step: [FAULTS[fault], GOOD]})
    events = read(url)
    first, second = ORDER[step]
    assert shown(events) == good_recipe(events)
    assert server.providers_of(step) == [first, second]
    assert attempts(events, part_of(step)) == [(1, first), (2, second)]
    assert {end["status"] for end in events_named(events, "part_end")} == {"ok"}
    assert len(events_named(events, "part_end")) == len(CODES)
    assert [events_named(events, "end")[0]["status"], events_named(events, "error")] == ["ok", []]
    assert f"{LABELS[first]} (" in caplog.text
    assert_secret(url, events, caplog.text)
    if step == "ingredients":
        assert server.of("steps")[0].prompt.count("ingredients one, ingredients two.") == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_only_the_last_attempt_is_shown(play: ServeFaults, fault: str) -> None:
    """Neither the events nor the run's state contain text of the failed attempt."""
    url, server = play({"intro": [FAULTS[fault], GOOD]})
    run = start(url)
    texts = written(follow(run))
    assert server.providers_of("intro") == ["fireworks", "groq"]
    assert texts == {part: state["text"] for part, state in ask("GET", run).json()["parts"].items()}
    assert texts["intro"] == good_text("intro")


@pytest.mark.parametrize("fault", FAULTS_WITH_A_TIME)
def test_a_retry_after_is_respected(play: ServeFaults, caplog: pytest.LogCaptureFixture, fault: str) -> None:
    """If a `Retry-After`, in seconds or as a date, fits the deadline, the same model is called after it."""
    url, server = play({"intro": [FAULTS_WITH_A_TIME[fault], GOOD]})
    events = read(url)
    first, second = server.of("intro")
    assert [first.provider, second.provider, first.model] == ["fireworks", "fireworks", second.model]
    assert 0.9 < second.received_at - first.received_at < 5
    assert attempts(events, "intro") == [(1, "fireworks"), (2, "fireworks")]
    assert shown(events) == good_recipe(events)
    assert events_named(events, "end")[0]["status"] == "ok"
    assert_secret(url, events, caplog.text)


def test_a_retry_after_beyond_the_deadline_is_not_waited_for(serve_faults: ServeFaults) -> None:
    """The other provider is called at once."""
    url, server = serve_faults({"intro": [refusal(429, "Retry-After: 5"), GOOD]}, run_deadline_s=4)
    events = read(url)
    assert shown(events) == good_recipe(events)
    assert server.providers_of("intro") == ["fireworks", "groq"]


def test_an_unreachable_provider_is_replaced(serve_faults: ServeFaults, caplog: pytest.LogCaptureFixture) -> None:
    """A refused connection costs one attempt: the other provider writes all parts."""
    with nobody() as nowhere:
        url, server = serve_faults({}, fireworks_base_url=nowhere)
        events = read(url)
    assert shown(events) == good_recipe(events)
    assert {call.provider for call in server.calls} == {"groq"}
    assert attempts(events, "intro") == [(1, "fireworks"), (2, "groq")]
    assert events_named(events, "end")[0]["status"] == "ok"
    assert_secret(url, events, caplog.text)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if "stall" in fault])
def test_a_stalled_call_is_closed(play: ServeFaults, fault: str) -> None:
    """The connection is closed at the timeout, which comments do not extend."""
    url, server = play({"intro": [FAULTS[fault], GOOD]})
    read(url)
    stalled, again = server.of("intro")
    assert wait_until(lambda: stalled.closed is not None, seconds=1)
    assert stalled.closed is not None
    assert 0.4 < stalled.closed - stalled.received_at < 4
    assert again.closed is None


def test_a_provider_that_keeps_failing_is_skipped(serve_faults: ServeFaults) -> None:
    """After three failures in a row it is skipped if there is another one, and `/healthz` shows it."""
    url, server = serve_faults({step: [refusal(503), GOOD] for step in ON_FIREWORKS}, models=STEPS_ON_GROQ)
    read(url)
    earlier = len(server.calls)
    events = read(url)
    assert shown(events) == good_recipe(events)
    assert {call.provider for call in server.calls[earlier:]} == {"groq"}
    assert {number for part in CODES for number, _ in attempts(events, part)} == {1}
    assert "fireworks" in json.dumps(ask("GET", f"{url}/healthz").json()["cooling_down"])


def test_the_only_provider_is_called_during_its_cooldown(serve_faults: ServeFaults) -> None:
    scripts = {step: [refusal(503), GOOD] for step in ("intro", "nutrition", "sides")}
    url, server = serve_faults(scripts, fireworks_api_key=None)
    first, second = read(url), read(url)
    assert [shown(first), shown(second)] == [good_recipe(first), good_recipe(second)]
    assert {call.provider for call in server.calls} == {"groq"}


def test_each_provider_has_its_own_key(play: ServeFaults) -> None:
    """A retry with another provider uses that one's key."""
    url, server = play({"intro": [refusal(503), GOOD], "ingredients": [refusal(503), GOOD]})
    read(url)
    assert {(call.provider, call.headers["authorization"]) for call in server.calls} == {
        (provider, f"Bearer {CANARY}-{provider}") for provider in LABELS
    }


def test_an_enormous_retry_after_is_bounded(
    serve_faults: ServeFaults, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """A `Retry-After` of 400 digits counts as more than two minutes; the cooldown is bounded, and logging works."""
    scripts = {step: [refusal(503, f"Retry-After: {'9' * 400}"), GOOD] for step in ON_FIREWORKS}
    url, _ = serve_faults(scripts, models=STEPS_ON_GROQ)
    events = read(url)
    assert shown(events) == good_recipe(events)
    assert 0 < ask("GET", f"{url}/healthz").json()["cooling_down"]["fireworks"] <= 121
    assert_secret(url, events, caplog.text + "".join(capfd.readouterr()))


def test_a_retry_after_is_waited_for_once(play: ServeFaults) -> None:
    """It is waited for once; then the other provider is called."""
    url, server = play({"intro": [refusal(429, "Retry-After: 0"), refusal(429, "Retry-After: 0"), GOOD]})
    events = read(url)
    assert server.providers_of("intro") == ["fireworks", "fireworks", "groq"]
    assert shown(events) == good_recipe(events)

"""Every way in which a provider can fail: what a reader sees, what is asked again where, and what nobody may read."""

import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from tests.client import CODES, Event, events_named, follow, read, start, wait_until, written
from tests.faults import (
    CANARY,
    CUTS,
    FAULTS,
    FAULTS_WITH_A_TIME,
    GOOD,
    STATUSES_FINAL,
    TRUNCATIONS,
    Answer,
    FaultServer,
    faults,
    good_text,
    nobody,
    refusal,
)
from tests.servers import RECIPES, serving

KEYS = {"groq_api_key": f"{CANARY}-groq", "fireworks_api_key": f"{CANARY}-fireworks"}
# where each step is asked first, and where then
ORDER = {"proposal": ("groq", "fireworks"), "ingredients": ("groq", "fireworks"), "intro": ("fireworks", "groq")}
LABELS = {"groq": "Groq", "fireworks": "Fireworks"}
# seconds: long enough for a good answer on a busy machine, short enough to wait for
PATIENCE = """
[providers.groq]
label = "Groq"
base_url = "http://127.0.0.1/v1"
first_token_s = 0.6
next_token_s = 0.5

[providers.fireworks]
label = "Fireworks"
base_url = "http://127.0.0.1/v1"
first_token_s = 0.6
next_token_s = 0.5
"""

BEGUN = "intro one, "  # what an attempt writes before it breaks off
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

ServeFaults = Callable[..., tuple[str, FaultServer]]

# the steps by Groq, because an answer of Fireworks between its failures would reset their count
ON_FIREWORKS, STEPS_ON_GROQ = ("intro", "nutrition", "sides"), {"steps": "groq-gpt-oss-120b"}


@contextmanager
def sizzle_over(server: FaultServer, **settings: Any) -> Iterator[str]:
    """Sizzle over two providers, both of which are the fault server."""
    urls = {f"{provider}_base_url": server.url(provider) for provider in LABELS}
    with tempfile.TemporaryDirectory() as place:
        registry = Path(place, "patience.toml")
        registry.write_text(PATIENCE)
        with serving(create_app(Settings(**{"registry": registry, **KEYS, **urls, **settings}))) as url:
            yield url


@pytest.fixture(scope="module")
def shared_sizzle() -> Iterator[tuple[str, FaultServer]]:
    """One for all tests in which no provider fails more than twice in a row, so that none comes to rest."""
    with faults() as server, sizzle_over(server) as url:
        yield url, server


@pytest.fixture
def play(shared_sizzle: tuple[str, FaultServer]) -> ServeFaults:
    """Has the providers of the shared Sizzle follow `scripts`; returns its address and them."""
    url, server = shared_sizzle

    def start(scripts: Mapping[str, Sequence[Answer]]) -> tuple[str, FaultServer]:
        server.play(scripts)
        return url, server

    return start


@pytest.fixture
def serve_faults() -> Iterator[ServeFaults]:
    """Serves Sizzle over two providers that follow `scripts`; returns Sizzle's address and theirs."""
    with ExitStack() as stack:

        def start(scripts: Mapping[str, Sequence[Answer]], **settings: Any) -> tuple[str, FaultServer]:
            server = stack.enter_context(faults(scripts))
            return stack.enter_context(sizzle_over(server, **settings)), server

        yield start


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that is logged, by whomever."""
    caplog.set_level(logging.DEBUG)
    return caplog


def shown(events: list[Event]) -> dict[str, str]:
    """What a page ends up with, by code: an attempt above 1 replaces the text that its part held."""
    written: dict[str, str] = {}
    for name, code, text in events:
        if name == "message":
            written[code] = written.get(code, "") + text
        elif name == "part_start" and (start := json.loads(text))["attempt"] > 1 and start["part"] != "alternates":
            written[CODES[start["part"]]] = ""
    parted = {code: text.removeprefix("⮑⮑") for code, text in written.items()}  # as attempts are on Wire 1
    return {code: text for code, text in parted.items() if text.strip("⮑ ")}


def good_recipe(events: list[Event]) -> dict[str, str]:
    """What a page ends up with when nothing is lost and nothing doubled."""
    (picked,) = {proposal["picked"] for proposal in events_named(events, "proposal")}
    others = [recipe for place, recipe in enumerate(RECIPES) if place != picked]
    ideas = "".join(f"<li><b>{one['name']}</b> &nbsp;<i>{one['intro']}</i></li>" for one in others)
    texts = {code: good_text(part) for part, code in CODES.items()}
    return {**texts, "alt": ideas.replace("Slow & warm", "Slow &amp; warm")}


def attempts(events: list[Event], part: str) -> list[tuple[int, str]]:
    """The number and the provider of each of the part's attempts, as the reader sees them."""
    return [
        (start["attempt"], start["provider"]) for start in events_named(events, "part_start") if start["part"] == part
    ]


def end_of(events: list[Event], part: str) -> dict[str, Any]:
    """How the part ended, which it did once."""
    (end,) = [end for end in events_named(events, "part_end") if end["part"] == part]
    return end


def assert_secret(url: str, events: list[Event], log: str) -> None:
    """Neither a key nor a provider's own words are anywhere, and no trace of the stack."""
    everywhere = str(events) + log + httpx.get(f"{url}/healthz").text
    assert CANARY not in everywhere
    assert "upstream" not in everywhere
    assert "Traceback" not in everywhere


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


def part_of(step: str) -> str:
    return "alternates" if step == "proposal" else step


@pytest.mark.parametrize("step", ORDER)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_made_good_by_the_other_provider(
    play: ServeFaults, caplog: pytest.LogCaptureFixture, fault: str, step: str
) -> None:
    """The step is asked once more, of the next model on its list, and the recipe is as if nothing had happened."""
    url, server = play({step: [FAULTS[fault], GOOD]})
    events = read(url)
    first, second = ORDER[step]
    assert shown(events) == good_recipe(events)
    assert server.asked(step) == [first, second]
    assert attempts(events, part_of(step)) == [(1, first), (2, second)]
    assert {end["status"] for end in events_named(events, "part_end")} == {"ok"}
    assert len(events_named(events, "part_end")) == len(CODES)
    assert [events_named(events, "end")[0]["status"], events_named(events, "error")] == ["ok", []]
    assert f"{LABELS[first]} (" in caplog.text
    assert_secret(url, events, caplog.text)
    if step == "ingredients":
        assert server.of("steps")[0].prompt.count("ingredients one, ingredients two.") == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_the_page_shows_the_last_attempt_alone(play: ServeFaults, fault: str) -> None:
    """On Wire 2 nothing of an attempt that failed is left, neither for who follows nor in the run's state."""
    url, server = play({"intro": [FAULTS[fault], GOOD]})
    run = start(url)
    texts = written(follow(run))
    assert server.asked("intro") == ["fireworks", "groq"]
    assert texts == {part: state["text"] for part, state in httpx.get(run).json()["parts"].items()}
    assert texts["intro"] == good_text("intro")


@pytest.mark.parametrize("fault", FAULTS_WITH_A_TIME)
def test_a_provider_that_says_when_is_asked_again_then(
    play: ServeFaults, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """A `Retry-After` that fits the run's deadline in seconds or as a date is waited for, and the same model asked."""
    url, server = play({"intro": [FAULTS_WITH_A_TIME[fault], GOOD]})
    events = read(url)
    first, second = server.of("intro")
    assert [first.provider, second.provider, first.model] == ["fireworks", "fireworks", second.model]
    assert 0.9 < second.asked - first.asked < 5
    assert attempts(events, "intro") == [(1, "fireworks"), (2, "fireworks")]
    assert shown(events) == good_recipe(events)
    assert events_named(events, "end")[0]["status"] == "ok"
    assert_secret(url, events, caplog.text)


def test_a_time_beyond_the_deadline_is_not_waited_for(serve_faults: ServeFaults) -> None:
    """Where the run would be over by then, the other provider is asked at once."""
    url, server = serve_faults({"intro": [refusal(429, "Retry-After: 5"), GOOD]}, run_deadline_s=4)
    events = read(url)
    assert shown(events) == good_recipe(events)
    assert server.asked("intro") == ["fireworks", "groq"]


def test_a_provider_that_nobody_answers_for_is_replaced(
    serve_faults: ServeFaults, caplog: pytest.LogCaptureFixture
) -> None:
    """ProviderRejectedError connections cost an attempt, and nothing else: the other provider writes all."""
    with nobody() as nowhere:
        url, server = serve_faults({}, fireworks_base_url=nowhere)
        events = read(url)
    assert shown(events) == good_recipe(events)
    assert {call.provider for call in server.calls} == {"groq"}
    assert attempts(events, "intro") == [(1, "fireworks"), (2, "groq")]
    assert events_named(events, "end")[0]["status"] == "ok"
    assert_secret(url, events, caplog.text)


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
    assert [end["status"], server.asked("intro")] == ["failed", ["fireworks"]]
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
    assert [end["status"], end["finish_reason"], server.asked("intro")] == ["cut_off", reason, ["fireworks"]]
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
    assert [server.asked("intro")[:2], len(server.asked("intro"))] == [["fireworks", "groq"], 3]
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
    assert [server.asked("steps"), len(server.asked(step))] == [[], 3]
    assert events_named(events, "end")[0]["status"] == {"proposal": "failed", "ingredients": "partial"}[step]


@pytest.mark.parametrize("fault", ["reset", "clean end", "stall", "error event"])
def test_what_an_attempt_wrote_outlives_a_silent_one(play: ServeFaults, fault: str) -> None:
    """When the last attempt has no text, the reader is left with that of an earlier one, which is not `ok`."""
    url, _ = play({"intro": [FAULTS[f"{fault} after the first token"], refusal(503), refusal(503)]})
    events = read(url)
    assert end_of(events, "intro")["status"] in ("failed", "cut_off")
    assert shown(events) == {**good_recipe(events), "int": BEGUN}


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if "stall" in fault])
def test_a_provider_that_stalls_is_hung_up_on(play: ServeFaults, fault: str) -> None:
    """Within its deadline, which comments don't put off, the connection is closed."""
    url, server = play({"intro": [FAULTS[fault], GOOD]})
    read(url)
    stalled, again = server.of("intro")
    assert wait_until(lambda: stalled.closed is not None, seconds=1)
    assert stalled.closed is not None
    assert 0.4 < stalled.closed - stalled.asked < 4
    assert again.closed is None


def test_a_run_is_over_at_its_deadline(serve_faults: ServeFaults) -> None:
    """Parts under way then fail, what they wrote is kept, and their calls are closed."""
    stalls = FAULTS["stall with pings after the first token"]
    url, server = serve_faults({"intro": [stalls]}, registry=None, run_deadline_s=2)  # with all patience
    events = read(url)
    assert [end_of(events, "intro")["status"], server.asked("intro")] == ["failed", ["fireworks"]]
    assert shown(events) == {**good_recipe(events), "int": BEGUN}
    assert 1900 < events_named(events, "end")[0]["total_ms"] < 4000
    assert wait_until(lambda: all(call.closed for call in server.of("intro")), seconds=1)


def test_a_provider_that_keeps_failing_rests(serve_faults: ServeFaults) -> None:
    """After three failures in a row it is asked nothing while there is another, and everybody can see that."""
    url, server = serve_faults({step: [refusal(503), GOOD] for step in ON_FIREWORKS}, models=STEPS_ON_GROQ)
    read(url)
    asked = len(server.calls)
    events = read(url)
    assert shown(events) == good_recipe(events)
    assert {call.provider for call in server.calls[asked:]} == {"groq"}
    assert {number for part in CODES for number, _ in attempts(events, part)} == {1}
    assert "fireworks" in json.dumps(httpx.get(f"{url}/healthz").json()["resting"])


def test_a_provider_that_rests_is_asked_if_there_is_no_other(serve_faults: ServeFaults) -> None:
    """One that is alone is asked again all the same."""
    scripts = {step: [refusal(503), GOOD] for step in ("intro", "nutrition", "sides")}
    url, server = serve_faults(scripts, fireworks_api_key=None)
    first, second = read(url), read(url)
    assert [shown(first), shown(second)] == [good_recipe(first), good_recipe(second)]
    assert {call.provider for call in server.calls} == {"groq"}


def test_each_provider_has_its_own_key(play: ServeFaults) -> None:
    """A retry elsewhere never takes a key along."""
    url, server = play({"intro": [refusal(503), GOOD], "ingredients": [refusal(503), GOOD]})
    read(url)
    assert {(call.provider, call.headers["authorization"]) for call in server.calls} == {
        (provider, f"Bearer {CANARY}-{provider}") for provider in LABELS
    }


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
        assert [bool(server.asked("intro")), bool(server.asked("completion"))] == [True, True]
        assert_secret(url, [], said + caplog.text)


def test_a_time_beyond_all_bounds_is_none(
    serve_faults: ServeFaults, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """A `Retry-After` of 400 digits is one beyond two minutes, the rest it brings is bounded, and no log fails."""
    scripts = {step: [refusal(503, f"Retry-After: {'9' * 400}"), GOOD] for step in ON_FIREWORKS}
    url, _ = serve_faults(scripts, models=STEPS_ON_GROQ)
    events = read(url)
    assert shown(events) == good_recipe(events)
    assert 0 < httpx.get(f"{url}/healthz").json()["resting"]["fireworks"] <= 121
    assert_secret(url, events, caplog.text + "".join(capfd.readouterr()))


def test_a_provider_that_says_when_and_fails_again_is_left(play: ServeFaults) -> None:
    """It is waited for once; then it is the other provider's turn."""
    url, server = play({"intro": [refusal(429, "Retry-After: 0"), refusal(429, "Retry-After: 0"), GOOD]})
    events = read(url)
    assert server.asked("intro") == ["fireworks", "fireworks", "groq"]
    assert shown(events) == good_recipe(events)

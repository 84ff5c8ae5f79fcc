"""Runs: started, followed, cancelled and expired."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.wires.run_stream import RETRY
from tests.client import (
    REQUEST,
    ReceivedEvent,
    ask,
    cancel,
    decoded,
    follow,
    listening,
    named,
    rewrite,
    start,
    statuses,
    wait_until,
    written,
)
from tests.conftest import Serve, ServeScripts
from tests.servers import PARTS, Gate, Refuse

DISH = {"name": "Onion Tart", "intro": "Crisp."}


def test_a_run_is_streamed_from_start_to_end(serve_scripts: ServeScripts) -> None:
    """Six parts, each started and ended once, between `run` and `end`; ids without gaps, times that never decrease."""
    url, _ = serve_scripts()
    address = start(url)
    events = follow(address)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert len({event.id.split("-")[0] for event in events}) == 1
    moments = [event.fields["at_ms"] for event in events]
    assert moments == sorted(moments)
    first, *_, last = events
    assert [first.name, last.name, statuses(events)] == ["run", "end", ["ok"]]
    assert first.fields["run_id"] == address.rsplit("/")[-1]
    assert first.fields["request"]["ingredientsOnHand"] == REQUEST["ingredientsOnHand"]
    assert first.fields["parts"] == list(PARTS)
    for name in ("part_start", "part_end"):
        assert sorted(fields["part"] for fields in named(events, name)) == sorted(PARTS)
    assert written(events)["steps"] == "steps one, steps two."
    assert named(events, "proposal")[-1]["options"][2] == DISH


def test_a_run_says_what_was_understood(sizzle_url: str) -> None:
    """The first event and the state have the values that the prompts get in place of what was sent."""
    address = start(sizzle_url, {"ingredientsOnHand": "leek, no peanuts, for 3 people", "servings": 2, "diet": "vegan"})
    understood = {"avoid": "peanuts", "servings": 3}
    assert follow(address)[0].fields["understood"] == understood
    state = ask("GET", address).json()
    assert (state["understood"], state["request"]["servings"]) == (understood, 2)


def test_a_stream_sets_the_reconnection_time_and_is_not_cached(sizzle_url: str) -> None:
    """It begins with `retry:`, and proxies must neither cache nor buffer it."""
    answer = ask("GET", f"{start(sizzle_url)}/events")
    assert answer.content.startswith(RETRY + b"id: ")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [answer.headers[name] for name in ("cache-control", "x-accel-buffering")] == ["no-store, no-transform", "no"]


def test_no_block_is_without_data(sizzle_url: str) -> None:
    """Some clients make an event of a block with only `retry:`, so the field is in the first event."""
    address = start(sizzle_url)
    events = follow(address)
    for last in ("", events[4].id):
        answer = ask("GET", f"{address}/events", headers={"Last-Event-ID": last})
        blocks = answer.text.removesuffix("\n\n").split("\n\n")
        assert [block.startswith("retry: 1000\n") for block in blocks[:2]] == [True, False]
        assert all("\ndata: {" in block for block in blocks)


def test_the_state_is_what_the_events_add_up_to(serve_scripts: ServeScripts) -> None:
    """During a part and at the end it is what a reader has after the same event."""
    gate = Gate()
    url, _ = serve_scripts({"steps": ["1. Cut ", gate, "2. Eat"], "sides": [Refuse(401)]})
    address = start(url)
    assert wait_until(lambda: ask("GET", address).json()["parts"]["steps"]["text"] == "1. Cut ", seconds=5)
    live = ask("GET", address).json()
    assert [live["status"], live["total_ms"], live["parts"]["steps"]["state"]] == ["running", None, "writing"]
    gate.open()
    events, state = follow(address), ask("GET", address).json()
    assert {part: content["text"] for part, content in state["parts"].items()} == {"sides": ""} | written(events)
    for end in named(events, "part_end"):
        content = state["parts"][end.pop("part")]
        assert content["state"] == end.pop("status")
        del end["at_ms"]
        assert content | end == content
    assert [state["status"], state["last_event_id"]] == ["partial", events[-1].id]
    assert [state["total_ms"], state["message"]] == [events[-1].fields[name] for name in ("total_ms", "message")]
    assert {name: state[name] for name in ("options", "picked")}.items() <= named(events, "proposal")[-1].items()
    assert state["parts"]["sides"]["message"]
    assert live["options"] == state["options"]


def test_a_run_that_waits_for_its_proposal_has_no_dish_yet(serve_scripts: ServeScripts) -> None:
    """Before the pick there are no options, and the dependent parts wait."""
    url, _ = serve_scripts({"proposal": [Gate()], "nutrition": [Gate()]})
    state = ask("GET", start(url)).json()
    assert [state["options"], state["picked"]] == [[], None]
    assert [state["parts"]["steps"]["state"], state["parts"]["steps"]["attempt"]] == ["waiting", 0]


def test_a_silent_stream_is_kept_open_by_comments(serve_scripts: ServeScripts) -> None:
    """Comments are sent while the models are silent; they are not events."""
    gate = Gate()
    url, _ = serve_scripts({"proposal": [Gate()], "nutrition": [gate]}, keep_alive_s=0.05)
    body = b""
    with listening(f"{start(url)}/events") as response:
        for piece in response.iter_raw():
            body += piece
            if body.count(b"\n\n: ") == 3:
                break
    assert decoded(body)[0].name == "run"


def asks(url: str, run_id: object) -> list[httpx.Response]:
    """All requests about a run."""
    address = f"{url}/runs/{run_id}"
    return [
        ask("GET", address),
        ask("GET", f"{address}/events"),
        ask("GET", f"{address}/events", headers={"Last-Event-ID": "abcd0123-1"}),
        ask("DELETE", address),
        ask("POST", f"{address}/parts/intro"),
    ]


@pytest.mark.parametrize("run_id", [uuid4(), "nobody", "%00", "1" * 400])
def test_an_unknown_run_is_a_404(sizzle_url: str, run_id: object) -> None:
    """Every route answers with a message, for any form of id."""
    for answer in asks(sizzle_url, run_id):
        assert answer.status_code == 404
        assert "Run not found" in answer.json()["detail"]


def test_an_expired_run_is_a_410(serve_scripts: ServeScripts) -> None:
    """Some time after its end the response says that it has expired."""
    url, _ = serve_scripts(keep_runs_s=0.05)
    address = start(url)
    assert wait_until(lambda: ask("GET", address).status_code == 410, seconds=5)
    for answer in asks(url, address.rsplit("/")[-1]):
        assert answer.status_code == 410
        assert "expired" in answer.json()["detail"]


def test_the_page_of_a_run_is_the_page(sizzle_url: str) -> None:
    """`/r/<id>` is the page, which loads the run itself, with all security headers."""
    page, of_a_run = ask("GET", sizzle_url), ask("GET", f"{sizzle_url}/r/{uuid4()}")
    assert of_a_run.text == page.text
    assert of_a_run.headers["content-security-policy"] == page.headers["content-security-policy"]


BAD = [
    ({"ingredientsOnHand": "a"}, "ingredientsOnHand"),
    ({**REQUEST, "recipe": {"name": ""}}, "recipe"),
    ({**REQUEST, "recipe": {"name": "x" * 201}}, "recipe"),
    ({**REQUEST, "recipe": "Pie"}, "recipe"),
    ({**REQUEST, "more": 1}, "more"),
]


@pytest.mark.parametrize(("body", "field"), BAD)
def test_bad_input_is_a_422_that_names_the_field(sizzle_url: str, body: dict[str, Any], field: str) -> None:
    """This includes the chosen dish."""
    answer = ask("POST", f"{sizzle_url}/runs", json=body)
    assert [answer.status_code, answer.json()["detail"][0]["field"]] == [422, field]
    assert answer.json()["detail"][0]["expected"]


def test_the_same_key_is_the_same_run(serve_scripts: ServeScripts) -> None:
    """A repeated request starts no second run, even after the end; another key does."""
    url, provider = serve_scripts()
    addresses = [start(url, **{"Idempotency-Key": "k-1"}) for _ in range(3)]
    assert statuses(follow(addresses[0])) == ["ok"]
    addresses.append(start(url, **{"Idempotency-Key": "k-1"}))
    assert len(set(addresses)) == 1
    assert len(provider.calls) == 6
    assert start(url, **{"Idempotency-Key": "k-2"}) != addresses[0]


def test_a_key_is_for_one_request(serve_scripts: ServeScripts) -> None:
    """With another body it is a 422 that names the header."""
    url, _ = serve_scripts()
    start(url, **{"Idempotency-Key": "k-1"})
    answer = ask("POST", f"{url}/runs", json={**REQUEST, "seed": 4}, headers={"Idempotency-Key": "k-1"})
    assert [answer.status_code, answer.json()["detail"][0]["field"]] == [422, "Idempotency-Key"]


def test_a_key_is_free_again_when_its_run_has_expired(serve_scripts: ServeScripts) -> None:
    """It is valid as long as the run is kept."""
    url, provider = serve_scripts(keep_runs_s=0.05)
    address = start(url, **{"Idempotency-Key": "k-1"})
    assert wait_until(lambda: ask("GET", address).status_code == 410, seconds=5)
    start(url, {**REQUEST, "seed": 4}, **{"Idempotency-Key": "k-1"})
    assert wait_until(lambda: len(provider.calls) == 12, seconds=5)


@pytest.mark.parametrize("key", ["", "x" * 201, "a b", "a\tb", "é"])
def test_an_invalid_key_is_a_422(sizzle_url: str, key: str) -> None:
    """It names the header and what is right."""
    headers = [(b"idempotency-key", key.encode())]
    answer = ask("POST", f"{sizzle_url}/runs", json=REQUEST, headers=headers)
    assert [answer.status_code, answer.json()["detail"][0]["field"]] == [422, "Idempotency-Key"]
    assert "200" in answer.json()["detail"][0]["expected"]


def test_too_many_runs_are_a_503(serve_scripts: ServeScripts) -> None:
    """Both routes send Retry-After; a known key is still answered; the end of a run makes room."""
    url, _ = serve_scripts({"proposal": [Gate()]}, max_runs=1)
    address = start(url, **{"Idempotency-Key": "k-1"})
    for path in ("runs", "generate"):
        answer = ask("POST", f"{url}/{path}", json=REQUEST)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "at capacity" in answer.json()["detail"]
    assert start(url, **{"Idempotency-Key": "k-1"}) == address
    assert cancel(address).status_code == 204
    assert cancel(start(url)).status_code == 204


def test_cancelling_closes_the_calls_and_keeps_the_text(serve_scripts: ServeScripts) -> None:
    """The calls are closed although they would never end; the run is `cancelled` and keeps its text."""
    url, provider = serve_scripts({"steps": ["1. Cut ", Gate()], "nutrition": ["Beef ", Gate()], "sides": [Gate()]})
    address = start(url)
    assert wait_until(lambda: ask("GET", address).json()["parts"]["steps"]["text"] == "1. Cut ", seconds=5)
    answer = cancel(address)
    assert wait_until(lambda: sorted(provider.closed) == ["nutrition", "sides", "steps"], seconds=5)
    assert [answer.status_code, answer.content] == [204, b""]
    events = follow(address)
    assert [statuses(events), events[-1].name] == [["cancelled"], "end"]
    assert written(events)["steps"] == "1. Cut "
    state = ask("GET", address).json()
    assert [state["status"], state["parts"]["steps"]["state"], state["parts"]["intro"]["state"]] == [
        "cancelled",
        "cut_off",
        "ok",
    ]


def test_readers_see_the_cancellation(serve_scripts: ServeScripts) -> None:
    """Their stream gets the `end` and is closed."""
    url, _ = serve_scripts({"nutrition": ["Beef ", Gate()]})
    address = start(url)

    def stop(event: ReceivedEvent) -> None:
        if event.fields.get("text") == "Beef ":
            cancel(address)

    assert statuses(follow(address, seen=stop)) == ["cancelled"]


def test_cancelling_a_finished_run_changes_nothing(sizzle_url: str) -> None:
    """It is a 204 again, and the run stays `ok`."""
    address = start(sizzle_url)
    events = follow(address)
    assert [cancel(address).status_code for _ in range(2)] == [204, 204]
    assert follow(address) == events


WRONG_KEYS = [None, "", "x", "é", "0" * 64, "0" * 20_000]
OTHERS_RUN = {
    "en": "Only the browser or program that started this run can stop it or regenerate its parts.",
    "ko": "이 실행을 시작한 브라우저나 프로그램만 멈추거나 다시 쓰게 할 수 있어요.",
}


@pytest.mark.parametrize("key", WRONG_KEYS)
@pytest.mark.parametrize("language", OTHERS_RUN)
def test_only_the_key_of_a_run_cancels_or_rewrites_it(
    serve_scripts: ServeScripts, key: str | None, language: str
) -> None:
    """Without the right key it is a 403 in the client's language, and the run continues."""
    url, _ = serve_scripts({"nutrition": [Gate()]})
    address = start(url, {**REQUEST, "language": language})
    headers = [(b"accept-language", language.encode())]
    headers += [] if key is None else [(b"sizzle-run-key", key.encode())]
    for method, place in (("DELETE", address), ("POST", f"{address}/parts/intro")):
        answer = ask(method, place, headers=headers)
        assert [answer.status_code, answer.json()] == [403, {"detail": OTHERS_RUN[language]}]
    assert ask("GET", address).json()["status"] == "running"
    assert cancel(address).status_code == 204
    assert rewrite(address, "nutrition").status_code == 202


def test_the_key_of_a_run_is_not_valid_for_another(sizzle_url: str) -> None:
    """A chosen idempotency key does not reveal it."""
    address = start(sizzle_url)
    run_id = address.rsplit("/")[-1]
    named_after_it = start(sizzle_url, **{"Idempotency-Key": run_id})
    for stranger in (start(sizzle_url).key, named_after_it.key, named_after_it.rsplit("/")[-1].replace("-", "")):
        assert ask("DELETE", address, headers={"Sizzle-Run-Key": stranger}).status_code == 403


def test_the_client_that_starts_a_run_gets_its_key(sizzle_url: str) -> None:
    """It is in the body and in a header; a repeated idempotency key gets the same one."""
    headers = {"Idempotency-Key": "mine-1"}
    first, second = (ask("POST", f"{sizzle_url}/runs", json=REQUEST, headers=headers) for _ in range(2))
    assert first.json() == second.json() == {"run_id": first.json()["run_id"], "key": first.headers["sizzle-run-key"]}
    address = f"{sizzle_url}{first.headers['location']}"
    assert first.json()["key"] not in ask("GET", address).text + ask("GET", f"{address}/events").text


def test_other_origins_may_cancel_and_resume(serve: Serve) -> None:
    """The origins in the settings may DELETE, send ids and keys, and read the location of a run."""
    url = serve(cors_origins="https://cook.example")
    headers = {"Origin": "https://cook.example", "Access-Control-Request-Method": "DELETE"}
    headers["Access-Control-Request-Headers"] = "last-event-id, idempotency-key, content-type, sizzle-run-key"
    assert ask("OPTIONS", f"{url}/runs/x", headers=headers).status_code == 200
    answer = ask("POST", f"{url}/runs", json=REQUEST, headers={"Origin": "https://cook.example"})
    assert {"Location", "Sizzle-Run-Key"} <= set(answer.headers["access-control-expose-headers"].split(", "))

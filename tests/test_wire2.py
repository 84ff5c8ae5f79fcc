"""Wire 2: a run outlives its connection. Whoever comes back reads exactly the rest, and nothing is told twice."""

import asyncio
import re
import socket
import time
import tracemalloc
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.sse import RETRY
from chains.schema import PARTS
from tests.client import ASKED, NO_TLS, Told, ask, decoded, follow, listening, start, wait_until, written
from tests.conftest import Serve, ServeScripts
from tests.servers import Finish, Gate, Refuse, run

DISH = {"name": "Onion Tart", "intro": "Crisp."}


def named(events: list[Told], name: str) -> list[dict[str, Any]]:
    return [event.fields for event in events if event.name == name]


def statuses(events: list[Told]) -> list[str]:
    """How the run ended: exactly one word."""
    return [fields["status"] for fields in named(events, "end")]


# what is told


def test_a_run_is_told_from_its_start_to_its_end(serve_scripts: ServeScripts) -> None:
    """Six parts, each begun and ended once, between `run` and `end`; ids without gaps, moments that never go back."""
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
    assert first.fields["request"]["ingredientsOnHand"] == ASKED["ingredientsOnHand"]
    assert first.fields["parts"] == list(PARTS)
    for name in ("part_start", "part_end"):
        assert sorted(fields["part"] for fields in named(events, name)) == sorted(PARTS)
    assert written(events)["steps"] == "steps one, steps two."
    assert {fields["recipe"] is None for fields in named(events, "fragment") if fields["part"] != "alternates"} == {
        True
    }
    assert named(events, "proposal")[-1]["recipes"][2] == DISH


def test_a_stream_says_when_to_come_back_and_is_no_cache(sizzle_url: str) -> None:
    """It begins with `retry:`, and no proxy is to keep or hold back what is behind it."""
    answer = ask("GET", f"{start(sizzle_url)}/events")
    assert answer.content.startswith(RETRY + b"id: ")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [answer.headers[name] for name in ("cache-control", "x-accel-buffering")] == ["no-store", "no"]


def test_the_state_is_what_the_events_add_up_to(serve_scripts: ServeScripts) -> None:
    """While a part is being written and at the end it holds what a reader has put together up to the same event."""
    held = Gate()
    url, _ = serve_scripts({"steps": ["1. Cut ", held, "2. Eat"], "sides": [Refuse(401)]})
    address = start(url)
    assert wait_until(lambda: ask("GET", address).json()["parts"]["steps"]["text"] == "1. Cut ", seconds=5)
    live = ask("GET", address).json()
    assert [live["status"], live["total_ms"], live["parts"]["steps"]["state"]] == ["running", None, "writing"]
    held.open()
    events, state = follow(address), ask("GET", address).json()
    assert {part: held["text"] for part, held in state["parts"].items()} == {"sides": ""} | written(events)
    for end in named(events, "part_end"):
        told = state["parts"][end.pop("part")]
        assert told["state"] == end.pop("status")
        del end["at_ms"]
        assert told | end == told
    assert [state["status"], state["last_event_id"]] == ["partial", events[-1].id]
    assert [state["total_ms"], state["message"]] == [events[-1].fields[name] for name in ("total_ms", "message")]
    assert {name: state[name] for name in ("recipes", "picked")}.items() <= named(events, "proposal")[-1].items()
    assert state["parts"]["sides"]["message"]
    assert live["recipes"] == state["recipes"]


def test_a_run_that_waits_for_its_proposal_has_no_dish_yet(serve_scripts: ServeScripts) -> None:
    """Before the pick there is none, and the parts behind it wait."""
    url, _ = serve_scripts({"proposal": [Gate()], "nutrition": [Gate()]})
    state = ask("GET", start(url)).json()
    assert [state["recipes"], state["picked"]] == [[], None]
    assert [state["parts"]["steps"]["state"], state["parts"]["steps"]["attempt"]] == ["waiting", 0]


def test_a_silent_stream_is_kept_open_by_comments(serve_scripts: ServeScripts) -> None:
    """While the models say nothing, comments come, which are no events."""
    held = Gate()
    url, _ = serve_scripts({"proposal": [Gate()], "nutrition": [held]}, keep_alive_s=0.05)
    body = b""
    with listening(f"{start(url)}/events") as response:
        for piece in response.iter_raw():
            body += piece
            if body.count(b"\n\n: ") == 3:
                break
    assert decoded(body)[0].name == "run"


# coming back


@pytest.mark.parametrize("size", [1, 40, 177, 1000, 4000])
def test_a_reader_whose_socket_is_cut_reads_exactly_the_rest(serve_scripts: ServeScripts, size: int) -> None:
    """Cut after so many bytes, in mid-event or not, in a live run or an ended one: nothing lost, nothing doubled."""
    url, _ = serve_scripts({"intro": [f"소고기 {number} \u2028\r\n" for number in range(20)]})
    address = start(url)
    seen: list[Told] = []
    while not seen or seen[-1].name != "end":
        body, last = b"", {"Last-Event-ID": seen[-1].id} if seen else {}
        with listening(f"{address}/events", headers=last) as response:
            for piece in response.iter_raw():
                body += piece
                if len(body) > size and len(decoded(body[:size] if size > 500 else body)) > 0:
                    break
        seen += decoded(body[:size]) or decoded(body)[:1]
    assert seen == follow(address)
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))


def test_any_event_is_a_place_to_go_on_from(sizzle_url: str) -> None:
    """Behind any id of an ended run come exactly the events after it."""
    address = start(sizzle_url)
    events = follow(address)
    for place in range(1, len(events), 7):
        assert follow(address, events[place - 1].id) == events[place:]


def test_one_who_has_read_everything_is_told_to_stop(sizzle_url: str) -> None:
    """204 for the end's id, which ends a native EventSource, and only for it."""
    address = start(sizzle_url)
    events = follow(address)
    for event in events[-2:]:
        answer = ask("GET", f"{address}/events", headers={"Last-Event-ID": event.id})
        assert answer.status_code == (204 if event.name == "end" else 200)


@pytest.mark.parametrize("last", ["abcd0123-4", "{epoch}-100000", "{epoch}-0", ""])
def test_an_id_that_is_not_of_this_run_starts_over(sizzle_url: str, last: str) -> None:
    """Of another epoch, or beyond the end: the run is told from its first event on."""
    address = start(sizzle_url)
    events = follow(address)
    epoch = events[0].id.split("-")[0]
    assert follow(address, last.format(epoch=epoch)) == events


@pytest.mark.parametrize("last", ["x", "1", "abc-", "abc-x", "-1", "abcd0123-4-5", "ABCD0123-4"])
def test_what_is_no_id_is_a_422(sizzle_url: str, last: str) -> None:
    """It names the header and what is right."""
    answer = ask("GET", f"{start(sizzle_url)}/events", headers={"Last-Event-ID": last})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["field"] == "Last-Event-ID"


def test_leaving_is_not_cancelling(serve_scripts: ServeScripts) -> None:
    """A reader who goes away leaves a run that goes on to its end."""
    held = Gate()
    url, provider = serve_scripts({"nutrition": ["Beef ", held, "is good."]})
    address = start(url)
    with listening(f"{address}/events") as response:
        next(response.iter_raw())
    held.open()
    assert statuses(follow(address)) == ["ok"]
    assert provider.closed == []


def test_a_head_request_gets_no_stream(serve_scripts: ServeScripts) -> None:
    """It is answered at once, while the run goes on."""
    url, _ = serve_scripts({"proposal": [Gate()]})
    answer = ask("HEAD", f"{start(url)}/events")
    assert [answer.status_code, answer.content] == [200, b""]
    assert answer.headers["content-type"].startswith("text/event-stream")


# many readers


def test_a_hundred_readers_read_the_same(serve_scripts: ServeScripts) -> None:
    """A hundred who come at any time in the run all get the same bytes, and the models are asked once."""
    held = Gate()
    url, provider = serve_scripts({"nutrition": ["Beef ", held, "is good."]})
    address = start(url)

    async def read(client: httpx.AsyncClient, number: int) -> bytes:
        body = b""
        async with client.stream("GET", f"{address}/events") as response:
            async for piece in response.aiter_raw():
                body += piece
                if number == 99:
                    held.open()
        return body

    async def everybody() -> list[bytes]:
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30, limits=httpx.Limits(max_connections=100)) as client:
            return await asyncio.gather(*(read(client, number) for number in range(100)))

    bodies = run(everybody())
    assert len(set(bodies)) == 1
    assert statuses(decoded(bodies[0])) == ["ok"]
    assert len(provider.calls) == 6


def slow_reader(address: str) -> socket.socket:
    """One who asks, and then reads nothing, with next to no room for what is sent."""
    host, path = address.removeprefix("http://").split("/", 1)
    name, port = host.split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((name, int(port)))
    connection.sendall(f"GET /{path}/events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return connection


def received(connection: socket.socket) -> bytes:
    """All that still comes, until the connection is at its end, or broken."""
    body = b""
    connection.settimeout(20)
    try:
        while piece := connection.recv(65536):
            body += piece
    except ConnectionResetError:
        pass
    return body


LONG = ["\x02" * 5000] * 600  # 3 MB of text, 18 MB of JSON: more than the system holds for a connection


def test_a_slow_reader_is_cut_and_comes_back(serve_scripts: ServeScripts) -> None:
    """One who reads nothing holds up neither the run nor others, is cut, and then reads all the same."""
    held = Gate()
    url, _ = serve_scripts({"nutrition": ["Beef ", held, *LONG]}, send_timeout_s=0.5)
    address = start(url)
    with slow_reader(address) as slow:
        held.open()
        events = follow(address)
        assert statuses(events) == ["ok"]
        assert len(written(events)["nutrition"]) == 3_000_005
        time.sleep(1)  # for longer than he may block
        body = received(slow)
    assert len(body) < 10_000_000
    last = re.findall(rb"id: (\S+)\n", body)[-2].decode()  # behind the last id it is cut
    assert follow(address, last) == events[int(last.split("-")[1]) :]


def test_what_waits_for_slow_readers_is_bounded_and_let_go_of(serve_scripts: ServeScripts) -> None:
    """However much there is for those who read nothing, little is held for them, and nothing when they are cut."""
    url, _ = serve_scripts({"nutrition": LONG}, send_timeout_s=1.5)
    address = start(url)
    assert statuses(follow(address)) == ["ok"]
    tracemalloc.start()
    slow = [slow_reader(address) for _ in range(10)]
    held = [tracemalloc.get_traced_memory()[0] for _ in range(30) if not time.sleep(0.1)]
    for connection in slow:
        connection.close()
    tracemalloc.stop()
    assert 500_000 < max(held) < 10 * 400_000
    assert held[-1] < 400_000


# what is not there


def asks(url: str, run_id: object) -> list[httpx.Response]:
    """Everything that can be asked of a run."""
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
    """With words, whatever is asked of it, and whatever its id looks like."""
    for answer in asks(sizzle_url, run_id):
        assert answer.status_code == 404
        assert "no such run" in answer.json()["detail"]


def test_an_expired_run_is_a_410(serve_scripts: ServeScripts) -> None:
    """A while after its end it is gone, and that is said."""
    url, _ = serve_scripts(keep_runs_s=0.05)
    address = start(url)
    assert wait_until(lambda: ask("GET", address).status_code == 410, seconds=5)
    for answer in asks(url, address.rsplit("/")[-1]):
        assert answer.status_code == 410
        assert "no longer kept" in answer.json()["detail"]


def test_the_page_of_a_run_is_the_page(sizzle_url: str) -> None:
    """`/r/<id>` is the page, which looks for the run itself, with all that protects it."""
    page, of_a_run = ask("GET", sizzle_url), ask("GET", f"{sizzle_url}/r/{uuid4()}")
    assert of_a_run.text == page.text
    assert of_a_run.headers["content-security-policy"] == page.headers["content-security-policy"]


BAD = [
    ({"ingredientsOnHand": "ab"}, "ingredientsOnHand"),
    ({**ASKED, "recipe": {"name": ""}}, "recipe"),
    ({**ASKED, "recipe": {"name": "x" * 201}}, "recipe"),
    ({**ASKED, "recipe": "Pie"}, "recipe"),
    ({**ASKED, "more": 1}, "more"),
]


@pytest.mark.parametrize(("body", "field"), BAD)
def test_bad_input_is_a_422_that_names_the_field(sizzle_url: str, body: dict[str, Any], field: str) -> None:
    """As on Wire 1, the dish included."""
    answer = ask("POST", f"{sizzle_url}/runs", json=body)
    assert [answer.status_code, answer.json()["detail"][0]["field"]] == [422, field]
    assert answer.json()["detail"][0]["expected"]


# beginning once


def test_the_same_key_is_the_same_run(serve_scripts: ServeScripts) -> None:
    """Sent again, at once or behind the run's end, it starts nothing; another key does."""
    url, provider = serve_scripts()
    addresses = [start(url, **{"Idempotency-Key": "k-1"}) for _ in range(3)]
    assert statuses(follow(addresses[0])) == ["ok"]
    addresses.append(start(url, **{"Idempotency-Key": "k-1"}))
    assert len(set(addresses)) == 1
    assert len(provider.calls) == 6
    assert start(url, **{"Idempotency-Key": "k-2"}) != addresses[0]


def test_a_key_is_for_one_request(serve_scripts: ServeScripts) -> None:
    """With another body it is a 422 that names it."""
    url, _ = serve_scripts()
    start(url, **{"Idempotency-Key": "k-1"})
    answer = ask("POST", f"{url}/runs", json={**ASKED, "seed": 4}, headers={"Idempotency-Key": "k-1"})
    assert [answer.status_code, answer.json()["detail"][0]["field"]] == [422, "Idempotency-Key"]


def test_a_key_is_free_again_when_its_run_has_expired(serve_scripts: ServeScripts) -> None:
    """It holds for as long as the run is kept."""
    url, provider = serve_scripts(keep_runs_s=0.05)
    address = start(url, **{"Idempotency-Key": "k-1"})
    assert wait_until(lambda: ask("GET", address).status_code == 410, seconds=5)
    start(url, {**ASKED, "seed": 4}, **{"Idempotency-Key": "k-1"})
    assert wait_until(lambda: len(provider.calls) == 12, seconds=5)


@pytest.mark.parametrize("key", ["", "x" * 201, "a b", "a\tb", "é"])
def test_what_is_no_key_is_a_422(sizzle_url: str, key: str) -> None:
    """It names the header and what is right."""
    headers = [(b"idempotency-key", key.encode())]
    answer = ask("POST", f"{sizzle_url}/runs", json=ASKED, headers=headers)
    assert [answer.status_code, answer.json()["detail"][0]["field"]] == [422, "Idempotency-Key"]
    assert "200" in answer.json()["detail"][0]["expected"]


def test_too_many_runs_are_a_503(serve_scripts: ServeScripts) -> None:
    """On both wires it is said when to come back; the known key of a run is still answered; an end makes room."""
    url, _ = serve_scripts({"proposal": [Gate()]}, max_runs=1)
    address = start(url, **{"Idempotency-Key": "k-1"})
    for path in ("runs", "generate"):
        answer = ask("POST", f"{url}/{path}", json=ASKED)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "kitchen is full" in answer.json()["detail"]
    assert start(url, **{"Idempotency-Key": "k-1"}) == address
    assert ask("DELETE", address).status_code == 204
    assert ask("DELETE", start(url)).status_code == 204


# stopping


def test_stopping_closes_the_calls_and_keeps_what_was_written(serve_scripts: ServeScripts) -> None:
    """Within half a second the providers are hung up on; the run has ended `cancelled`, its text is there."""
    url, provider = serve_scripts({"steps": ["1. Cut ", Gate()], "nutrition": ["Beef ", Gate()], "sides": [Gate()]})
    address = start(url)
    assert wait_until(lambda: ask("GET", address).json()["parts"]["steps"]["text"] == "1. Cut ", seconds=5)
    began = time.monotonic()
    answer = ask("DELETE", address)
    assert wait_until(lambda: sorted(provider.closed) == ["nutrition", "sides", "steps"], seconds=0.5)
    assert time.monotonic() - began < 0.5
    assert [answer.status_code, answer.content] == [204, b""]
    events = follow(address)
    assert [statuses(events), events[-1].name] == [["cancelled"], "end"]
    assert written(events)["steps"] == "1. Cut "
    assert ask("GET", address).json()["status"] == "cancelled"


def test_those_who_follow_see_the_run_stopped(serve_scripts: ServeScripts) -> None:
    """Their stream comes to its `end`, and is closed."""
    url, _ = serve_scripts({"nutrition": ["Beef ", Gate()]})
    address = start(url)

    def stop(event: Told) -> None:
        if event.fields.get("text") == "Beef ":
            ask("DELETE", address)

    assert statuses(follow(address, seen=stop)) == ["cancelled"]


def test_stopping_what_has_ended_changes_nothing(sizzle_url: str) -> None:
    """It is a 204 again, and the run stays `ok`."""
    address = start(sizzle_url)
    events = follow(address)
    assert [ask("DELETE", address).status_code for _ in range(2)] == [204, 204]
    assert follow(address) == events


# writing again


def rewrite(address: str, part: str) -> httpx.Response:
    return ask("POST", f"{address}/parts/{part}")


def test_a_failed_part_of_an_ended_run_is_written_again(serve_scripts: ServeScripts) -> None:
    """The run goes on behind what it was, in a new epoch, and ends again, better than before."""
    url, provider = serve_scripts({"intro": [[Refuse(401)], ["A fine ", "dish."]]})
    address = start(url)
    before = follow(address)
    assert statuses(before) == ["partial"]
    answer = rewrite(address, "intro")
    assert [answer.status_code, answer.headers["location"]] == [202, address.removeprefix(url)]
    assert answer.json() == {"run_id": address.rsplit("/")[-1], "part": "intro", "attempt": 2}
    rest = follow(address, before[-1].id)
    assert [event.name for event in rest] == ["part_start", "fragment", "part_end", "end"]
    assert [event.seq for event in rest] == list(range(before[-1].seq, before[-1].seq + 4))
    assert rest[0].fields["attempt"] == 2
    assert statuses(rest) == ["ok"]
    whole = follow(address)
    assert [event.fields for event in whole] == [event.fields for event in before[:-1] + rest]
    assert written(whole)["intro"] == "A fine dish."
    assert [ask("GET", address).json()["status"], provider.calls[-1]["step"]] == ["ok", "intro"]


def test_readers_of_an_earlier_epoch_read_on(serve_scripts: ServeScripts) -> None:
    """Whatever they had read, each gets exactly what came behind it, but for the end that was none."""
    url, _ = serve_scripts()
    address = start(url)
    epochs = [follow(address)]
    for part in ("intro", "sides"):
        assert rewrite(address, part).status_code == 202
        epochs.append(follow(address))
    whole = epochs[-1]
    for events in epochs[:-1]:
        for event in events:
            kept = min(event.seq, len(events) - 1)
            assert follow(address, event.id) == whole[kept:]


def test_a_part_of_a_live_run_is_written_again(serve_scripts: ServeScripts) -> None:
    """It goes on in the same log beside what is under way, and the run ends when all is done."""
    held = Gate()
    url, _ = serve_scripts({"nutrition": ["Beef ", held], "intro": [["First."], ["Second."]]})
    address = start(url)
    assert wait_until(lambda: ask("GET", address).json()["parts"]["steps"]["state"] == "ok", seconds=5)
    assert rewrite(address, "intro").json()["attempt"] == 2
    assert wait_until(lambda: ask("GET", address).json()["parts"]["intro"]["text"] == "Second.", seconds=5)
    held.open()
    events = follow(address)
    assert [statuses(events), written(events)["intro"]] == [["ok"], "Second."]
    assert len({event.id.split("-")[0] for event in events}) == 1
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


def test_a_run_does_not_end_before_what_is_written_again(serve_scripts: ServeScripts) -> None:
    """Where the rewritten part takes longer than the others, the end waits for it."""
    held, again = Gate(), Gate()
    url, _ = serve_scripts({"nutrition": ["Beef ", held], "intro": [["First."], ["Second.", again]]})
    address = start(url)
    assert wait_until(lambda: ask("GET", address).json()["parts"]["steps"]["state"] == "ok", seconds=5)
    assert rewrite(address, "intro").status_code == 202
    held.open()
    assert wait_until(lambda: ask("GET", address).json()["parts"]["nutrition"]["state"] == "ok", seconds=5)
    assert ask("GET", address).json()["status"] == "running"
    again.open()
    assert statuses(follow(address)) == ["ok"]


def test_what_is_made_from_a_part_is_written_again_with_it(serve_scripts: ServeScripts) -> None:
    """The steps follow the ingredients, from the new ones; all other parts stay as they are."""
    url, provider = serve_scripts({"ingredients": [["old beef"], ["new beef"]]})
    address = start(url)
    before = follow(address)
    assert rewrite(address, "ingredients").status_code == 202
    rest = follow(address, before[-1].id)
    assert [fields["part"] for fields in named(rest, "part_start")] == ["ingredients", "steps"]
    assert {fields["attempt"] for fields in named(rest, "part_start")} == {2}
    assert "new beef" in str(provider.calls[-1]["body"])
    assert [call["step"] for call in provider.calls[6:]] == ["ingredients", "steps"]


def test_other_ideas_are_another_recipe(serve_scripts: ServeScripts) -> None:
    """The alternates written again are proposed anew, and everything about the dish with them."""
    url, provider = serve_scripts()
    address = start(url)
    before = follow(address)
    assert rewrite(address, "alternates").json()["attempt"] == 2
    rest = follow(address, before[-1].id)
    assert {fields["part"] for fields in named(rest, "part_start")} == set(PARTS) - {"nutrition"}
    assert named(rest, "proposal")
    assert [call["step"] for call in provider.calls].count("proposal") == 2
    assert statuses(rest) == ["ok"]


def test_a_part_under_way_is_not_written_twice(serve_scripts: ServeScripts) -> None:
    """409 for what is being written, what is still to begin, and what they are made from, with words."""
    url, _ = serve_scripts({"steps": ["1. ", Gate()], "sides": [Gate()]})
    address = start(url)
    assert wait_until(lambda: ask("GET", address).json()["parts"]["steps"]["text"] == "1. ", seconds=5)
    for part in ("steps", "ingredients", "sides", "alternates"):
        answer = rewrite(address, part)
        assert answer.status_code == 409
        assert "being written" in answer.json()["detail"]


def test_a_part_is_rewritten_once_at_a_time(serve_scripts: ServeScripts) -> None:
    """A second request for it, before it has even begun, is a 409."""
    url, _ = serve_scripts({"intro": [["First."], [Gate()]]})
    address = start(url)
    follow(address)

    async def ask_twice() -> list[int]:
        async with httpx.AsyncClient(verify=NO_TLS) as client:
            answers = await asyncio.gather(*(client.post(f"{address}/parts/intro") for _ in range(2)))
        return sorted(answer.status_code for answer in answers)

    assert run(ask_twice()) == [202, 409]
    assert ask("DELETE", address).status_code == 204


def test_a_part_whose_input_is_missing_names_what_to_write_instead(serve_scripts: ServeScripts) -> None:
    """Steps without ingredients, and anything about a dish that was never proposed."""
    url, _ = serve_scripts({"ingredients": [Refuse(401)]})
    address = start(url)
    follow(address)
    answer = rewrite(address, "steps")
    assert [answer.status_code, "ingredients" in answer.json()["detail"]] == [409, True]
    url, _ = serve_scripts({"proposal": [Refuse(401)]})
    address = start(url)
    assert statuses(follow(address)) == ["failed"]
    for part in ("intro", "sides", "ingredients", "steps"):
        answer = rewrite(address, part)
        assert [answer.status_code, "alternates" in answer.json()["detail"]] == [409, True]


def test_a_part_that_needs_no_dish_is_written_without_one(serve_scripts: ServeScripts) -> None:
    """The nutrition of a run whose proposal failed: nothing is proposed, and the run has still failed."""
    url, provider = serve_scripts({"proposal": [Refuse(401)]})
    address = start(url)
    before = follow(address)
    calls = len(provider.calls)
    assert rewrite(address, "nutrition").status_code == 202
    rest = follow(address, before[-1].id)
    assert [call["step"] for call in provider.calls[calls:]] == ["nutrition"]
    assert {event.name for event in rest} == {"part_start", "fragment", "part_end", "end"}
    assert statuses(rest) == ["failed"]


def test_an_unknown_part_is_a_422(sizzle_url: str) -> None:
    """It names the parts that there are."""
    answer = rewrite(start(sizzle_url), "dessert")
    assert [answer.status_code, answer.json()["detail"][0]["field"]] == [422, "part"]
    assert all(part in answer.json()["detail"][0]["expected"] for part in PARTS)


def test_what_was_stopped_can_be_written_again(serve_scripts: ServeScripts) -> None:
    """A part that was under way at the stop is begun anew; what was never written leaves the run partial."""
    url, _ = serve_scripts({"sides": [["Rice", Gate()], ["Rice and peas"]], "nutrition": [Gate()]})
    address = start(url)
    assert wait_until(lambda: ask("GET", address).json()["parts"]["sides"]["text"] == "Rice", seconds=5)
    assert wait_until(lambda: ask("GET", address).json()["parts"]["steps"]["state"] == "ok", seconds=5)
    assert ask("DELETE", address).status_code == 204
    assert rewrite(address, "sides").status_code == 202
    events = follow(address)
    assert [statuses(events), written(events)["sides"]] == [["partial"], "Rice and peas"]


# a dish that was chosen


def test_a_chosen_dish_needs_no_proposal(serve_scripts: ServeScripts) -> None:
    """Its run has five parts, all about it, and no model is asked for ideas."""
    url, provider = serve_scripts()
    events = follow(start(url, {**ASKED, "recipe": DISH}))
    assert events[0].fields["request"]["recipe"] == DISH
    assert events[0].fields["parts"] == [part for part in PARTS if part != "alternates"]
    assert statuses(events) == ["ok"]
    assert {fields["part"] for fields in named(events, "part_end")} == set(PARTS) - {"alternates"}
    assert sorted(call["step"] for call in provider.calls) == sorted(set(PARTS) - {"alternates"})
    assert all("Onion Tart" in str(call["body"]) for call in provider.calls if call["step"] != "nutrition")


def test_a_part_of_a_chosen_dish_is_written_again(serve_scripts: ServeScripts) -> None:
    """The dish stays; other ideas it has none."""
    url, provider = serve_scripts()
    address = start(url, {**ASKED, "recipe": DISH})
    before = follow(address)
    assert rewrite(address, "alternates").status_code == 409
    assert rewrite(address, "intro").status_code == 202
    assert statuses(follow(address, before[-1].id)) == ["ok"]
    assert "Onion Tart" in str(provider.calls[-1]["body"])
    state = ask("GET", address).json()
    assert [state["recipes"], state["picked"]] == [[DISH], 0]


# other origins


def test_other_origins_may_stop_and_come_back(serve: Serve) -> None:
    """The origins in the settings may DELETE, send ids and keys, and read where a run is."""
    url = serve(cors_origins="https://cook.example")
    headers = {"Origin": "https://cook.example", "Access-Control-Request-Method": "DELETE"}
    headers["Access-Control-Request-Headers"] = "last-event-id, idempotency-key, content-type"
    assert ask("OPTIONS", f"{url}/runs/x", headers=headers).status_code == 200
    answer = ask("POST", f"{url}/runs", json=ASKED, headers={"Origin": "https://cook.example"})
    assert answer.headers["access-control-expose-headers"] == "Location"


# attempts, on both wires


def test_an_attempt_takes_the_place_of_the_one_before(serve_scripts: ServeScripts) -> None:
    """A part that broke off is begun again: its text is that of the last attempt, and its end is one."""
    url, _ = serve_scripts({"intro": [["Half a sen", Finish(None)], ["The whole."]]})
    events = follow(start(url))
    assert [fields["attempt"] for fields in named(events, "part_start") if fields["part"] == "intro"] == [1, 2]
    assert [fields["status"] for fields in named(events, "part_end") if fields["part"] == "intro"] == ["ok"]
    assert written(events)["intro"] == "The whole."

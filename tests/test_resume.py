"""A run outlives its connection: a reader that resumes gets exactly the rest, and all readers get the same."""

import asyncio

import httpx
import pytest

from tests.client import (
    NO_TLS,
    ReceivedEvent,
    ask,
    decoded,
    follow,
    listening,
    start,
    statuses,
)
from tests.conftest import ServeScripts
from tests.servers import Gate, run


@pytest.mark.parametrize("size", [1, 40, 177, 1000, 4000])
def test_a_reader_whose_socket_is_cut_reads_exactly_the_rest(serve_scripts: ServeScripts, size: int) -> None:
    """After any number of bytes, in a live or a finished run, nothing is lost or repeated."""
    url, _ = serve_scripts({"intro": [f"소고기 {number} \u2028\r\n" for number in range(20)]})
    address = start(url)
    seen: list[ReceivedEvent] = []
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


def test_a_reader_can_resume_after_any_event(sizzle_url: str) -> None:
    """After any id of a finished run exactly the later events follow."""
    address = start(sizzle_url)
    events = follow(address)
    for place in range(1, len(events), 7):
        assert follow(address, events[place - 1].id) == events[place:]


def test_a_reader_with_all_events_gets_a_204(sizzle_url: str) -> None:
    """The id of the end, and only that one, gets a 204, which stops an EventSource."""
    address = start(sizzle_url)
    events = follow(address)
    for event in events[-2:]:
        answer = ask("GET", f"{address}/events", headers={"Last-Event-ID": event.id})
        assert answer.status_code == (204 if event.name == "end" else 200)


@pytest.mark.parametrize("last", ["abcd0123-4", "{epoch}-100000", "{epoch}-0", ""])
def test_an_id_that_is_not_of_this_run_starts_over(sizzle_url: str, last: str) -> None:
    """For an id of another epoch or beyond the end, the run is sent from its first event."""
    address = start(sizzle_url)
    events = follow(address)
    epoch = events[0].id.split("-")[0]
    assert follow(address, last.format(epoch=epoch)) == events


@pytest.mark.parametrize("last", ["x", "1", "abc-", "abc-x", "-1", "abcd0123-4-5", "ABCD0123-4"])
def test_an_invalid_id_is_a_422(sizzle_url: str, last: str) -> None:
    """It names the header and what is right."""
    answer = ask("GET", f"{start(sizzle_url)}/events", headers={"Last-Event-ID": last})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["field"] == "Last-Event-ID"


def test_leaving_is_not_cancelling(serve_scripts: ServeScripts) -> None:
    """The run continues to its end."""
    gate = Gate()
    url, provider = serve_scripts({"nutrition": ["Beef ", gate, "is good."]})
    address = start(url)
    with listening(f"{address}/events") as response:
        next(response.iter_raw())
    gate.open()
    assert statuses(follow(address)) == ["ok"]
    assert provider.closed == []


def test_a_head_request_gets_no_stream(serve_scripts: ServeScripts) -> None:
    """It is answered at once, and the run continues."""
    url, _ = serve_scripts({"proposal": [Gate()]})
    answer = ask("HEAD", f"{start(url)}/events")
    assert [answer.status_code, answer.content] == [200, b""]
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_a_hundred_readers_read_the_same(serve_scripts: ServeScripts) -> None:
    """A hundred readers that start at any time get the same bytes, and the models are called once."""
    gate = Gate()
    url, provider = serve_scripts({"nutrition": ["Beef ", gate, "is good."]})
    address = start(url)

    async def read(client: httpx.AsyncClient, number: int) -> bytes:
        body = b""
        async with client.stream("GET", f"{address}/events") as response:
            async for piece in response.aiter_raw():
                body += piece
                if number == 99:
                    gate.open()
        return body

    async def everybody() -> list[bytes]:
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30, limits=httpx.Limits(max_connections=100)) as client:
            return await asyncio.gather(*(read(client, number) for number in range(100)))

    bodies = run(everybody())
    assert len(set(bodies)) == 1
    assert statuses(decoded(bodies[0])) == ["ok"]
    assert len(provider.calls) == 6

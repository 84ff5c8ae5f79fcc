"""Readers that are cut anywhere, in the log or within a byte stream, read everything exactly once."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httptools
import httpx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from app.main import create_app
from app.stores import EventId, EventLog, LogEntry, RunEnd, RunEvent, RunStart
from app.stores.memory import MemoryEventLog
from chains.parts.events import Fragment, PartEnd, PartStart, Proposal
from chains.recipe.request import RecipeRequest
from tests.amounts import cases
from tests.client import ReceivedEvent, ask, decoded, start, written
from tests.faults import FAULTS, GOOD, faults
from tests.servers import PARTS, run, serving, settings_from

START = RunStart("run", "recipe", RecipeRequest.model_validate({"ingredientsOnHand": "beef"}), PARTS)
END = RunEnd("ok", 1)
PROPOSED = Proposal(tuple({"name": name, "intro": "so"} for name in "ABC"), 1)
STREAMS = cases(1000)

# A part's attempts, each a list of text pieces; its name; and its status.
TEXTS = st.lists(st.sampled_from(["a ", "⮑", "é\n", "불고기", "\r\n\n", "id: 1-1"]), max_size=3)
WRITTEN = st.tuples(
    st.lists(TEXTS, min_size=1, max_size=3),
    st.sampled_from(PARTS),
    st.sampled_from(["ok", "cut_off", "failed"]),
)
LIVES = st.lists(st.lists(WRITTEN, max_size=4), min_size=1, max_size=2)
BURSTS = st.lists(st.integers(1, 9), min_size=1, max_size=8)


UNLIMITED = """
[providers.{name}]
label = "{name}"
base_url = "http://127.0.0.1/v1"
"""

EVERY_CHECK: Any = list(HealthCheck)  # Any: its metaclass hides from pyright that it is an enum


@dataclass
class Tally:
    """How often readers were cut, and how many events they read."""

    streams: int = 0
    cuts: int = 0
    lost: int = 0
    doubled: int = 0

    def add(self, whole: Sequence[RunEvent], read: Sequence[LogEntry]) -> None:
        """`read` are the events of a reader, which drops an end that is followed by more."""
        entries = [logged for logged in read[:-1] if not isinstance(logged.event, RunEnd)] + list(read[-1:])
        numbers = [logged.id.seq for logged in entries]
        self.cuts += 1
        self.lost += len(set(range(1, len(whole) + 1)) - set(numbers))
        self.doubled += len(numbers) - len(set(numbers))
        assert [logged.event for logged in entries] == list(whole)


def updates(life: Sequence[tuple[list[list[str]], str, str]]) -> list[RunEvent]:
    """The events of one life of the log, with its end."""
    written: list[RunEvent] = [PROPOSED]
    for attempts, part, status in life:
        for number, texts in enumerate(attempts, 1):
            written += [PartStart(part, number, "groq", "m"), *(Fragment(part, text) for text in texts)]
        written.append(PartEnd(part, status))  # type: ignore[arg-type]
    return [*written, END]


async def write(log: EventLog, lives: Sequence[Sequence[RunEvent]], bursts: Sequence[int]) -> None:
    """Writes events in batches of this size, and reopens the log between its lives."""
    count = 0
    for number, life in enumerate(lives):
        if number:
            await log.reopen("run")
        for event in life:
            await log.append("run", event)
            count += 1
            if count % bursts[count % len(bursts)] == 0:
                await asyncio.sleep(0)


async def read_cut(log: EventLog, cut: int) -> list[LogEntry]:
    """The events of a reader that is cut after `cut` events and resumes."""
    seen: list[LogEntry] = []
    async with aclosing(log.follow("run")) as news:
        while len(seen) < cut:
            seen += await anext(news)
    del seen[cut:]  # cut within a batch
    return seen + [logged async for batch in log.follow("run", last_of(seen)) for logged in batch]


async def rest(log: EventLog, last: EventId | None) -> list[LogEntry]:
    return [logged async for batch in log.follow("run", last) for logged in batch]


def last_of(seen: Sequence[LogEntry]) -> EventId | None:
    return seen[-1].id if seen else None


async def cut_everywhere(lives: Sequence[Sequence[RunEvent]], bursts: Sequence[int], tally: Tally) -> None:
    """Cuts one reader after each event of the first life, while it is written, and of the whole log afterwards."""
    log: EventLog = MemoryEventLog()
    await log.begin("run", START)
    reading = [asyncio.ensure_future(read_cut(log, cut)) for cut in range(len(lives[0]) + 2)]
    await asyncio.sleep(0)
    await write(log, lives, bursts)
    whole = [START, *(event for life in lives for event in life[:-1]), END]
    everything = await rest(log, None)
    tally.streams += 1
    for seen in await asyncio.gather(*reading):
        again = await rest(log, last_of(seen)) if len(lives) > 1 else []
        tally.add(whole, seen + again)
    for cut in range(len(whole) + 1):
        tally.add(whole, everything[:cut] + await rest(log, last_of(everything[:cut])))
    await log.aclose()


def test_a_reader_cut_after_any_event_reads_exactly_the_rest() -> None:
    """At every cut point of hundreds of streams, live and finished, nothing is lost or repeated."""
    tally = Tally()

    @settings(max_examples=STREAMS, deadline=None, database=None, suppress_health_check=EVERY_CHECK)
    @given(lives=LIVES, bursts=BURSTS)
    def one_stream(lives: list[list[tuple[list[list[str]], str, str]]], bursts: list[int]) -> None:
        run(cut_everywhere([updates(life) for life in lives], bursts, tally))

    one_stream()
    assert tally.streams >= STREAMS
    assert [tally.lost, tally.doubled] == [0, 0]


@dataclass
class Reader:
    """Reads a run stream through connections that break, and resumes after the last event."""

    run: httpx.URL
    events: list[ReceivedEvent] = field(default_factory=list[ReceivedEvent])
    connections: int = 0
    bytes_read: int = 0

    async def read(self, most: float = float("inf")) -> None:
        """Reads until the stream ends or `most` bytes have arrived; then the connection is closed."""
        self.connections += 1
        body = Body()
        reader, writer = await asyncio.open_connection(self.run.host, self.run.port)
        last = f"Last-Event-ID: {self.events[-1].id}\r\n" if self.events else ""
        writer.write(f"GET {self.run.path}/events HTTP/1.1\r\nHost: localhost\r\n{last}\r\n".encode())
        while most > 0 and not body.is_whole and (piece := await reader.read(int(min(most, 8192)))):
            most -= len(piece)
            self.bytes_read += len(piece)
            body.feed(piece)
        writer.transport.abort()
        self.events += decoded(body.received)

    async def read_in_cuts(self, plan: Sequence[int]) -> None:
        """Reads this many bytes through each connection, and the rest through the last one."""
        for most in plan:
            await self.read(most)
        if not self.events or self.events[-1].name != "end":
            await self.read()


class Body:
    """The part of a response that has arrived."""

    def __init__(self) -> None:
        self.received, self.is_whole = b"", False
        self._parser = httptools.HttpResponseParser(self)
        self.feed = self._parser.feed_data

    def on_body(self, piece: bytes) -> None:
        self.received += piece

    def on_message_complete(self) -> None:
        assert self._parser.get_status_code() in (200, 204)
        self.is_whole = True


async def read_whole(reader: Reader) -> list[ReceivedEvent]:
    """The events of a reader that is not cut."""
    whole = Reader(reader.run)
    await whole.read()
    return whole.events


def assert_whole(events: Sequence[ReceivedEvent]) -> None:
    """Checks that the events are numbered without gaps and that the only end is last."""
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.name for event in events if event.name in ("run", "end")] == ["run", "end"]
    assert [events[0].name, events[-1].name] == ["run", "end"]


@pytest.fixture(scope="module")
def sizzle_with_attempts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Sizzle over providers that make one of the parts start again in most runs."""
    registry = tmp_path_factory.mktemp("registry") / "unlimited.toml"
    registry.write_text("".join(UNLIMITED.format(name=name) for name in ("groq", "fireworks")))
    broken = [FAULTS["reset after the first token"], GOOD]
    with faults({"intro": broken * 1000}) as server:
        urls: dict[str, str] = {"groq_base_url": server.url("groq"), "fireworks_base_url": server.url("fireworks")}
        keys = {"groq_api_key": "k", "fireworks_api_key": "k"}
        with serving(create_app(settings_from(registry=registry, **urls, **keys))) as url:
            yield url


@settings(max_examples=3, deadline=None, database=None, suppress_health_check=EVERY_CHECK)
@given(plans=st.lists(st.lists(st.integers(1, 5000), max_size=8), min_size=8, max_size=8))
def test_a_connection_cut_at_any_byte_of_a_live_run_loses_nothing(sizzle_url: str, plans: list[list[int]]) -> None:
    """Live runs are read through connections that break after so many bytes, and then once as a whole."""
    readers = [Reader(httpx.URL(start(sizzle_url))) for _ in plans]

    async def read_at_once() -> list[list[ReceivedEvent]]:
        await asyncio.gather(*(reader.read_in_cuts(plan) for reader, plan in zip(readers, plans, strict=True)))
        return await asyncio.gather(*map(read_whole, readers))

    for reader, whole in zip(readers, run(read_at_once()), strict=True):
        assert_whole(whole)
        assert reader.events == whole
        state = ask("GET", str(reader.run)).json()
        assert written(reader.events) == {part: content["text"] for part, content in state["parts"].items()}


def test_a_connection_cut_at_any_byte_of_a_finished_run_loses_nothing(sizzle_with_attempts: str) -> None:
    """The cut may be in the head, in an id, in text or in a blank line."""
    address = httpx.URL(start(sizzle_with_attempts))

    async def read_cut_at(most: int) -> list[ReceivedEvent]:
        cut = Reader(address)
        await cut.read_in_cuts([most])
        return cut.events

    async def cut_everywhere() -> tuple[list[ReceivedEvent], list[list[ReceivedEvent]]]:
        live, afterwards = Reader(address), Reader(address)
        await live.read()
        await afterwards.read()
        return live.events, [await read_cut_at(most) for most in range(1, afterwards.bytes_read, 13)]

    whole, cut = run(cut_everywhere())
    assert_whole(whole)
    assert 2 in [event.fields["attempt"] for event in whole if event.name == "part_start"]
    assert [events for events in cut if events != whole] == []


def test_a_hundred_readers_that_are_cut_read_the_same(sizzle_url: str) -> None:
    """A hundred concurrent readers of one run, some of them cut repeatedly, read everything once."""
    address = httpx.URL(start(sizzle_url))
    readers = [Reader(address) for _ in range(100)]

    async def read_at_once() -> list[ReceivedEvent]:
        plans = [[300 * number] * (number % 7) for number in range(1, 101)]
        await asyncio.gather(*(reader.read_in_cuts(plan) for reader, plan in zip(readers, plans, strict=True)))
        return await read_whole(readers[0])

    whole = run(read_at_once())
    assert_whole(whole)
    assert sum(reader.connections for reader in readers) > 300
    assert [reader.events for reader in readers if reader.events != whole] == []

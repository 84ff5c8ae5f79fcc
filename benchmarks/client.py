"""The load generator: reads concurrent recipes from `POST /generate`, records event times, checks all texts."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise, permutations
from time import perf_counter
from typing import cast

import httptools
import orjson
from typing_extensions import override

from benchmarks.tokens import recipe, tokens
from benchmarks.wire import ALTERNATES, CODES, alternate, fragment

REQUEST = {"ingredientsOnHand": "beef flank, onions, peppers", "prepTime": 45}
HEAD = (
    b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n"
)
PARTS_BY_CODE = {code: part for part, code in CODES.items()}


class LostTextError(Exception):
    """A finished recipe lacks text or has extra text."""


@dataclass
class Reading:
    """One recipe as read by the client. Times are in seconds of this process's clock."""

    started: float = 0
    number: int = 0  # among the recipes that were requested at a time
    ended: float = 0
    times: dict[str, list[float]] = field(default_factory=dict)
    texts: dict[str, list[bytes]] = field(default_factory=dict)
    failure: str | None = None
    picked: int = -1

    @property
    def first_s(self) -> float:
        """Seconds from the request to the first fragment of any part."""
        return min(times[0] for times in self.times.values()) - self.started

    @property
    def total_s(self) -> float:
        return self.ended - self.started

    def gaps_s(self) -> list[float]:
        """Gaps between fragments of a part, without the alternates, which arrive complete."""
        parts = (times for code, times in self.times.items() if code != ALTERNATES)
        return [later - earlier for times in parts for earlier, later in pairwise(times)]

    def largest(self) -> int:
        """Tokens in the largest fragment. Every token starts with a space, except in the alternates."""
        parts = (texts for code, texts in self.texts.items() if code != ALTERNATES)
        return max(text.count(b" ") for texts in parts for text in texts)


class Reader(asyncio.Protocol):
    """Sends the request and records the chunks with times. Parsing comes later: the server needs the cores."""

    def __init__(self, number: int, request: bytes) -> None:
        self.number, self._request, self.started = number, request, 0.0
        self.blocks: list[tuple[float, bytes]] = []
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.started = perf_counter()
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        self.blocks.append((perf_counter(), data))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


class Parser:
    """Parses the recorded chunks of `POST /generate`."""

    def __init__(self, reader: Reader) -> None:
        self.reading = Reading(reader.started, reader.number)
        self._rest, self._complete = b"", False
        parser = httptools.HttpResponseParser(self)
        for self._now, block in reader.blocks:
            parser.feed_data(block)
        if not self._complete:
            self.reading.failure = "broken off"
        elif parser.get_status_code() != 200:
            self.reading.failure = f"status {parser.get_status_code()}"

    def on_body(self, body: bytes) -> None:
        *events, self._rest = (self._rest + body).split(b"\n\n")
        for event in events:
            self.take(event)

    def take(self, event: bytes) -> None:
        if event.startswith(b"data: "):
            code = event[6:9].decode()
            self.reading.times.setdefault(code, []).append(self._now)
            self.reading.texts.setdefault(code, []).append(event[10:])
        elif event.startswith(b"event: error"):
            self.reading.failure = event.decode()

    def on_message_complete(self) -> None:
        self._complete = True
        self.reading.ended = self._now


class RunParser(Parser):
    """Parses the recorded chunks of `GET /runs/{id}/events`."""

    @override
    def take(self, event: bytes) -> None:
        _, _, rest = event.partition(b"\nevent: ")
        name, _, payload = rest.partition(b"\ndata: ")
        match name:
            case b"fragment":
                fields = orjson.loads(payload)
                super().take(fragment(fields["part"], fields["text"]).removesuffix(b"\n\n"))
            case b"alternate":
                super().take(alternate(orjson.loads(payload)["option"]).removesuffix(b"\n\n"))
            case _:
                pass


async def read_runs(
    port: int, count: int, deadline_s: float, seed: int | None = None, followers: int = 1, at_a_time: int | None = None
) -> list[Reader]:
    """Starts `count` runs and reads the events of each for so many followers. The seed repeats the pick."""
    free = asyncio.Semaphore(at_a_time or count)

    async def read(number: int) -> list[Reader]:
        async with free:
            return await _read_run(port, number, deadline_s, seed, followers)

    return [reader for readers in await asyncio.gather(*map(read, range(count))) for reader in readers]


async def _read_run(port: int, number: int, deadline_s: float, seed: int | None, followers: int) -> list[Reader]:
    started = perf_counter()
    starting = Reader(number, _post(b"/runs", number, seed))
    await _read(port, starting, deadline_s)
    response = b"".join(block for _, block in starting.blocks)
    run_id = orjson.loads(response.partition(b"\r\n\r\n")[2])["run_id"].encode()
    request = b"GET /runs/%b/events HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % run_id
    readers = [Reader(number, request) for _ in range(followers)]
    await asyncio.gather(*(_read(port, reader, deadline_s) for reader in readers))
    for reader in readers:
        reader.started = started
    return readers


async def read_recipes(port: int, count: int, deadline_s: float, seed: int | None = None) -> list[Reader]:
    """Reads `count` recipes concurrently. The seed repeats the pick on servers that support it."""
    return list(await asyncio.gather(*(_read_recipe(port, number, deadline_s, seed) for number in range(count))))


async def _read_recipe(port: int, number: int, deadline_s: float, seed: int | None) -> Reader:
    reader = Reader(number, _post(b"/generate", number, seed))
    await _read(port, reader, deadline_s)
    return reader


def _post(path: bytes, number: int, seed: int | None) -> bytes:
    on_hand = f"{REQUEST['ingredientsOnHand']}, {number} eggs"  # by which the provider tells the recipe
    body = orjson.dumps({**REQUEST, "ingredientsOnHand": on_hand, **({} if seed is None else {"seed": seed})})
    return HEAD % (path, len(body)) + body


async def _read(port: int, reader: Reader, deadline_s: float) -> None:
    try:
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: reader, "127.0.0.1", port)
    except OSError:
        return
    with suppress(TimeoutError):
        await asyncio.wait_for(reader.closed, deadline_s)
    transport.close()


def parse(reader: Reader, lengths: Mapping[str, int], parser: type[Parser] = Parser) -> Reading:
    """Raises `LostTextError` if a finished recipe is incomplete; other failures are recorded."""
    reading = parser(reader).reading
    if not reading.failure:
        check(reading, lengths)
    return reading


def check(reading: Reading, lengths: Mapping[str, int]) -> None:
    """Determines the picked dish. Raises `LostTextError` unless every text is what the provider sent."""
    for code, part in PARTS_BY_CODE.items():
        expected = "".join(tokens(part, lengths[part])).replace("\n", "⮑")
        read = b"".join(reading.texts.get(code, [])).decode()
        if read != expected:
            raise LostTextError(f"{part}: {len(read)} characters read of {len(expected)} sent: …{read[-80:]!r}")
    shown = b"".join(reading.texts.get(ALTERNATES, [])).decode()
    reading.picked = _places_by_alternates(lengths["alternates"]).get(shown, -1)
    if reading.picked < 0:
        raise LostTextError(f"the alternates are not two of the three recipes: {shown!r}")


def _places_by_alternates(length: int) -> dict[str, int]:
    shown = [alternate(recipe(place, length)).decode()[10:-2] for place in range(3)]
    return {shown[one] + shown[other]: 3 - one - other for one, other in permutations(range(3), 2)}

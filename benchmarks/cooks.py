"""The load of the soak test: clients that request one recipe after another over connections that break.

Each reads a run's events, is disconnected after some bytes, resumes after its last event, and finally checks
that it has each event once, and that the texts are those of the provider and of the server. Some runs have two readers,
some are cancelled, and each client checks that its previous run has expired.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httptools
import orjson

from app.wires.run_stream import RETRY
from benchmarks.client import REQUEST
from benchmarks.tokens import REALISTIC, recipe, tokens

BYTES = (2_000, 60_000)  # per connection before it breaks
AWAY_S = 0.3  # at most, before the reader reconnects
STOPPED, IN_COMPANY = 0.1, 0.1  # of the runs
RUN_TIMEOUT_S = 120
RAMP_S = 15  # in which the clients start, one after another


@dataclass
class Tally:
    """The outcomes of all runs, and the problems."""

    runs: Counter[str] = field(default_factory=Counter[str])
    parts: Counter[str] = field(default_factory=Counter[str])
    events: int = 0
    cuts: int = 0
    attempts: int = 0  # after the first of each part
    lost: int = 0
    doubled: int = 0
    expired: int = 0
    delete_ms: list[float] = field(default_factory=list[float])
    wrong: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes


class Exchange:
    """One request on its own connection. `take` receives the body as it arrives."""

    def __init__(self, port: int, method: str, path: str, body: bytes = b"", header: str = "") -> None:
        self._port, self.is_complete, self._body = port, False, list[bytes]()
        headers = f"Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        headers += f"{header}\r\n" if header else ""
        self._request = f"{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n".encode() + body
        self._parser = httptools.HttpResponseParser(self)

    @property
    def answer(self) -> Answer:
        return Answer(self._parser.get_status_code(), b"".join(self._body))

    async def read(self, most: int | None = None) -> None:
        """Reads to the end of the response, or aborts after about `most` bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(self._request)
            left = most
            while not self.is_complete and (left is None or left > 0):
                piece = await reader.read(65536 if left is None else min(left, 65536))
                if not piece:
                    break
                left = None if left is None else left - len(piece)
                self._parser.feed_data(piece)
        finally:
            writer.transport.abort()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self.is_complete = True


async def ask(port: int, method: str, path: str, body: dict[str, Any] | None = None, header: str = "") -> Answer:
    exchange = Exchange(port, method, path, b"" if body is None else orjson.dumps(body), header)
    await exchange.read()
    return exchange.answer


class Reader:
    """Reads a run like the page: each part's text and status."""

    def __init__(self, port: int, run_id: str, chance: Random, tally: Tally) -> None:
        self._port, self._path, self._chance, self._tally = port, f"/runs/{run_id}", chance, tally
        self._resumed_after, self._seq = "", 0
        self.texts: dict[str, list[str]] = {}
        self.ends: dict[str, str] = {}
        self.status = ""

    async def read(self) -> None:
        """Reads to the end of the run, over any number of connections."""
        while not self.status:
            exchange = Exchange(self._port, "GET", f"{self._path}/events", header=self._resumed_after)
            await exchange.read(self._chance.randint(*BYTES))
            answer = exchange.answer
            if answer.status != 200:
                raise RuntimeError(f"{answer.status} instead of events: {answer.body[:200]!r}")
            *blocks, _ = answer.body.split(b"\n\n")  # an event is complete with its blank line
            for block in blocks:
                self._take(block)
            if not self.status:
                self._tally.cuts += 1
                await asyncio.sleep(self._chance.uniform(0, AWAY_S))

    def _take(self, block: bytes) -> None:
        block = block.removeprefix(RETRY)
        if not block.startswith(b"id: "):
            return
        event_id, name, payload = (line.partition(b": ")[2] for line in block.split(b"\n"))
        self._resumed_after = f"Last-Event-ID: {event_id.decode()}"
        seq = int(event_id.partition(b"-")[2])
        self._tally.events += 1
        self._tally.lost += max(0, seq - self._seq - 1)
        self._tally.doubled += seq <= self._seq
        self._seq = seq
        self._add(name, orjson.loads(payload))

    def _add(self, name: bytes, payload: dict[str, Any]) -> None:
        match name:
            case b"part_start":
                self._tally.attempts += payload["attempt"] > 1
                self.texts[payload["part"]] = []
            case b"fragment":
                self.texts[payload["part"]].append(payload["text"])
            case b"alternate":
                self.texts[payload["part"]].append(line_of(payload["option"]))
            case b"part_end":
                self.ends[payload["part"]] = payload["status"]
            case b"end":
                self.status = payload["status"]
            case _:
                pass

    def text(self, part: str) -> str:
        return "".join(self.texts.get(part, ()))


@dataclass
class Cook:
    """Requests one run after another."""

    port: int
    chance: Random
    tally: Tally
    keep_s: float
    _last: tuple[str, float] | None = None

    async def cook_until(self, moment: float) -> None:
        """Starts no run after this time of `time.monotonic`."""
        await asyncio.sleep(self.chance.uniform(0, RAMP_S))
        while time.monotonic() < moment:
            started = orjson.loads((await ask(self.port, "POST", "/runs", REQUEST)).body)
            run_id = started["run_id"]
            try:
                async with asyncio.timeout(RUN_TIMEOUT_S):
                    await self._follow(run_id, started["key"])
            except (OSError, RuntimeError, TimeoutError, ValueError) as error:
                self.tally.wrong.append(f"run {run_id}: {error!r}")
            await self._look_back()
            self._last = run_id, time.monotonic()

    async def _follow(self, run_id: str, key: str) -> None:
        count = 2 if self.chance.random() < IN_COMPANY else 1
        readers = [Reader(self.port, run_id, self.chance, self.tally) for _ in range(count)]
        stopping = self._stop(run_id, key) if self.chance.random() < STOPPED else asyncio.sleep(0)
        await asyncio.gather(stopping, *(reader.read() for reader in readers))
        payload = orjson.loads((await ask(self.port, "GET", f"/runs/{run_id}")).body)
        self.tally.runs[payload["status"]] += 1
        self.tally.parts.update(state["state"] for state in payload["parts"].values())
        for reader in readers:
            self.tally.wrong += [f"run {run_id}: {wrong}" for wrong in found_wrong(reader, payload)]

    async def _stop(self, run_id: str, key: str) -> None:
        await asyncio.sleep(self.chance.uniform(0, 10))
        began = time.perf_counter()
        answer = await ask(self.port, "DELETE", f"/runs/{run_id}", header=f"Sizzle-Run-Key: {key}")
        self.tally.delete_ms.append((time.perf_counter() - began) * 1000)
        if answer.status != 204:
            raise RuntimeError(f"DELETE: {answer.status}")

    async def _look_back(self) -> None:
        """Checks that the previous run has expired if it ended long enough ago."""
        if self._last and time.monotonic() > self._last[1] + self.keep_s + 1:
            status = (await ask(self.port, "GET", f"/runs/{self._last[0]}")).status
            self.tally.expired += status == 410
            if status != 410:
                self.tally.wrong.append(f"run {self._last[0]}: {status}, but it should have expired")


def found_wrong(reader: Reader, payload: dict[str, Any]) -> list[str]:
    """Returns the differences between a reader's state and the server's or the provider's."""
    wrong = [f"status {reader.status}, not {payload['status']}"] if reader.status != payload["status"] else []
    for part, state in payload["parts"].items():
        if reader.text(part) != state["text"]:
            wrong.append(f"{part}: {len(reader.text(part))} characters read of {len(state['text'])}")
        if state["state"] == "ok" and state["text"] not in good_texts(part):
            wrong.append(f"{part} passes for finished: …{state['text'][-60:]!r}")
    return wrong


def good_texts(part: str) -> set[str]:
    """Returns the possible texts of an `ok` part."""
    if part != "alternates":
        return {"".join(tokens(part, REALISTIC[part]))}  # type: ignore[arg-type, index]
    recipes = [recipe(place, REALISTIC["alternates"]) for place in range(3)]
    lines = [line_of(one) for one in recipes]
    return {first + second for first in lines for second in lines if first != second}


def line_of(option: dict[str, str]) -> str:
    """Returns the line of an alternate in its part's text."""
    return f"{option['name']}: {option['intro']}\n"

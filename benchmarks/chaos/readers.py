"""The readers of runs: they lose their connection at random, come back to any node, and judge what they have read."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httptools
import orjson

from benchmarks.client import REQUEST
from benchmarks.cooks import Exchange, ask, line_of
from benchmarks.tokens import recipe, tokens

LENGTH = 100  # tokens of each part
RUN_TIMEOUT_S = 120
BYTES = (2_000, 40_000)  # that a reader takes before its connection is cut
STAYS = 0.5  # of the readers are never cut
AWAY_S = 0.3
CANCELLED = 0.08  # of the runs

Ports = Callable[[], Sequence[int]]


@dataclass(frozen=True)
class Read:
    """An event as a reader got it."""

    epoch: str
    seq: int
    name: str
    fields: dict[str, Any]
    at: float
    connection: int


@dataclass
class Run:
    """A run and what its reader has read of it."""

    ports: Ports
    chance: Random
    run_id: str = ""
    key: str = ""
    events: list[Read] = field(default_factory=list[Read])
    reconnects: int = 0
    cancelled_at: float | None = None
    refusals: list[int] = field(default_factory=list[int])
    verdict: str = "unfinished"

    async def live(self) -> None:
        """Starts the run, reads it to its end, sometimes cancels it, and judges it."""
        try:
            async with asyncio.timeout(RUN_TIMEOUT_S):
                await self.start()
                cancelling = asyncio.sleep(0) if self.chance.random() > CANCELLED else self._cancel_later()
                await asyncio.gather(self.read(), cancelling)
                await self.judge()
        except TimeoutError:
            self.verdict = f"unfinished after {len(self.events)} events"

    async def start(self) -> None:
        header = f"Idempotency-Key: chaos-{self.chance.getrandbits(64):x}"
        while True:
            answer = await self._ask("POST", "/runs", REQUEST, header)
            if answer and answer[0] == 201:
                self.run_id, self.key = answer[1]["run_id"], answer[1]["key"]
                return
            await asyncio.sleep(0.1)

    async def cancel(self) -> None:
        self.cancelled_at = time.monotonic()
        while not await self._ask("DELETE", f"/runs/{self.run_id}", None, f"Sizzle-Run-Key: {self.key}"):
            await asyncio.sleep(0.1)

    async def judge(self) -> None:
        self.verdict = verdict(self, await self._state())

    async def _cancel_later(self) -> None:
        await asyncio.sleep(self.chance.uniform(0.1, 1.5))
        await self.cancel()

    async def _state(self) -> dict[str, Any]:
        while not (answer := await self._ask("GET", f"/runs/{self.run_id}")) or answer[0] != 200:
            await asyncio.sleep(0.1)
        return answer[1]

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, header: str = ""
    ) -> tuple[int, Any] | None:
        """Returns status and body, or None if the node is gone or has no store."""
        try:
            answer = await ask(self.chance.choice(self.ports()), method, path, body, header)
        except (OSError, httptools.HttpParserError):
            return None
        if answer.status in (0, 503):
            self.refusals.append(answer.status)
            return None
        return answer.status, orjson.loads(answer.body) if answer.body else None

    async def read(self) -> None:
        """Reads the run to its end, over any number of connections."""
        most = None if self.chance.random() < STAYS else self.chance.randint(*BYTES)
        while not (self.events and self.events[-1].name == "end"):
            connection = _Events(self)
            with suppress(OSError, httptools.HttpParserError):
                await connection.read(most)
            if (status := connection.status) in (404, 410):
                self.events.append(Read("", 0, f"status {status}", {}, time.monotonic(), self.reconnects))
                return
            self.reconnects += 1
            await asyncio.sleep(self.chance.uniform(0, AWAY_S))


class _Events(Exchange):
    """One connection, whose events are taken as they arrive."""

    def __init__(self, run: Run) -> None:
        last = f"Last-Event-ID: {run.events[-1].epoch}-{run.events[-1].seq}" if run.events else ""
        super().__init__(run.chance.choice(run.ports()), "GET", f"/runs/{run.run_id}/events", header=last)
        self._run, self._rest = run, b""

    @property
    def status(self) -> int:
        return self.answer.status

    def on_body(self, body: bytes) -> None:
        *blocks, self._rest = (self._rest + body).split(b"\n\n")
        for block in blocks:
            lines = {field: value for field, _, value in (line.partition(b": ") for line in block.split(b"\n"))}
            if b"id" in lines and self.status == 200:
                epoch, _, seq = lines[b"id"].decode().partition("-")
                name, fields = lines[b"event"].decode(), orjson.loads(lines[b"data"])
                read = Read(epoch, int(seq), name, fields, time.monotonic(), self._run.reconnects)
                self._run.events.append(read)


def verdict(run: Run, state: dict[str, Any]) -> str:
    """Returns how exact the run is: `exact`, `cancelled`, or what was wrong."""
    if run.events[-1].name != "end":
        return run.events[-1].name
    if wrong := _wrong_order(run.events):
        return wrong
    texts, ends = _texts(run.events)
    status = run.events[-1].fields["status"]
    others = [part for part, each in state["parts"].items() if not _is_same(run, texts.get(part, ""), each)]
    if others or status != state["status"]:
        return f"{status} and the texts of {others} are not the server's"
    wanted = {part: "".join(tokens(part, LENGTH)) for part in state["parts"] if part != "alternates"}
    if run.cancelled_at and status == "cancelled":
        cut = [part for part in wanted if not wanted[part].startswith(texts.get(part, ""))]
        return f"the text of {cut} is wrong" if cut else "cancelled"
    wrong_texts = [part for part in wanted if texts.get(part) != wanted[part] or ends.get(part) != "ok"]
    if wrong_texts:
        return f"the text of {wrong_texts} is wrong"
    alternates, end = texts.get("alternates", ""), ends.get("alternates")
    is_exact = status == end == "ok" and alternates in _alternates()
    return "exact" if is_exact else f"{status}, alternates {end}: {alternates!r}"


def _is_same(run: Run, text: str, part: dict[str, Any]) -> bool:
    """Whether a reader's text is the log's.

    After a takeover a part that was cut off may lack, in the log, the last moment that its readers have seen.
    """
    is_taken_over = run.events[0].epoch != run.events[-1].epoch
    return text == part["text"] or (is_taken_over and part["state"] == "cut_off" and text.startswith(part["text"]))


def _alternates() -> set[str]:
    lines = [line_of(recipe(place, LENGTH)) for place in range(3)]
    return {first + second for first in lines for second in lines if first != second}


def _wrong_order(events: Sequence[Read]) -> str | None:
    """Returns what is wrong with the ids: each comes once, and none is missing."""
    if sum(event.name == "end" for event in events) != 1:
        return "not exactly one end"
    if len({(event.epoch, event.seq) for event in events}) != len(events):
        return "an event came twice"
    epoch, seq = events[0].epoch, 0
    for event in events:
        if event.seq > seq + 1 or (event.epoch == epoch and event.seq != seq + 1):
            return f"a hole before {event.epoch}-{event.seq}"
        epoch, seq = event.epoch, event.seq
    return None


def _texts(events: Sequence[Read]) -> tuple[dict[str, str], dict[str, str]]:
    """Returns the text of each part as a page shows it at the end, and how the part ended.

    An earlier text returns if the last attempt produces none.
    """
    texts, ends, earlier = dict[str, str](), dict[str, str](), dict[str, str]()
    for event in events:
        part = event.fields.get("part", "")
        match event.name:
            case "part_start":
                earlier[part] = texts.pop(part, "") or earlier.get(part, "")
                ends.pop(part, None)
            case "fragment":
                texts[part] = texts.get(part, "") + event.fields["text"]
            case "alternate":
                texts[part] = texts.get(part, "") + line_of(event.fields["option"])
            case "part_end":
                ends[part] = event.fields["status"]
            case _:
                pass
    return earlier | texts, ends

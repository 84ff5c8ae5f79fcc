"""Readers of Wire 2, whose connections break where a test wants them to."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httptools
import httpx

from tests.client import ASKED

Sent = tuple[str, str, str]  # an event's id, name and JSON


@dataclass
class Client:
    """A client of Wire 2 whose connections break. An event counts with its blank line only (WHATWG HTML §9.2.6)."""

    origin: httpx.URL
    run_id: str
    events: list[Sent] = field(default_factory=list)
    connections: int = 0
    bytes_read: int = 0
    status: int = 0

    @property
    def has_ended(self) -> bool:
        return self.status == 204 or (bool(self.events) and self.events[-1][1] == "end")

    async def read(self, most: float = float("inf")) -> None:
        """Goes on behind the last event, to the stream's end or until `most` bytes have come; then it is cut."""
        self.connections += 1
        self._rest, self._is_over = b"", False
        self._parser = httptools.HttpResponseParser(self)
        reader, writer = await asyncio.open_connection(self.origin.host, self.origin.port)
        writer.write(self._request())
        while most > 0 and not self._is_over and (piece := await reader.read(int(min(most, 8192)))):
            most -= len(piece)
            self.bytes_read += len(piece)
            self._parser.feed_data(piece)
        writer.transport.abort()
        assert self.status in (0, 200, 204)  # 0 is one that was cut before its end

    async def read_all(self) -> None:
        """Comes back until the run's end is there."""
        while not self.has_ended:
            await self.read()

    def _request(self) -> bytes:
        last = f"Last-Event-ID: {self.events[-1][0]}\r\n" if self.events else ""
        return f"GET /runs/{self.run_id}/events HTTP/1.1\r\nHost: x\r\n{last}\r\n".encode()

    def on_body(self, body: bytes) -> None:
        *blocks, self._rest = (self._rest + body).split(b"\n\n")
        for block in blocks:
            lines = dict(line.split(": ", 1) for line in block.decode().split("\n") if not line.startswith(":"))
            if "data" in lines:
                self.events.append((lines["id"], lines["event"], lines["data"]))

    def on_message_complete(self) -> None:
        self.status, self._is_over = self._parser.get_status_code(), True


def page(events: Sequence[Sent]) -> dict[str, str]:
    """What a page shows of these events, by part."""
    shown: dict[str, str] = {}
    for _, name, text in events:
        told = json.loads(text)
        match name:
            case "run":
                shown = dict.fromkeys(told["parts"], "")
            case "part_start":
                shown[told["part"]] = ""
            case "fragment":
                shown[told["part"]] += told["text"]
    return shown


def begin(url: str, **asked: Any) -> Client:
    """A client of a run that begins now."""
    with httpx.Client() as http:
        return Client(httpx.URL(url), http.post(f"{url}/runs", json=ASKED | asked).raise_for_status().json()["run_id"])


async def read_whole(client: Client) -> list[Sent]:
    """The run's events as one reads them who is never cut."""
    whole = Client(client.origin, client.run_id)
    await whole.read_all()
    assert whole.connections == 1
    return whole.events


def assert_whole(read: Client, whole: Sequence[Sent]) -> None:
    """Everything was read, once, and shows what the run's state does."""
    (epoch,) = {event_id.partition("-")[0] for event_id, _, _ in whole}
    assert [event_id for event_id, _, _ in whole] == [f"{epoch}-{seq}" for seq in range(1, len(whole) + 1)]
    assert [name for _, name, _ in whole].count("end") == 1
    assert read.events == list(whole)


def shown_by_state(client: Client) -> dict[str, str]:
    """The texts that `GET /runs/{id}` tells of."""
    told = httpx.get(f"{client.origin}/runs/{client.run_id}").raise_for_status().json()
    return {part: state["text"] for part, state in told["parts"].items()}


async def read_in_cuts(client: Client, plan: Sequence[int]) -> None:
    """Reads so many bytes through each connection, and what is left through a last one."""
    for most in plan:
        await client.read(most)
    await client.read_all()

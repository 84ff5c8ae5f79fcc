"""Runs over Redis, as their readers see them, and the processes that serve and write them."""

import json
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.client import NO_TLS, ask
from tests.commands import Command
from tests.redis_servers import RedisServer, binary
from tests.servers import Gate

REQUEST = {"ingredientsOnHand": "beef, onions"}

LEASE_S = 0.4

PARTS = ("alternates", "ingredients", "intro", "nutrition", "sides", "steps")

TEXTS = {part: f"{part} one, {part} two." for part in PARTS if part != "alternates"}


@dataclass
class Event:
    """An event of the run stream."""

    id: str
    name: str
    data: dict[str, Any]

    @property
    def seq(self) -> int:
        return int(self.id.partition("-")[2])


@dataclass
class Reader(threading.Thread):
    """Reads a run's events to its end, reconnecting with the last id as a browser does."""

    url: str
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._changed = threading.Condition()
        self.start()

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        while not (self.events and self.events[-1].name == "end"):
            last = {"Last-Event-ID": self.events[-1].id} if self.events else {}
            with (
                httpx.Client(timeout=20, verify=NO_TLS) as client,
                client.stream("GET", f"{self.url}/events", headers=last) as response,
            ):
                for line in response.iter_lines():
                    self._read(line)

    def _read(self, line: str) -> None:
        name, _, value = line.partition(": ")
        match name:
            case "id":
                self._id = value
            case "event":
                self._name = value
            case "data":
                with self._changed:
                    self.events.append(Event(self._id, self._name, json.loads(value)))
                    self._changed.notify_all()
            case _:
                pass

    def wait_for(self, condition: Callable[[list[Event]], bool]) -> list[Event]:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.events), timeout=20), self.events[-5:]
            return list(self.events)

    def to_the_end(self) -> list[Event]:
        return self.wait_for(lambda events: any(event.name == "end" for event in events))


def has(name: str, **fields: object) -> Callable[[list[Event]], bool]:
    """Whether there is such an event."""
    return lambda events: any(event.name == name and fields.items() <= event.data.items() for event in events)


def attempts(events: list[Event]) -> dict[str, int]:
    """The last attempt of each part."""
    return {event.data["part"]: event.data["attempt"] for event in events if event.name == "part_start"}


def texts(events: list[Event]) -> dict[str, str]:
    """The texts of the last attempts."""
    written: dict[str, str] = {}
    for event in events:
        if event.name == "part_start":
            written[event.data["part"]] = ""
        if event.name == "fragment":
            written[event.data["part"]] += event.data["text"]
    return {part: text for part, text in written.items() if part != "alternates"}


def assert_exact(events: list[Event], status: str = "ok") -> None:
    """Checks that nothing is lost or repeated, and that every part has its whole text."""
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.data["status"] for event in events if event.name == "end"] == [status]
    assert texts(events) == TEXTS


@dataclass
class Worker:
    """`sizzle worker` in its own process."""

    command: Command
    output: Path
    is_running: bool = True

    @property
    def url(self) -> str:
        return re.findall("http://[0-9.:]+", self.output.read_text())[0]

    def send(self, number: int) -> None:
        self.command.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.command.wait(20)
        self.is_running = False

    def wait(self) -> int:
        status = self.command.wait(20)
        self.is_running = False
        return status


StartWorker = Callable[..., Worker]


def start_run(url: str, **headers: str) -> tuple[str, str]:
    """Returns the run's address and its key."""
    response = httpx.post(f"{url}/runs", json=REQUEST, headers=headers, verify=NO_TLS)
    assert response.status_code == 201, response.text
    return f"{url}{response.headers['location']}", response.json()["key"]


def elsewhere(run: str, url: str) -> str:
    """The run's address at another web process."""
    return url + run[run.index("/runs/") :]


def waiting_script(gate: Gate, part: str) -> list[str | Gate]:
    """A script that waits after its first words until the gate is opened."""
    return [f"{part} one, ", gate, f"{part} two."]


ALL_BUT_STEPS = [has("part_end", part=part) for part in PARTS if part != "steps"]


def is_in_the_middle(events: list[Event]) -> bool:
    """All parts have ended except the steps, which are being written."""
    return all(condition(events) for condition in [*ALL_BUT_STEPS, has("fragment", part="steps")])


def rewrite(run: str, key: str, part: str) -> httpx.Response:
    return ask("POST", f"{run}/parts/{part}", headers={"Sizzle-Run-Key": key})


def open_gate() -> Gate:
    gate = Gate()
    gate.open()
    return gate


@contextmanager
def own_server(folder: Path, *options: str, **environment: str) -> Iterator[RedisServer]:
    """A server that the test may kill, which loses nothing that it has acknowledged."""
    durable = ("--appendonly", "yes", "--appendfsync", "always")
    with RedisServer(binary("valkey"), folder, options or durable, environment=environment) as server:
        yield server

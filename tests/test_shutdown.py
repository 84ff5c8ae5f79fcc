"""Stopping the server: every client is informed, or sees that its response is incomplete, and the process is gone."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest

from app.main import create_app
from tests.client import ASKED, NO_TLS, ask, decoded, start, wait_until
from tests.servers import Gate, provider, run, serving, settings_from

SLOW = {"SIZZLE_STANDIN_TTFT_MS": "20", "SIZZLE_STANDIN_TOKENS_PER_S": "2"}
FAREWELL = b": the server is being stopped\nretry: 2000\n"


class Served:
    """`sizzle serve` in a process of its own, and what it says."""

    def __init__(self, *options: str) -> None:
        command = ["env", "--default-signal=INT", sys.executable, "-m", "app", "serve", "--port", "0", *options]
        self.process = subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | SLOW
        )
        assert self.process.stdout
        self.said: list[str] = []
        for line in self.process.stdout:
            self.said.append(line)
            if found := re.search(r"http://127.0.0.1:\d+", line):
                self.url = found[0]
                break
        self._reading = threading.Thread(target=lambda: self.said.extend(self.process.stdout or []))
        self._reading.start()

    def gone(self) -> None:
        """Waits until it is."""
        self.process.wait(20)
        self._reading.join()
        if self.process.stdout:
            self.process.stdout.close()


@contextmanager
def served(*options: str) -> Iterator[Served]:
    server = Served(*options)
    try:
        yield server
    finally:
        server.process.kill()
        server.gone()


def requests_to(url: str) -> list[tuple[str, str, dict[str, Any]]]:
    """What may be open for long: both wires, a long poll, plain text, and the face of OpenAI."""
    events = f"{start(url)}/events".removeprefix(url)
    broadcast = ask("POST", f"{url}/examples/broadcasts", json={"query": "Tell me about beef."}).headers["location"]
    talk = {"model": "sizzle", "stream": True, "messages": [{"role": "user", "content": "beef, onions"}]}
    return [
        ("GET", events, {}),
        ("POST", "/generate", {"json": ASKED}),
        ("GET", broadcast, {"params": {"after": 100_000, "wait": "true"}}),
        ("GET", f"{broadcast}/events", {}),
        ("GET", "/completion", {"params": {"query": "Tell me about beef."}}),
        ("POST", "/v1/chat/completions", {"json": talk}),
        ("POST", "/chains/recipe/stream", {"json": {"input": ASKED}}),
        ("POST", "/chains/recipe/invoke", {"json": {"input": ASKED}}),
    ]


async def read(client: httpx.AsyncClient, asked: tuple[str, str, dict[str, Any]], begun: asyncio.Event) -> bytes | None:
    """All that comes, or nothing where the answer is broken off."""
    body, (method, path, more) = b"", asked
    with suppress(httpx.RemoteProtocolError, httpx.ReadError):
        async with client.stream(method, path, **more) as response:
            async for piece in response.aiter_raw():
                body += piece
                begun.set()
        return body
    return None


async def stop_with_readers(server: Served, number: int, readers: int) -> tuple[float, list[bytes | None]]:
    """Seconds from the signal to the process's end, and what each of the readers got, if its answer was whole."""
    requests = requests_to(server.url)
    async with httpx.AsyncClient(base_url=server.url, timeout=30, verify=NO_TLS, limits=httpx.Limits()) as client:
        begun = [asyncio.Event() for _ in range(readers)]
        reading = [
            asyncio.create_task(read(client, requests[place % len(requests)], event))
            for place, event in enumerate(begun)
        ]
        streams = [event for place, event in enumerate(begun) if place % len(requests) in (0, 1, 3, 4)]
        await asyncio.gather(*(event.wait() for event in streams))
        assert not any(task.done() for task in reading)
        asked = time.monotonic()
        server.process.send_signal(number)
        await asyncio.to_thread(server.gone)
        return time.monotonic() - asked, await asyncio.gather(*reading)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_is_gone_in_time_whatever_is_open(number: int) -> None:
    """With 200 answers open it takes less than 5 seconds, nothing truncated passes for whole, and no trace is left."""
    with served() as server:
        seconds, bodies = run(stop_with_readers(server, number, 200))
    assert seconds < 5
    assert all(body and body.endswith(FAREWELL) and decoded(body)[0].name == "run" for body in bodies[::8])
    assert {body for place in range(1, 8) for body in bodies[place::8]} == {None}
    assert not re.search("ERROR|Traceback|CRITICAL", "".join(server.said))


@pytest.fixture
def url() -> Iterator[str]:
    """A server that is told by `POST /close` that it is being stopped, while its connections stay open."""
    with provider({"nutrition": ["Beef ", Gate()]}) as scripted:
        app = create_app(settings_from(groq_api_key="k", groq_base_url=scripted.url))

        @app.post("/close")
        async def close() -> None:  # pyright: ignore[reportUnusedFunction]
            app.state.shutdown.begin()

        with serving(app) as url:
            yield url


def test_no_run_is_begun_when_the_server_is_being_stopped(url: str) -> None:
    """Over a connection that is still open it is a 503 that says when to come back; what there is can be read."""
    address = start(url)
    assert wait_until(lambda: ask("GET", address).json()["parts"]["intro"]["state"] == "ok", seconds=5)
    ask("POST", f"{url}/close")
    for path in ("/runs", "/generate", f"{address.removeprefix(url)}/parts/intro"):
        answer = ask("POST", f"{url}{path}", json=ASKED, headers={"Sizzle-Run-Key": address.key})
        assert [answer.status_code, answer.headers["retry-after"]] == [503, "2"]
        assert "shutting down" in answer.json()["detail"]
    assert ask("GET", address).json()["status"] == "running"


def test_a_reader_who_comes_while_the_server_is_being_stopped_is_sent_away(url: str) -> None:
    """His stream ends at once with the same words as those that were open."""
    address = start(url)
    ask("POST", f"{url}/close")
    assert ask("GET", f"{address}/events").content.endswith(FAREWELL)

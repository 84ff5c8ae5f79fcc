"""Shutdown: every client is notified or sees that its response is incomplete, and the process exits."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.main import create_app
from tests.client import NO_TLS, REQUEST, ask, decoded, follow, start, wait_until
from tests.conftest import Serve
from tests.redis_servers import RedisServer
from tests.server_process import server_process
from tests.servers import Gate, provider, run, serving, settings_from
from tests.shared_runs import Reader

SLOW = {"SIZZLE_STANDIN_TTFT_MS": "20", "SIZZLE_STANDIN_TOKENS_PER_S": "2"}
FAREWELL = b": the server is being stopped\nretry: 2000\n"


class Served:
    """`sizzle serve` in its own process, and its output."""

    def __init__(self, *options: str) -> None:
        command = ["env", "--default-signal=INT", sys.executable, "-m", "app", "serve", "--port", "0", *options]
        self.process = subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | SLOW
        )
        assert self.process.stdout
        self.lines: list[str] = []
        for line in self.process.stdout:
            self.lines.append(line)
            if found := re.search(r"http://127.0.0.1:\d+", line):
                self.url = found[0]
                break
        self._reading = threading.Thread(target=lambda: self.lines.extend(self.process.stdout or []))
        self._reading.start()

    def gone(self) -> None:
        """Waits for its exit."""
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
    """Requests that can stay open for long: streams, a long poll, plain text, and a chat completion."""
    events = f"{start(url)}/events".removeprefix(url)
    broadcast = ask("POST", f"{url}/examples/broadcasts", json={"query": "Tell me about beef."}).headers["location"]
    talk = {"model": "sizzle", "stream": True, "messages": [{"role": "user", "content": "beef, onions"}]}
    return [
        ("GET", events, {}),
        ("POST", "/generate", {"json": REQUEST}),
        ("GET", broadcast, {"params": {"after": 100_000, "wait": "true"}}),
        ("GET", f"{broadcast}/events", {}),
        ("GET", "/completion", {"params": {"query": "Tell me about beef."}}),
        ("POST", "/v1/chat/completions", {"json": talk}),
        ("POST", "/chains/recipe/stream", {"json": {"input": REQUEST}}),
        ("POST", "/chains/recipe/invoke", {"json": {"input": REQUEST}}),
    ]


async def read(
    client: httpx.AsyncClient, request: tuple[str, str, dict[str, Any]], started: asyncio.Event
) -> bytes | None:
    """The whole response, or None if it breaks off."""
    body, (method, path, more) = b"", request
    with suppress(httpx.RemoteProtocolError, httpx.ReadError):
        async with client.stream(method, path, **more) as response:
            async for piece in response.aiter_raw():
                body += piece
                started.set()
        return body
    return None


async def stop_with_readers(server: Served, number: int, readers: int) -> tuple[float, list[bytes | None]]:
    """Seconds from the signal to the exit, and what each reader got if its response was complete."""
    requests = requests_to(server.url)
    async with httpx.AsyncClient(base_url=server.url, timeout=30, verify=NO_TLS, limits=httpx.Limits()) as client:
        started = [asyncio.Event() for _ in range(readers)]
        reading = [
            asyncio.create_task(read(client, requests[place % len(requests)], event))
            for place, event in enumerate(started)
        ]
        streams = [event for place, event in enumerate(started) if place % len(requests) in (0, 1, 3, 4)]
        await asyncio.gather(*(event.wait() for event in streams))
        assert not any(task.done() for task in reading)
        request = time.monotonic()
        server.process.send_signal(number)
        await asyncio.to_thread(server.gone)
        return time.monotonic() - request, await asyncio.gather(*reading)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_exits_in_time_whatever_is_open(number: int) -> None:
    """With 200 open responses it takes less than 5 s, no truncated response looks complete, and nothing is logged."""
    with served() as server:
        seconds, bodies = run(stop_with_readers(server, number, 200))
    assert seconds < 5
    assert all(body and body.endswith(FAREWELL) and decoded(body)[0].name == "run" for body in bodies[::8])
    assert {body for place in range(1, 8) for body in bodies[place::8]} == {None}
    assert not re.search("ERROR|Traceback|CRITICAL", "".join(server.lines))


def response_on(connection: HTTPConnection, method: str, path: str, body: Any = None, key: str = "") -> HTTPResponse:
    """Sends the request on this very connection."""
    assert connection.sock, "the last response has closed it"
    headers = {"Content-Type": "application/json", "Sizzle-Run-Key": key}
    connection.request(method, path, json.dumps(body), headers)
    response = connection.getresponse()
    response.read()
    return response


@pytest.mark.parametrize("is_kept", [False, True])
def test_a_request_on_its_way_at_the_shutdown_is_answered(tmp_path: Path, is_kept: bool) -> None:
    """Its connection is a new one, or kept after an earlier response. It closes with the answer."""
    with (
        server_process(tmp_path) as server,
        closing(server.connect()) as connection,
        closing(server.connect()) as later,
    ):
        if is_kept:
            assert response_on(connection, "GET", "/livez").status == 200
        assert response_on(later, "GET", "/livez").status == 200  # so the server has accepted both
        server.begin_shutdown()
        answer = response_on(connection, "GET", "/livez")
        assert [answer.status, answer.headers["connection"], connection.sock] == [200, "close", None]
        assert server.wait() == -signal.SIGTERM
        assert not re.search("ERROR|Traceback|CRITICAL", server.output)


def test_a_run_that_others_can_write_is_started_during_the_shutdown(
    redis_server: RedisServer, serve: Serve, tmp_path: Path
) -> None:
    """A response that the process itself would have to write is refused."""
    store = redis_server.url
    with server_process(tmp_path, SIZZLE_STORE=store) as server, ExitStack() as stack:
        first, second = (stack.enter_context(closing(server.connect())) for _ in range(2))
        assert response_on(second, "GET", "/livez").status == 200  # so the server has accepted both
        server.begin_shutdown()
        started = response_on(first, "POST", "/runs", REQUEST)
        assert started.status == 201
        assert response_on(second, "POST", "/generate", REQUEST).status == 503
        assert server.wait() == -signal.SIGTERM
    other = serve(store=store, standin_ttft_ms=5, standin_tokens_per_s=0)
    assert Reader(f"{other}{started.headers['location']}").to_the_end()[-1].data["status"] == "ok"


def test_a_worker_writes_what_is_requested_of_a_web_process_during_its_shutdown(
    redis_server: RedisServer, serve: Serve, tmp_path: Path
) -> None:
    """A new run, and a part of a finished one."""
    store = redis_server.url
    other = serve(store=store, standin_ttft_ms=5, standin_tokens_per_s=0)
    run = start(other)
    follow(run)
    with server_process(tmp_path, SIZZLE_STORE=store, SIZZLE_WORKER="false") as web, ExitStack() as stack:
        first, second = (stack.enter_context(closing(web.connect())) for _ in range(2))
        assert response_on(second, "GET", "/livez").status == 200  # so the server has accepted both
        web.begin_shutdown()
        started = response_on(first, "POST", "/runs", REQUEST)
        rewritten = response_on(second, "POST", f"{run.removeprefix(other)}/parts/sides", key=run.key)
        assert [started.status, rewritten.status] == [201, 202]
        assert web.wait() == -signal.SIGTERM
    assert Reader(f"{other}{started.headers['location']}").to_the_end()[-1].data["status"] == "ok"
    assert follow(run)[-1].fields["status"] == "ok"
    assert ask("GET", run).json()["parts"]["sides"]["attempt"] == 2


@pytest.fixture
def url() -> Iterator[str]:
    """A server that starts its shutdown at `POST /close`, while its connections stay open."""
    with provider({"nutrition": ["Beef ", Gate()]}) as scripted:
        app = create_app(settings_from(groq_api_key="k", groq_base_url=scripted.url))

        @app.post("/close")
        async def close() -> None:  # pyright: ignore[reportUnusedFunction]
            app.state.shutdown.begin()

        with serving(app) as url:
            yield url


def test_no_run_is_started_during_the_shutdown(url: str) -> None:
    """An open connection gets a 503 with Retry-After; existing runs can be read."""
    address = start(url)
    assert wait_until(lambda: ask("GET", address).json()["parts"]["intro"]["state"] == "ok", seconds=5)
    ask("POST", f"{url}/close")
    for path in ("/runs", "/generate", f"{address.removeprefix(url)}/parts/intro"):
        answer = ask("POST", f"{url}{path}", json=REQUEST, headers={"Sizzle-Run-Key": address.key})
        headers = [answer.headers[name] for name in ("retry-after", "connection")]
        assert [answer.status_code, headers] == [503, ["2", "close"]]
        assert "shutting down" in answer.json()["detail"]
    assert ask("GET", address).json()["status"] == "running"


def test_a_new_reader_during_the_shutdown_is_sent_away(url: str) -> None:
    """Its stream ends at once with the same message as the open ones."""
    address = start(url)
    ask("POST", f"{url}/close")
    assert ask("GET", f"{address}/events").content.endswith(FAREWELL)

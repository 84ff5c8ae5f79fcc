"""`sizzle serve` in a process of its own that can be killed, and started again at the same address."""

import os
import re
import resource
import signal
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import httpx

from tests.client import NO_TLS, wait_until
from tests.commands import Command


class ServerProcess:
    """A server that keeps its runs in a file of the folder, with these options and settings."""

    def __init__(self, folder: Path, *options: str, **settings: str) -> None:
        self._options = options
        self._output = folder / "output"
        self._environment = os.environ | {"SIZZLE_STORE": f"sqlite://{folder / 'runs.db'}"} | settings
        self.url = ""
        self._command = self._start(0)
        self._wait_until_ready()

    @property
    def output(self) -> str:
        return self._output.read_text()

    def kill(self) -> None:
        """Ends the process as `kill -9` does."""
        self._command.send_signal(signal.SIGKILL)
        self._command.wait(10)

    def begin_shutdown(self) -> None:
        """Sends SIGTERM, and waits until the process has stopped listening."""
        self._command.send_signal(signal.SIGTERM)
        while True:
            try:
                self.connect().close()
            except ConnectionError:
                return

    def connect(self) -> HTTPConnection:
        url = httpx.URL(self.url)
        connection = HTTPConnection(url.host, url.port, timeout=20)
        connection.connect()
        return connection

    def wait(self) -> int:
        """Returns the exit status."""
        return self._command.wait(20)

    def start_again(self) -> None:
        self._command = self._start(int(self.url.rpartition(":")[2]))
        self._wait_until_ready()

    @contextmanager
    def full_disk(self) -> Generator[None]:
        """No file of the process can grow within the block."""
        limits = resource.prlimit(self._command.pid, resource.RLIMIT_FSIZE)
        size = self._output.with_name("runs.db-wal").stat().st_size
        resource.prlimit(self._command.pid, resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            yield
        finally:
            resource.prlimit(self._command.pid, resource.RLIMIT_FSIZE, limits)

    def _start(self, port: int) -> Command:
        with self._output.open("wb") as output:
            arguments = ("serve", "--port", str(port), *self._options)
            return Command(arguments, self._environment, output.fileno(), output.fileno())

    def _wait_until_ready(self) -> None:
        assert wait_until(lambda: "(Ctrl-C" in self.output, 20), self.output
        self.url = f"http://127.0.0.1:{re.findall(r'http://[^ ]+:([0-9]+)', self.output)[0]}"
        with httpx.Client(verify=NO_TLS, timeout=30) as client:
            assert client.get(f"{self.url}/healthz").status_code in (200, 401), self.output


@contextmanager
def server_process(folder: Path, *options: str, **settings: str) -> Generator[ServerProcess]:
    server = ServerProcess(folder, *options, **settings)
    try:
        yield server
    finally:
        server.kill()

"""The processes under test, which are forked from one that has imported them, so that a restart is quick.

Only those of another release are started from its files.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.cooks import ask
from benchmarks.processes import FOREIGN, ROOT
from tests.commands import Command

_URL = re.compile(r"http://127\.0\.0\.1:(\d+)")
READY_S = 30


class Node:
    """A `sizzle` process on a port that the system picks, or on `port`, of this release or of the one in `tree`."""

    def __init__(
        self,
        folder: Path,
        name: str,
        arguments: tuple[str, ...],
        settings: Mapping[str, str],
        port: int = 0,
        tree: Path = ROOT,
    ) -> None:
        self.name, self.port, self._log = name, port, folder / f"{name}.log"
        environment = {key: value for key, value in os.environ.items() if not FOREIGN.search(key)}
        environment |= {"PYTHONPATH": str(tree), **settings}
        arguments = (*arguments, "--port", str(port))
        with self._log.open("wb") as log:
            if tree == ROOT:
                self._command = Command(arguments, environment, log.fileno(), log.fileno(), folder)
            else:
                command = [sys.executable, "-m", "app", *arguments]
                self._command = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)  # noqa: S603

    async def ready(self) -> "Node":
        """Waits until the node takes work. Raises `TimeoutError`, with what it has logged."""
        try:
            async with asyncio.timeout(READY_S):
                await self._wait_until_ready()
        except TimeoutError:
            raise TimeoutError(f"{self.name} is not ready: {self.words()}") from None
        return self

    async def _wait_until_ready(self) -> None:
        while not (found := _URL.search(self._log.read_text("utf-8", errors="replace"))):
            await asyncio.sleep(0.02)
        self.port = int(found[1])
        while not await self._is_ready():
            await asyncio.sleep(0.02)

    async def _is_ready(self) -> bool:
        try:
            return (await ask(self.port, "GET", "/readyz")).status == 200
        except OSError:
            return False

    @property
    def pid(self) -> int:
        return self._command.pid

    def kill(self) -> None:
        self._command.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self._command.send_signal(signal.SIGTERM)

    def pause(self) -> None:
        self._command.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._command.send_signal(signal.SIGCONT)

    async def gone(self) -> None:
        """Waits until the process has ended."""
        await asyncio.to_thread(self._command.wait, READY_S)

    def words(self) -> str:
        """What the process has logged last."""
        return self._log.read_text("utf-8", errors="replace")[-2000:]

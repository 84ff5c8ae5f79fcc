"""`sizzle` in its own process, forked from one that has imported it, because importing takes seconds."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any

FAST = {"SIZZLE_STANDIN_TTFT_MS": "5", "SIZZLE_STANDIN_TOKENS_PER_S": "0"}
SIZZLE = str(Path(sys.executable).with_name("sizzle"))  # for tests of the console script itself

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["app.cli.commands", "app.cli.scoreboard", "app.cli.terminal", "app.main", "tests.frozen"]
)


class Command:
    """A running `sizzle`, with Popen's names."""

    def __init__(
        self,
        arguments: tuple[str, ...],
        environment: Mapping[str, str],
        stdout: int,
        stderr: int,
        cwd: Path | None = None,
    ) -> None:
        call = (arguments, dict(environment), cwd or Path.cwd(), _Output(stdout, stderr))
        self._process = _FORKS.Process(target=_run, args=call)
        self._process.start()

    def wait(self, timeout: float) -> int:
        """Returns the exit status. Raises `TimeoutError`."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            self._process.kill()
            raise TimeoutError
        return self._process.exitcode

    @property
    def pid(self) -> int:
        assert self._process.pid
        return self._process.pid

    def send_signal(self, number: int) -> None:
        if self._process.is_alive():
            os.kill(self.pid, number)


def sizzle(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs the command to its end."""
    return sizzle_in(Path.cwd(), *arguments, **environment)


def sizzle_in(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs the command to its end in this folder."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        command = Command(arguments, os.environ | FAST | environment, stdout.fileno(), stderr.fileno(), folder)
        return subprocess.CompletedProcess(arguments, command.wait(60), _text(stdout), _text(stderr))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


class _Output:
    """The file descriptors of standard output and standard error for the new process."""

    def __init__(self, *descriptors: int) -> None:
        self.descriptors = descriptors

    def __reduce__(self) -> tuple[Callable[..., "_Output"], tuple[Any, ...]]:
        return _received, tuple(DupFd(descriptor) for descriptor in self.descriptors)


def _received(*descriptors: Any) -> _Output:
    return _Output(*(descriptor.detach() for descriptor in descriptors))


def _run(arguments: tuple[str, ...], environment: dict[str, str], cwd: Path, output: _Output) -> None:
    for number, descriptor in enumerate(output.descriptors, 1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
    # tests that run in the background ignore the signal; the program does not
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = ["sizzle", *arguments]
    from app.cli.commands import main

    main()

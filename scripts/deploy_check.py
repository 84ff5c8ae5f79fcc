"""Tries what deploy/ ships, without Docker: `make deploy-check`.

Takes the Dockerfile's steps in a temporary folder, serves with what they installed through nginx with the
shipped configuration and over a Redis with that of compose.yaml, and restarts everything while runs are read.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copy, copytree, which
from typing import Any

import httpx
import psutil
import yaml
from httpx_sse import connect_sse
from playwright.sync_api import Page, expect, sync_playwright

from tests.client import REQUEST, wait_until
from tests.conftest import BROWSERS
from tests.deployment import DEPLOY, ROOT, nginx, trusting
from tests.redis_servers import RedisServer, binary, free_port

PASSWORD = "0123456789abcdef"  # noqa: S105  of a Redis on loopback
READY_S = 60


@contextmanager
def step(name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    print(f"ok  {name} ({time.monotonic() - began:.0f} s)", flush=True)


@dataclass
class Image:
    """What the Dockerfile's first stage makes: the program in a venv of its own, without its sources."""

    folder: Path
    environment: dict[str, str]

    @classmethod
    def build(cls, folder: Path) -> "Image":
        """Takes the steps. `python` and `pip` are those of a new venv, as they are the image's own there."""
        subprocess.run([sys.executable, "-m", "venv", folder / "base"], check=True)  # noqa: S603
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SIZZLE_", "UV_"))}
        environment = inherited | {"PATH": f"{folder}/base/bin:{os.environ['PATH']}", "PIP_QUIET": "2"}
        places = {"/opt/sizzle": f"{folder}/sizzle", "/src": f"{folder}/src"}
        stage = (DEPLOY / "Dockerfile").read_text().split("\nFROM ")[1]
        for kind, rest in re.findall(r"^([A-Z]+) (.*)$", stage, re.MULTILINE):
            for there, here in places.items():
                rest = re.sub(rf"(?<!\S){there}(?=/|\s|$)", here, rest)
            if kind == "ENV":
                environment |= dict(each.split("=", 1) for each in shlex.split(rest))
            elif kind == "COPY":
                _copy(*rest.split())
            else:
                assert kind == "RUN", kind
                subprocess.run(["/bin/sh", "-ec", rest], env=environment, cwd=folder, check=True)  # noqa: S603
        paths = {"PATH": f"{folder}/sizzle/bin:{os.environ['PATH']}", "XDG_STATE_HOME": f"{folder}/state"}
        return cls(folder, inherited | paths | {"SIZZLE_STANDIN_TOKENS_PER_S": "15", "SIZZLE_DRAIN_S": "2"})

    def run(self, *arguments: str) -> str:
        command = [f"{self.folder}/sizzle/bin/{arguments[0]}", *arguments[1:]]
        done = subprocess.run(command, env=self.environment, cwd=self.folder, capture_output=True, text=True)  # noqa: S603
        assert done.returncode == 0, done.stderr
        return done.stdout


def _copy(*paths: str) -> None:
    *sources, target = paths
    for source in map(ROOT.joinpath, sources):
        if source.is_dir():
            copytree(source, target, ignore=lambda *_: ["__pycache__"])
        else:
            Path(target).mkdir(parents=True, exist_ok=True)
            copy(source, target)


@dataclass
class Node:
    """A process of the installed program, which can be started again at its port."""

    image: Image
    command: tuple[str, ...]
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Node":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [f"{self.image.folder}/sizzle/bin/sizzle", *self.command, "--port", str(self.port)]
        environment = self.image.environment | self.settings | {"PORT": str(self.port)}
        log = (self.image.folder / f"{self.port}.log").open("ab")
        self.process = subprocess.Popen(command, env=environment, cwd=self.image.folder, stdout=log, stderr=log)  # noqa: S603

    def stop(self) -> None:
        assert self.process
        self.process.terminate()
        assert self.process.wait(30) in (0, -signal.SIGTERM), self.log

    def is_healthy(self) -> bool:
        """Asks as the Dockerfile's HEALTHCHECK does."""
        (check,) = re.findall(r"HEALTHCHECK .*\\\n +CMD (.*)", (DEPLOY / "Dockerfile").read_text())
        command = [f"{self.image.folder}/sizzle/bin/python", *json.loads(check)[1:]]
        return not subprocess.run(command, env={"PORT": str(self.port)}, stderr=subprocess.DEVNULL).returncode  # noqa: S603

    def wait_until_ready(self) -> None:
        assert wait_until(self.is_healthy, READY_S), self.log

    def restart(self) -> None:
        self.stop()
        self.start()
        self.wait_until_ready()

    @property
    def log(self) -> str:
        return (self.image.folder / f"{self.port}.log").read_text()[-3000:]


@dataclass
class Reader(threading.Thread):
    """Reads a run to its end, and comes back after each cut."""

    client: httpx.Client
    run_address: str
    events: dict[int, str] = field(default_factory=dict)  # by number; an id also names the process that wrote it
    last: str = ""
    ended_parts: set[str] = field(default_factory=set)
    end: str = ""
    connections: int = 0

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        while not self.end:
            with suppress(httpx.HTTPError):
                self._read()

    def _read(self) -> None:
        headers = {"Last-Event-ID": self.last} if self.last else {}
        with connect_sse(self.client, "GET", f"{self.run_address}/events", headers=headers) as stream:
            self.connections += 1
            for event in stream.iter_sse():
                number = int(event.id.rpartition("-")[2])
                assert number == len(self.events) + 1, "an event is lost or repeated"
                self.events[number], self.last = event.data, event.id
                if event.event == "part_end":
                    self.ended_parts.add(json.loads(event.data)["part"])
                if event.event == "end":
                    self.end = json.loads(event.data)["status"]


class Visitor(threading.Thread):
    """Starts and cancels runs all the time, and remembers what was not answered as it should be."""

    def __init__(self, client: httpx.Client) -> None:
        super().__init__(daemon=True)
        self.client, self.runs, self.failures, self._stopping = client, 0, list[str](), threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(0.2):
            try:
                started = self.client.post("/runs", json=REQUEST).raise_for_status()
                key = {"Sizzle-Run-Key": started.json()["key"]}
                self.client.delete(started.headers["location"], headers=key).raise_for_status()
                self.runs += 1
            except httpx.HTTPError as error:
                self.failures.append(str(error) or type(error).__name__)

    def stop(self) -> None:
        self._stopping.set()
        self.join()


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis with the configuration of compose.yaml. Yields its address."""
    content = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["configs"]["redis"]["content"]
    lines = [shlex.split(re.sub(r"\$\{REDIS_PASSWORD[^}]*\}", PASSWORD, line)) for line in content.splitlines()]
    options = tuple(word for name, *values in lines for word in (f"--{name}", *values))
    with RedisServer(binary("redis"), folder, options) as server:
        yield f"redis://sizzle:{PASSWORD}@127.0.0.1:{server.port}/0"


@contextmanager
def browser() -> Iterator[Page]:
    with sync_playwright() as playwright:
        program = next(filter(None, map(which, BROWSERS)))
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = chromium.new_page(ignore_https_errors=True)
        page.set_default_timeout(30_000)
        yield page
        chromium.close()


def generate(page: Page, url: str) -> None:
    """Opens the page and starts a run there."""
    page.goto(f"{url}/")
    page.locator("textarea").first.fill("beef, onions")
    page.locator("#generate").click()
    page.wait_for_url("**/r/*")


def check_nodes(image: Image, folder: Path, page: Page) -> None:
    """Restarts two nodes and a worker, one after the other, while a page and a reader follow runs."""
    with ExitStack() as stack:
        shared = {"SIZZLE_STORE": stack.enter_context(redis(_new(folder / "redis")))}
        web, worker = ("serve", "--no-worker"), ("worker",)
        nodes = [stack.enter_context(Node(image, command, shared)) for command in (web, web, worker, worker)]
        proxy = _new(folder / "nginx")
        url = stack.enter_context(nginx(proxy, [node.address for node in nodes[:2]]))
        with step("two web nodes and two workers are healthy over Redis, as the health check says"):
            for node in nodes:
                node.wait_until_ready()
        client = stack.enter_context(httpx.Client(base_url=url, verify=trusting(proxy), timeout=30))
        with step("a run begins in Chromium, through nginx"):
            generate(page, url)
        reader = Reader(client, client.post("/runs", json=REQUEST).headers["location"])
        visitor = Visitor(client)
        reader.start()
        visitor.start()
        with step("web nodes and a worker are restarted, one after the other"):
            assert wait_until(lambda: len(reader.events) > 20, 30), "nothing is streamed"
            assert client.get(reader.run_address).json()["status"] == "running"
            for node in nodes[:3]:
                node.restart()
        visitor.stop()
        with step("no request was refused, and no event lost or repeated"):
            assert visitor.runs > 10
            assert not visitor.failures, visitor.failures
            reader.join(60)
            again = Reader(client, reader.run_address)
            again.run()
            assert reader.end == again.end == "ok", [reader.end, again.end, nodes[2].log]
            assert reader.events == again.events
            assert reader.connections > again.connections == 1
        with step("the page shows the whole recipe"):
            expect(page.locator("#status")).to_contain_text("All six parts are here", timeout=60_000)


def check_reload(image: Image, folder: Path) -> None:
    """`serve --workers 2` replaces its processes on SIGHUP."""
    with (
        redis(_new(folder / "reload")) as store,
        Node(image, ("serve", "--workers", "2"), {"SIZZLE_STORE": store}) as node,
    ):
        node.wait_until_ready()
        assert node.process
        before = _children(node.process.pid)
        proxy = _new(folder / "nginx-reload")
        with (
            nginx(proxy, [node.address]) as url,
            httpx.Client(base_url=url, verify=trusting(proxy), timeout=30) as client,
        ):
            reader, visitor = Reader(client, client.post("/runs", json=REQUEST).headers["location"]), Visitor(client)
            reader.start()
            visitor.start()
            with step("SIGHUP replaces the processes of `serve --workers 2` without a refused request or a lost run"):
                assert wait_until(lambda: len(reader.events) > 20, 30), "nothing is streamed"
                node.process.send_signal(signal.SIGHUP)
                pid = node.process.pid
                assert wait_until(lambda: len(_children(pid)) == 2 and not _children(pid) & before, READY_S), node.log
                visitor.stop()
                reader.join(60)
                assert reader.end == "ok"
                assert not visitor.failures, visitor.failures


def check_path(image: Image, folder: Path, page: Page) -> None:
    """Everything that the page asks for is found below the path."""
    failures = list[str]()
    page.on("response", lambda answer: failures.append(answer.url) if answer.status >= 400 else None)
    quick = {"SIZZLE_STANDIN_TOKENS_PER_S": "0"}
    with (
        Node(image, ("serve", "--root-path", "/sizzle"), quick) as node,
        nginx(folder, [node.address], "/sizzle") as url,
    ):
        node.wait_until_ready()
        with step("a run is written below a path, in a file"):
            generate(page, url)
            expect(page.locator("#status")).to_contain_text("All six parts are here")
            assert (image.folder / "state" / "sizzle" / "runs.db").exists()
            assert not failures, failures


def _children(pid: int) -> set[int]:
    """Returns the processes that serve. Python's resource tracker is another child."""
    return {each.pid for each in psutil.Process(pid).children() if "spawn_main" in " ".join(_command(each))}


def _command(process: Any) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with step("the Dockerfile's steps install the program with known hashes"):
            image = Image.build(_new(folder / "image"))
        with step("the program says its version"):
            assert image.run("sizzle", "--version").startswith("sizzle ")
        with browser() as page:
            check_nodes(image, folder, page)
            check_path(image, _new(folder / "path"), page)
        check_reload(image, folder)


if __name__ == "__main__":
    main()

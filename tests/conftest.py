"""Fixtures: Sizzle on a real port, over the stand-in or over a scripted provider, and a real browser."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from app.main import create_app
from app.settings import Settings
from tests.amounts import cases
from tests.commands import Command
from tests.fault_recipes import ServeFaults, sizzle_over
from tests.faults import Answer, FaultServer, faults
from tests.needs import give_up
from tests.redis_servers import Kind, RedisServer, binary
from tests.servers import Provider, Script, provider, serving, settings_from
from tests.shared_runs import LEASE_S, StartWorker, Worker

# the first one has no window; drawing one takes three times as much CPU as a page
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]

settings.register_profile("sizzle", max_examples=cases(settings().max_examples))
settings.load_profile("sizzle")

Serve = Callable[..., str]
StartRedis = Callable[[Kind], RedisServer]
ServeScripts = Callable[..., tuple[str, Provider]]
Uncalled = tuple[str, Provider]


# these start processes, send thousands of requests, or wait for timeouts
SLOW = {
    *("test_access", "test_any_chat_model", "test_any_input", "test_attackers", "test_budget"),
    *("test_chat_front_ends", "test_cli", "test_composition_declarations", "test_compositions", "test_cuts"),
    "test_exposure",
    *("test_failures", "test_faults", "test_fuzz", "test_http", "test_langserve", "test_lasting_faults"),
    *("test_logs", "test_nodes", "test_outages", "test_provider_streams", "test_proxies", "test_race"),
    *("test_race_command", "test_random_faults", "test_restarts", "test_runs_command", "test_schemathesis"),
    *("test_sdk_comparison", "test_shutdown", "test_slow_readers", "test_terminal", "test_traces"),
    *("test_what_is_sent", "test_workers"),
}
# these repeat on other stores what the quick tests do in memory, or need seconds for a detail
LONG = {
    *("test_any_composition", "test_attempts", "test_avoidance", "test_composition_messages", "test_environment"),
    *("test_examples", "test_extension", "test_fairness", "test_fast", "test_hostile", "test_limits", "test_not_food"),
    *("test_queue", "test_redis_server", "test_shared", "test_sqlite"),
}

ON_EACH_STORE = {"test_cuts", "test_resume", "test_rewrite", "test_runs"}
STORES = ("memory", "sqlite", "valkey")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Does not even import the modules that `-m` leaves out, which takes half of the time of `make test`."""
    expression = str(config.getoption("markexpr"))
    left_out = (SLOW if "not slow" in expression else set()) | (LONG if "not long" in expression else set())
    return True if collection_path.stem in left_out else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs the tests of some modules on each store."""
    if metafunc.definition.path.stem in ON_EACH_STORE and "new_store" in metafunc.fixturenames:
        metafunc.parametrize("new_store", STORES, indirect=True, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that `make test` leaves out: the modules above, and all tests in a browser or on other stores."""
    for item in items:
        if item.path.stem in SLOW or "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
        parameters: dict[str, object] = getattr(getattr(item, "callspec", None), "params", {})
        if item.path.stem in LONG or {"sqlite", "redis", "valkey"} & set(map(str, parameters.values())):
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session", autouse=True)
def _no_dotenv_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps the developer's own .env out of the tests."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(tmp_path_factory.getbasetemp())
        yield


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    """What a test serves. The last server ends first, so that no provider waits for those who call it."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def new_store(
    request: pytest.FixtureRequest, start_redis: StartRedis, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], str]:
    """Returns the URL of an empty store, which is in memory except for tests that run on each store."""
    urls: dict[str, Callable[[], str]] = {
        "memory": lambda: "memory://",
        "sqlite": lambda: f"sqlite://{tmp_path_factory.mktemp('store') / 'runs.db'}",
        "valkey": lambda: start_redis("valkey").url,
    }
    return urls[getattr(request, "param", "memory")]


@pytest.fixture
def serve(servers: ExitStack, new_store: Callable[[], str]) -> Serve:
    """Serves Sizzle with the given settings; returns its address."""

    def start(**settings: Any) -> str:
        return servers.enter_context(serving(create_app(Settings(**{"store": new_store(), "drain_s": 0, **settings}))))

    return start


@pytest.fixture
def serve_scripts(servers: ExitStack, serve: Serve) -> ServeScripts:
    """Serves Sizzle over a provider that follows `scripts`; returns Sizzle's address and the provider.

    The provider knows the prompts of the recipe and of the compositions that are served.
    """

    def start(scripts: dict[str, Script | list[Script]] | None = None, **settings: Any) -> tuple[str, Provider]:
        compositions = Settings(**settings).load_compositions().values()
        scripted = servers.enter_context(provider(scripts, compositions))
        return serve(groq_api_key="sk-groq-1", groq_base_url=scripted.url, **settings), scripted

    return start


@pytest.fixture(scope="session")
def start_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartRedis]:
    """Starts a Redis or a Valkey; there is one of each."""
    with ExitStack() as stack:

        @cache
        def start(kind: Kind) -> RedisServer:
            return stack.enter_context(RedisServer(binary(kind), tmp_path_factory.mktemp(kind)))

        yield start


@pytest.fixture(scope="session")
def redis_server(start_redis: StartRedis) -> RedisServer:
    """A running Valkey."""
    return start_redis("valkey")


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers with these settings."""
    workers: list[Worker] = []

    def start(store: str, provider: Provider, **settings: str) -> Worker:
        environment = {
            "SIZZLE_STORE": store,
            "GROQ_API_KEY": "sk-groq-1",
            "SIZZLE_GROQ_BASE_URL": provider.url,
            "SIZZLE_LEASE_S": str(LEASE_S),
            **settings,
        }
        output = tmp_path / f"worker{len(workers)}"
        with output.open("wb") as file:
            worker = Worker(Command(("worker",), os.environ | environment, file.fileno(), file.fileno()), output)
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        if worker.is_running:
            worker.send(signal.SIGCONT)
            worker.kill()


@pytest.fixture(scope="session")
def sizzle_url(new_store: Callable[[], str]) -> Iterator[str]:
    """The address of Sizzle over a fast stand-in."""
    settings = Settings(store=new_store(), drain_s=0, standin_ttft_ms=20, standin_tokens_per_s=2000)
    with serving(create_app(settings)) as url:
        yield url


@pytest.fixture(scope="session")
def uncalled() -> Iterator[Uncalled]:
    """The address of Sizzle and its provider, shared by all tests in which the provider is not called."""
    with provider() as scripted:
        settings = settings_from(store="memory://", drain_s=0, groq_api_key="sk-groq-1", groq_base_url=scripted.url)
        with serving(create_app(settings)) as url:
            yield url, scripted


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    if CHROMIUM is None:
        give_up("needs Debian's packages chromium-headless-shell and fonts-noto-cjk")
    return {"executable_path": CHROMIUM, "args": QUIET}


@pytest.fixture(scope="module")
def shared_sizzle() -> Iterator[tuple[str, FaultServer]]:
    """Shared by all tests in which no provider fails more than twice in a row, so that no circuit breaker opens."""
    with faults() as server, sizzle_over(server) as url:
        yield url, server


@pytest.fixture
def play(shared_sizzle: tuple[str, FaultServer]) -> ServeFaults:
    """Makes the providers of the shared Sizzle follow `scripts`; returns Sizzle's address and the providers."""
    url, server = shared_sizzle

    def start(scripts: Mapping[str, Sequence[Answer]]) -> tuple[str, FaultServer]:
        server.play(scripts)
        return url, server

    return start


@pytest.fixture
def serve_faults() -> Iterator[ServeFaults]:
    """Serves Sizzle over two providers that follow `scripts`; returns Sizzle's address and the providers."""
    with ExitStack() as stack:

        def start(scripts: Mapping[str, Sequence[Answer]], **settings: Any) -> tuple[str, FaultServer]:
            server = stack.enter_context(faults(scripts))
            return stack.enter_context(sizzle_over(server, **settings)), server

        yield start

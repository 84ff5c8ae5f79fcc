"""A budget per day: refused before any call, on every face, also after a restart and by every node."""

import asyncio
import json
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, aclosing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from typer.testing import CliRunner

from app.cli import cli
from app.main import create_app
from app.runs.budget import Budget, Reservation
from app.stores.ledger import Spent
from app.stores.sqlite import SqliteEventLog
from chains.errors import ConfigError
from chains.models.calls import Call, Price, Tokens
from tests.client import NO_TLS, wait_until
from tests.redis_servers import RedisServer, binary
from tests.servers import Gate, Provider, provider, run, serving, settings_from

BEEF = {"ingredientsOnHand": "beef"}
CHAT = {"model": "recipe", "messages": [{"role": "user", "content": "beef"}]}
FACES: list[tuple[str, str, Mapping[str, Any]]] = [
    ("POST", "/runs", {"json": BEEF}),
    ("POST", "/generate", {"json": BEEF}),
    ("GET", "/completion?query=hello", {}),
    ("POST", "/v1/chat/completions", {"json": CHAT}),
    ("POST", "/chains/recipe/invoke", {"json": {"input": BEEF}}),
    ("POST", "/chains/recipe/batch", {"json": {"inputs": [BEEF, BEEF]}}),
    ("POST", "/chains/intro/stream", {"json": {"input": BEEF}}),
    ("POST", "/race", {"json": {"rounds": 1}}),
    ("POST", "/examples/broadcasts", {"json": {"query": "hello"}}),
]
DEAR = """
[models.dear]
provider = "groq"
id = "dear"
context_window = 100000
max_output = 1000
price_in = 1000
price_out = 1000
[models.unpriced]
provider = "groq"
id = "unpriced"
context_window = 100000
max_output = 1000
"""

QUESTION = "/completion?query=hello&max_tokens=500"

Open = Callable[..., AbstractContextManager[httpx.Client]]


def _seconds_to_midnight() -> float:
    now = datetime.now(UTC)
    return 86_400 - (now.hour * 3600 + now.minute * 60 + now.second)


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    file = tmp_path / "registry.toml"
    file.write_text(DEAR)
    return file


@pytest.fixture
def scripted() -> Iterator[Provider]:
    """A provider whose answers cost two dollars."""
    usage = {"choices": [], "usage": {"prompt_tokens": 1900, "completion_tokens": 100}}
    with provider({"completion": ["Fine.", f"data: {json.dumps(usage)}\n\n".encode()]}) as scripted:
        yield scripted


@pytest.fixture
def open_server(scripted: Provider, registry: Path) -> Open:
    """Serves Sizzle within a block."""

    @contextmanager
    def open_server(**values: Any) -> Generator[httpx.Client]:
        settings = settings_from(
            groq_api_key="k", groq_base_url=scripted.url, registry=registry, model="dear", race=True, **values
        )
        with serving(create_app(settings)) as url, httpx.Client(base_url=url, verify=NO_TLS, timeout=30) as client:
            yield client

    return open_server


def _is_used_up(client: httpx.Client, status: int) -> bool:
    """Whether work is refused a moment after the last call, when its cost is known."""
    return wait_until(lambda: client.post("/runs", json=BEEF).status_code == status, 5)


def _usage(store: str, *options: str) -> str:
    with ThreadPoolExecutor(1) as thread:  # the command runs a loop of its own
        return thread.submit(CliRunner(env={"SIZZLE_STORE": store}).invoke, cli, ["usage", *options]).result().output


def test_a_used_up_budget_is_refused_on_every_face_before_any_call(open_server: Open, scripted: Provider) -> None:
    with open_server(daily_budget_usd=1.9) as client:
        first = client.get(QUESTION)
        too_dear = client.get("/completion?query=hello&max_tokens=1000")  # the most that it may cost is too much
        assert _is_used_up(client, 503)
        calls = len(scripted.calls)
        answers = [client.request(method, path, **more) for method, path, more in FACES]
        others = [client.get("/").status_code, client.get("/healthz").status_code]

    assert [first.text, too_dear.status_code, others] == ["Fine.", 503, [200, 200]]
    assert [answer.status_code for answer in answers] == [503] * len(FACES)
    assert len(scripted.calls) == calls == 1
    for answer in [too_dear, *answers]:
        assert abs(float(answer.headers["Retry-After"]) - _seconds_to_midnight()) < 60
        assert "00:00 UTC" in answer.text
    assert answers[3].json()["error"]["code"] == "insufficient_quota"


@pytest.mark.parametrize(("cap", "status"), [("daily_budget_usd", 503), ("client_daily_budget_usd", 429)])
def test_what_calls_under_way_have_reserved_is_not_used_up(
    open_server: Open, scripted: Provider, cap: str, status: int
) -> None:
    """It may be given back in seconds, so the refusal does not speak of tomorrow."""
    gate = Gate()
    scripted.scripts = {"completion": ["Fine", gate, "."]}
    with open_server(**{cap: 0.9}) as client, ThreadPoolExecutor(1) as threads:
        under_way = threads.submit(client.get, QUESTION)
        assert wait_until(lambda: len(scripted.calls) == 1, 5)
        refused = client.get(QUESTION)
        gate.open()
        assert under_way.result().text == "Fine."
        again = client.get(QUESTION)
    assert [refused.status_code, refused.headers["Retry-After"]] == [status, "5"]
    assert "calls under way" in refused.text
    assert again.text == "Fine."


def test_what_another_node_has_reserved_is_not_used_up(
    open_server: Open, scripted: Provider, redis_server: RedisServer
) -> None:
    """`sizzle usage` shows it apart."""
    gate = Gate()
    scripted.scripts = {"completion": ["Fine", gate, "."]}
    values = {"store": redis_server.url, "daily_budget_usd": 0.9}
    with open_server(**values) as one, open_server(**values) as other, ThreadPoolExecutor(1) as threads:
        under_way = threads.submit(one.get, QUESTION)
        assert wait_until(lambda: len(scripted.calls) == 1, 5)
        refused = other.get(QUESTION)
        (row,) = json.loads(_usage(values["store"], "--json"))
        gate.open()
        assert under_way.result().text == "Fine."
        assert wait_until(lambda: other.get(QUESTION).text == "Fine.", 5)
        assert wait_until(lambda: json.loads(_usage(values["store"], "--json"))[0]["reserved_usd"] == 0, 5)
    assert [refused.status_code, refused.headers["Retry-After"]] == [503, "5"]
    assert [row["cost_usd"], row["reserved_usd"] > 0.5] == [0, True]


@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis"])
def test_twenty_requests_at_once_share_a_budget_for_one(
    open_server: Open, scripted: Provider, tmp_path: Path, redis_server: RedisServer, kind: str
) -> None:
    store = {"memory": "memory://", "sqlite": f"sqlite://{tmp_path / 'runs.db'}", "redis": redis_server.url}[kind]
    gate = Gate()
    scripted.scripts = {"completion": ["Fine", gate, "."]}
    with open_server(store=store, daily_budget_usd=0.9) as client, ThreadPoolExecutor(20) as threads:
        answers = [threads.submit(client.get, QUESTION) for _ in range(20)]
        assert wait_until(lambda: sum(answer.done() for answer in answers) == 19, 10)
        gate.open()
        codes = sorted(answer.result().status_code for answer in answers)
    assert [codes, len(scripted.calls)] == [[200] + [503] * 19, 1]


def test_a_clients_budget_holds_after_a_restart_and_leaves_the_others_theirs(open_server: Open, tmp_path: Path) -> None:
    values = {"client_daily_budget_usd": 1.9, "store": f"sqlite://{tmp_path / 'runs.db'}"}
    with open_server(**values) as client:
        client.get(QUESTION)
        assert _is_used_up(client, 429)
    with open_server(**values) as client:
        assert client.post("/v1/chat/completions", json={"model": "recipe", "messages": []}).status_code == 429
        elsewhere = httpx.HTTPTransport(local_address="127.0.0.2", verify=NO_TLS)
        with httpx.Client(base_url=client.base_url, transport=elsewhere, timeout=30) as other:
            assert other.get(QUESTION).text == "Fine."

    rows, table = json.loads(_usage(values["store"], "--json")), _usage(values["store"])
    today = datetime.now(UTC).date().isoformat()
    used = {"day": today, "model": "dear", "cost_usd": 2, "calls": 1, "input_tokens": 1900, "output_tokens": 100}
    assert [row["client"] for row in rows] == ["127.0.0.1", "127.0.0.2"]
    assert [used.items() <= row.items() for row in rows] == [True, True]
    assert "3,800" in table


def test_nodes_share_a_budget_and_refuse_while_their_store_does_not_answer(
    open_server: Open, tmp_path: Path, scripted: Provider
) -> None:
    with RedisServer(binary("valkey"), tmp_path) as redis:
        values = {"daily_budget_usd": 1.9, "store": redis.url}
        with open_server(**values) as one, open_server(**values) as other:
            assert one.get(QUESTION).text == "Fine."
            assert _is_used_up(other, 503)
            redis.kill()
            down, chat = other.get(QUESTION), other.post("/v1/chat/completions", json=CHAT)
            assert [down.status_code, "cannot check its budget" in down.text, down.headers["Retry-After"]] == [
                503, True, "5"
            ]  # fmt: skip
            assert [chat.status_code, chat.json()["error"]["code"]] == [503, None]
            redis.start()
    assert len(scripted.calls) == 1


def test_a_budget_needs_prices(open_server: Open, registry: Path, scripted: Provider) -> None:
    """At the start of the chosen models, and before a call of any other."""
    with pytest.raises(ConfigError, match="without one: unpriced"):
        create_app(settings_from(groq_api_key="k", registry=registry, model="unpriced", daily_budget_usd=1))
    with open_server(daily_budget_usd=100) as client:
        refused = client.get("/completion?query=hello&model=unpriced")
    assert [refused.status_code, "has no price" in refused.text, scripted.calls] == [502, True, []]


def test_a_call_that_is_cancelled_while_it_reserves_gives_all_back(tmp_path: Path) -> None:
    """At any moment, although the thread of SQLite completes what it has begun."""
    call = Call("groq", "dear", "dear", "", 1, 500, most=Tokens(100, 500), price=Price(1000, 1000))

    async def cancel_after(steps: int) -> tuple[Spent, int]:
        async with aclosing(SqliteEventLog(tmp_path / f"{steps}.db", {})) as log:
            budget = Budget(log.ledger, daily_usd=1)
            reserving = asyncio.create_task(budget.reserve(call, "alice"))
            for _ in range(steps):
                await asyncio.sleep(0)
            reserving.cancel()
            (reservation,) = await asyncio.gather(reserving, return_exceptions=True)
            for _ in range(5):  # each waits for its turn in that thread
                await log.ledger.rows()
                await budget.flush()
            spent = await log.ledger.spent(datetime.now(UTC).date().isoformat(), "alice")
            return spent, reservation.nano_usd if isinstance(reservation, Reservation) else 0

    for spent, reserved in [run(cancel_after(steps)) for steps in range(6)]:
        assert spent == Spent(reserved, reserved, reserved, reserved)


@pytest.mark.parametrize(("how", "costs"), [("hangs up", True), ("waits", True), ("is refused", False)])
def test_a_call_that_was_sent_costs_its_prompt_unless_it_is_refused(
    registry: Path, tmp_path: Path, how: str, costs: bool
) -> None:
    """Even if no answer begins before the client hangs up or the time is over."""
    gate, arrived, store = Gate(), Event(), f"sqlite://{tmp_path / 'runs.db'}"

    async def answer(_: Request) -> Response:
        arrived.set()
        if costs:
            await gate.passed()
        return Response(status_code=400)

    first_token_s = 0.1 if how == "waits" else 60
    groq = f"[providers.groq]\nlabel = 'Groq'\nbase_url = 'https://unused'\nfirst_token_s = {first_token_s}\n"
    registry.write_text(DEAR + groq)
    silent = Starlette(routes=[Route("/chat/completions", answer, methods=["POST"])])
    with serving(silent) as address:
        app = create_app(
            settings_from(groq_api_key="k", groq_base_url=address, registry=registry, model="dear", store=store)
        )
        with serving(app) as url, httpx.Client(base_url=url, verify=NO_TLS) as client:
            if how == "hangs up":
                with pytest.raises(httpx.ReadTimeout):
                    client.get(QUESTION, timeout=1)
                assert arrived.is_set()
            else:
                assert client.get(QUESTION, timeout=30).status_code == 502
        gate.open()
    (row,) = json.loads(_usage(store, "--json"))
    assert [row["input_tokens"] > 0, row["cost_usd"] > 0, row["output_tokens"]] == [costs, costs, 0]

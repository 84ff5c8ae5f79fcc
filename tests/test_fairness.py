"""Limits of one client, whichever face it uses, and turns between clients: others are not harmed."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from tests.access import OPEN
from tests.client import NO_TLS, REQUEST, ask, cancel, follow, rewrite, start, statuses, wait_until
from tests.conftest import Serve, ServeScripts
from tests.redis_servers import RedisServer
from tests.servers import Finish, Gate, Provider, Refuse, provider, run

ALICE, BOB = {"X-Forwarded-For": "203.0.113.7"}, {"X-Forwarded-For": "203.0.113.8"}
CHAT = {"model": "sizzle", "messages": [{"role": "user", "content": "beef, onions"}]}
QUESTION = {"query": "beef?"}
COST = {
    "a run": (6, "POST", "/runs", REQUEST),
    "generate": (6, "POST", "/generate", REQUEST),
    "a completion": (1, "GET", "/completion?query=beef", None),
    "a chat completion": (6, "POST", "/v1/chat/completions", CHAT),
    "a chain": (6, "POST", "/chains/recipe/invoke", {"input": REQUEST}),
    "a chain's stream": (6, "POST", "/chains/recipe/stream", {"input": REQUEST}),
    "a chain's log": (6, "POST", "/chains/recipe/stream_log", {"input": REQUEST}),
    "a part": (1, "POST", "/chains/nutrition/invoke", {"input": REQUEST}),
    "a batch": (12, "POST", "/chains/recipe/batch", {"inputs": [REQUEST] * 2}),
    "a broadcast": (1, "POST", "/examples/broadcasts", QUESTION),
    "a race": (2, "POST", "/race", {"rounds": 1, "models": ["groq-gpt-oss-20b"]}),
}


@pytest.fixture
def serve(serve: Serve) -> Serve:
    """A server with clients on other machines."""
    return partial(serve, **OPEN)


def send(url: str, face: str, headers: dict[str, str]) -> httpx.Response:
    _, method, path, body = COST[face]
    return ask(method, url + path, json=body, headers=headers) if body else ask(method, url + path, headers=headers)


@pytest.mark.parametrize("face", COST)
def test_every_face_counts_what_it_costs_and_is_refused_before_any_call(serve_scripts: ServeScripts, face: str) -> None:
    """The client has exactly what the request costs; another client has its own minute."""
    cost = COST[face][0]
    url, scripted = serve_scripts(race=True, client_calls_per_minute=cost)
    first = send(url, face, ALICE)
    assert first.status_code in (200, 201), first.text
    assert first.headers["RateLimit-Policy"] == f'"calls";q={cost};w=60'
    assert first.headers["RateLimit"].startswith('"calls";r=0;t=')
    assert wait_until(lambda: len(scripted.calls) == cost, seconds=10)
    refused = send(url, face, ALICE)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["RateLimit"].startswith('"calls";r=0;t=')
    assert len(scripted.calls) == cost
    assert send(url, face, BOB).status_code in (200, 201)


def test_a_refusal_has_the_format_and_language_of_the_face(serve_scripts: ServeScripts) -> None:
    url, _ = serve_scripts(client_calls_per_minute=6)
    send(url, "a run", ALICE)
    korean = ask("POST", f"{url}/runs", json=REQUEST | {"language": "ko"}, headers=ALICE | {"Accept-Language": "ko"})
    assert "초 뒤에 다시 시도해 주세요" in korean.json()["detail"]
    error = send(url, "a chat completion", ALICE).json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("requests", "rate_limit_exceeded", None)
    assert error["message"].startswith("You have reached your limit per minute.")
    assert "your limit per minute" in send(url, "a chain", ALICE).json()["detail"]
    assert "your limit per minute" in send(url, "a completion", ALICE).json()["detail"]


def test_a_batch_is_refused_before_its_inputs_are_read(serve_scripts: ServeScripts) -> None:
    """Reading twenty of them can take longer than anything else that the server does."""
    url, _ = serve_scripts(client_calls_per_minute=6)
    inputs = {"inputs": [REQUEST | {"ingredientsOnHand": "chicken, bleach"}] * 20}
    batch = [ask("POST", f"{url}/chains/recipe/batch", json=inputs, headers=ALICE).status_code for _ in range(2)]
    send(url, "a run", ALICE)
    batch.append(ask("POST", f"{url}/chains/recipe/batch", json=inputs, headers=ALICE).status_code)
    assert batch == [422, 422, 429]


def test_only_a_batch_costs_by_its_number_of_inputs(serve_scripts: ServeScripts) -> None:
    url, _ = serve_scripts(client_calls_per_minute=6)
    send(url, "a run", ALICE)
    body = {"input": REQUEST, "inputs": []}
    assert ask("POST", f"{url}/chains/recipe/invoke", json=body, headers=ALICE).status_code == 429


def test_a_repeated_request_with_an_idempotency_key_costs_nothing(serve_scripts: ServeScripts) -> None:
    url, _ = serve_scripts(client_calls_per_minute=6)
    first = start(url, None, **ALICE, **{"Idempotency-Key": "k"})
    assert start(url, None, **ALICE, **{"Idempotency-Key": "k"}) == first


def test_addresses_of_one_ipv6_network_are_one_client(serve_scripts: ServeScripts) -> None:
    url, _ = serve_scripts(client_calls_per_minute=6)
    start(url, None, **{"X-Forwarded-For": "2001:db8:1:2::1"})
    assert send(url, "a run", {"X-Forwarded-For": "2001:db8:1:2:ffff::9"}).status_code == 429
    start(url, None, **{"X-Forwarded-For": "2001:db8:1:3::1"})


def test_by_default_only_clients_elsewhere_have_limits(serve_scripts: ServeScripts) -> None:
    """Nobody bothers the person at this machine."""
    gate = Gate()
    url, _ = serve_scripts({"proposal": [gate]})
    assert [send(url, "a run", {}).status_code for _ in range(11)] == [201] * 11
    assert [send(url, "a run", ALICE).status_code for _ in range(11)] == [201] * 10 + [429]
    gate.open()


@pytest.mark.parametrize("new_store", ["memory", "sqlite", "valkey"], indirect=True)
def test_500_runs_of_one_client_take_nobody_elses_place(serve_scripts: ServeScripts) -> None:
    gate = Gate()
    url, scripted = serve_scripts({"intro": [gate, "Hot."]}, client_runs=2, client_calls_per_minute=0, max_runs=10)
    with httpx.Client(timeout=20, verify=NO_TLS, headers=ALICE) as flood:
        answers = [flood.post(f"{url}/runs", json=REQUEST) for _ in range(500)]
    assert [answer.status_code for answer in answers] == [201] * 2 + [429] * 498
    assert "2 active runs" in answers[-1].json()["detail"]
    run = start(url, None, **BOB)
    assert wait_until(lambda: len(scripted.calls) == 3 * 6, seconds=10)
    gate.open()
    assert statuses(follow(run)) == ["ok"]


def test_a_client_that_tries_again_at_once_is_refused_200_times_a_second(serve_scripts: ServeScripts) -> None:
    """A flood of refusals that cost a processor each would delay everybody else."""
    url, _ = serve_scripts(client_calls_per_minute=6)
    send(url, "a run", ALICE)
    with ThreadPoolExecutor(16) as threads, httpx.Client(timeout=20, verify=NO_TLS, headers=ALICE) as flood:
        began = monotonic()
        refused = [threads.submit(flood.post, f"{url}/runs", json=REQUEST) for _ in range(201)]
        assert {each.result().status_code for each in refused} == {429}
        assert monotonic() - began >= 1


@pytest.mark.parametrize("new_store", ["memory", "valkey"], indirect=True)
def test_a_finished_run_can_be_rewritten_when_its_client_has_room_again(serve_scripts: ServeScripts) -> None:
    gate = Gate()
    url, _ = serve_scripts({"intro": [["Hot."], [gate]]}, client_runs=1)
    first = start(url, None, **ALICE)
    assert statuses(follow(first)) == ["ok"]
    second = start(url, None, **ALICE)
    assert rewrite(first, "sides").status_code == 429
    assert cancel(second).status_code == 204
    assert rewrite(first, "sides").status_code == 202
    gate.open()


@pytest.mark.parametrize("new_store", ["memory", "valkey"], indirect=True)
def test_what_is_refused_for_runs_at_a_time_costs_no_calls(serve_scripts: ServeScripts) -> None:
    gate = Gate()
    url, _ = serve_scripts({"intro": [["Hot."], [gate]]}, client_runs=1, client_calls_per_minute=19)
    first = start(url, None, **ALICE)
    assert statuses(follow(first)) == ["ok"]
    second = start(url, None, **ALICE)
    refusals = [send(url, "a run", ALICE) for _ in range(3)] + [rewrite(first, "sides") for _ in range(3)]
    assert ["at a time" in refusal.json()["detail"] for refusal in refusals] == [True] * 6
    assert cancel(second).status_code == 204
    third = start(url, None, **ALICE)
    assert cancel(third).status_code == 204
    assert rewrite(first, "sides").status_code == 202
    gate.open()


@pytest.mark.parametrize("new_store", ["memory", "valkey"], indirect=True)
def test_a_burst_of_which_one_is_accepted_costs_the_calls_of_one(serve_scripts: ServeScripts) -> None:
    """Those that find room together, and are refused only by the store, cost nothing either."""
    gate = Gate()
    url, _ = serve_scripts({"intro": [gate]}, client_runs=1, client_calls_per_minute=30)

    async def burst() -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=20, verify=NO_TLS, headers=ALICE) as alice:
            return await asyncio.gather(*(alice.post(f"{url}/runs", json=REQUEST) for _ in range(30)))

    answers = run(burst())
    assert sorted(answer.status_code for answer in answers) == [201] + [429] * 29
    (first,) = [answer for answer in answers if answer.status_code == 201]
    location, key = url + first.headers["Location"], first.headers["Sizzle-Run-Key"]
    for _ in range(4):
        assert ask("DELETE", location, headers={"Sizzle-Run-Key": key}).status_code == 204
        another = send(url, "a run", ALICE)
        assert another.status_code == 201
        location, key = url + another.headers["Location"], another.headers["Sizzle-Run-Key"]
    gate.open()


def test_what_fails_costs_the_calls_that_were_made(serve_scripts: ServeScripts) -> None:
    """The proposal and the part that needs nothing, not the four that need the proposal."""
    url, scripted = serve_scripts({"proposal": [Refuse(404)], "nutrition": [Refuse(404)]}, client_calls_per_minute=600)
    failed = send(url, "a chat completion", ALICE)
    assert [failed.status_code, len(scripted.calls)] == [502, 2]
    assert failed.headers["RateLimit"].startswith('"calls";r=598;t=')


def test_what_the_budget_refuses_costs_no_calls(serve_scripts: ServeScripts) -> None:
    url, scripted = serve_scripts(client_calls_per_minute=1, daily_budget_usd=1e-7)
    refused = [send(url, "a completion", ALICE) for _ in range(2)]
    assert [[answer.status_code, "budget" in answer.text] for answer in refused] == [[503, True]] * 2
    assert refused[0].headers["RateLimit"].startswith('"calls";r=1;t=')
    assert scripted.calls == []


def test_limits_hold_for_several_processes_together(serve: Serve, redis_server: RedisServer) -> None:
    store = redis_server.url
    with provider() as scripted:
        keys = {"groq_api_key": "k", "groq_base_url": scripted.url}
        one, other = (serve(store=store, client_calls_per_minute=12, **keys) for _ in range(2))
        assert [send(url, "generate", ALICE).status_code for url in (one, other, one)] == [200, 200, 429]
        assert send(other, "a completion", ALICE).status_code == 429
        assert send(other, "generate", BOB).headers["RateLimit"].startswith('"calls";r=6;t=')


def test_one_client_cannot_take_all_broadcasts(serve_scripts: ServeScripts) -> None:
    url, _ = serve_scripts({"completion": [Gate()]}, client_runs=2)
    assert [send(url, "a broadcast", ALICE).status_code for _ in range(3)] == [201, 201, 429]
    assert send(url, "a broadcast", BOB).status_code == 201


def test_few_clients_cannot_take_all_broadcasts(serve_scripts: ServeScripts) -> None:
    """The client with the most broadcasts loses the oldest of them, and its readers hear why."""
    url, scripted = serve_scripts({"completion": [Gate()]}, client_calls_per_minute=10)
    many = {name: {"X-Forwarded-For": f"203.0.113.{name}"} for name in range(1, 5)}
    first, *_ = [send(url, "a broadcast", headers) for headers in many.values() for _ in range(8)]
    assert send(url, "a broadcast", many[1]).status_code == 503
    assert wait_until(lambda: scripted.open_streams == 32, seconds=10)
    with httpx.stream("GET", url + first.headers["Location"] + "/events", verify=NO_TLS, timeout=20) as reader:
        assert send(url, "a broadcast", BOB).status_code == 201
        assert "room for another client" in reader.read().decode()
    assert wait_until(lambda: scripted.open_streams == 32, seconds=10)
    assert ask("GET", url + first.headers["Location"]).status_code == 404
    assert [send(url, "a broadcast", headers).status_code for headers in (BOB, BOB)] == [201, 201]
    assert [send(url, "a broadcast", many[1]).status_code for _ in range(5)] == [503] * 5  # which costs no calls


def test_the_race_of_one_client_keeps_nobody_else_from_one(serve_scripts: ServeScripts) -> None:
    url, scripted = serve_scripts({"completion": [["Slice ", Gate()], ["beef"]]}, race=True)
    with httpx.stream("POST", f"{url}/race", json={}, verify=NO_TLS, headers=ALICE, timeout=20):
        assert wait_until(lambda: len(scripted.calls) == 1, seconds=10)
        assert [send(url, "a race", headers).status_code for headers in (ALICE, BOB)] == [409, 200]


def test_empty_answers_to_one_client_close_no_provider_to_others(serve_scripts: ServeScripts) -> None:
    """As soon as another client gets one, too, it is the provider's fault."""
    url, _ = serve_scripts({"completion": [Finish("stop")]})

    def cooling_down() -> Any:
        return ask("GET", f"{url}/healthz").json()["cooling_down"]

    assert [send(url, "a completion", ALICE).status_code for _ in range(6)] == [502] * 6
    assert cooling_down() == {}
    send(url, "a completion", BOB)
    assert cooling_down().keys() == {"groq"}


@asynccontextmanager
async def flooding(url: str, count: int, **headers: str) -> AsyncGenerator[list[asyncio.Task[httpx.Response]]]:
    """So many completions of one client at a time, which hangs up at the end."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=60, verify=NO_TLS, headers=headers, limits=limits) as client:
        tasks = [asyncio.create_task(client.get(f"{url}/completion?query=flood")) for _ in range(count)]
        yield tasks
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  the provider runs in another thread
            await asyncio.sleep(0.01)


def queries(scripted: Provider) -> list[str]:
    return [call["body"]["messages"][-1]["content"] for call in scripted.calls]


def limited_provider(path: Path, **limits: int) -> Path:
    registry = path / "limited.toml"
    lines = ['[providers.groq]\npreset = "groq"', *(f"{name} = {value}" for name, value in limits.items())]
    registry.write_text("\n".join(lines))
    return registry


@pytest.mark.parametrize(
    ("limits", "script"), [({"requests_per_minute": 210}, ["beef"]), ({"max_concurrent_calls": 4}, ["beef", Gate()])]
)
def test_400_completions_of_one_client_do_not_delay_another(
    serve_scripts: ServeScripts, tmp_path: Path, limits: dict[str, int], script: list[Any]
) -> None:
    """The provider's next call is the other client's, although hundreds came before it, and soon another one's."""
    registry = limited_provider(tmp_path, **limits)
    url, scripted = serve_scripts({"completion": script}, registry=registry, client_calls_per_minute=0)

    async def scenario() -> tuple[list[str], int]:
        async with flooding(url, 400, **ALICE), httpx.AsyncClient(timeout=20, verify=NO_TLS, headers=BOB) as bob:
            await until(lambda: len(scripted.calls) >= 3)
            async with bob.stream("GET", f"{url}/completion?query=bob") as response:
                async for _ in response.aiter_raw():
                    break
                return queries(scripted), scripted.most_at_once

    calls, at_once = run(scenario())
    assert calls.index("bob") <= 40  # 30 are the burst
    assert at_once <= 30
    assert len(calls) < 100


def test_one_client_has_at_most_so_many_calls_at_a_time(serve_scripts: ServeScripts) -> None:
    """The others wait, and are made when one ends."""
    gate = Gate()
    url, scripted = serve_scripts({"completion": ["beef", gate]}, client_calls=5)

    async def scenario() -> list[int]:
        async with flooding(url, 20, **ALICE) as flood, flooding(url, 5, **BOB) as others:
            await until(lambda: scripted.open_streams == 10)
            gate.open()
            answers = await asyncio.gather(*flood, *others)
            return [answer.status_code for answer in answers]

    assert run(scenario()) == [200] * 25
    assert scripted.most_at_once == 10


def test_calls_that_wait_for_their_turn_reserve_no_budget(serve_scripts: ServeScripts) -> None:
    """There is money for three of the longest answers, and only two are under way."""
    gate = Gate()
    question = "/completion?query=flood&model=groq-gpt-oss-20b&max_tokens=1000"
    budget = {"daily_budget_usd": 3.5 * 1000 * 0.3 / 1_000_000}
    url, scripted = serve_scripts({"completion": [gate, "beef"]}, client_calls=1, **budget)

    async def scenario() -> int:
        async with httpx.AsyncClient(timeout=20, verify=NO_TLS) as client:
            flood = [asyncio.create_task(client.get(url + question, headers=ALICE)) for _ in range(8)]
            await until(lambda: len(scripted.calls) == 1)
            other = asyncio.create_task(client.get(url + question, headers=BOB))
            await until(lambda: len(scripted.calls) == 2 or other.done())
            gate.open()
            await asyncio.gather(*flood)
            return (await other).status_code

    assert run(scenario()) == 200

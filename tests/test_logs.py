"""The log that an operator reads."""

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from app.main import create_app
from tests.access import TOKEN
from tests.client import NO_TLS, rewrite, start, wait_until
from tests.conftest import Serve
from tests.redis_servers import RedisServer
from tests.server_process import server_process
from tests.servers import Gate, Refuse, provider, serving, settings_from
from tests.shared_runs import StartWorker

SECRETS = ("canary", "provider words", "my secret", "key=")
GIVEN_ID = "order-7:retry/1"


def _lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if not line.startswith("Sizzle: http")]


def _only(lines: list[dict[str, Any]], **fields: Any) -> Mapping[str, Any]:
    (found,) = [line for line in lines if fields.items() <= line.items()]
    return found


def _assert_form(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        assert {"time", "level", "logger", "event"} <= line.keys()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["time"])


def _assert_usage(ended: Mapping[str, Any], usage: Mapping[str, Any]) -> None:
    """The line of a run's end and its state say the same."""
    assert ended["attempts"] == 7
    assert 0 < ended["ttft_s"] <= ended["seconds"]
    assert [usage[name] for name in ("input_tokens", "output_tokens", "cost_usd")] == [
        ended[name] for name in ("input_tokens", "output_tokens", "cost_usd")
    ]
    assert ended["input_tokens"] > 1000
    assert ended["cost_usd"] > 1000 * 0.15 / 1_000_000
    assert usage["is_estimated"]  # the other parts have no usage


def test_each_line_is_json_that_names_the_request_the_run_and_the_attempt(tmp_path: Path) -> None:
    """A run of which one attempt fails, and a plain completion: none of their texts and no key is in the log."""
    usage = {"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 10}}
    steps = [[Refuse(500)], ["Cook.", f"data: {json.dumps(usage)}\n\n".encode()]]
    with (
        provider({"steps": steps}) as scripted,  # type: ignore[dict-item]
        server_process(tmp_path, GROQ_API_KEY="sk-canary", SIZZLE_GROQ_BASE_URL=scripted.url) as server,
        httpx.Client(base_url=server.url, verify=NO_TLS, timeout=30) as client,
    ):
        body = {"ingredientsOnHand": "my secret beef"}
        started = client.post("/runs", json=body, headers={"X-Request-ID": GIVEN_ID})
        run = started.json()["run_id"]
        client.get(f"/runs/{run}/events")
        state = client.get(f"/runs/{run}").json()
        second = client.post("/runs", json=body).json()
        key = {"Sizzle-Run-Key": second["key"]}
        client.delete(f"/runs/{second['run_id']}", headers=key)
        client.post(f"/runs/{second['run_id']}/parts/nutrition", headers=key)
        insane = client.get("/completion", params={"query": "my secret"}, headers={"X-Request-ID": "a b" * 9})
        assert wait_until(lambda: "GET /completion" in server.output, 10)  # the line is logged after the answer
        lines = _lines(server.output)

    assert started.headers["X-Request-ID"] == GIVEN_ID
    assert re.fullmatch("[0-9a-f]{16}", insane.headers["X-Request-ID"])
    _assert_form(lines)
    assert not [secret for secret in SECRETS if secret in server.output]

    who = {"request_id": GIVEN_ID, "run": run, "client": "127.0.0.1"}
    failed = _only(lines, level="warning", logger="chains.models.chat", **who)
    fields = {"provider": "Groq", "model": "openai/gpt-oss-120b", "part": "steps", "attempt": 1}
    assert fields.items() <= failed.items()
    assert failed["failure"] == "HttpStatusError 500"
    _only(lines, event="Run started.", route="POST /runs", **who)
    ended = _only(lines, event="Run ended: ok.", **who)
    _assert_usage(ended, state["usage"])
    other = {"run": second["run_id"], "client": "127.0.0.1"}
    _only(lines, event="Run cancelled.", route=f"DELETE /runs/{second['run_id']}", **other)
    _only(lines, event="Part regenerated.", part="nutrition", **other)
    assert _only(lines, event="POST /runs", request_id=GIVEN_ID)["status"] == 201
    assert _only(lines, event="GET /completion")["request_id"] == insane.headers["X-Request-ID"]


def test_a_worker_names_the_request_that_started_a_run(
    serve: Serve, start_worker: StartWorker, redis_server: RedisServer
) -> None:
    """Also in a rewrite that another request asked for. Readers do not get the id."""
    with provider({"steps": [[Refuse(500)], ["Cook."]]}) as scripted:  # type: ignore[dict-item]
        store = redis_server.url
        worker = start_worker(store, scripted)
        url = serve(worker=False, store=store, groq_api_key="k", groq_base_url=scripted.url)
        run = start(url, None, **{"X-Request-ID": GIVEN_ID})
        read = httpx.get(f"{run}/events", verify=NO_TLS, timeout=30).text
        rewrite(run, "sides")
        httpx.get(f"{run}/events", verify=NO_TLS, timeout=30)
        assert wait_until(lambda: worker.output.read_text().count("Run ended") == 2, 10)
    lines = [json.loads(line) for line in worker.output.read_text().splitlines() if f'"run":"{run[-36:]}"' in line]
    assert [line["event"] for line in lines] == [
        "Groq (openai/gpt-oss-120b): HttpStatusError 500", "Run ended: ok.", "Run ended: ok."
    ]  # fmt: skip
    assert {line["request_id"] for line in lines} == {GIVEN_ID}
    assert GIVEN_ID not in read


def test_a_run_that_a_restart_continues_keeps_the_id_of_its_request(tmp_path: Path) -> None:
    gate = Gate()
    with (
        provider({"steps": [[gate], ["Cook."]]}) as scripted,
        server_process(tmp_path, GROQ_API_KEY="k", SIZZLE_GROQ_BASE_URL=scripted.url) as server,
    ):
        start(server.url, None, **{"X-Request-ID": GIVEN_ID})
        server.kill()
        server.start_again()
        assert wait_until(lambda: "Run ended" in server.output, 20)
        assert _only(_lines(server.output), event="Run ended: ok.")["request_id"] == GIVEN_ID
        gate.open()


def test_text_has_the_same_and_a_level_leaves_lines_out(tmp_path: Path) -> None:
    with server_process(tmp_path, SIZZLE_LOG_FORMAT="text", SIZZLE_LOG_LEVEL="warning") as server:
        httpx.get(f"{server.url}/completion?query=hello", verify=NO_TLS, timeout=30)
        output = server.output

    assert re.search(r"Z \[warning *\] The rule-based stand-in answers", output)
    assert "/completion" not in output


def test_no_level_logs_the_token_of_a_client(tmp_path: Path) -> None:
    """Uvicorn's debug lines contain all headers of a WebSocket's handshake."""
    with server_process(tmp_path, SIZZLE_TOKEN=TOKEN, SIZZLE_LOG_LEVEL="debug") as server:
        address = f"{server.url.replace('http', 'ws')}/examples/broadcasts/x/socket"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with connect(address, additional_headers=headers) as socket, pytest.raises(ConnectionClosedError):
            socket.recv()
        output = server.output

    assert "Sizzle is ready" in output
    assert TOKEN not in output


def test_a_program_that_embeds_sizzle_keeps_its_own_log() -> None:
    def configuration() -> list[Any]:
        loggers = [logging.getLogger(name) for name in ("", "app", "chains", "uvicorn", "uvicorn.access")]
        return [(logger.level, logger.propagate, [*logger.handlers]) for logger in loggers]

    before = configuration()
    with serving(create_app(settings_from())) as url:
        httpx.get(f"{url}/healthz", verify=NO_TLS, timeout=30)
        assert configuration() == before
    assert configuration() == before

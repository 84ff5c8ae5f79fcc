"""Who sends a request, and whose work a task does."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.clients import Client, current_client
from app.main import create_app
from tests.access import OPEN
from tests.client import ask, follow, start, wait_until
from tests.conftest import ServeScripts
from tests.servers import Gate, Refuse, provider, serving, settings_from

ALICE = "203.0.113.7"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("evil\nINFO: forged", "unknown"),
        ("", "unknown"),
        (None, "local"),
    ],
)
def test_a_client_without_a_token_is_its_address(address: str | None, name: str) -> None:
    assert Client.at(address) == Client(name, is_named=False)


@contextmanager
def clients_in_log(logger: str) -> Iterator[list[str]]:
    """The client whose work each message of the logger is about."""
    names = list[str]()

    def note(_: logging.LogRecord) -> bool:
        names.append(current_client().name)
        return True

    logging.getLogger(logger).addFilter(note)
    yield names
    logging.getLogger(logger).removeFilter(note)


@pytest.mark.parametrize("new_store", ["memory", "sqlite", "valkey"], indirect=True)
def test_calls_to_a_provider_know_whose_work_they_are(serve_scripts: ServeScripts) -> None:
    url, _ = serve_scripts({"intro": [Refuse(401)]}, **OPEN)
    with clients_in_log("chains.models.chat") as names:
        run = start(url, None, **{"X-Forwarded-For": ALICE})
        events = follow(run)
    assert set(names) == {ALICE}
    assert all(ALICE not in str(event.fields) for event in events)
    assert ALICE not in ask("GET", run).text


def test_a_run_that_is_resumed_stays_its_clients(tmp_path: Path) -> None:
    gate = Gate()
    with provider({"intro": [[gate], [Refuse(401)]]}) as scripted:
        settings = settings_from(
            store=f"sqlite://{tmp_path}/runs.db", groq_api_key="sk-groq-1", groq_base_url=scripted.url, **OPEN
        )
        with serving(create_app(settings)) as url:
            path = start(url, None, **{"X-Forwarded-For": ALICE}).removeprefix(url)
            assert wait_until(lambda: any(call["step"] == "intro" for call in scripted.calls), 10)
        gate.open()
        with clients_in_log("chains.models.chat") as names, serving(create_app(settings)) as url:
            follow(url + path)
    assert set(names) == {ALICE}

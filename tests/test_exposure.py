"""Whom settings let in: files of tokens, names of the server, addresses that others can reach."""

import logging
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from app.cli.exposure import audience
from app.main import create_app
from app.server.hosts import AllowedHosts
from app.server.tokens import TokenSource
from app.settings import read_settings
from chains.errors import ConfigError
from tests.access import TOKEN, guarded
from tests.client import REQUEST, ask
from tests.commands import sizzle
from tests.conftest import ServeScripts
from tests.server_process import server_process
from tests.servers import serving, settings_from

EVERYWHERE = "0.0.0.0"  # noqa: S104  not bound: the command refuses it
OTHER = "another-canary-token-0123456789-abcdef"


def test_a_tokens_file_is_read_again_when_it_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A mistake in it keeps the previous tokens; no token gets into the log."""
    caplog.set_level(logging.INFO)
    file, now = tmp_path / "tokens", 0.0
    file.write_text(f"alice {TOKEN}")
    file.chmod(0o600)
    source = TokenSource(None, file, clock=lambda: now)

    def knows(text: str, token: str) -> bool:
        nonlocal now
        file.write_text(text)
        now += 2
        return source.current.knows(token)

    assert knows(f"alice {TOKEN}\nbob {OTHER}", OTHER)
    assert knows("nonsense " + OTHER[:8], OTHER)
    assert not knows(f"alice {TOKEN}", OTHER)
    assert [TOKEN in caplog.text, OTHER in caplog.text, "line 1" in caplog.text] == [False, False, True]


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (f"alice {TOKEN}", 0o644, "chmod 600"),
        (f"alice {TOKEN}\nalice {OTHER}", 0o600, "line 2"),
        (f"alice {TOKEN}\nbob {TOKEN}", 0o600, "line 2"),
        (f"alice\n{TOKEN}", 0o600, "line 1"),
        ("alice short-canary", 0o600, "at least 32"),
        (f"203.0.113.1 {TOKEN}", 0o600, "line 1"),
        ("# nobody", 0o600, "at least one line"),
        (f"owner {OTHER}", 0o600, "owner"),
        (None, 0o600, "No such file"),
    ],
)
def test_a_tokens_file_with_a_mistake_is_refused_in_one_line(
    tmp_path: Path, text: str | None, mode: int, words: str
) -> None:
    file = tmp_path / "tokens"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    with pytest.raises(ConfigError) as refused:
        TokenSource(TOKEN if text and "owner" in text else None, file)
    line = str(refused.value)
    assert [words in line, "\n" in line, "canary" in line] == [True, False, False]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"TOKEN": "short-canary"}, "SIZZLE_TOKEN: expected at least 32"),
        ({"TOKEN": f"{TOKEN} x"}, "SIZZLE_TOKEN"),
        ({"TOKEN": TOKEN, "OPEN": "true"}, "one of the two"),
        ({"OPEN": "true", "KEYS__GROQ": "sk-1"}, "SIZZLE_DAILY_BUDGET_USD"),
        ({"ALLOWED_HOSTS": "https://cook.example"}, "SIZZLE_ALLOWED_HOSTS"),
    ],
)
def test_settings_that_let_in_too_many_are_refused(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], words: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"SIZZLE_{name}", value)
    with pytest.raises(ConfigError) as refused:
        read_settings().check()
    assert [words in str(refused.value), "canary" in str(refused.value)] == [True, False]


NAMES = ("cook.example", "*.kitchen.example")


@pytest.mark.parametrize(
    ("header", "is_local", "names", "is_allowed"),
    [
        ("localhost", True, (), True),
        ("localhost:8000", True, (), True),
        ("LOCALHOST.", True, (), True),
        ("127.0.0.1:8000", True, (), True),
        ("[::1]:8000", True, (), True),
        ("[::ffff:127.0.0.1]:8000", True, (), True),
        ("127.1:8000", True, (), True),
        ("LOCALHOST.:8000", True, (), True),
        ("10.1", True, (), False),
        (None, True, (), True),
        ("evil.example", True, (), False),
        ("localhost.evil.example", True, (), False),
        ("127.0.0.1.evil.example", True, (), False),
        ("evil.example:80@localhost", True, (), False),
        ("localhost:80:80", True, (), False),
        ("", True, (), False),
        ("192.168.1.5", True, (), False),
        ("192.168.1.5:8000", False, (), True),
        ("[2001:db8::1]", False, (), True),
        ("evil.example", False, (), False),
        ("cook.example", True, NAMES, True),
        ("COOK.example:443", False, NAMES, True),
        ("a.kitchen.example", False, NAMES, True),
        ("kitchen.example", False, NAMES, False),
        ("evilkitchen.example", False, NAMES, False),
        ("localhost", False, NAMES, True),
        ("evil.example", False, ("*",), True),
    ],
)
def test_a_server_answers_under_its_own_names(
    header: str | None, is_local: bool, names: tuple[str, ...], is_allowed: bool
) -> None:
    assert AllowedHosts(names).allow(header, is_local=is_local) is is_allowed


def test_a_rebound_name_is_refused_on_every_route(serve_scripts: ServeScripts) -> None:
    """Also by WebSockets and redirects; no answer repeats the name."""
    url, provider = serve_scripts()
    evil = {"Host": "evil.example", "Origin": "http://evil.example"}
    for method, path in [
        ("POST", "/runs"),
        ("GET", "/"),
        ("GET", "/race/"),
        ("OPTIONS", "/runs"),
        ("GET", "/v1/models"),
    ]:
        answer = ask(method, url + path, headers=evil, json=REQUEST if method == "POST" else None)
        assert answer.status_code == 421, path
        assert "evil" not in answer.text + str(answer.headers)
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(
            url.replace("http", "ws") + "/examples/broadcasts/x/socket", additional_headers={"Host": "evil.example"}
        ),
    ):
        pass
    assert refused.value.response.status_code == 403
    assert provider.calls == []


class Elsewhere:
    """An application that is reached at an address of the local network."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(
            {**scope, "server": ("192.168.1.5", 80)} if scope["type"] != "lifespan" else scope, receive, send
        )


@pytest.mark.parametrize(
    ("settings", "host", "code"),
    [
        ({}, "192.168.1.5", 403),
        ({}, "localhost", 403),
        ({"open": True}, "192.168.1.5", 200),
        ({"open": True}, "evil.example", 421),
        ({"open": True, "allowed_hosts": "cook.example"}, "cook.example", 200),
        ({"token": TOKEN}, "192.168.1.5", 401),
    ],
)
def test_other_machines_need_a_token_or_an_open_server(settings: dict[str, Any], host: str, code: int) -> None:
    """Also if another program serves the application."""
    app = create_app(settings_from(standin_ttft_ms=0, **settings))
    with serving(Elsewhere(app)) as url:
        assert ask("GET", f"{url}/healthz", headers={"Host": host}).status_code == code


def test_a_proxy_on_this_machine_does_not_let_others_in() -> None:
    """Its clients need a token, although the connection comes from this machine."""
    with guarded(token=None) as server:
        elsewhere = {"X-Forwarded-For": "203.0.113.9"}
        codes = [ask("GET", f"{server.url}/healthz", headers=headers).status_code for headers in ({}, elsewhere)]
    assert codes == [200, 403]


@pytest.mark.parametrize("command", ["serve", "standin"])
def test_another_bind_without_a_token_ends_with_one_line(command: str) -> None:
    done = sizzle(command, "--host", EVERYWHERE, "--port", "0")
    assert done.returncode == 1
    assert done.stderr.startswith("sizzle: --host 0.0.0.0 lets other machines in: set SIZZLE_TOKEN (make one with:")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "host", "words"),
    [
        ({}, "127.0.0.1", "this machine only"),
        ({}, "::1", "this machine only"),
        ({"TOKEN": TOKEN}, EVERYWHERE, "with a token (owner)"),
        ({"OPEN": "true"}, EVERYWHERE, "OPEN to everybody who can reach this address"),
        ({"TOKEN": TOKEN}, "127.0.0.1", "this machine, and others through a proxy, with a token (owner)"),
        ({"OPEN": "true"}, "127.0.0.1", "OPEN to everybody who uses this machine or a proxy"),
        ({"ALLOWED_HOSTS": "cook.example"}, "127.0.0.1", "without SIZZLE_TOKEN a proxy's clients get a 403"),
    ],
)
def test_a_start_says_who_can_use_the_server(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], host: str, words: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"SIZZLE_{name}", value)
    assert words in audience(host)


def test_a_start_below_a_path_speaks_of_the_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So it does if `.env` has a token."""
    monkeypatch.chdir(tmp_path)
    assert [audience("localhost"), "proxy" in audience("localhost", has_proxy=True)] == ["for this machine only", True]
    (tmp_path / ".env").write_text(f"GROQ_API_KEY=k\nexport sizzle_token = {TOKEN}\n")
    assert "with a token (owner)" in audience("localhost")


def test_the_ipv6_wildcard_is_every_address(tmp_path: Path) -> None:
    """The start says so, and clients of IPv4 have their own names."""
    with server_process(tmp_path, "--host", "::", SIZZLE_TOKEN=TOKEN) as server:
        port = server.url.rpartition(":")[2]
        assert f"http://[::]:{port} and http://0.0.0.0:{port}, for other machines" in server.output
        headers = {"Authorization": f"Bearer {TOKEN}"}
        for host in ("127.0.0.1", "[::1]"):
            url = f"http://{host}:{port}"
            assert [ask("GET", f"{url}/healthz", headers=each).status_code for each in ({}, headers)] == [401, 200]

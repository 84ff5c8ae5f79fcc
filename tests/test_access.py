"""Who may come in: tokens, cookies and the sign-in page."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from app.clients import Client
from app.main import create_app
from app.server.tokens import Tokens
from tests.access import TOKEN, Guarded, guarded
from tests.client import NO_TLS, REQUEST, ask
from tests.servers import serving, settings_from

OTHER = "another-canary-token-0123456789-abcdef"
CHAT = {"model": "sizzle", "messages": [{"role": "user", "content": "beef, onions"}]}
OPEN = {
    ("GET", "/livez"), ("GET", "/readyz"), ("GET", "/sign-in"), ("POST", "/sign-out"), ("GET", "/static/x.css"),
}  # fmt: skip
SHARED = {("GET", "/r/{}"), ("GET", "/runs/{}"), ("GET", "/runs/{}/events"), ("HEAD", "/runs/{}/events")}
RUN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def private() -> Iterator[Guarded]:
    with guarded() as server:
        yield server


def form(url: str, token: str, **more: str) -> httpx.Response:
    with httpx.Client(verify=NO_TLS) as client:
        return client.post(f"{url}/sign-in", params=more, data={"token": token})


@pytest.mark.parametrize("token", ["", OTHER, TOKEN[:-1], f"{TOKEN}x"])
def test_every_route_but_the_public_ones_needs_a_token(token: str) -> None:
    """It requests every route, so a new one is covered, too."""
    with guarded() as private:
        routes = private.routes()
        assert len(routes) > 60
        public = OPEN | {(method, path.format(RUN)) for method, path in SHARED}
        codes = {
            route: private.ask(
                *route, token=token, headers={"X-Forwarded-For": f"198.51.100.{number % 250}"}
            ).status_code
            for number, route in enumerate(sorted(routes))
        }
        assert {route for route, code in codes.items() if code not in (401, 429)} == public
        assert private.provider.calls == []


def test_a_token_opens_every_route(private: Guarded) -> None:
    codes = {route: private.ask(*route).status_code for route in private.routes() - {("POST", "/sign-in")}}
    assert [route for route, code in codes.items() if code in (401, 415, 421, 429)] == []


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/v1/nothing"])
def test_openais_clients_read_the_refusal_in_their_format(private: Guarded, path: str) -> None:
    answer = private.ask("POST" if "chat" in path else "GET", path, token="")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    error = answer.json()["error"]
    assert [error["type"], error["code"]] == ["invalid_request_error", "invalid_api_key"]
    assert private.ask("POST", "/v1/chat/completions", json=CHAT).status_code == 200


def test_a_websocket_needs_a_token(private: Guarded) -> None:
    address = private.url.replace("http", "ws") + "/examples/broadcasts/x/socket"
    with pytest.raises(InvalidStatus) as refused, connect(address):
        pass
    assert refused.value.response.status_code == 403
    with (
        connect(address, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as socket,
        pytest.raises(ConnectionClosedError, match="4404"),  # there is no such broadcast
    ):
        socket.recv()


def test_a_person_signs_in_and_out_with_a_cookie(private: Guarded, caplog: pytest.LogCaptureFixture) -> None:
    """The cookie is not the token, no script can read it, and no other site can make a browser send it."""
    caplog.set_level("INFO")
    answer = form(private.url, TOKEN, next="/race?x=1")
    (record,) = (each for each in caplog.records if each.message == "Signed in.")
    assert vars(record)["client"] == "owner"
    assert TOKEN not in caplog.text
    assert [answer.status_code, answer.headers["location"]] == [303, "/race?x=1"]
    cookie = answer.headers["set-cookie"]
    assert TOKEN not in cookie
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert "Secure" not in cookie
    signed_in = {"Cookie": cookie.partition(";")[0]}
    assert private.ask("GET", "/healthz", token="", headers=signed_in).status_code == 200
    assert "signed in as owner" in private.ask("GET", "/sign-in", token="", headers=signed_in).text
    with guarded() as another_node:
        assert another_node.ask("GET", "/healthz", token="", headers=signed_in).status_code == 200
    with guarded(token=OTHER) as another_token:
        assert another_token.ask("GET", "/healthz", token="", headers=signed_in).status_code == 401
    signed_out = private.ask("POST", "/sign-out", token="", headers=signed_in)
    assert [signed_out.status_code, 'sizzle_session=""' in signed_out.headers["set-cookie"]] == [303, True]


def test_a_cookie_counts_only_on_own_pages() -> None:
    """Pages of allowed origins have to send a token, even if all are allowed."""
    with guarded(cors_origins="*") as server:
        cookie = form(server.url, TOKEN).headers["set-cookie"].partition(";")[0]
        foreign = {"Cookie": cookie, "Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"}
        assert server.ask("POST", "/runs", token="", json=REQUEST, headers=foreign).status_code == 401
        assert server.ask("POST", "/runs", json=REQUEST, headers=foreign).status_code == 201
        own = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin", "Origin": server.url}
        assert server.ask("POST", "/runs", token="", json=REQUEST, headers=own).status_code == 201


def test_a_cookie_over_https_is_secure_and_of_this_host_only(private: Guarded) -> None:
    """Over HTTPS a cookie that plain HTTP has set counts for nothing, and the other way round."""
    headers = {"X-Forwarded-Proto": "https"}
    answer = ask("POST", f"{private.url}/sign-in", data={"token": TOKEN}, headers=headers)
    cookie = answer.headers["set-cookie"]
    assert [cookie.partition("=")[0], "; Path=/;" in cookie, "Secure" in cookie] == [
        "__Host-sizzle_session", True, True
    ]  # fmt: skip
    value = cookie.partition(";")[0].partition("=")[2]
    for name, codes in {"sizzle_session": [200, 401], "__Host-sizzle_session": [401, 200]}.items():
        signed_in = {"Cookie": f"{name}={value}"}
        for more, code in zip(({}, headers), codes, strict=True):
            assert private.ask("GET", "/healthz", token="", headers=signed_in | more).status_code == code
    signed_out = private.ask("POST", "/sign-out", token="", headers=headers).headers["set-cookie"]
    assert ["__Host-sizzle_session=" in signed_out, "Secure" in signed_out] == [True, True]


def test_servers_below_two_paths_of_a_host_have_cookies_of_their_own() -> None:
    app = create_app(settings_from(token=TOKEN))
    with serving(app, root_path="/one/two") as url:
        headers = {"X-Forwarded-Proto": "https"}
        cookies = [
            ask("POST", f"{url}/sign-in", data={"token": TOKEN}, headers=each).headers["set-cookie"]
            for each in ({}, headers)
        ]
    assert [cookie.partition("=")[0] for cookie in cookies] == [
        "sizzle_session_one_two", "__Host-sizzle_session_one_two"
    ]  # fmt: skip
    assert ["; Path=/one/two/;" in cookies[0], "; Path=/;" in cookies[1]] == [True, True]


@pytest.mark.parametrize(
    "address", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "", "/a\r\nb: c"]
)
def test_signing_in_leads_to_no_other_site(private: Guarded, address: str) -> None:
    assert form(private.url, TOKEN, next=address).headers["location"] == "/"


def test_a_wrong_token_says_so_and_is_slowed(private: Guarded) -> None:
    """After ten attempts an address has to wait before it tries another one; the right token is accepted."""
    client = {"X-Forwarded-For": "203.0.113.9"}
    answers = [ask("POST", f"{private.url}/sign-in", data={"token": OTHER}, headers=client) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert "This token is not valid." in answers[0].text
    assert [OTHER in answers[0].text, answers[-1].headers["retry-after"]] == [False, "60"]
    korean = ask("POST", f"{private.url}/sign-in", data={"token": OTHER}, headers={"Accept-Language": "ko"})
    assert "올바른 토큰이 아니에요." in korean.text
    assert ask("POST", f"{private.url}/sign-in", data={"token": TOKEN}, headers=client).status_code == 303
    assert private.ask("GET", "/healthz", headers=client).status_code == 200
    assert form(private.url, TOKEN).status_code == 303


def test_a_long_form_is_not_parsed(private: Guarded) -> None:
    """Parsing a megabyte of fields would take a second, during which nobody else is served."""
    fields = f"token={TOKEN}" + "&%41=%41" * 600
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Forwarded-For": "203.0.113.10"}
    assert ask("POST", f"{private.url}/sign-in", content=fields, headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"User-Agent": "curl/8"}, 200),
        ({"User-Agent": "Mozilla/5.0"}, 403),
        ({"User-Agent": "Mozilla/5.0", "Referer": "http://evil.example/"}, 403),
        ({"User-Agent": "Mozilla/5.0", "Referer": "{url}/examples/fetch"}, 200),
        ({"User-Agent": "Mozilla/5.0", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"User-Agent": "Mozilla/5.0", "Authorization": f"Bearer {TOKEN}"}, 200),
    ],
)
def test_a_get_that_costs_money_comes_from_our_pages(headers: dict[str, str], code: int) -> None:
    """Over plain HTTP browsers do not say which site an image is for, only perhaps its page."""
    with guarded(token=None) as server:
        own = {name: value.format(url=server.url) for name, value in headers.items()}
        answer = ask("GET", f"{server.url}/completion", params={"query": "beef"}, headers=own)
    assert [answer.status_code, len(server.provider.calls)] == [code, int(code == 200)]


def test_a_line_feed_at_the_end_of_an_address_does_not_hide_it_from_the_guard() -> None:
    """The patterns of routes also match in front of one."""
    foreign = {"Sec-Fetch-Site": "cross-site"}
    with guarded(token=None) as server:
        paths = [f"/completion{end}?query=beef" for end in ("%0a", "/%0a", "%0a%0a", "%0d%0a")]
        codes = [ask("GET", server.url + path, headers=foreign).status_code for path in paths]
    assert [codes, server.provider.calls] == [[404] * len(paths), []]


def test_the_guard_knows_where_the_server_is_mounted() -> None:
    """In another application it finds the same public and private paths."""
    with guarded() as server:
        outer = Starlette(routes=[Mount("/kitchen", server.app)])
        with serving(outer) as url:
            assert ask("GET", f"{url}/kitchen/sign-in").status_code == 200
            assert ask("GET", f"{url}/kitchen/healthz").status_code == 401
            foreign = {"Sec-Fetch-Site": "cross-site", "Authorization": f"Bearer {TOKEN}"}
            assert ask("GET", f"{url}/kitchen/completion?query=beef", headers=foreign).status_code == 403


def test_a_navigation_leads_to_the_sign_in_page(private: Guarded) -> None:
    answer = private.ask("GET", "/race?x=1", token="", headers={"Accept": "text/html"})
    location = urlsplit(answer.headers["location"])
    assert [answer.status_code, location.path, parse_qs(location.query)] == [303, "/sign-in", {"next": ["/race?x=1"]}]


@pytest.mark.parametrize("cookie", ["", "owner", "owner:9999999999:0", "owner:1:0", "owner:x:y", "bob:9999999999:0"])
def test_a_forged_or_expired_cookie_is_none(cookie: str) -> None:
    assert Tokens({"owner": TOKEN}).client_of_cookie(cookie) is None


def test_a_cookie_ends_with_its_token_and_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = Tokens({"owner": TOKEN, "alice": OTHER})
    cookie = tokens.cookie_for("alice")
    assert tokens.client_of_cookie(cookie) == Client("alice", is_named=True)
    assert Tokens({"owner": TOKEN}).client_of_cookie(cookie) is None
    assert Tokens({"alice": TOKEN}).client_of_cookie(cookie) is None
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 31 * 86_400)
    assert tokens.client_of_cookie(cookie) is None


def test_a_share_link_reads_and_only_its_owner_changes(private: Guarded) -> None:
    """Reading needs no token, unless share links are off."""
    run = private.ask("POST", "/runs", json=REQUEST).json()
    path = f"/runs/{run['run_id']}"
    assert [private.ask("GET", each, token="").status_code for each in (path, f"{path}/events")] == [200, 200]
    assert private.ask("GET", f"/r/{run['run_id']}", token="").status_code == 200
    key = {"Sizzle-Run-Key": run["key"]}
    for method, each in (("DELETE", path), ("POST", f"{path}/parts/intro")):
        assert private.ask(method, each, token="", headers=key).status_code == 401
        assert private.ask(method, each).status_code == 403
        assert private.ask(method, each, headers=key).status_code in (202, 204)
    with guarded(share_links=False) as closed:
        codes = {closed.ask(method, each.format(RUN), token="").status_code for method, each in SHARED}
    assert codes == {401}


def test_an_idempotency_key_is_a_clients_own(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# who may cook\nalice {TOKEN}\nbob {OTHER}\n")
    file.chmod(0o600)
    with guarded(token=None, tokens_file=file) as server:
        runs = [
            server.ask("POST", "/runs", token, json=REQUEST, headers={"Idempotency-Key": "1"}).json()["run_id"]
            for token in (TOKEN, TOKEN, OTHER)
        ]
        other = server.ask("POST", "/runs", OTHER, json=REQUEST | {"prepTime": 31}, headers={"Idempotency-Key": "2"})
        same = server.ask("POST", "/runs", TOKEN, json=REQUEST, headers={"Idempotency-Key": "2"})
    assert [runs[0] == runs[1], runs[0] == runs[2], other.status_code, same.status_code] == [True, False, 201, 201]

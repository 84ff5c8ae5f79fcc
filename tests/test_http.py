"""All requests: errors as JSON, HEAD and OPTIONS, security headers, and pages of other sites."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.client import REQUEST, ask, start
from tests.conftest import Serve, ServeScripts
from tests.servers import serving

JSON = {"content-type": "application/json"}
CHAT = {"model": "sizzle", "messages": [{"role": "user", "content": "beef, onions"}]}
WORK: list[tuple[str, dict[str, Any]]] = [
    ("/generate", REQUEST),
    ("/runs", REQUEST),
    ("/v1/chat/completions", CHAT),
    ("/examples/broadcasts", {"query": "beef?"}),
    ("/chains/recipe/invoke", {"input": REQUEST}),
    ("/chains/recipe/batch", {"inputs": [REQUEST]}),
    ("/chains/recipe/stream", {"input": REQUEST}),
    ("/chains/recipe/stream_log", {"input": REQUEST}),
]
PATHS = [path for path, _ in WORK]
PAGES = ["/", "/r/x", "/race", "/examples/", "/examples/fetch", "/chains", "/chains/recipe/playground/"]
OTHERS = ["/healthz", "/nothing", "/static/style.css", "/static/nothing", "/v1/models", "/v1/nothing", "/runs"]


@pytest.mark.parametrize("path", [*PAGES, "/healthz", "/race/entrants", "/static/style.css", "/v1/models"])
def test_head_is_answered_as_get_without_the_content(sizzle_url: str, path: str) -> None:
    got, head = ask("GET", f"{sizzle_url}{path}"), ask("HEAD", f"{sizzle_url}{path}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert head.headers.get("content-length") == got.headers.get("content-length")


def test_head_starts_no_call(serve_scripts: ServeScripts) -> None:
    url, provider = serve_scripts()
    assert ask("HEAD", f"{url}/completion", params={"query": "beef?"}).status_code == 200
    assert ask("HEAD", f"{url}/completion").status_code == 422
    assert ask("HEAD", f"{url}/runs").status_code == 405
    assert provider.calls == []


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/", "GET, HEAD"), ("/runs", "POST"), ("/runs/x", "GET, HEAD, DELETE"), ("/static/style.css", "GET, HEAD")],
)
def test_options_and_405_name_all_methods(sizzle_url: str, path: str, allowed: str) -> None:
    options, wrong = ask("OPTIONS", f"{sizzle_url}{path}"), ask("PATCH", f"{sizzle_url}{path}")
    assert (options.status_code, options.headers["allow"]) == (204, allowed)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, allowed)
    assert wrong.json() == {"detail": f"This address answers {allowed}."}


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/v1/models", "GET, HEAD"), ("/v1/models/a/b", "GET, HEAD"), ("/v1/chat/completions", "POST")],
)
def test_options_and_405_name_all_methods_to_openais_clients(sizzle_url: str, path: str, allowed: str) -> None:
    options, wrong = ask("OPTIONS", f"{sizzle_url}{path}"), ask("PATCH", f"{sizzle_url}{path}")
    assert (options.status_code, options.headers["allow"], options.content) == (204, allowed, b"")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, allowed)
    assert wrong.json()["error"]["code"] == "unknown_url"
    assert ask("OPTIONS", f"{sizzle_url}/v1/nothing").status_code == 404


@pytest.mark.parametrize("path", ["/nothing", "/static/nothing", "/chains/nothing", "/chains/recipe/nothing", "/%00"])
def test_what_is_not_there_is_a_404_in_json(sizzle_url: str, path: str) -> None:
    answer = ask("GET", f"{sizzle_url}{path}")
    assert (answer.status_code, answer.json()) == (404, {"detail": answer.json()["detail"]})


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_over_the_limit_is_a_413_in_json(serve_scripts: ServeScripts, path: str, is_chunked: bool) -> None:
    url, provider = serve_scripts()
    body = iter([b" " * 100_000] * 11) if is_chunked else b" " * 1_100_000
    answer = ask("POST", f"{url}{path}", content=body, headers=JSON)
    assert (answer.status_code, provider.calls) == (413, [])
    assert "1,048,576 bytes" in json.dumps(answer.json())


def test_an_unread_body_does_not_affect_the_stream(sizzle_url: str) -> None:
    """A GET with a body over the limit is answered like one without a body."""
    events = f"{start(sizzle_url)}/events"
    answer = ask("GET", events, content=iter([b" " * 100_000] * 20))
    assert answer.text.count("event: end\n") == 1


UNREADABLE = {
    "no JSON": b"{",
    "not UTF-8": b"\xff",
    "too deep": b"[" * 2000,
    "closed, but too deep": b'{"input":' + b"[" * 1500 + b"]" * 1500 + b"}",
    "too many digits": b'{"prepTime": ' + b"1" * 5000 + b"}",
    "empty": b"",
    "null": b"null",
    "lone surrogate in a name": rb'{"\ud800": 1}',
    "lone surrogate in a value": rb'{"ingredientsOnHand": "beef\ud800", "input": {"ingredientsOnHand": "beef\ud800"}}',
    "NaN": b'{"prepTime": NaN, "ingredientsOnHand": "beef", "input": {"prepTime": NaN}}',
    "Infinity": b'{"prepTime": Infinity, "ingredientsOnHand": "beef", "input": {"prepTime": -Infinity}}',
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_body_that_cannot_be_read_is_refused_in_json(serve_scripts: ServeScripts, body: bytes) -> None:
    url, provider = serve_scripts()
    for path in PATHS:
        answer = ask("POST", f"{url}{path}", content=body, headers=JSON)
        assert answer.status_code in (400, 422), path
        assert answer.json().get("detail") or answer.json()["error"]["message"]
    assert provider.calls == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", None])
def test_only_json_starts_work(serve_scripts: ServeScripts, kind: str | None) -> None:
    """A page of another site can send the other types without a preflight."""
    url, provider = serve_scripts()
    headers = {} if kind is None else {"content-type": kind}
    for path, body in WORK:
        answer = ask("POST", f"{url}{path}", content=json.dumps(body).encode(), headers=headers)
        assert answer.status_code == 415
        assert answer.json()
    assert provider.calls == []


FOREIGN = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:1"},
    {"sec-fetch-site": "nonsense"},
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://["},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_of_another_site_starts_no_work(serve_scripts: ServeScripts, headers: dict[str, str]) -> None:
    url, provider = serve_scripts()
    for path, body in WORK:
        answer = ask("POST", f"{url}{path}", json=body, headers=headers)
        assert answer.status_code == 403
        assert "other sites" in json.dumps(answer.json())
    assert ask("GET", f"{url}/completion", params={"query": "x"}, headers=headers).status_code == 403
    assert provider.calls == []


def test_own_pages_allowed_origins_and_plain_clients_start_work(serve: Serve) -> None:
    url = serve(standin_ttft_ms=0, standin_tokens_per_s=0, cors_origins=("https://cook.example",))
    for headers in (
        {},
        {"sec-fetch-site": "same-origin", "origin": url},
        {"sec-fetch-site": "none"},
        {"origin": url},
        {"sec-fetch-site": "cross-site", "origin": "https://cook.example"},
        {"sec-fetch-site": "same-site", "origin": "http://localhost:5173"},
    ):
        assert ask("POST", f"{url}/runs", json=REQUEST, headers=headers).status_code == 201
        assert ask("GET", f"{url}/completion", params={"query": "x"}, headers=headers).status_code == 200


@pytest.fixture
def elsewhere(serve_scripts: ServeScripts) -> Iterator[tuple[str, str, Any]]:
    """A page of another site that tries to start work, the server, and its provider."""
    url, provider = serve_scripts()
    page = f"""<img src="{url}/completion?query=x"><script>
      const body = JSON.stringify({{input: {{ingredientsOnHand: "beef"}}}});
      Promise.allSettled([
        fetch("{url}/chains/recipe/invoke", {{method: "POST", mode: "no-cors", body}}),
        fetch("{url}/completion?query=y", {{mode: "no-cors"}}),
        new Promise((done) => document.images[0].onerror = done),
      ]).then(() => document.title = "tried");
    </script>"""
    site = Starlette(routes=[Route("/", lambda _: HTMLResponse(page))])
    with serving(site) as address:
        yield address.replace("127.0.0.1", "localhost"), url, provider


def test_a_browser_on_another_site_spends_nothing(page: Page, elsewhere: tuple[str, str, Any]) -> None:
    """Neither an image nor a request without a preflight makes a call."""
    address, _, provider = elsewhere
    page.goto(address)
    page.wait_for_function("() => document.title === 'tried'")
    assert provider.calls == []


def test_a_page_of_another_site_opens_no_socket(sizzle_url: str) -> None:
    """This includes an origin that is not an address."""
    address = f"{sizzle_url.replace('http', 'ws')}/examples/broadcasts/x/socket"
    for origin in ("http://[", "http://evil.example", "null"):
        with pytest.raises(InvalidStatus) as refusal, connect(address, additional_headers={"Origin": origin}):
            pass
        assert refusal.value.response.status_code == 403


@pytest.mark.parametrize("path", [*PAGES, *OTHERS])
def test_every_answer_has_the_security_headers(sizzle_url: str, path: str) -> None:
    headers = ask("GET", f"{sizzle_url}{path}").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    policy = headers["content-security-policy"]
    assert ["frame-ancestors 'none'" in policy, "script-src 'unsafe-inline'" in policy] == [True, False]
    assert ("default-src 'none'" in policy) == (path not in PAGES)
    assert ("require-trusted-types-for 'script'" in policy) == (path in PAGES and "playground" not in path)


def test_a_stream_and_a_refusal_have_the_security_headers(sizzle_url: str) -> None:
    for answer in (
        ask("GET", f"{start(sizzle_url)}/events"),
        ask("POST", f"{sizzle_url}/generate", json=REQUEST),
        ask("POST", f"{sizzle_url}/runs", json={}),
        ask("POST", f"{sizzle_url}/runs", content=b" " * 1_100_000, headers=JSON),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.parametrize("ranges", ["bytes=0-5", "lines=1", "bytes=x", "bytes=9999999-"])
def test_a_range_of_a_static_file_is_the_whole_file(sizzle_url: str, ranges: str) -> None:
    whole = ask("GET", f"{sizzle_url}/static/style.css")
    part = ask("GET", f"{sizzle_url}/static/style.css", headers={"Range": ranges})
    assert [part.status_code, part.content] == [200, whole.content]


@pytest.mark.parametrize("path", ["index.html", "race/race.html", "examples/fetch.html", "index.html/", "./index.html"])
def test_no_page_is_among_the_static_files(sizzle_url: str, path: str) -> None:
    """It would be sent without its policy."""
    assert ask("GET", f"{sizzle_url}/static/{path}").status_code == 404

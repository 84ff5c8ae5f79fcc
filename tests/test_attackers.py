"""What pages of other sites try in a real browser costs nobody anything, also while a person is signed in."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserType, Page, expect
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from app.main import create_app
from tests.access import TOKEN, Guarded, guarded
from tests.client import REQUEST
from tests.deployment import nginx
from tests.servers import serving, settings_from

VIEWS = [
    "/",
    "/race",
    "/examples/",
    "/examples/fetch",
    "/examples/transports",
    "/chains",
    "/docs",
    "/sign-in",
    "/nothing",
    "/trip/",
    "/trip/chains/trip/playground/",
    "/chains/recipe/playground/",
]
ATTACK = """async ([target, routes, request]) => {
    const body = JSON.stringify(request), tries = [];
    const loaded = (element, source) => new Promise((done) => {
        element.onload = element.onerror = done;
        Object.assign(element, source);
        document.body.append(element);
    });
    for (const [method, path] of routes) {
        const url = target + path, json = { "Content-Type": "application/json" };
        if (method === "GET" || method === "HEAD") {
            tries.push(fetch(url, { mode: "no-cors", credentials: "include" }));
            if (method === "GET") tries.push(loaded(new Image(), { src: url }));
        } else {
            const simple = { method: "POST", mode: "no-cors", credentials: "include" };
            for (const type of ["text/plain", "application/x-www-form-urlencoded"])
                tries.push(fetch(url, { ...simple, body, headers: { "Content-Type": type } }));
            tries.push(fetch(url, simple));
            tries.push(fetch(url, { method, credentials: "include", body, headers: json }));
            navigator.sendBeacon(url, body);
            tries.push(formPost(url, body));
        }
    }
    const socket = new WebSocket(target.replace("http", "ws") + "/examples/broadcasts/x/socket");
    tries.push(new Promise((done) => { socket.onopen = () => done("open"); socket.onerror = done; }));
    function formPost(url, body) {
        const frame = document.createElement("iframe"), form = document.createElement("form");
        frame.name = "f" + Math.random();
        document.body.append(frame, form);
        const name = body.slice(0, -1) + ', "x": "'; // a form's body that is JSON
        form.append(Object.assign(document.createElement("input"), { name, value: '"}' }));
        Object.assign(form, { action: url, method: "post", enctype: "text/plain", target: frame.name });
        return new Promise((done) => { frame.onload = done; form.submit(); });
    }
    const results = await Promise.allSettled(tries);
    return results.filter((result) => result.value === "open" || result.value?.type === "cors").length;
}"""


@pytest.fixture(params=["no token", "signed in"])
def victim(request: pytest.FixtureRequest) -> Iterator[tuple[Guarded, bool]]:
    has_token = request.param == "signed in"
    with guarded(token=TOKEN if has_token else None, compositions=("examples.trip:TRIP",)) as server:
        yield server, has_token


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_page_of_another_origin_starts_no_work(browser: Browser, victim: tuple[Guarded, bool], host: str) -> None:
    """Not on any route: by fetch, form, image, beacon or WebSocket, from another site or the same host's other port."""
    server, has_token = victim
    routes = sorted(route for route in server.routes() if not route[1].startswith("/static"))
    asking = [(method, f"{path}?query=beef" if path == "/completion" else path) for method, path in routes]
    asking.append(("GET", "/completion%0a?query=beef"))
    page = browser.new_page()
    if has_token:
        sign_in(page, server.url)
    with serving(Starlette(routes=[Route("/", lambda _: HTMLResponse("<!doctype html><title>Evil</title>"))])) as evil:
        page.goto(evil.replace("127.0.0.1", host))
        readable = page.evaluate(ATTACK, [server.url, asking, {**REQUEST, "input": REQUEST, "query": "beef"}])
    page.close()
    assert [server.provider.calls, readable] == [[], 0]


def sign_in(page: Page, url: str) -> None:
    """As a person does, with the keyboard."""
    page.goto(f"{url}/race")
    expect(page.locator("#token")).to_be_focused()
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{url}/race")


# without Chromium's own defence, which other browsers lack
REBINDING = ["--host-resolver-rules=MAP evil.example 127.0.0.1", "--disable-features=LocalNetworkAccessChecks"]
NAMED = ["--host-resolver-rules=MAP cook.example 127.0.0.1"]
REBOUND = """async (body) => {
    const headers = { "Content-Type": "application/json" };
    return (await fetch("/runs", { method: "POST", headers, body })).status;
}"""


def test_a_person_signs_in_over_plain_http(browser_type: BrowserType, browser_type_launch_args: dict[str, Any]) -> None:
    """There browsers send no `Sec-Fetch-Site`, and the form's `Origin` only if the page's policy lets them."""
    options = {**browser_type_launch_args, "args": [*browser_type_launch_args.get("args", []), *NAMED]}
    with guarded(allowed_hosts=("cook.example",)) as server, browser_type.launch(**options) as browser:
        page = browser.new_page()
        sign_in(page, server.url.replace("127.0.0.1", "cook.example"))
        expect(page.get_by_role("heading", name="Which model is fastest?")).to_be_visible()


PLANT = """(names) => {
    for (const name of names)
        for (const path of ["/", "/race"])
            for (const more of ["", "; secure"])
                document.cookie = `${name}=owner:9999999999:0; domain=cook.example; path=${path}${more}`;
}"""


@pytest.mark.parametrize(("scheme", "prefix"), [("http", ""), ("https", ""), ("https", "/sizzle")])
def test_a_cookie_that_a_subdomain_plants_signs_nobody_out(
    browser_type: BrowserType, browser_type_launch_args: dict[str, Any], tmp_path: Path, scheme: str, prefix: str
) -> None:
    names = ["--host-resolver-rules=MAP *.example 127.0.0.1", "--ignore-certificate-errors"]
    options = {**browser_type_launch_args, "args": [*browser_type_launch_args.get("args", []), *names]}
    app = create_app(settings_from(token=TOKEN, allowed_hosts=("cook.example",)))
    with ExitStack() as stack:
        url = stack.enter_context(serving(app, root_path=prefix))
        if scheme == "https":
            url = stack.enter_context(nginx(tmp_path, [url.removeprefix("http://")], prefix))
        url = re.sub("localhost|127.0.0.1", "cook.example", url)
        page = stack.enter_context(browser_type.launch(**options)).new_page()
        sign_in(page, url)
        evil = f"{scheme}://evil.cook.example/"
        page.route(evil, lambda route: route.fulfill(body="<title>Evil</title>", content_type="text/html"))
        page.goto(evil)
        own = "sizzle_session" + prefix.replace("/", "_")
        page.evaluate(PLANT, [own, f"__Host-{own}"])
        planted = [cookie for cookie in page.context.cookies() if cookie.get("domain") == ".cook.example"]
        assert {cookie.get("name") for cookie in planted} == {own}
        page.goto(f"{url}/race")
        expect(page.get_by_role("heading", name="Which model is fastest?")).to_be_visible()


def test_a_rebound_name_reaches_nothing(browser_type: BrowserType, browser_type_launch_args: dict[str, Any]) -> None:
    """A page whose own name leads to the server's address neither reads nor starts anything."""
    options = {**browser_type_launch_args, "args": [*browser_type_launch_args.get("args", []), *REBINDING]}
    with guarded(token=None) as server, browser_type.launch(**options) as browser:
        evil, page = server.url.replace("127.0.0.1", "evil.example"), browser.new_page()
        page.route(f"{evil}/", lambda route: route.fulfill(body="<title>Evil</title>", content_type="text/html"))
        page.goto(f"{evil}/")  # before the name leads elsewhere
        status = page.evaluate(REBOUND, json.dumps(REQUEST))
    assert [status, server.provider.calls] == [421, []]


def test_a_link_on_another_site_leads_a_signed_in_person_to_the_page(browser: Browser) -> None:
    """The browser does not send the cookie with it, so it is followed twice."""
    with guarded() as server:
        page = browser.new_page()
        sign_in(page, server.url)
        link = HTMLResponse(f'<!doctype html><a href="{server.url}/race?x=1">Race</a>')
        with serving(Starlette(routes=[Route("/", lambda _: link)])) as elsewhere:
            page.goto(elsewhere.replace("127.0.0.1", "localhost"))
            page.get_by_role("link").click()
            page.wait_for_url(f"{server.url}/race?x=1")
            expect(page.get_by_role("heading", level=2).first).to_be_visible()
        page.close()


WRONG = {"en-US": "This token is not valid.", "ko-KR": "올바른 토큰이 아니에요."}


@pytest.mark.parametrize("language", WRONG)
def test_a_person_signs_in_without_javascript(browser: Browser, language: str) -> None:
    with guarded() as server:
        context = browser.new_context(java_script_enabled=False, locale=language)
        page = context.new_page()
        page.goto(f"{server.url}/race")
        expect(page.locator("#token")).to_be_focused()
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text(WRONG[language])
        page.locator("#token").fill(TOKEN)
        page.locator("#token").press("Enter")
        page.wait_for_url(f"{server.url}/race")
        page.goto(server.url)
        page.get_by_role("link", name="Sign in or out").click()
        page.get_by_role("button").click()
        page.wait_for_url(f"{server.url}/sign-in")
        expect(page.locator("#token")).to_be_visible()
        context.close()


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_the_sign_in_page_is_accessible(page: Page, color_scheme: Any) -> None:
    page.emulate_media(color_scheme=color_scheme)
    with guarded() as server:
        page.goto(f"{server.url}/sign-in")
        violations = Axe().run(page).response["violations"]
    assert [violation["id"] for violation in violations] == [], json.dumps(violations)[:2000]


def test_every_page_works_under_its_policy(browser: Browser) -> None:
    """No page violates it, the playground included."""
    violations: list[str] = []
    with guarded(compositions=("examples.trip:TRIP",)) as server:
        page = browser.new_page()
        page.on("console", lambda message: violations.append(f"{page.url} {message.text}"))
        page.on("pageerror", lambda error: violations.append(f"{page.url} {error}"))
        sign_in(page, server.url)
        for path in VIEWS:
            page.goto(server.url + path)
            page.wait_for_load_state("networkidle")
        expect(page.get_by_role("button", name="Start")).to_be_visible()
        page.goto(server.url)
        page.get_by_label("What’s in your kitchen?").fill("beef, onions")
        page.get_by_role("button", name="Generate").click()
        expect(page.locator("#status")).to_have_attribute("data-outcome", "ok")
        page.close()
    assert [each for each in violations if "status of 404" not in each] == []


def test_a_token_is_in_no_log_and_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with guarded(log_level="debug") as server:
        for token in (TOKEN, f"{TOKEN}-wrong"):
            for method, path in sorted(server.routes()):
                answer = server.ask(method, path, token=token, json=None if method in ("GET", "HEAD") else {"x": 1})
                assert TOKEN not in answer.text + str(answer.headers), path
            answer = server.ask("POST", "/sign-in", token="", data={"token": token})
            assert TOKEN not in answer.text + str(answer.headers)
        assert all(TOKEN not in json.dumps(call) for call in server.provider.calls)
    assert TOKEN not in caplog.text


def test_a_guest_reads_a_share_link_and_is_told_how_to_come_in(browser: Browser) -> None:
    with guarded() as server:
        run = server.ask("POST", "/runs", json=REQUEST).json()["run_id"]
        page = browser.new_page()
        page.goto(f"{server.url}/r/{run}")
        expect(page.locator("#status")).to_have_attribute("data-outcome", "ok")
        expect(page.get_by_text("steps one, steps two.")).to_be_visible()
        calls = len(server.provider.calls)
        page.get_by_label("What’s in your kitchen?").fill("rice")
        page.get_by_role("button", name="Generate").click()
        expect(page.locator("#status")).to_contain_text("sign in at /sign-in")
        assert len(server.provider.calls) == calls
        page.close()

"""The example pages in a real browser."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Locator, Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from app.server.page import WEB, page_response
from app.server.security_headers import PAGE_HEADERS
from tests.client import wait_until
from tests.conftest import ServeScripts
from tests.page.wire import axe_violations
from tests.servers import Finish, Gate, Refuse, apart, serving

EXAMPLES = ["fetch", "eventsource", "comparison", "transports"]
TRANSPORTS = ["polling", "long_polling", "websocket", "sse"]
SOURCES = """
    window.sources = [];
    window.EventSource = class extends EventSource {
        constructor(...given) { super(...given); sources.push(this); }
    };
"""


@pytest.fixture
def complaints(page: Page) -> list[str]:
    """The browser's complaints about a page: violations of its security policy, and uncaught errors."""
    lines: list[str] = []
    page.on("console", lambda line: lines.append(line.text))
    page.on("pageerror", lambda error: lines.append(str(error)))
    return lines


@pytest.fixture
def stream() -> Iterator[Callable[..., tuple[str, list[str]]]]:
    """Serves the examples over a `GET /completion` that sends these pieces or breaks off; returns the calls."""
    with ExitStack() as servers:

        def serve(*moves: str | Exception) -> tuple[str, list[str]]:
            queries: list[str] = []

            async def body() -> AsyncIterator[str]:
                for move in moves:
                    if isinstance(move, Exception):
                        raise move
                    yield move

            async def example(request: Request) -> Response:
                page = WEB / "examples" / f"{request.path_params['name']}.html"
                return page_response(page, request.scope, headers=PAGE_HEADERS)

            async def completion(request: Request) -> StreamingResponse:
                queries.append(request.query_params["query"])
                return StreamingResponse(body(), media_type="text/event-stream")

            routes = [Route("/examples/{name}", example), Route("/completion", completion)]
            app = Starlette(routes=[*routes, Mount("/static", StaticFiles(directory=WEB))])
            return servers.enter_context(serving(app)), queries

        yield serve


def ask(page: Page, question: str | None = None) -> None:
    if question is not None:
        page.get_by_label("Your question").fill(question)
    page.get_by_role("button", name="Ask").click()


def status(page: Page) -> Locator:
    return page.get_by_role("status")


def answer(page: Page, place: str = "reading") -> Locator:
    return page.locator(f"#{place} .answer")


def figure(page: Page, name: str, place: str = "reading") -> str:
    return page.locator(f"#{place} [data-figure={name}]").inner_text()


def number(text: str) -> float:
    """The number in a figure without its unit."""
    return float(text.split()[0].replace(",", ""))


def finish(page: Page, outcome: str = "ok") -> None:
    expect(status(page)).to_have_attribute("data-outcome", outcome, timeout=20_000)


def test_the_index_leads_to_every_example(page: Page, sizzle_url: str) -> None:
    """Each page is linked with a description and has the same question."""
    page.goto(f"{sizzle_url}/examples/")
    links = page.get_by_role("main").get_by_role("link")
    hrefs = [link.get_attribute("href") for link in links.all()]
    assert hrefs == [f"examples/{name}" for name in EXAMPLES]
    for href in hrefs:
        page.goto(f"{sizzle_url}/{href}")
        expect(page.get_by_label("Your question")).to_have_value(
            "What can I cook with beef, onions and peppers in 30 minutes?"
        )


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_answers_over_the_real_server(
    page: Page, sizzle_url: str, name: str, complaints: list[str]
) -> None:
    """The answer is complete, and the browser has no complaints."""
    page.goto(f"{sizzle_url}/examples/{name}")
    ask(page)
    finish(page)
    for text in page.locator(".answer").all_inner_texts():
        assert "rule-based stand-in" in text
    assert complaints == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_code_shown_is_the_code_that_runs(page: Page, sizzle_url: str, name: str) -> None:
    """Each function on the page is in a module that the page loaded, word for word."""
    loaded: list[str] = []
    page.on("response", lambda response: loaded.append(response.url))
    page.goto(f"{sizzle_url}/examples/{name}")
    modules = [page.request.get(url).text() for url in loaded if url.endswith(".js")]
    for shown in page.locator("pre code").all():
        functions = (shown.text_content() or "").split("\n}\n\n")
        assert all(function and any(function in module for module in modules) for function in functions)


def test_fetch_shows_text_while_it_is_written(page: Page, serve_scripts: ServeScripts) -> None:
    """The first words are visible while the provider waits, and the first time is before the last."""
    gate = Gate()
    url, _ = serve_scripts({"completion": ["Onions ", gate, "and <b>salt</b>"]})
    page.goto(f"{url}/examples/fetch")
    ask(page)
    expect(answer(page)).to_have_text("Onions ")
    expect(answer(page)).to_have_attribute("aria-busy", "true")
    gate.open()
    expect(answer(page)).to_have_text("Onions and <b>salt</b>")
    finish(page)
    expect(answer(page)).to_have_attribute("aria-busy", "false")
    assert number(figure(page, "first")) <= number(figure(page, "last"))


@pytest.mark.parametrize("name", ["fetch", "eventsource", "comparison"])
def test_stop_ends_the_call_and_keeps_the_text(page: Page, serve_scripts: ServeScripts, name: str) -> None:
    """The provider sees its call closed; the focus moves to Stop and back to Ask."""
    url, scripted = serve_scripts({"completion": ["Onions ", Gate()]})
    page.goto(f"{url}/examples/{name}")
    ask(page)
    text = page.locator(".answer").last
    expect(text).to_have_text("Onions ")
    expect(page.get_by_role("button", name="Stop")).to_be_focused()
    page.keyboard.press("Enter")
    expect(status(page)).to_have_text("Stopped. The text so far stays.")
    expect(text).to_have_text("Onions ")
    expect(page.get_by_role("button", name="Ask")).to_be_focused()
    assert wait_until(lambda: scripted.closed == ["completion"], seconds=2)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_bad_question_is_marked(page: Page, serve_scripts: ServeScripts, name: str) -> None:
    """The field is focused, with the reason, until the next key; no call is made."""
    url, scripted = serve_scripts()
    page.goto(f"{url}/examples/{name}")
    ask(page, " ")
    field = page.get_by_label("Your question")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(page.locator("#query-error")).to_contain_text("1 to 20,000 characters")
    field.press("a")
    expect(field).not_to_have_attribute("aria-invalid", "true")
    assert scripted.calls == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_refused_call_says_why(page: Page, serve_scripts: ServeScripts, name: str) -> None:
    """The page has our own message, however it learns of the failure."""
    url, _ = serve_scripts({"completion": [Refuse(429)]})
    page.goto(f"{url}/examples/{name}")
    ask(page)
    finish(page, "failed")
    expect(status(page)).to_contain_text("wait a minute")


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_broken_answer_is_kept_and_marked(page: Page, serve_scripts: ServeScripts, name: str) -> None:
    """The text is kept, and the page says that it broke off."""
    gate = Gate()  # the browser drops text that arrives together with the break
    url, _ = serve_scripts({"completion": ["Onions and", gate, Finish(None)]})
    page.goto(f"{url}/examples/{name}")
    ask(page)
    expect(page.locator(".answer").last).to_have_text("Onions and")
    gate.open()
    finish(page, "failed")
    expect(page.locator(".answer").last).to_contain_text("Onions and")
    expect(page.get_by_role("main")).to_contain_text("broke off")


def test_an_event_source_makes_one_call(page: Page, stream: Callable[..., tuple[str, list[str]]]) -> None:
    """It is closed at `[DONE]`, so it makes no second call, even with a reconnection time of a millisecond."""
    url, queries = stream("retry: 1\n\n", 'data: {"response": "Onions"}\n\n', "data: [DONE]\n\n")
    page.add_init_script(SOURCES)
    page.goto(f"{url}/examples/eventsource")
    for question in ("first", "second"):
        ask(page, question)
        finish(page)
        expect(answer(page)).to_have_text("Onions")
        assert figure(page, "connections") == "1"
    assert page.evaluate("sources.map((source) => source.readyState)") == [2, 2]  # CLOSED, permanently
    assert queries == ["first", "second"]


@pytest.mark.parametrize("error", ['data: {"error": "The provider is busy."}\n\n', RuntimeError("disconnected")])
def test_an_event_source_makes_no_call_after_an_error(
    page: Page, stream: Callable[..., tuple[str, list[str]]], error: str | Exception
) -> None:
    """Neither an error in the stream nor a lost connection causes a second call; the text is kept."""
    url, queries = stream("retry: 1\n\n", 'data: {"response": "Onions"}\n\n', error)
    page.add_init_script(SOURCES)
    page.goto(f"{url}/examples/eventsource")
    ask(page, "first")
    finish(page, "failed")
    expect(status(page)).to_contain_text("busy" if isinstance(error, str) else "disconnected")
    expect(answer(page)).to_have_text("Onions")
    assert page.evaluate("sources.map((source) => source.readyState)") == [2]
    assert queries == ["first"]


def test_an_unreachable_server_is_reported(page: Page, stream: Callable[..., tuple[str, list[str]]]) -> None:
    """The page reports a failed connection."""
    url, _ = stream()
    page.goto(f"{url}/examples/fetch")
    page.route("**/completion*", lambda route: route.abort())
    ask(page)
    expect(status(page)).to_have_text("The connection broke off before the end.")


def test_blocking_shows_nothing_until_streaming_has_shown_all(page: Page, serve_scripts: ServeScripts) -> None:
    """Both come from one call; only the streaming reader sees the first words, both see the last ones."""
    gate = Gate()
    url, scripted = serve_scripts({"completion": ["Onions ", gate, "and salt"]})
    page.goto(f"{url}/examples/comparison")
    ask(page)
    expect(answer(page, "streaming")).to_have_text("Onions ")
    expect(answer(page, "blocking")).to_be_empty()
    expect(page.locator("#blocking-bar .times")).to_have_text("waiting")
    gate.open()
    finish(page)
    expect(answer(page, "streaming")).to_have_text("Onions and salt")
    expect(answer(page, "blocking")).to_have_text("Onions and salt")
    expect(status(page)).to_contain_text("earlier")
    assert number(figure(page, "first", "streaming")) <= number(figure(page, "last", "streaming"))
    assert figure(page, "first", "blocking") == figure(page, "last", "blocking")
    assert number(figure(page, "first", "streaming")) <= number(figure(page, "first", "blocking"))
    assert len(scripted.calls) == 1


def test_the_bars_share_one_time_axis(page: Page, serve_scripts: ServeScripts) -> None:
    """The streaming bar's text starts left of the blocking bar's, and both end at the same place."""
    gate = Gate()
    url, _ = serve_scripts({"completion": ["Onions ", gate, "and salt"]})
    page.goto(f"{url}/examples/comparison")
    ask(page)
    expect(answer(page, "streaming")).to_have_text("Onions ")
    gate.open()
    finish(page)
    streaming, blocking = (page.locator(f"#{name}-bar .write").bounding_box() for name in ("streaming", "blocking"))
    assert streaming is not None
    assert blocking is not None
    assert streaming["x"] < blocking["x"]


def test_four_transports_follow_one_answer(page: Page, serve_scripts: ServeScripts) -> None:
    """All four show the same text of one call; polling makes more requests and sends more bytes than streams."""
    gate = Gate()
    url, scripted = serve_scripts({"completion": ["Onions ", gate, *apart(*["and salt "] * 20)]})
    page.goto(f"{url}/examples/transports")
    ask(page)
    for name in TRANSPORTS:
        expect(answer(page, name)).to_have_text("Onions ")
    gate.open()
    finish(page)
    assert {answer(page, name).text_content() for name in TRANSPORTS} == {"Onions " + "and salt " * 20}
    assert len(scripted.calls) == 1
    requests, sent = ([number(figure(page, kind, name)) for name in TRANSPORTS] for kind in ("requests", "up"))
    assert [min(requests[:2]) > 1, requests[2:]] == [True, [1, 1]]
    assert min(sent[:2]) > max(sent[2:]) > 0
    for name in TRANSPORTS:
        assert page.locator(f"#{name} circle").count() == 21
        assert number(figure(page, "median", name)) <= number(figure(page, "worst", name))
        assert number(figure(page, "down", name)) > 0


def test_stopping_does_not_stop_the_call(page: Page, serve_scripts: ServeScripts) -> None:
    """The page stops following over all four; the call to the provider continues."""
    gate = Gate()
    url, scripted = serve_scripts({"completion": ["Onions ", gate, "and salt"]})
    page.goto(f"{url}/examples/transports")
    with page.expect_response("**/examples/broadcasts") as created:
        ask(page)
    for name in TRANSPORTS:
        expect(answer(page, name)).to_have_text("Onions ")
    page.get_by_role("button", name="Stop").click()
    finish(page, "stopped")
    gate.open()
    broadcast = f"{url}{created.value.headers['location']}"
    polled = page.request.get(f"{broadcast}?after=1&wait=true").json()
    assert [piece["text"] for piece in polled["pieces"]] == ["and salt"]
    assert scripted.closed == []


def test_a_failed_transport_does_not_affect_the_others(page: Page, sizzle_url: str) -> None:
    """Its card has the reason, the others finish, and the comparison is not complete."""
    page.goto(f"{sizzle_url}/examples/transports")
    page.route("**/*wait=true", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    ask(page)
    finish(page, "failed")
    expect(page.locator("#long_polling .trouble")).to_contain_text("502")
    for name in ("polling", "websocket", "sse"):
        expect(answer(page, name)).to_contain_text("rule-based stand-in")


@pytest.mark.parametrize("name", ["", *EXAMPLES])
def test_axe_finds_no_violation(page: Page, sizzle_url: str, name: str) -> None:
    """This covers each page in both colour schemes, empty and with an answer."""
    page.goto(f"{sizzle_url}/examples/{name}")
    found = axe_violations(page)
    if name:
        ask(page)
        finish(page)
        found += axe_violations(page)
    assert found == []


@pytest.mark.parametrize("name", ["", *EXAMPLES])
def test_a_phone_needs_no_sideways_scrolling(page: Page, serve_scripts: ServeScripts, name: str) -> None:
    """At 390 px nothing is wider than the screen, not even an endless word."""
    url, _ = serve_scripts({"completion": ["x" * 400]})
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{url}/examples/{name}")
    if name:
        ask(page, "y" * 400)
        finish(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390

"""The page's address: `/r/{id}` shows that run, live or finished, and `/` shows the empty form."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, Route, expect
from starlette.responses import JSONResponse, Response

from tests.page.conftest import ServeRuns
from tests.page.wire import (
    INGREDIENTS,
    PICK,
    WHOLE,
    ask,
    body,
    end,
    proposed,
    run_begins,
    status,
    title,
)
from tests.servers import RECIPES, Gate

SOUP = [run_begins(ingredientsOnHand="beef", prepTime=25), proposed(picked=1), *INGREDIENTS, end("partial")]


def test_a_recipe_has_an_address(page: Page, serve_runs: ServeRuns, context: BrowserContext) -> None:
    """A finished run's address shows the whole recipe, and the form as it was filled in."""
    fake = serve_runs(SOUP)
    ask(page)
    expect(page).to_have_url(f"{fake.url}/r/run-1")
    expect(status(page)).to_contain_text("not complete")
    page.goto("about:blank")
    page = context.new_page()
    page.goto(f"{fake.url}/r/run-1")
    expect(title(page)).to_have_text("Beef Soup")
    expect(page).to_have_title("Beef Soup · Sizzle")
    expect(body(page, "ingredients").get_by_role("listitem")).to_have_text(["300 g beef flank", "2 onions"])
    expect(page.locator("textarea")).to_have_value("beef")
    expect(page.locator("#prep-time")).to_have_value("25")
    expect(page.locator("#prep-time option:checked")).to_have_text("25 minutes")
    expect(page.locator("#generate")).to_be_enabled()


def test_a_run_is_shown_in_its_language(page: Page, serve_runs: ServeRuns) -> None:
    """A Korean recipe's page is Korean for every visitor, whose own choice of language is kept."""
    fake = serve_runs([run_begins(language="ko"), proposed([{"name": "비빔밥", "intro": ""}]), end("partial")])
    ask(page)
    page.goto(f"{fake.url}/r/run-1")
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    expect(page.locator("#language")).to_have_value("ko")
    expect(status(page)).to_contain_text("끝났지만 다 쓰지는 못했어요")
    page.get_by_role("button", name="처음부터").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_back_and_forward_go_through_the_recipes(page: Page, serve_runs: ServeRuns) -> None:
    """Back shows the previous recipe, before the first one the form as it was filled in; forward shows them again."""
    fake = serve_runs(WHOLE, SOUP)
    ask(page)
    expect(status(page)).to_contain_text("All six parts are here")
    ask(page, "beef")
    expect(title(page)).to_have_text("Beef Soup")
    page.go_back()
    expect(title(page)).to_have_text("Pepper Steak")
    expect(page.locator("textarea")).to_have_value("beef flank, onions")
    page.go_back()
    expect(page).to_have_url(f"{fake.url}/")
    expect(title(page)).to_have_text("Ingredients in, recipe out.")
    expect(page.locator("textarea")).to_have_value("beef flank, onions")
    expect(status(page)).to_be_empty()
    page.go_forward()
    expect(title(page)).to_have_text("Pepper Steak")
    page.go_forward()
    expect(title(page)).to_have_text("Beef Soup")


def test_going_back_does_not_end_a_run(page: Page, serve_runs: ServeRuns) -> None:
    """The run continues; a reader that returns sees the text so far."""
    gate = Gate()
    fake = serve_runs([*PICK, gate, *INGREDIENTS, end("partial")])
    ask(page)
    expect(title(page)).to_have_text("Pepper Steak")
    page.go_back()
    expect(title(page)).to_have_text("Ingredients in, recipe out.")
    expect(page.locator("#stop")).to_be_disabled()
    page.go_forward()
    expect(title(page)).to_have_text("Pepper Steak")
    expect(page.locator("#stop")).to_be_enabled()
    gate.open()
    expect(status(page)).to_contain_text("not complete")
    assert fake.made("DELETE run") == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (404, "The server no longer knows this recipe; it may have been restarted."),
        (410, "This recipe has expired: finished recipes are kept only for a while."),
    ],
)
def test_an_address_without_a_recipe_says_so(page: Page, serve_runs: ServeRuns, code: int, words: str) -> None:
    """The page names an unknown or expired recipe, shows a working empty form, and passes axe."""
    fake = serve_runs(WHOLE)
    fake.gone = code
    page.goto(f"{fake.url}/r/run-9")
    expect(status(page)).to_have_text(words)
    expect(title(page)).to_have_text("Ingredients in, recipe out.")
    result = Axe().run(page)
    assert result.violations_count == 0, result.generate_report()
    fake.gone = None
    ask(page)
    expect(status(page)).to_contain_text("All six parts are here")


def test_a_request_without_a_response_is_repeated_with_its_key(page: Page, serve_runs: ServeRuns) -> None:
    """If the response is lost, the page repeats the request with the same key, and there is one run."""
    fake = serve_runs(WHOLE)
    lost = 0

    def lose_the_first(route: Route) -> None:
        nonlocal lost
        lost += 1
        if lost == 1:
            route.fetch()
            route.abort("connectionreset")
        else:
            route.fallback()

    page.route("**/runs", lose_the_first)
    ask(page)
    expect(status(page)).to_contain_text("All six parts are here")
    keys = [headers["idempotency-key"] for name, headers, _ in fake.calls if name == "POST /runs"]
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert re.fullmatch(r"[!-~]{16,200}", keys[0])
    assert list(fake.runs) == ["run-1"]


def test_two_recipes_have_two_keys(page: Page, serve_runs: ServeRuns) -> None:
    """Generating twice makes two runs, although the requests are equal."""
    fake = serve_runs(WHOLE)
    ask(page)
    expect(page).to_have_url(f"{fake.url}/r/run-1")
    expect(page.locator("#generate")).to_be_enabled()
    ask(page)
    expect(page).to_have_url(f"{fake.url}/r/run-2")


def test_an_unreachable_server_is_reported(page: Page, serve_runs: ServeRuns) -> None:
    """The page says so, keeps its address, and can try again."""
    fake = serve_runs(WHOLE)
    page.route("**/runs", lambda route: route.abort("connectionrefused"))
    ask(page)
    expect(status(page)).to_contain_text("can’t be reached")
    expect(page).to_have_url(f"{fake.url}/")
    page.unroute("**/runs")
    page.locator("#generate").click()
    expect(status(page)).to_contain_text("All six parts are here")


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Retry-After": "7"}, "The server is at capacity. Please try again in 7 seconds."),
        ({"Retry-After": "1"}, "The server is at capacity. Please try again in 1 second."),
        ({}, "The server is at capacity. Please try again in a moment."),
    ],
)
def test_a_full_server_says_when_to_try_again(
    page: Page, serve_runs: ServeRuns, headers: dict[str, str], words: str
) -> None:
    """At the limit of runs the status says in how many seconds to try again."""
    fake = serve_runs(WHOLE)
    fake.refusals["POST /runs"] = [JSONResponse({"detail": "Full."}, 503, headers)]
    ask(page)
    expect(status(page)).to_have_text(words)
    page.locator("#generate").click()
    expect(status(page)).to_contain_text("All six parts are here")


def test_a_refusal_keeps_the_recipe_on_the_page(page: Page, serve_runs: ServeRuns) -> None:
    """A refused request changes neither the recipe on the page nor its address."""
    fake = serve_runs(WHOLE)
    ask(page)
    expect(status(page)).to_contain_text("All six parts are here")
    fake.refusals["POST /runs"] = [Response("<html>", 500)]
    ask(page)
    expect(status(page)).to_contain_text("The server answered with an error (500).")
    expect(title(page)).to_have_text("Pepper Steak")
    expect(page).to_have_url(f"{fake.url}/r/run-1")
    expect(page.get_by_role("button", name=f"Cook this instead {RECIPES[1]['name']}")).to_be_enabled()


def test_the_address_can_be_copied(page: Page, serve_runs: ServeRuns, context: BrowserContext) -> None:
    """A button copies the recipe's address and confirms it; it is only there with a recipe."""
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    fake = serve_runs(WHOLE)
    copy = page.get_by_role("button", name="Copy link")
    expect(copy).to_be_hidden()
    ask(page)
    copy.click()
    expect(page.get_by_role("button", name="Link copied")).to_be_focused()
    assert page.evaluate("navigator.clipboard.readText()") == f"{fake.url}/r/run-1"


def test_without_a_clipboard_the_address_is_shown(page: Page, serve_runs: ServeRuns) -> None:
    """Over plain HTTP a page has no clipboard, so the address is shown as a link."""
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    fake = serve_runs(WHOLE)
    ask(page)
    page.get_by_role("button", name="Copy link").click()
    link = page.get_by_role("link", name=f"{fake.url}/r/run-1")
    expect(link).to_be_focused()
    expect(link).to_have_attribute("href", f"{fake.url}/r/run-1")

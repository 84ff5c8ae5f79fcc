"""User input survives everything that happens to the page, and a household's restrictions are never forgotten."""

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.page.conftest import ServeRuns
from tests.page.wire import (
    REQUEST,
    SIDES_FAILED,
    WHOLE,
    Move,
    ask,
    axe_violations,
    body,
    end,
    fragment,
    panel,
    run_begins,
    start,
    status,
    stop,
    title,
)
from tests.servers import RECIPES, Gate

LIST = "leeks, half a celeriac, the old bread"
RESTRICTED = {"diet": "vegan", "avoid": "peanuts, kiwi", "servings": 4}


def fill_household(page: Page) -> None:
    page.get_by_text("Diet, allergies, servings").click()
    page.get_by_label("Diet", exact=True).fill("vegan")
    page.get_by_label("Leave out").fill("peanuts, kiwi")
    page.get_by_label("Servings").fill("4")
    page.get_by_label("Servings").press("Tab")


def test_a_reload_keeps_the_input(page: Page, serve_runs: ServeRuns) -> None:
    """The list and the time are restored, on the empty page and on a recipe's page."""
    serve_runs(WHOLE)
    page.locator("textarea").fill(LIST)
    page.get_by_label("Time you have").select_option("90")
    page.reload()
    expect(page.locator("textarea")).to_have_value(LIST)
    expect(page.get_by_label("Time you have")).to_have_value("90")
    expect(page.locator("#generate")).to_be_enabled()
    ask(page)
    expect(status(page)).to_contain_text("All six parts are here")
    page.locator("textarea").fill("something else")
    page.reload()
    expect(status(page)).to_contain_text("All six parts are here")
    expect(page.locator("textarea")).to_have_value("something else")


def test_an_expired_recipe_keeps_the_input(page: Page, serve_runs: ServeRuns) -> None:
    """A reload says that the recipe has expired, shows its ingredients, and offers no link."""
    fake = serve_runs(WHOLE)
    ask(page, LIST)
    expect(status(page)).to_contain_text("All six parts are here")
    page.set_viewport_size({"width": 390, "height": 600})
    page.evaluate("scrollTo(0, 1500)")
    fake.gone = 410
    page.reload()
    expect(status(page)).to_contain_text("This recipe has expired")
    expect(status(page)).to_be_in_viewport()
    expect(page.locator("textarea")).to_have_value(LIST)
    expect(page.get_by_role("button", name="Copy link")).to_be_hidden()


@pytest.mark.parametrize("code", [404, 410])
def test_a_recipe_outlives_the_servers_copy(page: Page, serve_runs: ServeRuns, code: int) -> None:
    """After a restart of the server a reload still shows the whole recipe, with its other ideas."""
    again: list[Move] = [start("sides", 2), fragment("sides", "- Ri"), fragment("sides", "ce."), stop("sides"), end()]
    fake = serve_runs(SIDES_FAILED)
    fake.again = [again]
    ask(page, LIST)
    panel(page, "sides").get_by_role("button", name="Try again").click()
    expect(status(page)).to_contain_text("All six parts are here")
    before = page.locator(".panels").inner_text()
    fake.gone = code
    page.reload()
    expect(title(page)).to_have_text("Pepper Steak")
    expect(status(page)).to_contain_text("What is on the page stays.")
    assert page.locator(".panels").inner_text() == before
    expect(body(page, "sides")).to_have_text("Rice.")
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    expect(page.get_by_role("button", name="Cook this instead Beef Soup")).to_be_enabled()


def test_a_bounded_number_of_runs_is_kept(page: Page, serve_runs: ServeRuns) -> None:
    """The oldest ones are removed."""
    fake = serve_runs(WHOLE)
    page.evaluate("""() => localStorage.setItem("runs", JSON.stringify(
        Array.from({ length: 40 }, (_, n) => ({ id: `old-${n}`, events: [] }))))""")
    ask(page)
    expect(status(page)).to_contain_text("All six parts are here")
    stored = page.evaluate("JSON.parse(localStorage.getItem('runs')).map((run) => run.id)")
    assert stored == [*(f"old-{n}" for n in range(21, 40)), "run-1"]
    assert list(fake.runs) == ["run-1"]


@pytest.mark.parametrize("way", ["Undo", "Control+z"])
def test_a_sample_can_be_undone(page: Page, serve_runs: ServeRuns, way: str) -> None:
    """A sample replaces the input, which a button and the usual key restore."""
    serve_runs(WHOLE)
    page.locator("textarea").fill(LIST)
    page.get_by_role("button", name="salmon, lemon, dill").click()
    page.get_by_role("button", name="eggs, potatoes, spinach").click()
    expect(page.locator("textarea")).to_have_value("eggs, potatoes, spinach")
    if way == "Undo":
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_role("button", name="Undo")).to_be_hidden()
    else:
        for _ in range(2):
            page.locator("textarea").press(way)
    expect(page.locator("textarea")).to_have_value(LIST)


def test_a_sample_in_an_empty_field_leaves_nothing_to_undo(page: Page, serve_runs: ServeRuns) -> None:
    """After the sample is edited there is nothing to undo, either."""
    serve_runs(WHOLE)
    sample = page.get_by_role("button", name="salmon, lemon, dill")
    sample.click()
    expect(page.get_by_role("button", name="Undo")).to_be_hidden()
    page.locator("textarea").fill(LIST)
    sample.click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    page.locator("textarea").press("End")
    page.locator("textarea").press_sequentially(", rice")
    expect(page.get_by_role("button", name="Undo")).to_be_hidden()


def test_a_household_is_sent_and_remembered(page: Page, serve_runs: ServeRuns) -> None:
    """Diet, foods to avoid and servings are sent with each request, survive reload and Reset, and are visible."""
    fake = serve_runs([run_begins(**RESTRICTED), *WHOLE[1:]])
    fill_household(page)
    ask(page)
    expect(status(page)).to_contain_text("All six parts are here")
    expect(page.locator("#for-whom")).to_have_text("For 4 · vegan · without peanuts, kiwi · 45 minutes at most")
    page.get_by_role("button", name="Reset").click()
    page.reload()
    expect(page.get_by_label("Leave out")).to_be_visible()
    expect(page.get_by_label("Leave out")).to_have_value("peanuts, kiwi")
    expect(page.locator("summary").first).to_contain_text("For 4 · vegan · without peanuts, kiwi")
    ask(page)
    expect(page).to_have_url(f"{fake.url}/r/run-2")
    assert fake.made("POST /runs") == 2 * [{**REQUEST, **RESTRICTED}]


def test_another_idea_respects_the_current_household(page: Page, serve_runs: ServeRuns) -> None:
    """An allergy that was added after the recipe applies to its other ideas."""
    fake = serve_runs(WHOLE)
    ask(page)
    expect(status(page)).to_contain_text("All six parts are here")
    fill_household(page)
    page.get_by_role("button", name="Cook this instead Beef Soup").click()
    expect(page).to_have_url(f"{fake.url}/r/run-2")
    assert fake.made("POST /runs")[1] == {**REQUEST, **RESTRICTED, "recipe": RECIPES[1]}


def test_another_idea_keeps_the_way_back(page: Page, serve_runs: ServeRuns) -> None:
    """The other ideas are one click away, even after a reload."""
    fake = serve_runs(WHOLE)
    ask(page)
    page.get_by_role("button", name="Cook this instead Beef Soup").click()
    expect(page).to_have_url(f"{fake.url}/r/run-2")
    page.reload()
    page.get_by_role("link", name="Back to the other ideas").click()
    expect(page).to_have_url(f"{fake.url}/r/run-1")
    expect(page.get_by_role("button", name="Cook this instead Beef Soup")).to_be_visible()
    expect(page.get_by_role("link", name="Back to the other ideas")).to_be_hidden()


def test_axe_finds_no_violation_in_the_household(page: Page, serve_runs: ServeRuns) -> None:
    """This includes the figures; both are open."""
    serve_runs(WHOLE)
    fill_household(page)
    ask(page)
    expect(status(page)).to_contain_text("All six parts are here")
    page.get_by_text("How it was written").click()
    assert axe_violations(page) == []


@pytest.mark.parametrize(("locale", "language"), [("ko-KR", "ko"), ("ko", "ko"), ("en-GB", "en"), ("fr-FR", "en")])
def test_the_page_is_in_the_browsers_language(browser: object, sizzle_url: str, locale: str, language: str) -> None:
    """A language chosen by hand has precedence until the browser's own is chosen again."""
    context: BrowserContext = browser.new_context(locale=locale)  # type: ignore[attr-defined]
    page = context.new_page()
    page.goto(sizzle_url)
    html, other = page.locator("html"), {"ko": "en", "en": "ko"}[language]
    expect(html).to_have_attribute("lang", language)
    page.locator("#language").select_option(other)
    page.reload()
    expect(html).to_have_attribute("lang", other)
    page.locator("#language").select_option(language)
    page.reload()
    expect(html).to_have_attribute("lang", language)
    assert page.evaluate("JSON.parse(localStorage.getItem('language'))") is None
    context.close()


@pytest.mark.parametrize("language", ["en", "ko"])
def test_refusals_are_in_the_pages_language(page: Page, serve_runs: ServeRuns, language: str) -> None:
    """They do not depend on the browser's language."""
    fake = serve_runs([*WHOLE[:-1], Gate()])
    page.locator("#language").select_option(language)
    ask(page)
    page.locator("#stop").click()
    expect(page.locator("#stop")).to_be_hidden()
    languages = {name: headers.get("accept-language") for name, headers, _ in fake.calls}
    assert [languages[name] for name in ("POST /runs", "DELETE run")] == [language, language]


def test_the_page_works_without_storage(page: Page, serve_runs: ServeRuns) -> None:
    """The page works while it is open: a run can be stopped, and the household is applied."""
    page.add_init_script(
        "for (const name of ['localStorage', 'sessionStorage'])"
        " Object.defineProperty(window, name, { get() { throw new DOMException('forbidden', 'SecurityError') } })"
    )
    fake = serve_runs(WHOLE)
    fill_household(page)
    ask(page)
    expect(title(page)).to_have_text("Pepper Steak")
    expect(page.get_by_role("button", name="Cook this instead Beef Soup")).to_be_enabled()
    assert fake.made("POST /runs") == [{**REQUEST, **RESTRICTED}]

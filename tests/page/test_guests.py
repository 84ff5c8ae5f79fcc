"""The browser that started a run may stop and rewrite it; visitors with its link may read it and cook it themselves."""

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from starlette.responses import JSONResponse

from tests.client import wait_until
from tests.conftest import ServeScripts
from tests.page.conftest import ServeRuns
from tests.page.wire import (
    INGREDIENTS,
    OTHERS,
    PICK,
    REQUEST,
    SIDES_FAILED,
    STEPS,
    WHOLE,
    Move,
    ask,
    body,
    end,
    fragment,
    panel,
    run_begins,
    start,
    state,
    status,
    stop,
    title,
    written,
)
from tests.servers import RECIPES, Gate, apart

GUESTS: list[list[Move]] = [[*PICK, *INGREDIENTS, Gate()], SIDES_FAILED, [*PICK, *INGREDIENTS, end("cancelled")]]


@pytest.fixture
def guest(browser: Browser) -> Page:
    """Another browser's page, in its own window."""
    page = browser.new_context().new_page()
    page.set_default_timeout(15_000)
    return page


@pytest.mark.parametrize("script", GUESTS)
def test_a_guest_reads_only(page: Page, serve_runs: ServeRuns, guest: Page, script: list[Move]) -> None:
    """There is neither Stop nor Try again, and Reset only leaves the page."""
    fake = serve_runs(script)
    ask(page)
    guest.goto(f"{fake.url}/r/run-1")
    expect(body(guest, "ingredients")).to_contain_text("300 g beef flank")
    expect(guest.get_by_role("button", name="Stop")).to_be_hidden()
    expect(guest.get_by_role("button", name="Try again")).to_have_count(0)
    expect(guest.locator("#generate")).to_be_enabled()
    guest.get_by_role("button", name="Reset").click()
    expect(guest).to_have_url(f"{fake.url}/")
    assert fake.made("DELETE run") == []
    guest.close()


def test_a_guest_cooks_their_own_run(page: Page, serve_runs: ServeRuns, guest: Page) -> None:
    """It has the same dish, without the foods that either household avoids; the guest may stop it."""
    fake = serve_runs([run_begins(diet="vegan", avoid="kiwi", servings=2), *WHOLE[1:]], [*PICK, Gate()])
    ask(page)
    expect(status(page)).to_contain_text("All six parts are here")
    guest.goto(f"{fake.url}/r/run-1")
    guest.get_by_text("Diet, allergies, servings").click()
    guest.get_by_label("Leave out").fill("peanuts")
    guest.get_by_label("Servings").fill("6")
    guest.get_by_role("button", name="Cook this yourself").click()
    expect(guest).to_have_url(f"{fake.url}/r/run-2")
    restricted = {"diet": "vegan", "avoid": "peanuts, kiwi", "servings": 6}
    assert fake.made("POST /runs")[1] == {**REQUEST, **restricted, "recipe": RECIPES[0]}
    guest.get_by_role("button", name="Stop").click()
    expect(status(guest)).to_have_text("Stopped. The text so far stays.")
    assert fake.made("DELETE run") == [{"id": "run-2"}]
    guest.close()


def test_two_households_lists_are_joined_without_repetition(page: Page, serve_runs: ServeRuns, guest: Page) -> None:
    """A list that grows too long is reported at its field before anything is sent."""
    fake = serve_runs([run_begins(diet="Vegan", avoid="kiwi, Peanuts"), *WHOLE[1:]], [*PICK, Gate()])
    ask(page)
    expect(status(page)).to_contain_text("All six parts are here")
    guest.goto(f"{fake.url}/r/run-1")
    guest.get_by_text("Diet, allergies, servings").click()
    guest.get_by_label("Diet").fill("vegan, halal")
    guest.get_by_label("Leave out").fill("milk" * 73)
    guest.get_by_role("button", name="Cook this yourself").click()
    error = guest.locator("#avoid-error")
    expect(error).to_contain_text("it has 307 characters")
    expect(guest.get_by_label("Leave out")).to_be_focused()
    assert len(fake.made("POST /runs")) == 1
    guest.get_by_label("Leave out").fill("peanuts; milk")
    guest.get_by_role("button", name="Cook this yourself").click()
    expect(guest).to_have_url(f"{fake.url}/r/run-2")
    restricted = {"diet": "vegan, halal", "avoid": "peanuts, milk, kiwi"}
    assert fake.made("POST /runs")[1] == {**REQUEST, **restricted, "recipe": RECIPES[0]}
    guest.close()


def test_an_owner_stays_one_after_a_reload(page: Page, serve_runs: ServeRuns, context: BrowserContext) -> None:
    """The browser keeps the key: another of its tabs may stop the run, too."""
    fake = serve_runs([*PICK, Gate()])
    ask(page)
    expect(title(page)).to_have_text("Pepper Steak")
    page.reload()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    other = context.new_page()
    other.goto(page.url)
    other.get_by_role("button", name="Stop").click()
    expect(status(page)).to_have_text("Stopped. The text so far stays.")
    assert fake.made("DELETE run") == [{"id": "run-1"}]


def test_a_bounded_number_of_keys_is_kept(page: Page, serve_runs: ServeRuns) -> None:
    """The oldest ones and those of last week are removed."""
    serve_runs(WHOLE)
    page.evaluate("""() => localStorage.setItem("keys", JSON.stringify(Object.fromEntries(
        Array.from({ length: 300 }, (_, n) => [`old-${n}`, { key: "k", at: n < 150 ? 0 : Date.now() }]))))""")
    page.reload()
    ask(page)
    expect(status(page)).to_contain_text("All six parts are here")
    stored = page.evaluate("Object.keys(JSON.parse(localStorage.getItem('keys')))")
    assert len(stored) == 100
    assert [stored[0], stored[-1]] == ["old-201", "run-1"]


def test_a_refused_stop_has_the_servers_message(page: Page, serve_runs: ServeRuns) -> None:
    """The run and the page continue."""
    fake = serve_runs([*PICK, Gate()])
    fake.refusals["DELETE run"] = [JSONResponse({"detail": "Not yours."}, 403)]
    ask(page)
    expect(title(page)).to_have_text("Pepper Steak")
    page.get_by_role("button", name="Stop").click()
    expect(status(page)).to_have_text("Not yours.")
    expect(page.get_by_role("button", name="Stop")).to_be_enabled()


def test_a_stopped_part_can_be_rewritten(page: Page, serve_runs: ServeRuns) -> None:
    """Each part that Stop left unfinished has its Try again; steps wait for complete ingredients."""
    half = [start("ingredients"), fragment("ingredients", "- 300 g be"), *written("intro", "Hot.")]
    fake = serve_runs([*PICK, *half, Gate()])
    fake.again = [
        [start("ingredients", 2), fragment("ingredients", "- 300 g beef"), stop("ingredients"), *STEPS, end()]
    ]
    ask(page)
    expect(body(page, "ingredients")).to_have_text("300 g be")
    page.get_by_role("button", name="Stop").click()
    expect(status(page)).to_have_text("Stopped. The text so far stays.")
    offered = page.get_by_role("button", name="Try again")
    expect(offered).to_have_count(4)
    expect(panel(page, "steps").locator(".again")).to_be_hidden()
    panel(page, "ingredients").get_by_role("button", name="Try again").click()
    expect(body(page, "steps").get_by_role("listitem")).to_have_text(["Slice the beef.", "Sear it."])
    expect(body(page, "ingredients")).to_have_text("300 g beef")


def test_a_run_that_was_stopped_before_its_dish_can_continue(page: Page, serve_runs: ServeRuns) -> None:
    """One button proposes the dish and generates the rest."""
    fake = serve_runs([run_begins(), Gate()])
    fake.again = [[*PICK[1:], *INGREDIENTS, *OTHERS, end("partial")]]
    ask(page)
    expect(page).to_have_url(f"{fake.url}/r/run-1")
    page.get_by_role("button", name="Stop").click()
    page.locator("#again").click()
    expect(title(page)).to_have_text("Pepper Steak")
    assert fake.made("POST part") == [{"id": "run-1", "part": "alternates"}]


def test_a_stopped_part_is_completed_by_the_real_server(page: Page, serve_scripts: ServeScripts) -> None:
    """After Stop the part is completed, and a reload shows it."""
    url, provider = serve_scripts({"sides": [[*apart("Rice "), Gate()], ["Rice and peas."]]})
    page.goto(url)
    ask(page)
    expect(body(page, "sides")).to_have_text("Rice")
    page.get_by_role("button", name="Stop").click()
    assert wait_until(lambda: "sides" in provider.closed, 5)
    panel(page, "sides").get_by_role("button", name="Try again").click()
    expect(body(page, "sides")).to_have_text("Rice and peas.")
    page.reload()
    expect(body(page, "sides")).to_have_text("Rice and peas.")
    expect(state(page, "sides")).to_have_text("Done")

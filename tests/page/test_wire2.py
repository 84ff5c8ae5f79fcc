"""The page over the real server and a scripted provider: what it does with a run, from one end to the other."""

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.client import wait_until
from tests.conftest import Serve, ServeScripts
from tests.page.wire import PARTS, ask, body, panel, state, status, title
from tests.servers import Gate, Refuse, apart

HALF = "Half of the "
INTRO = f"{HALF}intro, and the rest."


def expect_all_once(page: Page) -> None:
    expect(status(page)).to_contain_text("All six parts are here.", timeout=15_000)
    expect(body(page, "intro")).to_have_text(INTRO)
    for part in set(PARTS) - {"intro", "alternates"}:
        expect(body(page, part)).to_have_text(f"{part} one, {part} two.")


@pytest.fixture
def halfway(page: Page, serve_scripts: ServeScripts) -> Gate:
    """A recipe that was ordered, and whose intro stands still in its midst until the gate is opened."""
    gate = Gate()
    url, _ = serve_scripts({"intro": [*apart(HALF), gate, "intro, and the rest."]})
    page.goto(url)
    ask(page)
    expect(body(page, "intro")).to_have_text(HALF.strip())
    return gate


def test_a_reload_in_mid_stream_loses_nothing(page: Page, halfway: Gate) -> None:
    """A page that is loaded again shows what was written, and then the rest."""
    page.reload()
    expect(body(page, "intro")).to_have_text(HALF.strip())
    halfway.open()
    expect_all_once(page)


def test_losing_the_network_loses_nothing(page: Page, halfway: Gate, context: BrowserContext) -> None:
    """What is written while the browser is offline comes when it is back."""
    context.set_offline(True)
    expect(status(page)).to_have_text("Offline. It goes on when you are back.")
    halfway.open()
    context.set_offline(False)
    expect_all_once(page)


def test_many_pages_follow_one_run(page: Page, halfway: Gate, context: BrowserContext) -> None:
    """Whoever has the address reads along, from the beginning and to the end."""
    other = context.new_page()
    other.goto(page.url)
    expect(body(other, "intro")).to_have_text(HALF.strip())
    halfway.open()
    expect_all_once(page)
    expect_all_once(other)


def test_stop_closes_the_calls_and_keeps_what_was_written(page: Page, serve_scripts: ServeScripts) -> None:
    """Stop on the page ends the calls to the provider; a reload shows what had come."""
    url, provider = serve_scripts({"intro": [*apart(HALF), Gate()]})
    page.goto(url)
    ask(page)
    expect(body(page, "intro")).to_have_text(HALF.strip())
    page.get_by_role("button", name="Stop").click()
    expect(status(page)).to_have_text("Stopped. The text so far stays.")
    assert wait_until(lambda: "intro" in provider.closed, 2)
    page.reload()
    expect(status(page)).to_have_text("Stopped. The text so far stays.")
    expect(body(page, "intro")).to_have_text(HALF.strip())


def test_retry_writes_a_failed_part(page: Page, serve_scripts: ServeScripts) -> None:
    """A part that its provider refused is written when it is asked for again, and a reload shows it whole."""
    url, _ = serve_scripts({"sides": [[Refuse(400)], ["sides one, ", "sides two."]], "intro": [INTRO]})
    page.goto(url)
    ask(page)
    panel(page, "sides").get_by_role("button", name="Try again").click()
    expect_all_once(page)
    page.reload()
    expect_all_once(page)


def test_retry_makes_a_recipe_of_none(page: Page, serve_scripts: ServeScripts) -> None:
    """A run without a dish is written as a whole, except the nutrition, which it has."""
    proposal = '[{"name": "Pepper Steak", "intro": "Hot."}, {"name": "Beef Soup", "intro": "Warm."}]'
    url, provider = serve_scripts({"proposal": [[Refuse(400)], [proposal]], "intro": [INTRO]})
    page.goto(url)
    ask(page)
    expect(title(page)).to_have_text("No dish this time")
    page.get_by_role("button", name="Try again").click()
    expect_all_once(page)
    assert sum(call["step"] == "nutrition" for call in provider.calls) == 1


def test_another_idea_is_cooked(page: Page, serve_scripts: ServeScripts) -> None:
    """The idea becomes the dish of a run of its own, for which nothing is proposed."""
    url, provider = serve_scripts({"intro": [INTRO]})
    page.goto(url)
    ask(page)
    expect_all_once(page)
    idea = body(page, "alternates").locator("strong").first.inner_text()
    page.get_by_role("button", name=f"Cook this instead {idea}").click()
    expect(title(page)).to_have_text(idea)
    expect(status(page)).to_contain_text("All five parts are here.")
    assert sum(call["step"] == "proposal" for call in provider.calls) == 1


def test_an_address_that_names_no_run_says_so(kitchen: Page, sizzle_url: str) -> None:
    """Whatever stands in the address, the page answers in words."""
    kitchen.goto(f"{sizzle_url}/r/no-such-run")
    expect(status(kitchen)).to_contain_text("The server no longer knows this recipe")


def test_a_full_kitchen_says_so(page: Page, serve_scripts: ServeScripts) -> None:
    """Beyond the bound on live runs the page says when to try again."""
    url, _ = serve_scripts({"intro": [Gate()]}, max_runs=1)
    page.goto(url)
    ask(page)
    expect(page).to_have_url(re.compile("/r/"))
    page.go_back()
    ask(page)
    expect(status(page)).to_contain_text("The server is at capacity. Please try again in")


def test_an_expired_recipe_says_so(page: Page, serve: Serve) -> None:
    """Some time after its end a recipe is gone from its address, but not from the page that shows it."""
    page.goto(serve(keep_runs_s=3, standin_ttft_ms=20, standin_tokens_per_s=2000))
    ask(page)
    expect(status(page)).to_contain_text("All six parts are here.", timeout=15_000)
    run = page.url.replace("/r/", "/runs/")
    assert wait_until(lambda: page.request.get(run).status == 410, 10)
    expect(status(page)).to_contain_text("All six parts are here.")
    expect(state(page, "steps")).to_have_text("Done")
    page.reload()
    expect(status(page)).to_contain_text("This recipe has expired")

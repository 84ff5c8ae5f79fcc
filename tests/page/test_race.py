"""The page `/race`, during a race and if there can be none."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.client import wait_until
from tests.conftest import ServeScripts
from tests.page.wire import axe_violations, status
from tests.servers import Gate

ONE, OTHER, THIRD = "groq-gpt-oss-20b", "groq-gpt-oss-120b", "fireworks-glm-flash"
REASON = "Fireworks did not accept the key (401)."


def event(name: str, **fields: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(fields)}\n\n"


def figures(ttft_ms: float, tokens_per_s: float | None) -> dict[str, Any]:
    return {"ttft_ms": ttft_ms, "total_ms": 1500.4, "tokens": 200, "tokens_per_s": tokens_per_s}


def started(*models: str) -> str:
    entrants = [{"model": model, "provider": "p", "label": f"{model}’s provider"} for model in models]
    return event("start", entrants=entrants, rounds=2)


def measured(model: str, best: dict[str, Any], median: dict[str, Any]) -> str:
    return event("call", model=model, round=1) + event(
        "round", model=model, round=1, figures=best, best=best, median=median
    )


def result(model: str, failure: str | None = None) -> str:
    best = None if failure else figures(300, 400)
    return event("result", model=model, rounds=[], best=best, median=best, failure=failure)


SLOW = measured(ONE, figures(300, 400), figures(320.6, 401.2))
QUICK = measured(OTHER, figures(150, 100), figures(150, None))
FAILED = result(THIRD, REASON)
WHOLE = started(ONE, OTHER, THIRD) + SLOW + QUICK + result(ONE) + result(OTHER) + FAILED
WHOLE += event("end", ranking=[OTHER, ONE, THIRD])


@pytest.fixture
def race_page(page: Page, sizzle_url: str) -> Page:
    """Opens the page over a fast stand-in."""
    page.goto(f"{sizzle_url}/race")
    return page


@pytest.fixture
def answer(page: Page) -> Callable[..., None]:
    """Answers every `POST /race` of the page with one complete body."""

    def fulfil(body: str, status: int = 200, content_type: str = "text/event-stream") -> None:
        def reply(route: Route) -> None:
            if route.request.method == "POST":
                route.fulfill(body=body, status=status, content_type=f"{content_type}; charset=utf-8")
            else:
                route.continue_()

        page.route("**/race", reply)

    return fulfil


def start(page: Page) -> Locator:
    return page.get_by_role("button", name="Start the race")


def row(page: Page, model: str) -> Locator:
    return page.locator(f".entrant[data-model='{model}']")


def test_the_stand_in_is_measured_and_named(race_page: Page) -> None:
    """Over the real server it has figures and is first; the security policy is not violated."""
    complaints: list[str] = []
    race_page.on("console", lambda line: complaints.append(line.text))
    race_page.on("pageerror", lambda error: complaints.append(str(error)))
    race_page.reload()
    expect(race_page.get_by_text("not a language model")).to_be_visible()
    race_page.get_by_label("How many rounds?").select_option("1")
    with race_page.expect_request(lambda request: request.method == "POST") as request_info:
        start(race_page).click()
    assert request_info.value.post_data_json == {"rounds": 1}
    expect(status(race_page)).to_contain_text("Done. The first to write is stand-in", timeout=20_000)
    expect(row(race_page, "stand-in").locator(".state")).to_have_text("Done")
    expect(row(race_page, "stand-in").locator(".rank")).to_have_text("1")
    expect(row(race_page, "stand-in").locator(".ttft .value")).to_have_text(re.compile(r"^\d+ ms, median \d+ ms$"))
    expect(row(race_page, "stand-in").locator(".figures")).to_have_text(
        re.compile(r"^Medians: total [\d,]+ ms · \d+ tokens$")
    )
    assert complaints == []


def test_the_smallest_figure_has_a_bar(race_page: Page, answer: Callable[..., None]) -> None:
    """Beside one that is a thousand times as long, its bar is as wide as it is high; a missing figure has none."""
    quick, slow = (figures(9, None),) * 2, (figures(9000, 80),) * 2
    calls = measured(ONE, *quick) + measured(OTHER, *slow)
    answer(started(ONE, OTHER) + calls + result(ONE) + result(OTHER) + event("end", ranking=[ONE, OTHER]))
    start(race_page).click()
    expect(status(race_page)).to_contain_text("Done.")
    bar = row(race_page, ONE).locator(".ttft .bar")
    expect(bar).to_have_js_property("clientWidth", bar.evaluate("bar => bar.clientHeight"))
    expect(row(race_page, ONE).locator(".tps .bar")).to_have_js_property("clientWidth", 0)


def test_the_cost_is_shown_before(race_page: Page) -> None:
    """The calls are models times rounds plus one, and describe Start."""
    expect(start(race_page)).to_have_accessible_description(
        "4 calls: 1 model × (3 rounds + 1 that is not counted), each of at most 500 tokens."
    )
    race_page.get_by_label("How many rounds?").select_option("1")
    expect(start(race_page)).to_have_accessible_description(re.compile(r"^2 calls: 1 model × \(1 round \+ 1 "))


def test_rows_are_sorted_at_the_end_and_failures_give_their_reason(
    race_page: Page, answer: Callable[..., None]
) -> None:
    """The first token decides; failed models come last, without a rank and with their reason."""
    answer(WHOLE)
    start(race_page).click()
    expect(status(race_page)).to_have_text(
        f"Done. The first to write is {OTHER}: its first token took 300 ms. Failed: {THIRD}."
    )
    expect(race_page.get_by_role("heading", level=3)).to_have_text([OTHER, ONE, THIRD])
    expect(race_page.locator(".rank")).to_have_text(["1", "2", ""])
    expect(row(race_page, THIRD).locator(".state")).to_have_text("Failed")
    expect(row(race_page, THIRD).locator(".trouble")).to_have_text(REASON)


def test_bars_are_in_proportion_and_figures_in_words(race_page: Page, answer: Callable[..., None]) -> None:
    """The longest bar fills its row, others are in proportion; each figure is also text."""
    answer(WHOLE)
    race_page.emulate_media(reduced_motion="reduce")
    start(race_page).click()
    expect(race_page.locator(".rank").first).to_have_text("1")

    def length(model: str, figure: str) -> float:
        bar = row(race_page, model).locator(f".{figure} .bar")
        return bar.evaluate("bar => bar.getBoundingClientRect().width / bar.parentElement.clientWidth")

    assert [length(ONE, "ttft"), length(OTHER, "ttft")] == pytest.approx([1, 0.5], abs=0.01)
    assert [length(ONE, "tps"), length(OTHER, "tps")] == pytest.approx([1, 0], abs=0.01)
    expect(row(race_page, ONE).locator(".value")).to_have_text(["300 ms, median 321 ms", "median 401"])
    expect(row(race_page, OTHER).locator(".value")).to_have_text(["150 ms, median 150 ms", "not counted"])


def test_a_race_without_a_winner_says_so(race_page: Page, answer: Callable[..., None]) -> None:
    """If every model fails, there is no winner, and each row has its reason."""
    answer(started(ONE, THIRD) + result(ONE, "Busy.") + FAILED + event("end", ranking=[ONE, THIRD]))
    start(race_page).click()
    expect(status(race_page)).to_contain_text("No model got through the race")
    expect(race_page.locator(".trouble")).to_have_text(["Busy.", REASON])


def test_rows_are_live_and_stop_keeps_the_figures(page: Page, serve_scripts: ServeScripts) -> None:
    """A row shows its running call; Stop closes the call and keeps the figures."""
    answer = ["Slice ", "it."]
    url, scripted = serve_scripts({"completion": [answer, answer, answer, [Gate()]]}, race=True)
    page.goto(f"{url}/race")
    start(page).click()
    expect(row(page, OTHER).locator(".state")).to_have_text("Round 1 of 3")
    expect(row(page, ONE).locator(".state")).to_have_text("Waiting")
    expect(status(page)).to_have_text("Round 1 of 3…")
    page.get_by_role("button", name="Stop").click()
    expect(status(page)).to_have_text("Stopped. The measurements so far are kept.")
    expect(page.locator(".state")).to_have_text(["Stopped", "Stopped"])
    expect(row(page, ONE).locator(".ttft .value")).to_contain_text("ms, median")
    assert wait_until(lambda: scripted.closed == ["completion"], seconds=2)


def test_a_reload_ends_the_race_and_another_can_start(page: Page, serve_scripts: ServeScripts) -> None:
    """The call is closed with the page, which is reset, whatever the browser restores in its form."""
    url, scripted = serve_scripts({"completion": [["Slice ", Gate()], ["Slice ", "it."]]}, race=True)
    page.goto(f"{url}/race")
    start(page).click()
    expect(row(page, ONE).locator(".state")).to_have_text("Warming up")
    assert wait_until(lambda: len(scripted.calls) == 1, seconds=5)
    page.reload()
    expect(start(page)).to_be_enabled()
    assert wait_until(lambda: scripted.closed == ["completion"], seconds=2)
    start(page).click()
    expect(status(page)).to_contain_text("Done. The first to write", timeout=10_000)


def test_a_race_that_costs_money_is_disabled_with_a_reason(page: Page, serve_scripts: ServeScripts) -> None:
    """With a key and without the setting, Start is disabled and described by the solution."""
    url, scripted = serve_scripts()
    page.goto(f"{url}/race")
    expect(start(page)).to_have_accessible_description(re.compile("Set SIZZLE_RACE=true"))
    expect(start(page)).to_be_disabled()
    expect(page.get_by_text("not a language model")).to_be_hidden()
    assert scripted.calls == []


@pytest.mark.parametrize(
    ("code", "detail", "shown"),
    [
        (403, "The race is off.", "The race is off."),
        (409, "Another race is under way.", "Another race is under way."),
        (422, [{"field": "rounds", "message": "Too many."}], "Too many."),
        (503, None, "The server answered with an error (503)."),
    ],
)
def test_a_refusal_is_shown_and_can_be_tried_again(
    race_page: Page, answer: Callable[..., None], code: int, detail: Any, shown: str
) -> None:
    """The status is the server's message, and Start is enabled."""
    answer(json.dumps({"detail": detail}) if detail else "busy", status=code, content_type="application/json")
    start(race_page).click()
    expect(status(race_page)).to_contain_text(shown)
    expect(start(race_page)).to_be_enabled()


@pytest.mark.parametrize("last", ["", 'event: end\ndata: {"ranking": []}'], ids=["between", "inside the last event"])
def test_a_stream_that_closes_without_end_is_unfinished(
    race_page: Page, answer: Callable[..., None], last: str
) -> None:
    """It has no ranks, and keeps the figures."""
    answer(started(ONE, OTHER) + SLOW + last)
    start(race_page).click()
    expect(status(race_page)).to_contain_text("closed before the race ended")
    expect(race_page.locator(".rank")).to_have_text(["", ""])
    expect(race_page.locator(".state")).to_have_text(["Not finished", "Not finished"])
    expect(row(race_page, ONE).locator(".ttft .value")).to_have_text("300 ms, median 321 ms")


def test_an_unreachable_server_is_reported(race_page: Page) -> None:
    """The page says so at the start of a race and when it is opened."""
    race_page.route("**/race", lambda route: route.abort("connectionrefused"))
    start(race_page).click()
    expect(status(race_page)).to_contain_text("can’t be reached")
    race_page.unroute("**/race")
    race_page.route("**/race/entrants", lambda route: route.abort("connectionrefused"))
    race_page.reload()
    expect(status(race_page)).to_contain_text("can’t be reached")
    expect(start(race_page)).to_be_disabled()


def test_markup_in_names_and_reasons_shows_as_text(race_page: Page, answer: Callable[..., None]) -> None:
    """No text of the server becomes an element."""
    markup = '<img src=x onerror="document.title=1">'
    answer(started(markup) + result(markup, markup) + event("end", ranking=[markup]))
    start(race_page).click()
    expect(race_page.get_by_role("heading", level=3)).to_have_text(markup)
    expect(race_page.locator(".trouble")).to_have_text(markup)
    expect(race_page.locator("main :is(img, script)")).to_have_count(0)


def test_keyboard_alone_is_enough(page: Page, serve_scripts: ServeScripts) -> None:
    """Tab reaches the link, the rounds and Start, which moves the focus to Stop and gets it back."""
    url, _ = serve_scripts({"completion": ["Slice ", Gate()]}, race=True)
    page.goto(f"{url}/race")
    expect(start(page)).to_be_enabled()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Back to the recipe")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("How many rounds?")).to_be_focused()
    page.keyboard.press("Tab")
    expect(start(page)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Stop")).to_be_focused()
    expect(status(page)).to_have_text("Warming up…")
    page.keyboard.press("Enter")
    expect(status(page)).to_contain_text("Stopped")
    expect(start(page)).to_be_focused()


def test_the_link_leads_to_the_main_page(race_page: Page) -> None:
    """The link opens the main page."""
    race_page.get_by_role("link", name="Back to the recipe").click()
    expect(race_page.get_by_label("What’s in your kitchen?")).to_be_visible()


def test_a_phone_needs_no_sideways_scrolling(race_page: Page, answer: Callable[..., None]) -> None:
    """At 390 px nothing is wider than the screen, not even an endless name, and Start is visible."""
    endless = "x" * 200
    answer(started(endless, ONE) + SLOW + result(ONE) + result(endless, endless) + event("end", ranking=[ONE, endless]))
    race_page.set_viewport_size({"width": 390, "height": 844})
    start(race_page).click()
    expect(status(race_page)).to_contain_text("Done")
    assert race_page.evaluate("document.documentElement.scrollWidth") == 390
    expect(start(race_page)).to_be_in_viewport()


@pytest.mark.parametrize("state", ["idle", "whole", "failed", "off"])
def test_axe_finds_no_violation(
    race_page: Page, answer: Callable[..., None], serve_scripts: ServeScripts, state: str
) -> None:
    """This covers both colour schemes: as opened, after a race, broken off, and disabled."""
    if state == "off":
        race_page.goto(f"{serve_scripts()[0]}/race")
        expect(race_page.get_by_text("SIZZLE_RACE")).to_be_visible()
    elif state != "idle":
        answer(WHOLE if state == "whole" else started(ONE, THIRD) + SLOW + FAILED)
        start(race_page).click()
        expect(status(race_page)).to_contain_text("Done" if state == "whole" else "closed before")
    assert axe_violations(race_page) == []

"""The page and its connection: whatever happens to it, the recipe goes on where it was, nothing lost, nothing twice."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, Route, expect
from starlette.responses import PlainTextResponse, Response

from tests.page.conftest import Cooks
from tests.page.wire import (
    INGREDIENTS,
    OTHERS,
    PARTS,
    PICK,
    SIDES,
    WHOLE,
    Cut,
    Event,
    FakeKitchen,
    ask,
    body,
    end,
    event,
    fragment,
    panel,
    proposed,
    start,
    state,
    status,
    stop,
    title,
    written,
)
from tests.servers import Gate

HALF = [*PICK, *INGREDIENTS, start("intro"), fragment("intro", "From ")]
REST = [fragment("intro", "the pan."), stop("intro"), *SIDES, end("partial")]


def last_ids(fake: FakeKitchen) -> list[str | None]:
    """The `Last-Event-ID` of each connection."""
    return [headers.get("last-event-id") for name, headers, _ in fake.calls if name == "GET events"]


def expect_the_whole(page: Page) -> None:
    expect(body(page, "intro")).to_have_text("From the pan.")
    expect(body(page, "ingredients").get_by_role("listitem")).to_have_text(["300 g beef flank", "2 onions"])
    expect(state(page, "sides")).to_have_text("Done")
    expect(status(page)).to_contain_text("Ended, but not complete")


def test_a_reload_in_mid_stream_goes_on_where_it_was(page: Page, cooks: Cooks) -> None:
    """A page that is loaded again in the midst of a run shows what was written, and then the rest."""
    gate = Gate()
    cooks([*HALF, gate, *REST])
    ask(page)
    expect(body(page, "intro")).to_have_text("From")
    page.reload()
    expect(body(page, "intro")).to_have_text("From")
    expect(page.locator("#stop")).to_be_enabled()
    gate.open()
    expect_the_whole(page)


def test_a_connection_that_is_cut_is_taken_up_again(page: Page, cooks: Cooks) -> None:
    """The browser comes back with the last id it read, the status says so meanwhile, and nothing comes twice."""
    cut, gone, back = Gate(), Gate(), Gate()
    fake = cooks([*HALF, cut, Cut(), gone, *REST])
    ask(page)
    expect(body(page, "intro")).to_have_text("From")
    fake.refusals["GET events"] = [back]
    cut.open()
    expect(status(page)).to_have_text("Connection lost. Reconnecting…")
    expect(body(page, "intro")).to_have_text("From")
    back.open()
    expect(status(page)).to_have_text("Writing your recipe…")
    gone.open()
    expect_the_whole(page)
    assert last_ids(fake) == [None, f"e1-{len(HALF)}"]


def test_a_network_that_goes_and_comes_back_loses_nothing(page: Page, cooks: Cooks, context: BrowserContext) -> None:
    """Offline the page says that it is, and what was written meanwhile comes as soon as the network is back."""
    gate = Gate()
    cooks([*HALF, gate, *REST])
    ask(page)
    expect(body(page, "intro")).to_have_text("From")
    context.set_offline(True)
    expect(status(page)).to_have_text("Offline. It goes on when you are back.")
    expect(body(page, "intro")).to_have_text("From")
    gate.open()
    context.set_offline(False)
    expect_the_whole(page)


def test_every_event_may_be_the_last_before_a_cut(page: Page, cooks: Cooks) -> None:
    """Though the connection breaks after each single event, the recipe is the same as without."""
    cooks([move for told in WHOLE[:-1] for move in (told, Cut())] + [end()])
    ask(page)
    expect(status(page)).to_have_text("Done. All six parts are here.", timeout=20_000)
    expect(body(page, "intro").locator("p")).to_have_text(["From the pan.", "To the plate."])
    expect(body(page, "alternates").get_by_role("listitem")).to_have_count(2)
    for part in PARTS:
        expect(state(page, part)).to_have_text("Done")


def test_a_run_event_starts_over_with_an_empty_sheet(page: Page, cooks: Cooks) -> None:
    """A log that does not know what was read sends all from the beginning, which takes the place of what is there."""
    gate = Gate()
    other = [*PICK[:1], proposed(picked=1), *written("intro", "Another beginning."), end("partial")]
    cooks([*HALF, gate, *other])
    ask(page)
    expect(body(page, "intro")).to_have_text("From")
    gate.open()
    expect(body(page, "intro")).to_have_text("Another beginning.")
    expect(title(page)).to_have_text("Beef Soup")
    expect(body(page, "ingredients")).to_be_empty()


def test_a_finished_run_closes_its_connection(page: Page, cooks: Cooks) -> None:
    """After the last event nothing is asked for any more, not even when the network comes back."""
    fake = cooks(WHOLE)
    ask(page)
    expect(status(page)).to_contain_text("Done.")
    page.evaluate("dispatchEvent(new Event('online')); fetch('/healthz').then((response) => response.json())")
    assert last_ids(fake) == [None]
    assert fake.made("GET run") == []


def test_a_server_that_refuses_the_events_is_asked_again(page: Page, cooks: Cooks) -> None:
    """An EventSource gives up at 503; the page asks for the run and follows it again, until that works."""
    gate = Gate()
    fake = cooks([*HALF, gate, *REST])
    fake.refusals["GET events"] = [Response(status_code=503), PlainTextResponse("<html>", 502)]
    ask(page)
    expect(status(page)).to_have_text("Connection lost. Reconnecting…")
    expect(body(page, "intro")).to_have_text("From")
    gate.open()
    expect_the_whole(page)
    assert last_ids(fake) == [None, None, None]


def test_a_server_that_does_not_answer_is_asked_again(page: Page, cooks: Cooks) -> None:
    """While nobody answers the page says that it reconnects, and it goes on as soon as somebody does."""
    fake = cooks([*HALF, *REST])
    fake.refusals["GET events"] = [Response(status_code=503)]
    asked = 0

    def refuse_twice(route: Route) -> None:
        nonlocal asked
        asked += 1
        route.abort("connectionrefused") if asked <= 2 else route.fallback()

    page.route("**/runs/run-1", refuse_twice)
    ask(page)
    expect(status(page)).to_have_text("Connection lost. Reconnecting…")
    expect_the_whole(page)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (404, "The server no longer knows this recipe; it may have been restarted. What is on the page stays."),
        (410, "This recipe has expired: a finished one is kept for a while only. What is on the page stays."),
    ],
)
def test_a_run_that_is_gone_leaves_what_is_on_the_page(page: Page, cooks: Cooks, code: int, words: str) -> None:
    """When the server has lost the run, the page says so, keeps what came, and can generate again."""
    gate = Gate()
    fake = cooks([*HALF, gate, Cut()])
    ask(page)
    expect(body(page, "intro")).to_have_text("From")
    fake.gone = code
    gate.open()
    expect(status(page)).to_have_text(words)
    expect(body(page, "intro")).to_have_text("From")
    expect(state(page, "intro")).to_have_text("Not finished")
    expect(state(page, "ingredients")).to_have_text("Done")
    expect(page.locator("#generate")).to_be_enabled()
    expect(page.locator("#stop")).to_be_disabled()


WATCH = """() => {
    const main = document.querySelector("main");
    window.seen = new Set();
    const look = () => {
        window.seen.add([...main.querySelectorAll(".panel")].map((panel) => panel.dataset.state).join());
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""


def test_a_replay_is_not_seen(page: Page, cooks: Cooks) -> None:
    """What was there already comes back in one frame: no frame shows less than all of it."""
    gate = Gate()
    fake = cooks([*HALF, *OTHERS, gate, *SIDES, end("partial")])
    ask(page)
    expect(state(page, "steps")).to_have_text("Done")
    page.evaluate(WATCH)
    page.evaluate("dispatchEvent(new Event('online'))")  # a connection that may be dead begins again
    expect(page.locator("main")).to_have_attribute("data-state", "running")
    gate.open()
    expect(state(page, "sides")).to_have_text("Done")
    assert last_ids(fake) == [None, None]
    steady = {states.split(",")[2] for states in page.evaluate("[...window.seen]")}
    assert steady == {"ok"}


def test_a_part_begun_again_is_dimmed_until_its_new_text_comes(page: Page, cooks: Cooks) -> None:
    """An attempt above 1 keeps the old text, dimmed, until the first piece of the new takes its place."""
    again, crisp = Gate(), Gate()
    burnt = [start("intro"), fragment("intro", "Burnt")]
    cooks([*PICK, *burnt, again, start("intro", 2), crisp, fragment("intro", "Crisp"), stop("intro"), end("partial")])
    ask(page)
    expect(body(page, "intro")).to_have_text("Burnt")
    ink = body(page, "intro").evaluate("body => getComputedStyle(body).color")
    again.open()
    expect(state(page, "intro")).to_have_text("Trying again")
    expect(status(page)).to_have_text("Trying again: About this dish…")
    expect(body(page, "intro")).to_have_text("Burnt")
    expect(body(page, "intro")).not_to_have_css("color", ink)
    crisp.open()
    expect(body(page, "intro")).to_have_text("Crisp")
    expect(body(page, "intro")).to_have_css("color", ink)
    page.get_by_text("How it was written").click()
    expect(page.locator(".timeline li[data-part=intro] .spoilt")).to_be_visible()


@pytest.mark.parametrize(
    ("last", "word"),
    [
        ([stop("intro", "failed", "Empty."), end("partial")], "Failed"),
        ([end("cancelled")], "Stopped"),
        ([end("failed", "The text exceeded the size limit. Please try again.")], "Failed"),
    ],
)
def test_an_attempt_without_text_takes_none_away(page: Page, cooks: Cooks, last: list[Event], word: str) -> None:
    """When it ends without a word, or the run does, what an earlier attempt wrote stays, and is no longer dimmed."""
    again, over = Gate(), Gate()
    cooks([*PICK, start("intro"), fragment("intro", "Half a"), again, start("intro", 2), over, *last])
    ask(page)
    expect(body(page, "intro")).to_have_text("Half a")
    ink = body(page, "intro").evaluate("body => getComputedStyle(body).color")
    again.open()
    expect(body(page, "intro")).not_to_have_css("color", ink)
    over.open()
    expect(state(page, "intro")).to_have_text(word)
    expect(body(page, "intro")).to_have_text("Half a")
    expect(body(page, "intro")).to_have_css("color", ink)


def test_what_is_kept_of_an_earlier_attempt_comes_again(page: Page, cooks: Cooks) -> None:
    """Text that the server keeps is sent once more before the part's end, and stands there once."""
    burnt = [start("intro"), fragment("intro", "Half a"), start("intro", 2), fragment("intro", "Half a")]
    cooks([*PICK, *burnt, stop("intro", "cut_off", "Cut off."), end("partial")])
    ask(page)
    expect(state(page, "intro")).to_have_text("Cut short")
    expect(body(page, "intro")).to_have_text("Half a")


def test_nothing_but_the_status_is_announced(page: Page, cooks: Cooks) -> None:
    """The status is the page's only live region, so that a screen reader is not flooded with fragments."""
    cooks([*HALF, event("unknown"), Gate()])
    ask(page)
    expect(panel(page, "intro")).to_have_attribute("aria-busy", "true")
    expect(page.locator("[aria-live], [role=status], [role=alert], [role=log], output")).to_have_count(1)


def test_axe_finds_no_violation_while_reconnecting(page: Page, cooks: Cooks, context: BrowserContext) -> None:
    """The page passes axe's checks while its connection is lost."""
    cooks([*HALF, Gate()])
    ask(page)
    expect(body(page, "intro")).to_have_text("From")
    context.set_offline(True)
    expect(status(page)).to_have_text("Offline. It goes on when you are back.")
    result = Axe().run(page)
    assert result.violations_count == 0, result.generate_report()

"""The page and its connection: the recipe continues where it was, and nothing is lost or repeated."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, Route, expect
from starlette.responses import PlainTextResponse, Response

from tests.page.conftest import ServeRuns
from tests.page.wire import (
    INGREDIENTS,
    OTHERS,
    PARTS,
    PICK,
    SIDES,
    WHOLE,
    Cut,
    Event,
    FakeServer,
    TakeOver,
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


def last_ids(fake: FakeServer) -> list[str | None]:
    """The `Last-Event-ID` of each connection."""
    return [headers.get("last-event-id") for name, headers, _ in fake.calls if name == "GET events"]


def expect_the_whole(page: Page) -> None:
    expect(body(page, "intro")).to_have_text("From the pan.")
    expect(body(page, "ingredients").get_by_role("listitem")).to_have_text(["300 g beef flank", "2 onions"])
    expect(state(page, "sides")).to_have_text("Done")
    expect(status(page)).to_contain_text("Ended, but not complete")


def test_a_reload_in_mid_stream_resumes(page: Page, serve_runs: ServeRuns) -> None:
    """A reloaded page shows the text so far, and then the rest."""
    gate = Gate()
    serve_runs([*HALF, gate, *REST])
    ask(page)
    expect(body(page, "intro")).to_have_text("From")
    page.reload()
    expect(body(page, "intro")).to_have_text("From")
    expect(page.locator("#stop")).to_be_enabled()
    gate.open()
    expect_the_whole(page)


def test_a_broken_connection_is_resumed(page: Page, serve_runs: ServeRuns) -> None:
    """The browser reconnects with its last id, the status says so meanwhile, and nothing is repeated."""
    cut, gone, back = Gate(), Gate(), Gate()
    fake = serve_runs([*HALF, cut, Cut(), gone, *REST])
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


def test_a_takeover_is_shown_for_a_moment(page: Page, serve_runs: ServeRuns) -> None:
    taken, gone = Gate(), Gate()
    again = [start("intro", attempt=2), fragment("intro", "From ")]
    serve_runs([*HALF, taken, TakeOver(), *again, gone, *REST])
    ask(page)
    expect(body(page, "intro")).to_have_text("From")
    taken.open()
    expect(status(page)).to_have_text("Another server process took over. Unfinished parts begin again.")
    expect(status(page)).to_have_text("Trying again: About this dish…", timeout=10_000)
    gone.open()
    expect_the_whole(page)


def test_a_lost_network_loses_no_text(page: Page, serve_runs: ServeRuns, context: BrowserContext) -> None:
    """The page says that it is offline, and gets the missing text as soon as the network is back."""
    gate = Gate()
    serve_runs([*HALF, gate, *REST])
    ask(page)
    expect(body(page, "intro")).to_have_text("From")
    context.set_offline(True)
    expect(status(page)).to_have_text("Offline. It continues when you are back online.")
    expect(body(page, "intro")).to_have_text("From")
    gate.open()
    context.set_offline(False)
    expect_the_whole(page)


def test_every_event_may_be_the_last_before_a_cut(page: Page, serve_runs: ServeRuns) -> None:
    """If the connection breaks after each single event, the recipe is the same."""
    serve_runs([move for event in WHOLE[:-1] for move in (event, Cut())] + [end()])
    ask(page)
    expect(status(page)).to_have_text("Done. All six parts are here.", timeout=20_000)
    expect(body(page, "intro").locator("p")).to_have_text(["From the pan.", "To the plate."])
    expect(body(page, "alternates").get_by_role("listitem")).to_have_count(2)
    for part in PARTS:
        expect(state(page, part)).to_have_text("Done")


def test_a_run_event_starts_over_with_an_empty_sheet(page: Page, serve_runs: ServeRuns) -> None:
    """A log that does not know the id sends everything again, which replaces the content of the page."""
    gate = Gate()
    other = [*PICK[:1], proposed(picked=1), *written("intro", "Another beginning."), end("partial")]
    serve_runs([*HALF, gate, *other])
    ask(page)
    expect(body(page, "intro")).to_have_text("From")
    gate.open()
    expect(body(page, "intro")).to_have_text("Another beginning.")
    expect(title(page)).to_have_text("Beef Soup")
    expect(body(page, "ingredients")).to_be_empty()


def test_a_finished_run_closes_its_connection(page: Page, serve_runs: ServeRuns) -> None:
    """After the last event nothing is requested, not even when the network comes back."""
    fake = serve_runs(WHOLE)
    ask(page)
    expect(status(page)).to_contain_text("Done.")
    page.evaluate("dispatchEvent(new Event('online')); fetch('/healthz').then((response) => response.json())")
    assert last_ids(fake) == [None]
    assert fake.made("GET run") == []


def test_refused_events_are_requested_again(page: Page, serve_runs: ServeRuns) -> None:
    """An EventSource gives up at a 503; the page requests the run and follows it again until that works."""
    gate = Gate()
    fake = serve_runs([*HALF, gate, *REST])
    fake.refusals["GET events"] = [Response(status_code=503), PlainTextResponse("<html>", 502)]
    ask(page)
    expect(status(page)).to_have_text("Connection lost. Reconnecting…")
    expect(body(page, "intro")).to_have_text("From")
    gate.open()
    expect_the_whole(page)
    assert last_ids(fake) == [None, None, None]


def test_an_unreachable_server_is_tried_again(page: Page, serve_runs: ServeRuns) -> None:
    """The page says that it reconnects, and continues as soon as the server answers."""
    fake = serve_runs([*HALF, *REST])
    fake.refusals["GET events"] = [Response(status_code=503)]
    requests = 0

    def refuse_twice(route: Route) -> None:
        nonlocal requests
        requests += 1
        route.abort("connectionrefused") if requests <= 2 else route.fallback()

    page.route("**/runs/run-1", refuse_twice)
    ask(page)
    expect(status(page)).to_have_text("Connection lost. Reconnecting…")
    expect_the_whole(page)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (404, "The server no longer knows this recipe; it may have been restarted. What is on the page stays."),
        (410, "This recipe has expired: finished recipes are kept only for a while. What is on the page stays."),
    ],
)
def test_a_lost_run_keeps_the_text_on_the_page(page: Page, serve_runs: ServeRuns, code: int, words: str) -> None:
    """If the server has lost the run, the page says so, keeps the text, and can generate again."""
    gate = Gate()
    fake = serve_runs([*HALF, gate, Cut()])
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


def test_a_replay_is_not_seen(page: Page, serve_runs: ServeRuns) -> None:
    """Repeated text is added in one frame: no frame shows less than before."""
    gate = Gate()
    fake = serve_runs([*HALF, *OTHERS, gate, *SIDES, end("partial")])
    ask(page)
    expect(state(page, "steps")).to_have_text("Done")
    page.evaluate(WATCH)
    page.evaluate("dispatchEvent(new Event('online'))")  # a connection that may be dead is replaced
    expect(page.locator("main")).to_have_attribute("data-state", "running")
    gate.open()
    expect(state(page, "sides")).to_have_text("Done")
    assert last_ids(fake) == [None, None]
    steady = {states.split(",")[2] for states in page.evaluate("[...window.seen]")}
    assert steady == {"ok"}


def test_a_retried_part_is_dimmed_until_its_new_text(page: Page, serve_runs: ServeRuns) -> None:
    """An attempt above 1 keeps the old text, dimmed, until its first new text."""
    again, crisp = Gate(), Gate()
    burnt = [start("intro"), fragment("intro", "Burnt")]
    serve_runs(
        [*PICK, *burnt, again, start("intro", 2), crisp, fragment("intro", "Crisp"), stop("intro"), end("partial")]
    )
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
def test_an_attempt_without_text_keeps_the_earlier_text(
    page: Page, serve_runs: ServeRuns, last: list[Event], word: str
) -> None:
    """If it ends without text, or the run does, the text of the earlier attempt is kept and no longer dimmed."""
    again, over = Gate(), Gate()
    serve_runs([*PICK, start("intro"), fragment("intro", "Half a"), again, start("intro", 2), over, *last])
    ask(page)
    expect(body(page, "intro")).to_have_text("Half a")
    ink = body(page, "intro").evaluate("body => getComputedStyle(body).color")
    again.open()
    expect(body(page, "intro")).not_to_have_css("color", ink)
    over.open()
    expect(state(page, "intro")).to_have_text(word)
    expect(body(page, "intro")).to_have_text("Half a")
    expect(body(page, "intro")).to_have_css("color", ink)


def test_kept_text_is_shown_once(page: Page, serve_runs: ServeRuns) -> None:
    """The server repeats kept text before the part's end; the page shows it once."""
    burnt = [start("intro"), fragment("intro", "Half a"), start("intro", 2), fragment("intro", "Half a")]
    serve_runs([*PICK, *burnt, stop("intro", "cut_off", "Cut off."), end("partial")])
    ask(page)
    expect(state(page, "intro")).to_have_text("Cut short")
    expect(body(page, "intro")).to_have_text("Half a")


def test_nothing_but_the_status_is_announced(page: Page, serve_runs: ServeRuns) -> None:
    """The status is the only live region, so that a screen reader does not read all fragments."""
    serve_runs([*HALF, event("unknown"), Gate()])
    ask(page)
    expect(panel(page, "intro")).to_have_attribute("aria-busy", "true")
    expect(page.locator("[aria-live], [role=status], [role=alert], [role=log], output")).to_have_count(1)


def test_axe_finds_no_violation_while_reconnecting(page: Page, serve_runs: ServeRuns, context: BrowserContext) -> None:
    serve_runs([*HALF, Gate()])
    ask(page)
    expect(body(page, "intro")).to_have_text("From")
    context.set_offline(True)
    expect(status(page)).to_have_text("Offline. It continues when you are back online.")
    result = Axe().run(page)
    assert result.violations_count == 0, result.generate_report()

"""The page while a recipe comes: what a cook sees, whatever comes down the wire."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.page.wire import (
    INGREDIENTS,
    OTHERS,
    PARTS,
    PICK,
    WHOLE,
    ask,
    body,
    end,
    fragment,
    named,
    panel,
    start,
    state,
    status,
    stop,
    written,
)
from tests.servers import Gate


def test_fills_six_panels_and_says_done(kitchen: Page) -> None:
    """Over the real server all six parts are written, and nothing breaks the page's own security policy."""
    complaints: list[str] = []
    kitchen.on("console", lambda line: complaints.append(line.text))
    kitchen.on("pageerror", lambda error: complaints.append(str(error)))
    ask(kitchen, "beef flank, onions, peppers")
    expect(status(kitchen)).to_contain_text("All six parts are here", timeout=20_000)
    for part in PARTS:
        expect(state(kitchen, part)).to_have_text("Done")
        expect(body(kitchen, part)).not_to_be_empty()
    assert complaints == []


def test_the_dish_and_the_other_ideas_come_from_the_proposal(kitchen: Page, answer: Callable[..., None]) -> None:
    """The picked recipe is the title, and the other ideas are the recipes that were not picked."""
    answer(WHOLE)
    ask(kitchen)
    expect(kitchen.get_by_role("heading", level=2)).to_have_text("Pepper Steak")
    expect(kitchen.locator("#tagline")).to_have_text("Quick and hot.")
    expect(body(kitchen, "alternates").get_by_role("listitem")).to_have_text(
        ["Beef Soup Slow & warm.", "Onion Tart Crisp."]
    )


def test_the_dish_shows_while_the_rest_is_unwritten(page: Page, stream: Callable[..., str]) -> None:
    """As soon as the pick is known, the dish has its name, and each panel says what it waits for."""
    gate = Gate()
    page.goto(stream(PICK + start("intro") + fragment("int", "From the"), gate, fragment("int", " pan."), end()))
    ask(page)
    expect(page.get_by_role("heading", level=2)).to_have_text("Pepper Steak")
    expect(state(page, "steps")).to_have_text("Waiting for the ingredients")
    expect(panel(page, "intro")).to_have_attribute("aria-busy", "true")
    expect(panel(page, "steps")).to_have_attribute("aria-busy", "false")
    gate.open()
    expect(body(page, "intro")).to_have_text("From the pan.")
    expect(panel(page, "intro")).to_have_attribute("aria-busy", "false")


def test_lines_become_lists_wherever_they_are_split(kitchen: Page, answer: Callable[..., None]) -> None:
    """Bulleted and numbered lines are list items, other lines paragraphs, though every character comes alone."""
    text = "For two:\n- 2 onions\n-5 °C is too cold\n1. Slice.\n12) Serve.\n\n3 cups\n-"
    answer(PICK + start("steps") + "".join(fragment("ste", character) for character in text) + end("partial"))
    ask(kitchen)
    steps = body(kitchen, "steps")
    expect(steps.get_by_role("listitem")).to_have_text(["2 onions", "Slice.", "Serve."])
    expect(steps.locator("p")).to_have_text(["For two:", "-5 °C is too cold", "3 cups", "-"])
    expect(steps.locator("ol li").last).to_have_js_property("value", 12)


def test_a_part_begun_again_drops_what_it_held(kitchen: Page, answer: Callable[..., None]) -> None:
    """An attempt above 1 replaces the text of the one before."""
    answer(PICK + start("intro") + fragment("int", "Burnt") + start("intro", 2) + fragment("int", "Crisp") + end())
    ask(kitchen)
    expect(body(kitchen, "intro")).to_have_text("Crisp")


def test_a_finished_part_tells_what_wrote_it_and_how_fast(kitchen: Page, answer: Callable[..., None]) -> None:
    """Model, time to first token and tokens per second stand below a part that is done."""
    answer(WHOLE)
    ask(kitchen)
    expect(panel(kitchen, "sides").locator(".figures")).to_have_text("sides-model · first token 0.21 s · 412 tokens/s")


def test_the_timeline_shows_all_parts(kitchen: Page, answer: Callable[..., None]) -> None:
    """Each part has a bar with its times, and the sum compares them with the whole."""
    answer(WHOLE)
    ask(kitchen)
    expect(kitchen.locator(".timeline li[data-state=ok] .write")).to_have_count(len(PARTS))
    expect(kitchen.locator(".sum")).to_contain_text("Side by side")


def test_stop_before_the_first_token(page: Page, stream: Callable[..., str]) -> None:
    """Stop works while nothing has come yet, and the page can generate again."""
    page.goto(stream(Gate()))
    ask(page)
    page.get_by_role("button", name="Stop").click()
    expect(status(page)).to_have_text("Stopped before anything was written.")
    for part in PARTS:
        expect(state(page, part)).to_have_text("Stopped")
    expect(page.locator("#generate")).to_be_enabled()
    expect(page.locator("#stop")).to_be_disabled()


def test_stop_in_mid_stream_keeps_what_was_written(page: Page, stream: Callable[..., str]) -> None:
    """What was written stays, finished parts stay finished, and the open ones say that they were stopped."""
    page.goto(stream(PICK + INGREDIENTS + start("intro") + fragment("int", "From the p"), Gate()))
    ask(page)
    expect(body(page, "intro")).to_have_text("From the p")
    page.get_by_role("button", name="Stop").click()
    expect(status(page)).to_have_text("Stopped. What was written is kept.")
    expect(body(page, "intro")).to_have_text("From the p")
    expect(state(page, "intro")).to_have_text("Stopped")
    expect(state(page, "ingredients")).to_have_text("Done")


def test_a_failed_part_gives_its_reason_and_leaves_the_others(kitchen: Page, answer: Callable[..., None]) -> None:
    """A part that fails says why; the other five are complete, and the status names the missing one."""
    reason = "The provider is busy: try again in a minute."
    failed = start("sides") + stop("sides", "failed", reason) + named("error", part="sides", message=reason)
    answer(PICK + failed + INGREDIENTS + OTHERS + end("partial"))
    ask(kitchen)
    expect(status(kitchen)).to_have_text("Ended, but not complete: On the side. The rest is here.")
    expect(state(kitchen, "sides")).to_have_text("Failed")
    expect(panel(kitchen, "sides").locator(".trouble")).to_have_text(reason)
    for part in set(PARTS) - {"sides"}:
        expect(state(kitchen, part)).to_have_text("Done")


def test_a_part_cut_off_says_so(kitchen: Page, answer: Callable[..., None]) -> None:
    """A part that reached its limit is said to be cut short, in words."""
    answer(
        PICK + start("steps") + fragment("ste", "1. Sli") + stop("steps", "cut_off", "At its limit.") + end("partial")
    )
    ask(kitchen)
    expect(state(kitchen, "steps")).to_have_text("Cut short")
    expect(panel(kitchen, "steps").locator(".trouble")).to_have_text("At its limit.")
    expect(body(kitchen, "steps")).to_have_text("Sli")


def test_a_failed_run_gives_its_reason(kitchen: Page, answer: Callable[..., None]) -> None:
    """An error that names no part is the status of the whole page."""
    answer(named("error", part=None, message="No model could be reached.") + end("failed"))
    ask(kitchen)
    expect(status(kitchen)).to_have_text("No model could be reached.")
    for part in PARTS:
        expect(state(kitchen, part)).to_have_text("Failed")


@pytest.mark.parametrize("last", ["", "event: end\ndata: end|{}"], ids=["between events", "inside the last event"])
def test_a_stream_that_closes_without_end_is_unfinished(kitchen: Page, answer: Callable[..., None], last: str) -> None:
    """A body that just stops is never taken for success, and what came is kept."""
    answer(PICK + INGREDIENTS + start("intro") + fragment("int", "From") + last)
    ask(kitchen)
    expect(status(kitchen)).to_contain_text("closed before the recipe was finished")
    expect(state(kitchen, "intro")).to_have_text("Not finished")
    expect(state(kitchen, "ingredients")).to_have_text("Done")
    expect(body(kitchen, "intro")).to_have_text("From")


def test_a_broken_connection_is_unfinished(page: Page, stream: Callable[..., str]) -> None:
    """A connection that breaks in mid-stream is said to have, and what came is kept."""
    gate = Gate()
    page.goto(
        stream(PICK + start("intro") + fragment("int", "From"), gate, ConnectionResetError("as meant by the test"))
    )
    ask(page)
    expect(body(page, "intro")).to_have_text("From")
    gate.open()
    expect(status(page)).to_contain_text("closed before the recipe was finished")
    expect(body(page, "intro")).to_have_text("From")


def test_a_server_that_is_away_is_said_to_be(kitchen: Page) -> None:
    """Without a server the page says so and can try again."""
    kitchen.route("**/generate", lambda route: route.abort("connectionrefused"))
    ask(kitchen)
    expect(status(kitchen)).to_contain_text("can’t be reached")
    expect(kitchen.locator("#generate")).to_be_enabled()


def test_another_http_error_is_shown_with_its_number(kitchen: Page, answer: Callable[..., None]) -> None:
    """A server that answers with an error is quoted by its status."""
    answer("busy", status=503, content_type="text/plain")
    ask(kitchen)
    expect(status(kitchen)).to_contain_text("503")


def test_markup_in_model_text_shows_as_text(kitchen: Page, answer: Callable[..., None]) -> None:
    """Whatever a model writes is text: nothing of it becomes an element, and references are decoded once."""
    markup = '<img src=x onerror="document.title=1"><b>bold</b> | &lt; &amp;lt; &quot;'
    recipes = [{"name": markup, "intro": markup}, {"name": markup, "intro": markup}]
    failure = stop("sides", "failed", markup)
    answer(named("proposal", recipes=recipes, picked=0) + written("intro", "int", markup) + failure + end("partial"))
    ask(kitchen)
    expect(body(kitchen, "intro")).to_have_text(markup)
    expect(kitchen.get_by_role("heading", level=2)).to_have_text(markup)
    expect(body(kitchen, "alternates")).to_have_text(f"{markup} {markup}")
    expect(panel(kitchen, "sides").locator(".trouble")).to_have_text(markup)
    expect(kitchen.locator("main :is(img, b, script)")).to_have_count(0)


def test_text_is_written_though_no_frame_is_drawn(page: Page, stream: Callable[..., str]) -> None:
    """A hidden tab draws no frames; text is written there all the same, in mid-stream too."""
    page.add_init_script("""
        window.requestAnimationFrame = () => 0;
        Object.defineProperty(document, "hidden", { get: () => true });
    """)
    page.goto(stream(PICK + start("intro"), fragment("int", "From the pan.\nTo the plate."), Gate()))
    ask(page)
    expect(body(page, "intro").locator("p")).to_have_text(["From the pan.", "To the plate."])


def test_a_run_that_was_reset_writes_no_more(page: Page, stream: Callable[..., str]) -> None:
    """Reset in mid-stream ends the run: nothing of it shows up afterwards."""
    gate = Gate()
    page.goto(stream(PICK, gate, written("intro", "int", "Too late"), end()))
    ask(page)
    expect(page.get_by_role("heading", level=2)).to_have_text("Pepper Steak")
    page.get_by_role("button", name="Reset").click()
    gate.open()
    expect(page.get_by_role("heading", level=2)).to_have_text("Ingredients in, recipe out.")
    expect(body(page, "intro")).to_be_empty()
    expect(status(page)).to_be_empty()


DECODE = """async ([bytes, size]) => {
    const { events } = await import("/static/sse.js");
    const body = new ReadableStream({
        start(controller) {
            for (let at = 0; at < bytes.length; at += size) {
                controller.enqueue(new Uint8Array(bytes.slice(at, at + size)));
            }
            controller.close();
        },
    });
    const decoded = [];
    for await (const { event, data } of events(body)) decoded.push([event, data]);
    return decoded;
}"""


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
def test_the_decoder_follows_the_standard(kitchen: Page, line_end: str, size: int) -> None:
    """The examples of WHATWG HTML §9.2.6 decode alike with each line end, wherever the bytes are split."""
    sent = (
        ": comment\n\ndata: YHOO\ndata: +2\ndata: 10\n\nevent: add\ndata: 비빔밥⮑\nid: 1\n\n"
        "data\n\ndata\ndata\n\ndata:test\n\ndata:  two\n\nevent: lone\n\ndata:a:b\nretry: 5\n\ndata: cut"
    )
    encoded = b"\xef\xbb\xbf" + sent.replace("\n", line_end).encode()
    assert kitchen.evaluate(DECODE, [list(encoded), size]) == [
        ["message", "YHOO\n+2\n10"],
        ["add", "비빔밥⮑"],
        ["message", ""],
        ["message", "\n"],
        ["message", "test"],
        ["message", " two"],
        ["message", "a:b"],
    ]

"""The page in a real browser: what a cook sees, whatever comes down the wire."""

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, Route, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.routing import Mount
from starlette.routing import Route as Path
from starlette.staticfiles import StaticFiles

from app.routes import PAGE_HEADERS, WEB
from tests.servers import Gate, serving

PARTS = ("alternates", "ingredients", "intro", "nutrition", "sides", "steps")
RECIPES = [
    {"name": "Pepper Steak", "intro": "Quick and hot."},
    {"name": "Beef Soup", "intro": "Slow & warm."},
    {"name": "Onion Tart", "intro": "Crisp."},
]


def named(name: str, **fields: Any) -> str:
    return f"event: {name}\ndata: {name}|{json.dumps(fields, ensure_ascii=False)}\n\n"


def fragment(code: str, text: str) -> str:
    references = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "\n": "⮑"})
    return f"data: {code}|{text.translate(references)}\n\n"


def start(part: str, attempt: int = 1) -> str:
    return named("part_start", part=part, attempt=attempt, provider="groq", model=f"{part}-model")


def stop(part: str, status: str = "ok", message: str | None = None) -> str:
    figures = {"finish_reason": "stop", "ttft_ms": 210, "tokens": 90, "tokens_per_s": 412.4}
    return named("part_end", part=part, status=status, message=message, **figures)


def written(part: str, code: str, text: str) -> str:
    return start(part) + fragment(code, text) + stop(part)


def end(status: str = "ok") -> str:
    return named("end", status=status, total_ms=2300)


PICK = named("run", run_id="r", request={}, parts=PARTS) + named("proposal", recipes=RECIPES, picked=0)
INGREDIENTS = written("ingredients", "add", "- 300 g beef flank\n- 2 onions\n")
OTHERS = (
    start("alternates")
    + fragment("alt", "<li><b>Beef Soup</b> &nbsp;<i>Slow</i></li>")
    + stop("alternates")
    + written("intro", "int", "From the pan.\nTo the plate.")
    + written("nutrition", "ing", "- Onions: fibre.\n")
    + written("steps", "ste", "1. Slice the beef.\n2. Sear it.\n")
)
SIDES = written("sides", "sde", "- Rice: it soaks up the juices.\n")
WHOLE = PICK + INGREDIENTS + OTHERS + SIDES + end()


@pytest.fixture
def kitchen(page: Page, sizzle_url: str) -> Page:
    """The page, opened."""
    page.goto(sizzle_url)
    return page


@pytest.fixture
def answer(page: Page) -> Callable[..., None]:
    """Answers every `POST /generate` of the page with one whole body."""

    def fulfil(body: str, status: int = 200, content_type: str = "text/event-stream") -> None:
        def reply(route: Route) -> None:
            route.fulfill(body=body, status=status, content_type=f"{content_type}; charset=utf-8")

        page.route("**/generate", reply)

    return fulfil


@pytest.fixture
def stream() -> Iterator[Callable[..., str]]:
    """Serves the page over a `POST /generate` that sends what it is given, waits at each gate, and dies of an error."""
    with ExitStack() as servers:
        yield lambda *moves: servers.enter_context(serving(page_over(moves)))


def page_over(moves: tuple[str | Gate | Exception, ...]) -> Starlette:
    """The page, and a `POST /generate` that makes these moves."""

    async def body() -> AsyncIterator[str]:
        for move in moves:
            match move:
                case Gate():
                    await move.passed()
                case Exception():
                    raise move
                case text:
                    yield text

    async def index(_: Request) -> FileResponse:
        return FileResponse(WEB / "index.html", headers=PAGE_HEADERS)

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "standin": False})

    async def generate(_: Request) -> StreamingResponse:
        return StreamingResponse(body(), media_type="text/event-stream")

    routes = [Path("/", index), Path("/healthz", health), Path("/generate", generate, methods=["POST"])]
    return Starlette(routes=[*routes, Mount("/static", StaticFiles(directory=WEB))])


def ask(page: Page, ingredients: str = "beef flank, onions") -> None:
    page.locator("textarea").fill(ingredients)
    page.locator("#generate").click()


def panel(page: Page, part: str) -> Locator:
    return page.locator(f".panel[data-part={part}]")


def body(page: Page, part: str) -> Locator:
    return panel(page, part).locator(".body")


def state(page: Page, part: str) -> Locator:
    return panel(page, part).locator(".state")


def status(page: Page) -> Locator:
    return page.get_by_role("status")


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


def test_bad_input_is_shown_at_its_field(kitchen: Page, answer: Callable[..., None]) -> None:
    """What the server finds wrong stands at the field, which is marked, focused, and forgiven at the next key."""
    problem = {"field": "ingredientsOnHand", "message": "That is no food."}
    answer(json.dumps({"detail": [problem]}), status=422, content_type="application/json")
    ask(kitchen)
    field = kitchen.locator("textarea")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description("That is no food. Ctrl or ⌘ + Enter works too.")
    field.press("End")
    field.press_sequentially("s")
    expect(field).not_to_have_attribute("aria-invalid", "true")
    expect(kitchen.get_by_text("That is no food.")).to_have_count(0)


def test_korean_speaks_korean_and_is_remembered(kitchen: Page, answer: Callable[..., None]) -> None:
    """The language choice changes the page's words, asks for a Korean recipe and outlives a reload."""
    answer(named("proposal", recipes=[{"name": "비빔밥", "intro": "든든한 한 그릇."}], picked=0) + end("partial"))
    kitchen.locator("#language").select_option("ko")
    kitchen.reload()
    expect(kitchen.locator("html")).to_have_attribute("lang", "ko")
    expect(kitchen.get_by_role("heading", level=3).nth(1)).to_have_text("재료")
    with kitchen.expect_request("**/generate") as asked:
        ask(kitchen, "밥, 나물")
    assert asked.value.post_data_json == {"ingredientsOnHand": "밥, 나물", "prepTime": 45, "language": "ko"}
    title = kitchen.get_by_role("heading", level=2)
    expect(title).to_have_text("비빔밥")
    expect(title).to_have_attribute("lang", "ko")
    expect(state(kitchen, "steps")).to_have_text("끝나지 않음")


def test_korean_over_the_real_server(kitchen: Page) -> None:
    """A Korean recipe is written in Korean, whole."""
    kitchen.locator("#language").select_option("ko")
    ask(kitchen, "소고기, 양파, 밥")
    expect(status(kitchen)).to_contain_text("여섯 부분을 모두 썼어요", timeout=20_000)
    for part in PARTS:
        expect(body(kitchen, part)).to_contain_text(re.compile("[가-힣]{2}"))


def test_both_languages_have_the_same_words(kitchen: Page) -> None:
    """No word of the page is missing in either language: every element that speaks says something in both."""
    for language in ("en", "ko"):
        kitchen.locator("#language").select_option(language)
        spoken = kitchen.locator("[data-word]:not([data-word=state_idle])")
        assert all(text and "undefined" not in text for text in spoken.all_text_contents())


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


def test_a_phone_needs_no_sideways_scrolling(kitchen: Page, answer: Callable[..., None]) -> None:
    """At 390 px nothing is wider than the screen, not even a word without end, and Stop stays in reach."""
    endless = "x" * 400
    named_so = [{"name": endless, "intro": endless}, {"name": endless, "intro": endless}]
    answer(named("proposal", recipes=named_so, picked=0) + written("intro", "int", endless) + INGREDIENTS + end())
    kitchen.set_viewport_size({"width": 390, "height": 844})
    ask(kitchen)
    expect(body(kitchen, "intro")).to_have_text(endless)
    assert kitchen.evaluate("document.documentElement.scrollWidth") == 390
    expect(kitchen.locator("#stop")).to_be_in_viewport()


def test_dark_mode_is_dark(kitchen: Page) -> None:
    """With a dark colour scheme the sheet is dark and its text light."""

    def brightness(name: str) -> int:
        colour = kitchen.evaluate(f"getComputedStyle(document.documentElement).{name}")
        return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))

    light = brightness("backgroundColor"), brightness("color")
    kitchen.emulate_media(color_scheme="dark")
    dark = brightness("backgroundColor"), brightness("color")
    assert light[0] > 700 > 200 > light[1]
    assert dark[0] < 100 < 600 < dark[1]


def test_paper_gets_the_recipe_only(kitchen: Page, answer: Callable[..., None]) -> None:
    """In print there is the dish and its parts, but no form, states, figures or timeline."""
    answer(WHOLE)
    ask(kitchen)
    expect(status(kitchen)).to_contain_text("All six parts are here")
    kitchen.emulate_media(media="print")
    expect(kitchen.get_by_role("heading", level=2)).to_be_visible()
    for part in ("intro", "ingredients", "steps", "sides", "nutrition"):
        expect(body(kitchen, part)).to_be_visible()
    for hidden in ("form", "#status", ".timeline", "[data-part=steps] .state", "[data-part=steps] .figures"):
        expect(kitchen.locator(hidden).first).to_be_hidden()


def test_text_is_written_though_no_frame_is_drawn(page: Page, stream: Callable[..., str]) -> None:
    """A hidden tab draws no frames; text is written there all the same, in mid-stream too."""
    page.add_init_script("""
        window.requestAnimationFrame = () => 0;
        Object.defineProperty(document, "hidden", { get: () => true });
    """)
    page.goto(stream(PICK + start("intro"), fragment("int", "From the pan.\nTo the plate."), Gate()))
    ask(page)
    expect(body(page, "intro").locator("p")).to_have_text(["From the pan.", "To the plate."])


def test_keyboard_alone_is_enough(page: Page, stream: Callable[..., str]) -> None:
    """Tab reaches everything; Generate hands the focus to Stop, and Stop hands it back."""
    page.goto(stream(PICK, Gate()))
    page.keyboard.press("Tab")
    expect(page.get_by_label("What’s in your kitchen?")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("textarea")).to_have_value("beef flank, onions, peppers")
    for _ in range(6):
        page.keyboard.press("Tab")
    expect(page.locator("#generate")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2)).to_have_text("Pepper Steak")
    expect(page.locator("#stop")).to_be_focused()
    page.keyboard.press("Enter")
    expect(status(page)).to_have_text("Stopped. What was written is kept.")
    expect(page.locator("#generate")).to_be_focused()


@pytest.mark.parametrize("chord", ["Control+Enter", "Meta+Enter"])
def test_a_chord_generates(kitchen: Page, answer: Callable[..., None], chord: str) -> None:
    """Ctrl or Cmd + Enter in the field is Generate."""
    answer(WHOLE)
    field = kitchen.locator("textarea")
    field.press(chord)
    expect(status(kitchen)).to_be_empty()
    field.fill("beef flank")
    field.press(chord)
    expect(status(kitchen)).to_contain_text("All six parts are here")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("filled", ["empty", "whole", "failed"])
def test_axe_finds_no_violation(kitchen: Page, answer: Callable[..., None], scheme: Any, filled: str) -> None:
    """The page passes axe's checks in both colour schemes, empty, filled and failed."""
    kitchen.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    if filled != "empty":
        answer(WHOLE if filled == "whole" else PICK + stop("sides", "failed", "Busy.") + end("failed"))
        ask(kitchen)
        expect(kitchen.locator("main")).to_have_attribute("data-state", "finished")
    result = Axe().run(kitchen)
    assert result.violations_count == 0, result.generate_report()


def test_the_standin_says_what_it_is(kitchen: Page, stream: Callable[..., str]) -> None:
    """With the stand-in a line says that no language model answers and how to get one; with real models it is away."""
    line = kitchen.get_by_text("rule-based stand-in is answering, not a language model")
    expect(line).to_be_visible()
    expect(line).to_contain_text("FIREWORKS_API_KEY or GROQ_API_KEY")
    kitchen.goto(stream())
    expect(line).to_be_hidden()


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("  ab  ", "Name at least one ingredient."),
        ("123, 45", "Name the ingredients in words."),
        ("x" * 2001, "Keep it within 2,000 characters; this is 2,001."),
    ],
)
def test_generate_is_disabled_for_a_reason(kitchen: Page, typed: str, reason: str) -> None:
    """Input that cannot be sent disables Generate, which is described by the reason."""
    kitchen.locator("textarea").fill(typed)
    expect(kitchen.locator("#generate")).to_be_disabled()
    expect(kitchen.locator("#generate")).to_have_accessible_description(reason)
    expect(kitchen.locator("textarea")).to_have_accessible_description(reason)


@pytest.mark.parametrize("typed", ["egg", "밥과김", "🍋" * 1000 + "x" * 1000])
def test_generate_is_enabled_for_anything_with_letters(kitchen: Page, typed: str) -> None:
    """Three letters of any script suffice, and 2,000 characters are counted as the server counts them."""
    kitchen.locator("textarea").fill(typed)
    expect(kitchen.locator("#generate")).to_be_enabled()


def test_reset_clears_everything(kitchen: Page, answer: Callable[..., None]) -> None:
    """Reset brings the page back to how it was opened, with the focus in the field."""
    answer(WHOLE)
    kitchen.locator("#prep-time").select_option("90")
    ask(kitchen)
    expect(status(kitchen)).to_contain_text("All six parts are here")
    kitchen.get_by_role("button", name="Reset").click()
    expect(kitchen.locator("textarea")).to_have_value("")
    expect(kitchen.locator("textarea")).to_be_focused()
    expect(kitchen.locator("#prep-time")).to_have_value("45")
    expect(status(kitchen)).to_be_empty()
    expect(kitchen.get_by_role("heading", level=2)).to_have_text("Ingredients in, recipe out.")
    expect(kitchen.locator(".timeline")).to_be_hidden()
    for part in PARTS:
        expect(body(kitchen, part)).to_be_empty()


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

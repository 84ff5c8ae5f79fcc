"""The page while a recipe is generated, for any events."""

from playwright.sync_api import Page, expect

from tests.page.conftest import ServeRuns
from tests.page.wire import (
    BUSY,
    CHOSEN_PARTS,
    NO_DISH,
    PARTS,
    PICK,
    SIDES_FAILED,
    STARTED,
    WHOLE,
    ask,
    body,
    end,
    event,
    fragment,
    ideas,
    panel,
    proposed,
    run_begins,
    start,
    state,
    status,
    stop,
    title,
    written,
)
from tests.servers import RECIPES, Gate


def test_fills_six_panels_and_says_done(real_page: Page) -> None:
    """Over the real server all six parts are generated, and the security policy is not violated."""
    complaints: list[str] = []
    real_page.on("console", lambda line: complaints.append(line.text))
    real_page.on("pageerror", lambda error: complaints.append(str(error)))
    ask(real_page, "beef flank, onions, peppers")
    expect(status(real_page)).to_contain_text("All six parts are here", timeout=20_000)
    for part in PARTS:
        expect(state(real_page, part)).to_have_text("Done")
        expect(body(real_page, part)).not_to_be_empty()
    assert complaints == []


def test_the_dish_and_the_ideas_are_shown_as_they_arrive(page: Page, serve_runs: ServeRuns) -> None:
    """The picked recipe is the title; each other idea is listed as soon as it is complete."""
    gate = Gate()
    soup, tart = ideas(*RECIPES[1:])
    serve_runs([*PICK, start("alternates"), soup, gate, tart, stop("alternates"), end()])
    ask(page)
    expect(title(page)).to_have_text("Pepper Steak")
    expect(page.locator("#tagline")).to_have_text("Quick and hot.")
    others = body(page, "alternates").get_by_role("listitem")
    expect(others).to_contain_text(["Beef Soup Slow & warm."])
    gate.open()
    expect(others).to_contain_text(["Beef Soup Slow & warm.", "Onion Tart Crisp."])


def test_the_dish_is_shown_before_the_rest(page: Page, serve_runs: ServeRuns) -> None:
    """After the pick the dish has its name, and each panel says what it waits for."""
    gate = Gate()
    serve_runs([*PICK, start("intro"), fragment("intro", "From the"), gate, fragment("intro", " pan."), end()])
    ask(page)
    expect(title(page)).to_have_text("Pepper Steak")
    expect(state(page, "steps")).to_have_text("Waiting for the ingredients")
    expect(panel(page, "intro")).to_have_attribute("aria-busy", "true")
    expect(panel(page, "steps")).to_have_attribute("aria-busy", "false")
    gate.open()
    expect(body(page, "intro")).to_have_text("From the pan.")
    expect(panel(page, "intro")).to_have_attribute("aria-busy", "false")


def test_the_status_says_what_is_awaited(page: Page, serve_runs: ServeRuns) -> None:
    """It goes from the dish to the recipe to done, with the run's duration."""
    dish, rest = Gate(), Gate()
    serve_runs([*STARTED, dish, proposed(), rest, *WHOLE[2:]])
    ask(page)
    expect(status(page)).to_have_text("Waiting for the dish…")
    dish.open()
    expect(status(page)).to_have_text("Writing your recipe…")
    rest.open()
    expect(status(page)).to_have_text("Done. All six parts are here.")


def test_lines_become_lists_wherever_they_are_split(page: Page, serve_runs: ServeRuns) -> None:
    """Bulleted and numbered lines are list items, other lines paragraphs, even if characters arrive one by one."""
    text = "For two:\n- 2 onions\n-5 °C is too cold\n1. Slice.\n12) Serve.\n\n3 cups\n-"
    serve_runs([*PICK, start("steps"), *(fragment("steps", character) for character in text), end("partial")])
    ask(page)
    steps = body(page, "steps")
    expect(steps.get_by_role("listitem")).to_have_text(["2 onions", "Slice.", "Serve."])
    expect(steps.locator("p")).to_have_text(["For two:", "-5 °C is too cold", "3 cups", "-"])
    expect(steps.locator("ol li").last).to_have_js_property("value", 12)


def test_figures_are_in_a_closed_section(page: Page, serve_runs: ServeRuns) -> None:
    """Model, time to first token and tokens per second are in a closed section, and in no part."""
    serve_runs(WHOLE)
    ask(page)
    figures = page.locator(".timeline li[data-part=sides] .figures")
    expect(figures).to_have_text("sides-model · first token 0.21 s · 412 tokens/s")
    expect(figures).to_be_hidden()
    page.get_by_text("How it was written").click()
    expect(figures).to_be_visible()
    expect(page.locator(".panels")).not_to_contain_text("token")


def test_an_absurd_rate_is_not_shown(page: Page, serve_runs: ServeRuns) -> None:
    """Three million tokens per second are not a useful figure."""
    fast = event("part_end", part="sides", status="ok", ttft_ms=2, tokens=90, tokens_per_s=3_026_412.0)
    serve_runs([*PICK, start("sides"), fragment("sides", "- Rice."), fast, end("partial")])
    ask(page)
    expect(page.locator(".timeline li[data-part=sides] .figures")).to_have_text("sides-model · first token 0.00 s")


def test_done_is_shown_once(page: Page, serve_runs: ServeRuns) -> None:
    """The status says it; finished parts show their text and no state."""
    serve_runs(WHOLE)
    ask(page)
    expect(status(page)).to_have_text("Done. All six parts are here.")
    for part in PARTS:
        expect(state(page, part)).to_be_hidden()


def test_the_timeline_shows_when_each_part_was_written(page: Page, serve_runs: ServeRuns) -> None:
    """Each part has a bar with the times of its events; the sum is compared with the total; tokens and cost follow."""
    times = {part: 100 * number for number, part in enumerate(PARTS)}
    starts = [start(part, at_ms=at) for part, at in times.items()]
    stops = [stop(part, at_ms=at + 1500) for part, at in times.items()]
    usage = {"calls": 7, "input_tokens": 3043, "output_tokens": 486, "cost_usd": 0.000748, "is_estimated": False}
    serve_runs([*PICK, *starts, *stops, end(at_ms=2000, usage=usage)])
    ask(page)
    expect(page.locator(".usage")).to_have_text("7 calls: 3,043 tokens in, 486 out, $0.00075.")
    expect(page.locator(".timeline li[data-part=sides] .times")).to_have_text("0.40–1.9 s")
    expect(page.locator(".timeline li[data-part=alternates] .times")).to_have_text("0.00–1.5 s")
    expect(page.locator(".sum")).to_have_text("One after another: 9.0 s. Side by side: 2.0 s.")


def test_a_failed_part_has_a_reason_and_the_others_continue(page: Page, serve_runs: ServeRuns) -> None:
    """The other five parts are complete, and the status names the missing one."""
    serve_runs(SIDES_FAILED)
    ask(page)
    expect(status(page)).to_have_text("Ended, but not complete: On the side. The rest is here.")
    expect(state(page, "sides")).to_have_text("Failed")
    expect(panel(page, "sides").locator(".trouble")).to_have_text(BUSY)
    for part in set(PARTS) - {"sides"}:
        expect(state(page, part)).to_have_text("Done")


def test_a_part_cut_off_says_so(page: Page, serve_runs: ServeRuns) -> None:
    """A part at its token limit is marked as cut short and keeps its text."""
    cut = [start("steps"), fragment("steps", "1. Sli"), stop("steps", "cut_off", "At its limit.")]
    serve_runs([*PICK, *cut, end("partial")])
    ask(page)
    expect(state(page, "steps")).to_have_text("Cut short")
    expect(panel(page, "steps").locator(".trouble")).to_have_text("At its limit.")
    expect(body(page, "steps")).to_have_text("Sli")


def test_a_note_on_a_complete_part_is_not_shown(page: Page, serve_runs: ServeRuns) -> None:
    """A missing finish_reason is not shown."""
    serve_runs(
        [
            *PICK,
            start("sides"),
            fragment("sides", "- Rice."),
            stop("sides", "ok", "No reason was given."),
            end("partial"),
        ]
    )
    ask(page)
    expect(body(page, "sides")).to_have_text("Rice.")
    expect(panel(page, "sides")).to_have_attribute("data-state", "ok")
    expect(panel(page, "sides").locator(".trouble")).to_be_empty()


def test_a_failed_run_gives_its_reason(page: Page, serve_runs: ServeRuns) -> None:
    """The reason is the status of the page, in the server's words."""
    serve_runs(NO_DISH)
    ask(page)
    expect(status(page)).to_have_text("No model could be reached.")
    expect(title(page)).to_have_text("No dish this time")
    expect(state(page, "nutrition")).to_have_text("Done")
    for part in set(PARTS) - {"nutrition"}:
        expect(state(page, part)).to_have_text("Failed")


def test_a_run_of_a_chosen_dish_has_five_parts(page: Page, serve_runs: ServeRuns) -> None:
    """It has its name at once, and no other ideas."""
    serve_runs(
        [
            run_begins(CHOSEN_PARTS, recipe=RECIPES[1]),
            *(made for part in CHOSEN_PARTS for made in written(part, part)),
            end(),
        ]
    )
    ask(page)
    expect(title(page)).to_have_text("Beef Soup")
    expect(status(page)).to_have_text("Done. All five parts are here.")
    expect(panel(page, "alternates")).to_be_hidden()
    expect(page.locator(".timeline li")).to_have_count(5)


def test_an_event_of_a_later_version_is_ignored(page: Page, serve_runs: ServeRuns) -> None:
    """Unknown events and parts are ignored."""
    serve_runs(
        [*PICK, event("weather", part="sky"), fragment("sky", "Blue."), *written("intro", "From the pan."), end()]
    )
    ask(page)
    expect(body(page, "intro")).to_have_text("From the pan.")
    expect(page.get_by_text("Blue.")).to_have_count(0)


def test_markup_in_model_text_shows_as_text(page: Page, serve_runs: ServeRuns) -> None:
    """Nothing in it becomes an element, and no reference is decoded."""
    markup = '<img src=x onerror="document.title=1"><b>bold</b> | &lt; &amp;lt; &quot;'
    recipe = {"name": markup, "intro": markup}
    others = [start("alternates"), *ideas(recipe), stop("alternates")]
    failure = stop("sides", "failed", markup)
    serve_runs([*STARTED, proposed([recipe]), *others, *written("intro", markup), failure, end("partial")])
    ask(page)
    expect(body(page, "intro")).to_have_text(markup)
    expect(title(page)).to_have_text(markup)
    expect(body(page, "alternates")).to_contain_text(f"{markup} {markup}")
    expect(panel(page, "sides").locator(".trouble")).to_have_text(markup)
    expect(page.locator("main :is(img, b, script)")).to_have_count(0)


def test_text_is_added_in_a_background_tab(page: Page, serve_runs: ServeRuns) -> None:
    """A tab in the background draws no frames, so a timer adds the text."""
    page.add_init_script("""
        window.requestAnimationFrame = () => 0;
        Object.defineProperty(document, "hidden", { get: () => true });
    """)
    serve_runs([*PICK, start("intro"), fragment("intro", "From the pan.\nTo the plate."), Gate()])
    ask(page)
    expect(body(page, "intro").locator("p")).to_have_text(["From the pan.", "To the plate."])


def test_a_request_has_the_values_of_the_form(page: Page, serve_runs: ServeRuns) -> None:
    """The request contains the values of the form, and nothing else."""
    fake = serve_runs(WHOLE)
    page.locator("#prep-time").select_option("30")
    ask(page, " rice, nori ")
    expect(status(page)).to_contain_text("Done")
    assert fake.made("POST /runs") == [{"ingredientsOnHand": "rice, nori", "prepTime": 30, "language": "en"}]

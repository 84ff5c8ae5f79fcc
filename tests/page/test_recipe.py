"""The page while a recipe comes: what a cook sees, whatever the events say."""

from playwright.sync_api import Page, expect

from tests.page.conftest import Cooks
from tests.page.wire import (
    BEGUN,
    BUSY,
    CHOSEN_PARTS,
    NO_DISH,
    PARTS,
    PICK,
    SIDES_FAILED,
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


def test_the_dish_comes_from_the_proposal_and_the_other_ideas_as_they_come(page: Page, cooks: Cooks) -> None:
    """The picked recipe is the title; each other idea is listed as soon as it is complete."""
    gate = Gate()
    soup, tart = ideas(*RECIPES[1:])
    cooks([*PICK, start("alternates"), soup, gate, tart, stop("alternates"), end()])
    ask(page)
    expect(title(page)).to_have_text("Pepper Steak")
    expect(page.locator("#tagline")).to_have_text("Quick and hot.")
    others = body(page, "alternates").get_by_role("listitem")
    expect(others).to_contain_text(["Beef Soup Slow & warm."])
    gate.open()
    expect(others).to_contain_text(["Beef Soup Slow & warm.", "Onion Tart Crisp."])


def test_the_dish_shows_while_the_rest_is_unwritten(page: Page, cooks: Cooks) -> None:
    """As soon as the pick is known, the dish has its name, and each panel says what it waits for."""
    gate = Gate()
    cooks([*PICK, start("intro"), fragment("intro", "From the"), gate, fragment("intro", " pan."), end()])
    ask(page)
    expect(title(page)).to_have_text("Pepper Steak")
    expect(state(page, "steps")).to_have_text("Waiting for the ingredients")
    expect(panel(page, "intro")).to_have_attribute("aria-busy", "true")
    expect(panel(page, "steps")).to_have_attribute("aria-busy", "false")
    gate.open()
    expect(body(page, "intro")).to_have_text("From the pan.")
    expect(panel(page, "intro")).to_have_attribute("aria-busy", "false")


def test_the_status_tells_what_is_awaited(page: Page, cooks: Cooks) -> None:
    """First the dish is waited for, then the recipe is written, then it is done, in the run's own time."""
    dish, rest = Gate(), Gate()
    cooks([*BEGUN, dish, proposed(), rest, *WHOLE[2:]])
    ask(page)
    expect(status(page)).to_have_text("Waiting for the dish…")
    dish.open()
    expect(status(page)).to_have_text("Writing your recipe…")
    rest.open()
    expect(status(page)).to_have_text("Done. All six parts are here.")


def test_lines_become_lists_wherever_they_are_split(page: Page, cooks: Cooks) -> None:
    """Bulleted and numbered lines are list items, other lines paragraphs, though every character comes alone."""
    text = "For two:\n- 2 onions\n-5 °C is too cold\n1. Slice.\n12) Serve.\n\n3 cups\n-"
    cooks([*PICK, start("steps"), *(fragment("steps", character) for character in text), end("partial")])
    ask(page)
    steps = body(page, "steps")
    expect(steps.get_by_role("listitem")).to_have_text(["2 onions", "Slice.", "Serve."])
    expect(steps.locator("p")).to_have_text(["For two:", "-5 °C is too cold", "3 cups", "-"])
    expect(steps.locator("ol li").last).to_have_js_property("value", 12)


def test_figures_stand_in_a_fold_below_the_recipe(page: Page, cooks: Cooks) -> None:
    """Model, time to first token and tokens per second are there for those who open it, and in no part."""
    cooks(WHOLE)
    ask(page)
    figures = page.locator(".timeline li[data-part=sides] .figures")
    expect(figures).to_have_text("sides-model · first token 0.21 s · 412 tokens/s")
    expect(figures).to_be_hidden()
    page.get_by_text("How it was written").click()
    expect(figures).to_be_visible()
    expect(page.locator(".panels")).not_to_contain_text("token")


def test_a_rate_that_only_says_that_all_came_at_once_is_not_shown(page: Page, cooks: Cooks) -> None:
    """Three million tokens a second are no figure for people."""
    fast = event("part_end", part="sides", status="ok", ttft_ms=2, tokens=90, tokens_per_s=3_026_412.0)
    cooks([*PICK, start("sides"), fragment("sides", "- Rice."), fast, end("partial")])
    ask(page)
    expect(page.locator(".timeline li[data-part=sides] .figures")).to_have_text("sides-model · first token 0.00 s")


def test_done_is_said_once(page: Page, cooks: Cooks) -> None:
    """The status says it; the parts that are done show their text and no state."""
    cooks(WHOLE)
    ask(page)
    expect(status(page)).to_have_text("Done. All six parts are here.")
    for part in PARTS:
        expect(state(page, part)).to_be_hidden()


def test_the_timeline_shows_when_each_part_was_written(page: Page, cooks: Cooks) -> None:
    """Each part has a bar with its times as the events tell them, and the sum compares them with the whole."""
    times = {part: 100 * number for number, part in enumerate(PARTS)}
    starts = [start(part, at_ms=at) for part, at in times.items()]
    stops = [stop(part, at_ms=at + 1500) for part, at in times.items()]
    cooks([*PICK, *starts, *stops, end(at_ms=2000)])
    ask(page)
    expect(page.locator(".timeline li[data-part=sides] .times")).to_have_text("0.40–1.9 s")
    expect(page.locator(".timeline li[data-part=alternates] .times")).to_have_text("0.00–1.5 s")
    expect(page.locator(".sum")).to_have_text("One after another: 9.0 s. Side by side: 2.0 s.")


def test_a_failed_part_gives_its_reason_and_leaves_the_others(page: Page, cooks: Cooks) -> None:
    """A part that fails says why; the other five are complete, and the status names the missing one."""
    cooks(SIDES_FAILED)
    ask(page)
    expect(status(page)).to_have_text("Ended, but not complete: On the side. The rest is here.")
    expect(state(page, "sides")).to_have_text("Failed")
    expect(panel(page, "sides").locator(".trouble")).to_have_text(BUSY)
    for part in set(PARTS) - {"sides"}:
        expect(state(page, part)).to_have_text("Done")


def test_a_part_cut_off_says_so(page: Page, cooks: Cooks) -> None:
    """A part that reached its limit is said to be cut short, in words, and keeps its text."""
    cut = [start("steps"), fragment("steps", "1. Sli"), stop("steps", "cut_off", "At its limit.")]
    cooks([*PICK, *cut, end("partial")])
    ask(page)
    expect(state(page, "steps")).to_have_text("Cut short")
    expect(panel(page, "steps").locator(".trouble")).to_have_text("At its limit.")
    expect(body(page, "steps")).to_have_text("Sli")


def test_a_note_on_a_whole_part_is_no_trouble(page: Page, cooks: Cooks) -> None:
    """That a provider gave no reason for its end is nothing for a cook."""
    cooks(
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


def test_a_failed_run_gives_its_reason(page: Page, cooks: Cooks) -> None:
    """Why no dish came about is the status of the whole page, in the server's words."""
    cooks(NO_DISH)
    ask(page)
    expect(status(page)).to_have_text("No model could be reached.")
    expect(title(page)).to_have_text("No dish this time")
    expect(state(page, "nutrition")).to_have_text("Done")
    for part in set(PARTS) - {"nutrition"}:
        expect(state(page, part)).to_have_text("Failed")


def test_a_run_of_a_chosen_dish_has_five_parts(page: Page, cooks: Cooks) -> None:
    """A run whose dish was chosen needs no proposal: it has its name at once, and no other ideas."""
    cooks(
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


def test_an_event_of_a_later_version_is_passed_over(page: Page, cooks: Cooks) -> None:
    """Events and parts that the page does not know change nothing."""
    cooks([*PICK, event("weather", part="sky"), fragment("sky", "Blue."), *written("intro", "From the pan."), end()])
    ask(page)
    expect(body(page, "intro")).to_have_text("From the pan.")
    expect(page.get_by_text("Blue.")).to_have_count(0)


def test_markup_in_model_text_shows_as_text(page: Page, cooks: Cooks) -> None:
    """Whatever a model writes is text: nothing of it becomes an element, and no reference in it is decoded."""
    markup = '<img src=x onerror="document.title=1"><b>bold</b> | &lt; &amp;lt; &quot;'
    recipe = {"name": markup, "intro": markup}
    others = [start("alternates"), *ideas(recipe), stop("alternates")]
    failure = stop("sides", "failed", markup)
    cooks([*BEGUN, proposed([recipe]), *others, *written("intro", markup), failure, end("partial")])
    ask(page)
    expect(body(page, "intro")).to_have_text(markup)
    expect(title(page)).to_have_text(markup)
    expect(body(page, "alternates")).to_contain_text(f"{markup} {markup}")
    expect(panel(page, "sides").locator(".trouble")).to_have_text(markup)
    expect(page.locator("main :is(img, b, script)")).to_have_count(0)


def test_text_is_written_though_no_frame_is_drawn(page: Page, cooks: Cooks) -> None:
    """A tab in the background draws no frames; its text is written all the same, by a timer."""
    page.add_init_script("""
        window.requestAnimationFrame = () => 0;
        Object.defineProperty(document, "hidden", { get: () => true });
    """)
    cooks([*PICK, start("intro"), fragment("intro", "From the pan.\nTo the plate."), Gate()])
    ask(page)
    expect(body(page, "intro").locator("p")).to_have_text(["From the pan.", "To the plate."])


def test_a_run_is_asked_for_as_the_form_says(page: Page, cooks: Cooks) -> None:
    """The order holds what the form says, and nothing else."""
    fake = cooks(WHOLE)
    page.locator("#prep-time").select_option("30")
    ask(page, " rice, nori ")
    expect(status(page)).to_contain_text("Done")
    assert fake.made("POST /runs") == [{"ingredientsOnHand": "rice, nori", "prepTime": 30, "language": "en"}]

"""The page's form and appearance: input, keyboard, languages, phones, dark mode, print, axe."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from starlette.responses import JSONResponse

from tests.conftest import ServeScripts
from tests.page.conftest import ServeRuns
from tests.page.wire import (
    INGREDIENTS,
    NO_DISH,
    OTHERS,
    PARTS,
    PICK,
    SIDES_FAILED,
    STARTED,
    WHOLE,
    ask,
    axe_violations,
    body,
    end,
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
from tests.servers import Gate


def test_bad_input_is_shown_at_its_field(page: Page, serve_runs: ServeRuns) -> None:
    """The field is marked and focused, with the server's message, until the next key."""
    fake = serve_runs(WHOLE)
    problem = {"field": "ingredientsOnHand", "message": "That is no food."}
    fake.refusals["POST /runs"] = [JSONResponse({"detail": [problem]}, 422)]
    ask(page)
    field = page.locator("textarea")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description("That is no food. Ctrl or ⌘ + Enter works too.")
    expect(status(page)).to_have_text("Please check what you entered.")
    field.press("End")
    field.press_sequentially("s")
    expect(field).not_to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("That is no food.")).to_have_count(0)


def test_korean_is_applied_and_remembered(page: Page, serve_runs: ServeRuns) -> None:
    """The choice changes the page's texts, requests a Korean recipe and survives a reload."""
    dish = {"name": "비빔밥", "intro": "든든한 한 그릇."}
    fake = serve_runs([run_begins(language="ko"), proposed([dish]), end("partial")])
    page.locator("#language").select_option("ko")
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    expect(page.get_by_role("heading", level=3).nth(1)).to_have_text("재료")
    ask(page, "밥, 나물")
    expect(title(page)).to_have_text("비빔밥")
    expect(title(page)).to_have_attribute("lang", "ko")
    expect(state(page, "steps")).to_have_text("끝나지 않음")
    assert fake.made("POST /runs") == [{"ingredientsOnHand": "밥, 나물", "prepTime": 45, "language": "ko"}]


def test_texts_of_the_page_are_in_its_language_within_a_recipe(page: Page, serve_runs: ServeRuns) -> None:
    """On an English page with a Korean recipe the ideas are marked as Korean, and the buttons as English."""
    dish = {"name": "비빔밥", "intro": "든든한 한 그릇."}
    others = [start("alternates"), *ideas(dish), stop("alternates")]
    serve_runs([run_begins(language="ko"), proposed([dish]), *others, end("partial")])
    page.locator("#language").select_option("ko")
    ask(page, "밥, 나물")
    page.locator("#language").select_option("en")
    button = page.get_by_role("button", name="Cook this instead 비빔밥")
    expect(button).to_have_attribute("lang", "en")
    expect(body(page, "alternates")).to_have_attribute("lang", "ko")


def test_korean_over_the_real_server(real_page: Page) -> None:
    """A Korean recipe is complete and in Korean."""
    real_page.locator("#language").select_option("ko")
    ask(real_page, "소고기, 양파, 밥")
    expect(status(real_page)).to_contain_text("여섯 부분이 모두 있어요", timeout=20_000)
    for part in PARTS:
        expect(body(real_page, part)).to_contain_text(re.compile("[가-힣]{2}"))


WORDS = """async () => {
    const { LANGUAGES } = await import("/static/i18n.js");
    return Object.fromEntries(Object.entries(LANGUAGES).map(([language, words]) => [
        language, Object.entries(words).map(([word, text]) => [word, typeof text]).sort(),
    ]));
}"""


@pytest.mark.parametrize(
    ("typed", "language", "whom"),
    [
        ("leek, vegan, no peanuts, for 3 people", "en", "For 3 · vegan · without peanuts · 45 minutes at most"),
        ("두부, 4인분, 달걀 빼고", "ko", "4인분 · 달걀 빼고 · 45분 이내"),
    ],
)
def test_the_recipe_says_whom_it_is_for(real_page: Page, typed: str, language: str, whom: str) -> None:
    """As the program has understood the free text."""
    real_page.locator("#language").select_option(language)
    real_page.locator("textarea").fill(typed)
    real_page.locator("#generate").click()
    expect(real_page.locator("#for-whom")).to_have_text(whom)


def test_both_languages_have_the_same_words(page: Page, serve_runs: ServeRuns) -> None:
    """No text is missing in either language, and every translated element has a text in both."""
    serve_runs(WHOLE)
    words = page.evaluate(WORDS)
    assert words["en"] == words["ko"]
    for language in ("en", "ko"):
        page.locator("#language").select_option(language)
        spoken = page.locator("[data-word]:not([data-word=state_idle])")
        assert all(text and "undefined" not in text for text in spoken.all_text_contents())


@pytest.mark.parametrize("width", [320, 390, 820, 1024, 1280])
def test_no_width_needs_sideways_scrolling(page: Page, serve_runs: ServeRuns, width: int) -> None:
    """Nothing is wider than the screen, not even an endless word."""
    endless = "x" * 400
    dish = {"name": endless, "intro": endless}
    others = [start("alternates"), *ideas(dish), stop("alternates")]
    serve_runs([*STARTED, proposed([dish]), *others, *written("intro", endless), *INGREDIENTS, end("partial")])
    page.set_viewport_size({"width": width, "height": 780})
    ask(page)
    expect(body(page, "intro")).to_have_text(endless)
    assert page.evaluate("document.documentElement.scrollWidth") == width


CUT_WORDS = """() => [...document.querySelectorAll("h1, h3, button, summary, label")].filter((element) => {
    const text = [...element.childNodes].find((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!text || !element.getClientRects().length) return false;
    return [...text.data.matchAll(/\\S+/g)].some((word) => {
        const range = new Range();
        range.setStart(text, word.index);
        range.setEnd(text, word.index + word[0].length);
        return range.getClientRects().length > 1;
    }) || element.scrollWidth > element.clientWidth + 1;
}).map((element) => element.textContent)"""


@pytest.mark.parametrize("width", [320, 390, 820, 1024, 1280])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_no_title_or_button_breaks_within_a_word(page: Page, serve_runs: ServeRuns, width: int, language: str) -> None:
    """None is wider than its box, during and after the recipe."""
    gate = Gate()
    serve_runs(
        [run_begins(language=language), *PICK[1:], start("ingredients"), fragment("ingredients", "- 2"), gate, end()]
    )
    page.set_viewport_size({"width": width, "height": 780})
    page.locator("#language").select_option(language)
    ask(page)
    expect(body(page, "ingredients")).to_have_text("2")
    state_box, card = (page.locator(f".panel[data-part=ingredients]{part}").bounding_box() for part in (" .state", ""))
    assert state_box
    assert card
    assert state_box["x"] + state_box["width"] <= card["x"] + card["width"]
    assert page.evaluate(CUT_WORDS) == []
    gate.open()
    expect(panel(page, "steps")).to_have_attribute("data-state", "unfinished")
    assert page.evaluate(CUT_WORDS) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_phone_gives_the_screen_to_the_recipe(page: Page, serve_runs: ServeRuns) -> None:
    """Stop is visible while the recipe is generated; afterwards the form is out of sight."""
    gate = Gate()
    fake = serve_runs([*PICK, *INGREDIENTS, *OTHERS, gate, end("partial")])
    page.set_viewport_size({"width": 390, "height": 844})
    ask(page)
    expect(body(page, "steps")).not_to_be_empty()
    page.get_by_role("link", name="Examples").scroll_into_view_if_needed()
    expect(page.locator("#stop")).to_be_in_viewport()
    gate.open()
    expect(status(page)).to_contain_text("not complete")
    page.get_by_role("link", name="Examples").scroll_into_view_if_needed()
    for name in ("#stop", "#generate", "#reset"):
        expect(page.locator(name)).not_to_be_in_viewport()
    assert fake.made("DELETE run") == []


def test_dark_mode_is_dark(real_page: Page) -> None:
    """With a dark colour scheme the sheet is dark and its text light."""

    def brightness(name: str) -> int:
        colour = real_page.evaluate(f"getComputedStyle(document.documentElement).{name}")
        return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))

    light = brightness("backgroundColor"), brightness("color")
    real_page.emulate_media(color_scheme="dark")
    dark = brightness("backgroundColor"), brightness("color")
    assert light[0] > 700 > 200 > light[1]
    assert dark[0] < 100 < 600 < dark[1]


def test_paper_gets_the_recipe_only(page: Page, serve_runs: ServeRuns) -> None:
    """Printing shows the dish and its parts, but no form, buttons, states, figures or timeline."""
    serve_runs(SIDES_FAILED)
    ask(page)
    expect(status(page)).to_contain_text("not complete")
    page.emulate_media(media="print")
    expect(page.get_by_role("heading", level=2)).to_be_visible()
    for part in ("intro", "ingredients", "steps", "nutrition"):
        expect(body(page, part)).to_be_visible()
    absent = ("form", "#status", "#copy", "[data-part=sides] .again", ".take", ".timeline")
    for hidden in (*absent, "[data-part=steps] .state", ".timeline .figures"):
        expect(page.locator(hidden).first).to_be_hidden()


def test_keyboard_alone_is_enough(page: Page, serve_runs: ServeRuns) -> None:
    """Tab reaches everything; Generate moves the focus to Stop, and Stop moves it back."""
    serve_runs([*PICK, Gate()])
    page.keyboard.press("Tab")
    expect(page.get_by_label("What’s in your kitchen?")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("textarea")).to_have_value("beef flank, onions, peppers")
    for _ in range(7):
        page.keyboard.press("Tab")
    expect(page.locator("#generate")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2)).to_have_text("Pepper Steak")
    expect(page.locator("#stop")).to_be_focused()
    page.keyboard.press("Enter")
    expect(status(page)).to_have_text("Stopped. The text so far stays.")
    expect(page.locator("#generate")).to_be_focused()


@pytest.mark.parametrize("chord", ["Control+Enter", "Meta+Enter"])
def test_a_chord_generates(page: Page, serve_runs: ServeRuns, chord: str) -> None:
    """Ctrl or Cmd + Enter in the field is Generate."""
    serve_runs(WHOLE)
    field = page.locator("textarea")
    field.press(chord)
    expect(status(page)).to_be_empty()
    field.fill("beef flank")
    field.press(chord)
    expect(status(page)).to_contain_text("All six parts are here")


STATES: dict[str, tuple[list[Any], str]] = {
    "whole": (WHOLE, "Done."),
    "part failed": (SIDES_FAILED, "not complete"),
    "no dish": (NO_DISH, "No model could be reached."),
    "waiting": ([*STARTED, Gate()], "Waiting for the dish…"),
    "writing": ([*PICK, *INGREDIENTS, start("intro"), fragment("intro", "From"), Gate()], "Writing your recipe…"),
    "retrying": (
        [*PICK, *INGREDIENTS, start("intro"), fragment("intro", "Burnt"), start("intro", 2), Gate()],
        "Trying again: About this dish…",
    ),
    "stopped": ([*PICK, *INGREDIENTS, end("cancelled")], "Stopped."),
}


@pytest.mark.parametrize("filled", STATES)
def test_axe_finds_no_violation(page: Page, serve_runs: ServeRuns, filled: str) -> None:
    """This covers both colour schemes and all states of a recipe."""
    script, text = STATES[filled]
    serve_runs(script)
    ask(page)
    expect(status(page)).to_contain_text(text)
    assert axe_violations(page) == []


def test_axe_finds_no_violation_in_the_empty_form(real_page: Page) -> None:
    """This covers both colour schemes."""
    assert axe_violations(real_page) == []


def test_the_standin_says_what_it_is(real_page: Page, serve_runs: ServeRuns) -> None:
    """A notice says that no language model answers and how to get one; with real models it is hidden."""
    line = real_page.get_by_text("rule-based stand-in is answering, not a language model")
    expect(line).to_be_visible()
    expect(line).to_contain_text("FIREWORKS_API_KEY or GROQ_API_KEY")
    serve_runs(WHOLE)
    expect(line).to_be_hidden()


def test_the_page_says_where_the_standin_writes_some_parts(page: Page, serve_scripts: ServeScripts) -> None:
    url, _ = serve_scripts(models={"sides": "stand-in"})
    page.goto(url)
    expect(page.locator("#standin")).to_have_text(re.compile("^A rule-based stand-in, .* writes some parts"))


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("  ", "Name at least one ingredient."),
        (" a, ㅁ ", "Name the ingredients in words."),
        ("123, 45", "Name the ingredients in words."),
        ("x" * 2001, "Keep it within 2,000 characters; this is 2,001."),
    ],
)
def test_generate_is_disabled_for_a_reason(real_page: Page, typed: str, reason: str) -> None:
    """Input that cannot be sent disables Generate, which is described by the reason."""
    real_page.locator("textarea").fill(typed)
    expect(real_page.locator("#generate")).to_be_disabled()
    expect(real_page.locator("#generate")).to_have_accessible_description(reason)
    expect(real_page.locator("textarea")).to_have_accessible_description(reason)


@pytest.mark.parametrize("typed", ["egg", "ox", "무", "굴", "밥과김", "🍋" * 1000 + "x" * 1000])
def test_generate_is_enabled_for_anything_with_a_word(real_page: Page, typed: str) -> None:
    """One syllable or two letters are a word, and 2,000 characters are counted as on the server."""
    real_page.locator("textarea").fill(typed)
    expect(real_page.locator("#generate")).to_be_enabled()


def test_reset_clears_everything(page: Page, serve_runs: ServeRuns) -> None:
    """The page is as it was opened, with the focus in the field."""
    serve_runs(WHOLE)
    page.locator("#prep-time").select_option("90")
    ask(page)
    expect(status(page)).to_contain_text("All six parts are here")
    page.get_by_role("button", name="Reset").click()
    expect(page.locator("textarea")).to_have_value("")
    expect(page.locator("textarea")).to_be_focused()
    expect(page.locator("#prep-time")).to_have_value("45")
    expect(status(page)).to_be_empty()
    expect(page.get_by_role("heading", level=2)).to_have_text("Ingredients in, recipe out.")
    expect(page.locator(".timeline")).to_be_hidden()
    for part in PARTS:
        expect(body(page, part)).to_be_empty()

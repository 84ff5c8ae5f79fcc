"""The page's form and look: input, keyboard, languages, phones, dark mode, paper, axe."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.page.wire import (
    INGREDIENTS,
    PARTS,
    PICK,
    WHOLE,
    ask,
    body,
    end,
    named,
    state,
    status,
    stop,
    written,
)
from tests.servers import Gate


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

"""The page of any composition: a form from its request's schema, and a panel for each part."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.client import ask, wait_until
from tests.conftest import Serve, ServeScripts
from tests.page.wire import axe_violations, body, panel, state, status, title
from tests.servers import Gate, Provider, Refuse, Script

TRIP = "examples.trip:TRIP"
PARTS = ("overview", "route", "day_by_day", "packing", "budget", "ideas")
GO = {"en": "Generate", "ko": "만들기"}
DONE = {"en": "Done. All six parts are here.", "ko": "완성했어요. 여섯 부분이 모두 있어요."}
TITLES = {
    "en": ["About this trip", "Route", "Day by day", "Packing", "Budget", "Other ideas"],
    "ko": ["여행지 소개", "경로", "하루하루", "준비물", "예산", "다른 여행지"],
}
MARKDOWN: dict[str, Script | list[Script]] = {
    "route": ["1. Market", " hall\n2. **Hills**\n"],
    "packing": ["- Boots: for the hills\n"],
}

PLACES = [{"place": f"place {number}", "place_about": f"place_about {number}"} for number in (1, 2, 3)]

Trips = Any


@pytest.fixture
def trips(page: Page, serve_scripts: ServeScripts) -> Trips:
    """Serves the trip over a provider that follows these scripts, and opens its page."""

    def opened(scripts: dict[str, Script | list[Script]] | None = None) -> Provider:
        url, provider = serve_scripts(scripts, compositions=(TRIP,))
        page.goto(f"{url}/trip/")
        return provider

    yield opened
    page.goto("about:blank")  # a server waits for open readers


def plan(page: Page, interests: str = "food markets, hiking", days: str = "3") -> None:
    page.locator("[name=interests]").fill(interests)
    page.locator("[name=days]").fill(days)
    page.locator("#generate").click()


def test_the_description_of_a_composition_has_what_its_page_needs(serve: Serve) -> None:
    """Titles in both languages, parts in reading order, their needs and dependents, and the links."""
    url = serve(compositions=(TRIP,))
    trip = ask("GET", f"{url}/trip/composition.json").json()
    assert {part["name"]: part["needs"] for part in trip["parts"]} == {
        "overview": ["ideas"],
        "route": ["ideas"],
        "day_by_day": ["ideas", "route"],
        "packing": [],
        "budget": ["day_by_day", "packing"],
        "ideas": [],
    }
    assert [part["name"] for part in trip["parts"]] == [*PARTS]
    assert {part["name"]: part["dependents"] for part in trip["parts"]}["route"] == ["day_by_day", "budget"]
    assert trip["parts"][1]["title"] == {"en": "Route", "ko": "경로"}
    assert trip["choice"] == {"part": "ideas", "noun": "choice", "fields": ["place", "place_about"]}
    assert [*trip["request"]["properties"]] == ["interests", "days", "language", "seed"]
    assert trip["others"] == [{"title": {"en": "A recipe", "ko": "레시피"}, "path": "./"}]
    recipe = ask("GET", f"{url}/composition.json").json()
    assert recipe["others"] == [{"title": {"en": "A trip", "ko": "여행"}, "path": "./trip/"}]
    assert recipe["choice"]["fields"] == ["name", "intro"]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_trip_goes_from_the_form_to_finished_panels(page: Page, trips: Trips, language: str) -> None:
    """The trip is in the page's language, lists are lists, and the security policy is not violated."""
    complaints: list[str] = []
    page.on("console", lambda line: complaints.append(line.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    provider = trips(MARKDOWN)
    page.locator("#language").select_option(language)
    expect(page.locator(".panel h3")).to_have_text(TITLES[language])
    expect(page.locator("h2")).to_have_text({"en": "A trip", "ko": "여행"}[language])
    expect(page.get_by_label({"en": "What do you like?", "ko": "무엇을 좋아하세요?"}[language])).to_be_visible()
    expect(page.get_by_role("button", name=GO[language])).to_be_disabled()
    plan(page, days="5")
    expect(status(page)).to_have_text(DONE[language])
    for part in PARTS:
        expect(state(page, part)).to_have_text({"en": "Done", "ko": "완성"}[language])
        expect(body(page, part)).to_have_attribute("lang", language)
    expect(body(page, "route").get_by_role("listitem")).to_have_text(["Market hall", "Hills"])
    expect(body(page, "packing").get_by_role("listitem")).to_have_text(["Boots: for the hills"])
    expect(body(page, "ideas").get_by_role("listitem")).to_have_count(2)
    assert title(page).inner_text() in [place["place"] for place in PLACES]
    prompts = [call["body"]["messages"] for call in provider.calls if call["step"] == "packing"]
    assert "<days>5</days>" in prompts[0][1]["content"]
    assert {"en": "English", "ko": "Korean"}[language] in prompts[0][0]["content"]
    assert complaints == []


@pytest.mark.parametrize(
    ("language", "message"), [("en", "Input should be less than or equal to 14."), ("ko", "14 이하여야 해요.")]
)
def test_an_invalid_field_says_what_is_wrong(page: Page, trips: Trips, language: str, message: str) -> None:
    """The field is marked and focused, with the server's message, until it is edited."""
    trips()
    page.locator("#language").select_option(language)
    plan(page, days="99")
    days = page.locator("[name=days]")
    expect(page.locator("#days-error")).to_have_text(message)
    expect(days).to_be_focused()
    expect(days).to_have_attribute("aria-invalid", "true")
    help_text = page.locator("#days-help").inner_text()
    expect(days).to_have_accessible_description(f"{message} {help_text} {page.locator('#reason').inner_text()}")
    days.fill("4")
    expect(page.locator("#days-error")).to_be_empty()
    page.locator("#generate").click()
    expect(status(page)).to_have_text(DONE[language])


def test_each_panel_says_what_it_waits_for(page: Page, trips: Trips) -> None:
    """It names the direct dependencies only, and is updated as they end."""
    choice, packing, route = Gate(), Gate(), Gate()
    trips({"ideas": [choice, json.dumps(PLACES)], "packing": [packing, "- Boots"], "route": [route, "1."]})
    plan(page)
    expect(state(page, "overview")).to_have_text("Waiting for the choice")
    expect(state(page, "packing")).to_have_text("Waiting")
    expect(state(page, "day_by_day")).to_have_text("Waiting for “Route”")
    expect(state(page, "budget")).to_have_text("Waiting for “Day by day” and “Packing”")
    expect(status(page)).to_have_text("Waiting for the choice…")
    packing.open()
    expect(state(page, "budget")).to_have_text("Waiting for “Day by day”")
    choice.open()
    expect(status(page)).to_have_text("Writing…")
    expect(state(page, "overview")).to_have_text("Done")
    expect(state(page, "day_by_day")).to_have_text("Waiting for “Route”")
    route.open()
    expect(status(page)).to_have_text(DONE["en"])


def test_a_failed_part_is_regenerated_with_its_dependents(page: Page, trips: Trips) -> None:
    """The panels have the reasons; the dependent part cannot be retried before the failed one."""
    provider = trips({"day_by_day": [Refuse(400)]})
    plan(page)
    expect(status(page)).to_have_text("Ended, but not complete: Day by day, Budget. The rest is here.")
    expect(panel(page, "day_by_day").locator(".trouble")).not_to_be_empty()
    expect(panel(page, "budget").locator(".trouble")).to_contain_text("Day by day")
    expect(panel(page, "budget").get_by_role("button")).to_be_hidden()
    provider.scripts = {}
    panel(page, "day_by_day").get_by_role("button", name="Try again").click()
    expect(status(page)).to_have_text(DONE["en"])
    expect(body(page, "budget")).to_have_text("budget one, budget two.")
    assert [call["step"] for call in provider.calls].count("packing") == 1


def test_an_alternate_gets_a_run_of_its_own(page: Page, trips: Trips) -> None:
    """It has five parts, its own address, and a way back to the other ideas."""
    provider = trips()
    plan(page)
    expect(status(page)).to_have_text(DONE["en"])
    first = page.url
    other = body(page, "ideas").get_by_role("listitem").first
    name = other.locator("strong").inner_text()
    other.get_by_role("button", name=f"Write this one instead {name}").click()
    expect(title(page)).to_have_text(name)
    expect(status(page)).to_have_text("Done. All five parts are here.")
    expect(panel(page, "ideas")).to_be_hidden()
    assert [call["step"] for call in provider.calls].count("ideas") == 1
    assert "/trip/r/" in page.url
    page.get_by_role("link", name="Back to the other ideas").click()
    expect(page).to_have_url(first)
    expect(body(page, "ideas").get_by_role("listitem")).to_have_count(2)


def test_lists_and_objects_of_an_option_are_shown_as_text(page: Page, trips: Trips) -> None:
    """Such an option can be chosen, too."""
    about = {"sights": ["hall", "hills"], "nights": {"least": 2, "most": {"alone": 3}}}
    trips({"ideas": [json.dumps([{**place, "place_about": about} for place in PLACES])]})
    plan(page)
    shown = "sights: hall, hills; nights: least: 2, most: alone: 3"
    tagline = page.locator("#tagline")
    expect(tagline).to_have_text(shown)
    expect(body(page, "ideas").get_by_role("listitem").first).to_contain_text(shown)
    expect(status(page)).to_have_text(DONE["en"])
    body(page, "ideas").get_by_role("button").first.click()
    expect(status(page)).to_have_text("Done. All five parts are here.")
    expect(tagline).to_have_text(shown)


def test_stop_ends_the_run_and_keeps_its_text(page: Page, trips: Trips) -> None:
    provider = trips({"packing": ["- Boots for the hills ", Gate()]})
    plan(page)
    expect(body(page, "packing")).to_contain_text("Boots")
    page.get_by_role("button", name="Stop").click()
    expect(status(page)).to_contain_text("Stopped.")
    expect(state(page, "packing")).to_have_text("Stopped")
    expect(body(page, "packing")).to_contain_text("Boots")
    assert wait_until(lambda: "packing" in provider.closed, 5)


def test_a_reload_in_the_middle_resumes(page: Page, trips: Trips) -> None:
    """The address leads back to the run, with its form, its text so far and the rest as it arrives."""
    gate = Gate()
    provider = trips({"packing": ["- Boots for the hills\n", gate, "- A map"]})
    plan(page, "castles", "7")
    expect(body(page, "packing")).to_contain_text("Boots")
    page.reload()
    expect(page.locator("[name=interests]")).to_have_value("castles")
    expect(page.locator("[name=days]")).to_have_value("7")
    expect(body(page, "packing").get_by_role("listitem")).to_have_text(["Boots for the hills"])
    gate.open()
    expect(body(page, "packing").get_by_role("listitem")).to_have_text(["Boots for the hills", "A map"])
    expect(status(page)).to_have_text(DONE["en"])
    assert [call["step"] for call in provider.calls].count("packing") == 1


def test_the_keyboard_is_enough(page: Page, trips: Trips) -> None:
    """Tab goes through the fields in order, Ctrl + Enter sends them, and the focus moves to Stop."""
    trips({"packing": ["- Boots for the hills ", Gate()]})
    page.locator("[name=interests]").focus()
    page.keyboard.type("castles")
    for name in ("days", "language"):
        page.keyboard.press("Tab")
        expect(page.locator(f"[name={name}]")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Stop")).to_be_focused()
    expect(body(page, "packing")).to_contain_text("Boots")


def test_pages_link_to_each_other(page: Page, trips: Trips) -> None:
    trips()
    page.get_by_role("link", name="A recipe").click()
    expect(page.locator("[name=ingredientsOnHand]")).to_be_visible()
    page.get_by_role("link", name="A trip").click()
    expect(page.locator("[name=interests]")).to_be_visible()


def test_one_composition_alone_links_to_none(page: Page, sizzle_url: str) -> None:
    page.goto(sizzle_url)
    expect(page.locator("#generate")).to_be_visible()
    expect(page.locator("#compositions")).to_be_hidden()


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_phone_scrolls_in_one_direction_only(page: Page, trips: Trips, language: str) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    trips({"overview": ["W" * 300]})
    page.locator("#language").select_option(language)
    plan(page)
    expect(status(page)).to_have_text(DONE[language])
    assert page.evaluate("document.documentElement.scrollWidth") == 320


@pytest.mark.parametrize("language", ["en", "ko"])
def test_axe_finds_no_violation(page: Page, trips: Trips, language: str) -> None:
    """This covers the empty form, an invalid field, and a failed part with alternates."""
    trips({"day_by_day": [Refuse(400)]})
    page.locator("#language").select_option(language)
    found = axe_violations(page)
    plan(page, days="99")
    expect(page.locator("#days-error")).not_to_be_empty()
    found += axe_violations(page)
    plan(page)
    expect(page.locator("main")).to_have_attribute("data-state", "finished")
    found += axe_violations(page)
    assert found == []


def test_the_form_follows_from_the_schema(page: Page, serve_scripts: ServeScripts) -> None:
    """Every kind of field has its input and reaches the prompt with its type; a composition needs no choice."""
    url, provider = serve_scripts(compositions=("tests.page.questionnaire:QUESTIONNAIRE",))
    page.goto(f"{url}/questionnaire/")
    expect(title(page)).to_have_text("Questionnaire")
    expect(page.locator("#reason")).to_have_text("Fill in “Topic”.")
    page.get_by_label("Topic").fill("bees")
    page.get_by_label("Notes").fill("They dance.\nThey sing.")
    page.get_by_label("Tone").select_option("formal")
    page.get_by_label("Audience").select_option("children")
    page.get_by_label("Length").fill("2.5")
    page.get_by_label("Tags").fill("insects\n\n honey ")
    sources = page.get_by_label("Sources")
    expect(sources).to_have_accessible_description(re.compile('One on each line, as JSON: {"name": …, "year": …}.'))
    sources.fill('{"name": "Virgil"}\nVarro')
    page.get_by_label("Public").check()
    page.get_by_label("Due").fill("2030-05-06")
    page.locator("#generate").click()
    expect(page.locator("#sources-error")).to_have_text(re.compile(r"^sources\[1\]: Input should be "))
    sources.fill('{"name": "Virgil"}\n\n{"name": "Varro", "year": -37}')
    page.locator("#generate").click()
    expect(status(page)).to_have_text("Done. Both parts are here.")
    expect(title(page)).to_have_text("Questionnaire")
    prompts = [call["body"]["messages"][-1]["content"] for call in provider.calls]
    sources_text = '{"name":"Virgil","year":0}, {"name":"Varro","year":-37}'
    text = f"bees|They dance.\nThey sing.|formal|children|2.5|insects, honey|{sources_text}|True|2030-05-06"
    assert prompts == [text, "Sum up: text one, text two."]
    page.reload()
    expect(page.get_by_label("Audience")).to_have_value("children")
    expect(page.get_by_label("Public")).to_be_checked()
    expect(page.get_by_label("Tags")).to_have_value("insects\nhoney")
    expect(sources).to_have_value('{"name":"Virgil"}\n{"name":"Varro","year":-37}')


def test_the_page_has_the_title_of_its_composition_in_its_language(page: Page, trips: Trips) -> None:
    trips()
    served = ask("GET", page.url).text
    assert "<title>A trip · Sizzle</title>" in served
    for language, text in (("en", "A trip"), ("ko", "여행")):
        page.locator("#language").select_option(language)
        expect(page.locator("h1")).to_have_text(text)
        expect(page).to_have_title(f"{text} · Sizzle")

"""The other pages: the 404 page, the page without JavaScript, and the index of the playgrounds."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from chains.recipe.composition import RECIPE
from tests.client import ask

RAIL = "rgb(29, 68, 51)"
NOWHERE = ["/help", "/r/", "/r/a/b", "/static/none.css", "/examples/none", "/%EA%B9%80"]


@pytest.mark.parametrize("path", NOWHERE)
def test_a_browser_gets_a_404_page(page: Page, sizzle_url: str, path: str) -> None:
    """It looks like the others and links to the recipe, with status 404; a program gets JSON."""
    answer = page.goto(f"{sizzle_url}{path}")
    assert answer
    assert answer.status == 404
    expect(page.get_by_role("heading", level=2)).to_have_text("There is nothing here")
    expect(page.locator(".rail")).to_have_css("background-color", RAIL)
    page.get_by_role("link", name="Cook something instead").click()
    expect(page.locator("#generate")).to_be_visible()
    response = ask("GET", f"{sizzle_url}{path}")
    assert [response.status_code, list(response.json())] == [404, ["detail"]]


@pytest.mark.parametrize(
    ("accepted", "title"),
    [
        ("ko-KR,ko;q=0.9,en;q=0.8", "여기에는 아무것도 없어요"),
        ("fr, ko;q=0.5", "여기에는 아무것도 없어요"),
        ("en-GB,ko", "There is nothing here"),
        ("fr", "There is nothing here"),
        (",;=q", "There is nothing here"),
    ],
)
def test_the_404_page_is_in_the_browsers_language(sizzle_url: str, accepted: str, title: str) -> None:
    """The first supported language of the browser is used."""
    answer = ask("GET", f"{sizzle_url}/help", headers={"Accept": "text/html", "Accept-Language": accepted})
    assert [answer.status_code, f"<h2>{title}</h2>" in answer.text] == [404, True]


def test_the_playgrounds_have_an_index_that_looks_like_the_rest(page: Page, sizzle_url: str) -> None:
    """It links to the recipe's playground and to each part's."""
    page.goto(f"{sizzle_url}/chains")
    expect(page.locator(".rail")).to_have_css("background-color", RAIL)
    links = [link.get_attribute("href") for link in page.locator("main h3 a").all()]
    names = ["recipe", *RECIPE.names]
    assert sorted(str(link) for link in links) == sorted(f"chains/{name}/playground/" for name in names)
    assert {ask("GET", f"{sizzle_url}/{link}").status_code for link in links} == {200}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/help", "/chains"])
def test_axe_finds_no_violation(page: Page, sizzle_url: str, path: str, scheme: str) -> None:
    """This covers both colour schemes, and the dark one is dark."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(f"{sizzle_url}{path}")
    result = Axe().run(page)
    assert result.violations_count == 0, result.generate_report()
    dark = {"light": "rgb(251, 250, 243)", "dark": "rgb(20, 25, 21)"}
    expect(page.locator("html")).to_have_css("background-color", dark[scheme])


def test_without_javascript_the_page_says_what_works(browser: Browser, sizzle_url: str) -> None:
    """There is no useless form, but commands that work, in both languages."""
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(sizzle_url)
    lines = page.locator("noscript p")
    for line, words in enumerate(("This page needs JavaScript", "curl -N -X POST", "자바스크립트가 필요해요")):
        expect(lines.nth(line)).to_be_visible()
        assert words in lines.nth(line).inner_text()
    for hidden in ("#form", ".panels"):
        expect(page.locator(hidden)).to_be_hidden()
    page.context.close()

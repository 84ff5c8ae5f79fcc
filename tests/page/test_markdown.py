"""The Markdown of models, in every part: it is rendered, however it is split, and never as HTML."""

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from playwright.sync_api import Page, expect

from chains.parts.composition import title_in
from chains.recipe.composition import RECIPE
from tests.amounts import cases
from tests.page.conftest import ServeRuns
from tests.page.wire import PARTS, PICK, ask, body, end, fragment, ideas, proposed, run_begins, start, stop, title
from tests.servers import Gate

WRITE = """async ([pieces, ends]) => {
    const { StreamedText } = await import("/static/streamed-text.js");
    const body = document.createElement("div");
    const lines = new StreamedText(body);
    const seen = [];
    for (const piece of pieces) {
        lines.append(piece);
        seen.push(body.innerHTML);
    }
    if (ends) lines.close();
    return [body.innerHTML.replaceAll(' role="list"', ""), body.textContent, seen];
}"""


def written(page: Page, *pieces: str, ends: bool = True) -> str:
    return page.evaluate(WRITE, [pieces, ends])[0]


MARKDOWN = {
    "**300 g** beef": "<p><strong>300 g</strong> beef</p>",
    "Use *fresh* basil, _not dried_.": "<p>Use <em>fresh</em> basil, <em>not dried</em>.</p>",
    "***Hot***": "<p><strong><em>Hot</em></strong></p>",
    "**a *b* c**": "<p><strong>a <em>b</em> c</strong></p>",
    "**소금**을 넣어요": "<p><strong>소금</strong>을 넣어요</p>",
    "**Note: **rest": "<p><strong>Note: </strong>rest</p>",
    "Set to `180 °C`.": "<p>Set to <code>180 °C</code>.</p>",
    "### Others": "<h4>Others</h4>",
    "#hashtag": "<p>#hashtag</p>",
    "- **Rice**: steamed": "<ul><li><div><strong>Rice</strong>: steamed</div></li></ul>",
    "* one\n* two": "<ul><li><div>one</div></li><li><div>two</div></li></ul>",
    "- [ ] 2 eggs": "<ul><li><div>2 eggs</div></li></ul>",
    "- For the sauce:\n  - soy\n  - honey\n- rice": (
        "<ul><li><div>For the sauce:</div><ul><li><div>soy</div></li><li><div>honey</div></li></ul></li>"
        "<li><div>rice</div></li></ul>"
    ),
    "1. Cut\n   - thinly\n2. Fry": (
        '<ol><li data-number="1" value="1"><div>Cut</div><ul><li><div>thinly</div></li></ul></li>'
        '<li data-number="2" value="2"><div>Fry</div></li></ol>'
    ),
    "1. Cut.\n   Thinly.\n2. Fry.": (
        '<ol><li data-number="1" value="1"><div>Cut.</div><p>Thinly.</p></li>'
        '<li data-number="2" value="2"><div>Fry.</div></li></ol>'
    ),
    'See [the *guide*](https://evil.example/x_(y) "t").': "<p>See the <em>guide</em>.</p>",
    "![A pan](pan.png)": "<p>A pan</p>",
    "[양념장] 간장": "<p>[양념장] 간장</p>",
    "| Food | Amount |\n|---|:-:|\n| **Rice** | 2 |": (
        '<table><tr><th scope="col">Food</th><th scope="col">Amount</th></tr>'
        "<tr><td><strong>Rice</strong></td><td>2</td></tr></table>"
    ),
    "```markdown\n- rice\n```": "<ul><li><div>rice</div></li></ul>",
    "> Serve hot.": "<p>Serve hot.</p>",
    "Hot.\n\n---\n***\nCold.": "<p>Hot.</p><p>Cold.</p>",
    "one<br>two<br/>three": "<p>one<br>two<br>three</p>",
    "~~Not~~ that": "<p><s>Not</s> that</p>",
    r"5\* hotel, 2 * 3, snake_case_name": "<p>5* hotel, 2 * 3, snake_case_name</p>",
    "*optional": "<p>*optional</p>",
    "**cut off in the mid": "<p><strong>cut off in the mid</strong></p>",
    "went astray** here": "<p>went astray here</p>",
    "3~4 minutes, -5 °C, 1.5 l": "<p>3~4 minutes, -5 °C, 1.5 l</p>",
    "Salt\r\n- rice\r\n": "<p>Salt</p><ul><li><div>rice</div></li></ul>",
    "<b>x</b> &amp; <img src=x>": "<p>&lt;b&gt;x&lt;/b&gt; &amp;amp; &lt;img src=x&gt;</p>",
}


@pytest.mark.parametrize("text", MARKDOWN)
def test_markdown_is_rendered(real_page: Page, text: str) -> None:
    """This covers the whole text and single characters."""
    assert written(real_page, text) == MARKDOWN[text]
    assert written(real_page, *text) == MARKDOWN[text]


PIECES = st.lists(
    st.sampled_from(
        [
            "**",
            "*",
            "_",
            "`",
            "[",
            "](u)",
            "\\",
            "<br>",
            "~~",
            "x",
            "y z",
            " ",
            "\n",
            "- ",
            "  - ",
            "1. ",
            "#",
            "|",
            ">",
        ]
    ),
    max_size=14,
)


@settings(max_examples=cases(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PIECES)
def test_how_a_text_is_split_makes_no_difference(real_page: Page, pieces: list[str]) -> None:
    """The page ends up the same, and no letter is lost or added."""
    whole, text, _ = real_page.evaluate(WRITE, ["".join(pieces), True])
    assert real_page.evaluate(WRITE, [pieces, True])[0] == whole
    if "```" not in "".join(pieces):  # it may name a language, which is not shown
        assert [letter for letter in text if letter in "xyz"] == [
            letter for letter in "".join(pieces) if letter in "xyz"
        ]


@pytest.mark.parametrize(
    ("text", "mark"),
    [("Take **300 g** of", "*"), ("The `oven` is", "`"), ("A ~~cold~~ pan", "~"), ("Go ***on*** it", "*")],
)
def test_marks_are_never_seen_while_they_are_open(real_page: Page, text: str, mark: str) -> None:
    """An opening mark does not flicker: the text is formatted at once."""
    for seen in real_page.evaluate(WRITE, [list(text), False])[2]:
        assert mark not in seen


def test_a_hostile_line_costs_little(real_page: Page) -> None:
    """The time limit is for marks that would be read again and again: a page that is busy times out."""
    for piece in ("*a", "**", "[", "x`", "_a ", "![", "<b"):
        assert real_page.wait_for_function(WRITE, arg=[1_500 * [piece], True], timeout=20_000)


def test_every_part_shows_markdown(page: Page, serve_runs: ServeRuns) -> None:
    """This covers texts, title, tagline and ideas."""
    dish = {"name": "**Pepper** Steak", "intro": "*Quick* and hot."}
    parts = [part for part in PARTS if part != "alternates"]
    texts = [event for part in parts for event in (start(part), fragment(part, "**Hot** pan"), stop(part))]
    others = [start("alternates"), *ideas({"name": "**Beef** Soup", "intro": "`Slow`."}), stop("alternates")]
    serve_runs([run_begins(), proposed([dish]), *others, *texts, end()])
    ask(page)
    expect(title(page)).to_have_text("Pepper Steak")
    expect(page).to_have_title("Pepper Steak · Sizzle")
    expect(page.locator("#tagline")).to_have_text("Quick and hot.")
    expect(body(page, "alternates").get_by_role("listitem")).to_contain_text("Beef Soup Slow.")
    for part in parts:
        expect(body(page, part).locator("strong")).to_have_text("Hot")


COPY = """() => {
    const copied = new DataTransfer();
    const event = new ClipboardEvent("copy", { clipboardData: copied, bubbles: true, cancelable: true });
    document.activeElement.dispatchEvent(event);
    return [copied.getData("text/plain"), copied.getData("text/html")];
}"""


def test_a_copied_recipe_is_clean(page: Page, serve_runs: ServeRuns) -> None:
    """The copied text has the title, ingredients and numbered steps, without buttons, states and figures."""
    texts = {"ingredients": "- 300 g **beef**\n- 2 onions", "steps": "1. Slice.\n2. Sear:\n   - hot\n"}
    parts = [event for part, text in texts.items() for event in (start(part), fragment(part, text), stop(part))]
    serve_runs([*PICK, *parts, start("sides"), fragment("sides", "Ri"), Gate()])
    ask(page)
    expect(body(page, "sides")).to_have_text("Ri")
    page.locator("h1").click()
    page.keyboard.press("Control+a")
    text, html = page.evaluate(COPY)
    assert text == (
        "Pepper Steak\nQuick and hot.\nFor 2 · 45 minutes at most\n\nIngredients\n- 300 g beef\n- 2 onions\n\n"
        f"Steps\n1. Slice.\n2. Sear:\n  - hot\n\nOn the side\nRi\n{title_in(RECIPE.notice, 'en')}"
    )
    assert "<strong>beef</strong>" in html
    assert "button" not in html


def test_copied_steps_have_their_numbers(page: Page, serve_runs: ServeRuns) -> None:
    """The selection from one step to the next has both numbers and nothing else."""
    serve_runs(
        [*PICK, start("steps"), fragment("steps", "1. Slice the beef.\n2. Sear it.\n"), stop("steps"), end("partial")]
    )
    ask(page)
    expect(body(page, "steps").get_by_role("listitem")).to_have_count(2)
    page.evaluate("""() => {
        const [first, second] = document.querySelectorAll("[data-part=steps] li div");
        getSelection().setBaseAndExtent(first.firstChild, 10, second.firstChild, 4);
    }""")
    assert page.evaluate(COPY)[0] == "1. beef.\n2. Sear"

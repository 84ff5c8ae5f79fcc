"""The page and a server that is killed: an open page finishes its recipe without being touched."""

from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.client import wait_until
from tests.page.wire import PARTS, ask, body, state, status, title
from tests.restarts import stored_events
from tests.server_process import server_process
from tests.servers import Gate, Script, provider
from tests.stores.test_sqlite import DAY_S, change


def test_an_open_page_finishes_after_its_server_was_killed(page: Page, tmp_path: Path) -> None:
    """What had ended stays, what was being written begins again, and nothing is there twice."""
    gates = Gate(), Gate()
    scripts: dict[str, Script | list[Script]] = {
        "nutrition": [["Old ", gates[0]], ["Beef is good."]],
        "steps": [["1. Old", gates[0]], ["1. Sear.", gates[1], "\n2. Rest."]],
    }
    with (
        provider(scripts) as scripted,
        server_process(tmp_path, GROQ_API_KEY="k", SIZZLE_GROQ_BASE_URL=scripted.url) as server,
    ):
        page.goto(server.url)
        ask(page)
        for part in set(PARTS) - {"nutrition", "steps"}:
            expect(state(page, part)).to_have_text("Done", timeout=20_000)
        expect(body(page, "steps")).to_contain_text("Old")
        assert wait_until(lambda: stored_events(tmp_path / "runs.db") > 10, 5)
        ingredients = body(page, "ingredients").inner_text()
        server.kill()
        expect(status(page)).to_have_text("Connection lost. Reconnecting…")
        server.start_again()
        expect(body(page, "steps")).to_have_text("Sear.", timeout=20_000)
        gates[1].open()
        expect(status(page)).to_contain_text("All six parts are here", timeout=20_000)
        expect(body(page, "steps").get_by_role("listitem")).to_have_text(["Sear.", "Rest."])
        expect(body(page, "nutrition")).to_have_text("Beef is good.")
        assert body(page, "ingredients").inner_text() == ingredients
        for part in PARTS:
            expect(state(page, part)).to_have_text("Done")
        page.goto("about:blank")
    gates[0].open()


def test_an_address_shows_its_recipe_a_day_later_and_after_a_restart(
    page: Page, browser: Browser, tmp_path: Path
) -> None:
    """The file is a day older than the clock; another browser, which has nothing stored, shows the same recipe."""
    older = "UPDATE runs SET began_at = began_at - ?, ended_at = ended_at - ?"
    with (
        provider({"nutrition": [["Beef is good."]]}) as scripted,
        server_process(tmp_path, GROQ_API_KEY="k", SIZZLE_GROQ_BASE_URL=scripted.url) as server,
    ):
        page.goto(server.url)
        ask(page)
        expect(status(page)).to_contain_text("All six parts are here", timeout=20_000)
        address, name = page.url, title(page).inner_text()
        page.goto("about:blank")
        server.kill()
        change(tmp_path / "runs.db", older, DAY_S, DAY_S)
        server.start_again()
        other = browser.new_page()
        other.goto(address)
        expect(status(other)).to_contain_text("All six parts are here", timeout=20_000)
        expect(title(other)).to_have_text(name)
        expect(body(other, "nutrition")).to_have_text("Beef is good.")
        other.close()

"""The screen stays on while a recipe is open, if the browser supports it."""

from playwright.sync_api import Page, expect

from tests.page.conftest import ServeRuns
from tests.page.wire import WHOLE, ask, status, title

LOCKS = """
    window.locks = [];
    Object.defineProperty(navigator, "wakeLock", { value: { request: async (kind) => {
        const lock = new EventTarget();
        lock.kind = kind;
        lock.release = async () => { lock.released = true; lock.dispatchEvent(new Event("release")); };
        window.locks.push(lock);
        return lock;
    } } });
"""
OPEN_LOCKS = "window.locks.filter((lock) => lock.kind === 'screen' && !lock.released).length"


def expect_locks(page: Page, count: int) -> None:
    page.wait_for_function(f"() => {OPEN_LOCKS} === {count}")


def test_the_screen_stays_on_while_a_recipe_is_open(page: Page, serve_runs: ServeRuns) -> None:
    """It does so from the start until the recipe leaves the page, even after its end."""
    page.add_init_script(LOCKS)
    serve_runs(WHOLE)
    expect_locks(page, 0)
    ask(page)
    expect(status(page)).to_contain_text("All six parts are here")
    expect_locks(page, 1)
    page.get_by_role("button", name="Reset").click()
    expect_locks(page, 0)
    page.go_back()
    expect(title(page)).to_have_text("Pepper Steak")
    expect_locks(page, 1)


def test_a_lock_that_the_browser_took_is_requested_again(page: Page, serve_runs: ServeRuns) -> None:
    """A browser takes it when the tab is hidden for a while."""
    page.add_init_script(LOCKS)
    serve_runs(WHOLE)
    ask(page)
    expect_locks(page, 1)
    page.evaluate("() => window.locks[0].release()")
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    expect_locks(page, 1)
    assert page.evaluate("window.locks.length") == 2


def test_the_page_works_without_the_lock(page: Page, serve_runs: ServeRuns) -> None:
    """A browser refuses when its battery is low."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.add_init_script(
        "Object.defineProperty(navigator, 'wakeLock', { value: { request: () => Promise.reject(new Error('low')) } })"
    )
    serve_runs(WHOLE)
    ask(page)
    expect(status(page)).to_contain_text("All six parts are here")
    assert complaints == []

"""Stop, Retry and another idea."""

import pytest
from playwright.sync_api import Locator, Page, expect
from starlette.responses import JSONResponse

from tests.client import wait_until
from tests.page.conftest import ServeRuns
from tests.page.wire import (
    BUSY,
    CHOSEN_PARTS,
    INGREDIENTS,
    NO_DISH,
    OTHERS,
    PARTS,
    PICK,
    REQUEST,
    SIDES_FAILED,
    STARTED,
    STEPS,
    WHOLE,
    ask,
    body,
    end,
    fragment,
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

SIDES_AGAIN = [start("sides", 2), fragment("sides", "- Rice."), stop("sides")]


def again(page: Page, part: str) -> Locator:
    return panel(page, part).get_by_role("button", name="Try again")


# Stop


def test_stop_before_the_first_event(page: Page, serve_runs: ServeRuns) -> None:
    """Stop works before any event, and the page can generate again."""
    fake = serve_runs([*STARTED, Gate()])
    ask(page)
    expect(page).to_have_url(f"{fake.url}/r/run-1")
    page.get_by_role("button", name="Stop").click()
    expect(status(page)).to_have_text("Stopped before anything was written.")
    for part in PARTS:
        expect(state(page, part)).to_have_text("Stopped")
    expect(page.locator("#generate")).to_be_enabled()
    expect(page.locator("#stop")).to_be_disabled()


def test_stop_in_mid_stream_keeps_the_text(page: Page, serve_runs: ServeRuns) -> None:
    """The server cancels the run; the text is kept, and unfinished parts are marked as stopped."""
    fake = serve_runs([*PICK, *INGREDIENTS, start("intro"), fragment("intro", "From the p"), Gate()])
    ask(page)
    expect(body(page, "intro")).to_have_text("From the p")
    page.get_by_role("button", name="Stop").click()
    expect(status(page)).to_have_text("Stopped. The text so far stays.")
    expect(body(page, "intro")).to_have_text("From the p")
    expect(state(page, "intro")).to_have_text("Stopped")
    expect(state(page, "ingredients")).to_have_text("Done")
    assert fake.made("DELETE run") == [{"id": "run-1"}]
    page.reload()
    expect(status(page)).to_have_text("Stopped. The text so far stays.")
    expect(body(page, "intro")).to_have_text("From the p")


def test_the_status_shows_a_pending_stop(page: Page, serve_runs: ServeRuns) -> None:
    """The status says that the run is being stopped until the server has stopped it."""
    gate = Gate()
    fake = serve_runs([*PICK, Gate()])
    fake.refusals["DELETE run"] = [gate]
    ask(page)
    expect(title(page)).to_have_text("Pepper Steak")
    page.get_by_role("button", name="Stop").click()
    expect(status(page)).to_have_text("Stopping…")
    gate.open()
    expect(status(page)).to_have_text("Stopped. The text so far stays.")


def test_stop_before_the_id_cancels_the_run(page: Page, serve_runs: ServeRuns) -> None:
    """A run whose id arrives after Stop is cancelled at once and never shown."""
    gate = Gate()
    fake = serve_runs([*PICK, Gate()])
    fake.refusals["POST /runs"] = [gate]
    ask(page)
    expect(status(page)).to_have_text("Waiting for the dish…")
    page.get_by_role("button", name="Stop").click()
    expect(status(page)).to_have_text("Stopped before anything was written.")
    expect(page.locator("#generate")).to_be_focused()
    gate.open()
    assert wait_until(lambda: fake.made("DELETE run") == [{"id": "run-1"}], 10)
    expect(page).to_have_url(f"{fake.url}/")
    expect(title(page)).to_have_text("Ingredients in, recipe out.")


def test_the_same_request_after_stop_is_another_run(page: Page, serve_runs: ServeRuns) -> None:
    """The same request after Stop starts another run, which the first one's end does not affect."""
    gate = Gate()
    fake = serve_runs([*PICK, Gate()])
    fake.refusals["POST /runs"] = [gate]
    ask(page)
    assert wait_until(lambda: len(fake.made("POST /runs")) == 1, 10)
    page.get_by_role("button", name="Stop").click()
    page.locator("#generate").click()
    expect(page).to_have_url(f"{fake.url}/r/run-1")
    gate.open()
    assert wait_until(lambda: fake.made("DELETE run") == [{"id": "run-2"}], 10)
    expect(status(page)).to_have_text("Writing your recipe…")


def test_reset_stops_a_live_run_and_shows_the_empty_form(page: Page, serve_runs: ServeRuns) -> None:
    """Nothing of the run is shown afterwards."""
    gate = Gate()
    fake = serve_runs([*PICK, gate, *written("intro", "Too late"), end()])
    ask(page)
    expect(title(page)).to_have_text("Pepper Steak")
    with page.expect_response(lambda response: response.request.method == "DELETE"):
        page.get_by_role("button", name="Reset").click()
    gate.open()
    expect(page).to_have_url(f"{fake.url}/")
    expect(title(page)).to_have_text("Ingredients in, recipe out.")
    expect(body(page, "intro")).to_be_empty()
    expect(status(page)).to_be_empty()
    assert fake.runs["run-1"].ended


# Retry


def test_a_failed_part_of_a_finished_run_is_rewritten(page: Page, serve_runs: ServeRuns) -> None:
    """The rest is unchanged, and the status shows the rewrite and its end."""
    gate = Gate()
    fake = serve_runs(SIDES_FAILED)
    fake.again = [[gate, *SIDES_AGAIN, end(at_ms=600_000)]]
    ask(page)
    again(page, "sides").click()
    expect(state(page, "sides")).to_have_text("Trying again")
    expect(status(page)).to_have_text("Trying again: On the side…")
    expect(body(page, "ingredients").get_by_role("listitem")).to_have_text(["300 g beef flank", "2 onions"])
    expect(panel(page, "sides").get_by_role("heading")).to_be_focused()
    gate.open()
    expect(body(page, "sides")).to_have_text("Rice.")
    expect(status(page)).to_contain_text("All six parts are here.")
    expect(panel(page, "sides").locator(".trouble")).to_be_empty()
    assert fake.made("POST part") == [{"id": "run-1", "part": "sides"}]


def test_a_failed_part_of_a_live_run_is_rewritten(page: Page, serve_runs: ServeRuns) -> None:
    """Retry does not wait for the run's end and needs no new connection."""
    pressed, rest = Gate(), Gate()
    failed = [start("sides"), stop("sides", "failed", BUSY)]
    fake = serve_runs([*PICK, *INGREDIENTS, *failed, pressed, *SIDES_AGAIN, rest, *OTHERS, end()])
    ask(page)
    again(page, "sides").click()
    expect(state(page, "sides")).to_have_text("Trying again")
    pressed.open()
    expect(body(page, "sides")).to_have_text("Rice.")
    rest.open()
    expect(status(page)).to_contain_text("All six parts are here.")
    assert len(fake.made("GET events")) == 1


def test_a_run_that_ended_just_before_retry_is_followed(page: Page, serve_runs: ServeRuns) -> None:
    """If the last event is in flight when Retry is pressed, the page follows the new events."""
    answer, ends = Gate(), Gate()
    failed = [start("sides"), stop("sides", "failed", BUSY)]
    fake = serve_runs([*PICK, *INGREDIENTS, *OTHERS, *failed, ends, end("partial")])
    fake.refusals["POST part"] = [answer]
    fake.again = [[*SIDES_AGAIN, end()]]
    ask(page)
    again(page, "sides").click()
    ends.open()
    expect(status(page)).to_contain_text("not complete")
    answer.open()
    expect(status(page)).to_contain_text("All six parts are here.")
    expect(body(page, "sides")).to_have_text("Rice.")


def test_dependents_of_a_part_are_rewritten_with_it(page: Page, serve_runs: ServeRuns) -> None:
    """With the ingredients the steps are awaited again, even before they start."""
    gate = Gate()
    cut = [start("ingredients"), fragment("ingredients", "- 300 g"), stop("ingredients", "cut_off", "At its limit.")]
    fake = serve_runs([*PICK, *cut, *STEPS, end("partial")])
    fake.again = [[start("ingredients", 2), gate, *written("steps", "1. Fry.", 2), end("partial")]]
    ask(page)
    expect(again(page, "steps")).to_be_hidden()
    again(page, "ingredients").click()
    expect(state(page, "steps")).to_have_text("Trying again")
    expect(body(page, "steps").get_by_role("listitem")).to_have_text(["Slice the beef.", "Sear it."])
    gate.open()
    expect(body(page, "steps").get_by_role("listitem")).to_have_text(["Fry."])


def test_steps_without_ingredients_are_not_offered(page: Page, serve_runs: ServeRuns) -> None:
    """Only the ingredients can be rewritten, because the steps need them."""
    failed = [start("ingredients"), stop("ingredients", "failed", BUSY), stop("steps", "failed", "No ingredients.")]
    fake = serve_runs([*PICK, *failed, end("partial")])
    fake.again = [[start("ingredients", 2), Gate()]]
    ask(page)
    expect(again(page, "ingredients")).to_be_visible()
    expect(again(page, "steps")).to_be_hidden()
    again(page, "ingredients").click()
    expect(state(page, "steps")).to_have_text("Waiting for the ingredients")


def test_without_a_dish_the_recipe_is_rewritten_as_a_whole(page: Page, serve_runs: ServeRuns) -> None:
    """One button regenerates everything except the nutrition, because all other parts need a dish."""
    gate = Gate()
    fake = serve_runs(NO_DISH)
    rest = [made for part in CHOSEN_PARTS if part != "nutrition" for made in written(part, "At last.")]
    fake.again = [[start("alternates", 2), gate, proposed(), stop("alternates"), *rest, end()]]
    ask(page)
    button = page.get_by_role("button", name="Try again")
    expect(button).to_have_count(1)
    button.click()
    expect(title(page)).to_have_text("Choosing a dish…")
    expect(title(page)).to_be_focused()
    expect(state(page, "intro")).to_have_text("Waiting for the dish")
    expect(state(page, "nutrition")).to_have_text("Done")
    gate.open()
    expect(status(page)).to_contain_text("All six parts are here.")
    expect(title(page)).to_have_text("Pepper Steak")
    assert fake.made("POST part") == [{"id": "run-1", "part": "alternates"}]


def test_the_button_for_new_ideas_says_that_the_dish_changes(page: Page, serve_runs: ServeRuns) -> None:
    """Their button says that the dish will be another one, and everything is regenerated."""
    gate = Gate()
    failed = [start("alternates"), stop("alternates", "failed", BUSY)]
    fake = serve_runs([*PICK, *failed, *INGREDIENTS, *STEPS, *written("intro", "Old."), *SIDES_AGAIN, end("partial")])
    fake.again = [[start("alternates", 2), proposed(picked=1), gate, *written("intro", "New.", 2), end("partial")]]
    ask(page)
    panel(page, "alternates").get_by_role("button", name="Try again, with a new dish Other ideas").click()
    expect(title(page)).to_have_text("Beef Soup")
    expect(state(page, "intro")).to_have_text("Trying again")
    gate.open()
    expect(body(page, "intro")).to_have_text("New.")


def test_a_refused_retry_has_the_servers_message(page: Page, serve_runs: ServeRuns) -> None:
    """The status has the reason, and nothing changes."""
    fake = serve_runs(SIDES_FAILED)
    fake.refusals["POST part"] = [JSONResponse({"detail": "It is being written already."}, 409)]
    ask(page)
    again(page, "sides").click()
    expect(status(page)).to_have_text("It is being written already.")
    expect(state(page, "sides")).to_have_text("Failed")
    expect(again(page, "sides")).to_be_visible()


def test_a_retry_may_fail_again(page: Page, serve_runs: ServeRuns) -> None:
    """A part that fails twice can be tried a third time, and its bar shows the earlier attempts."""
    fake = serve_runs(SIDES_FAILED)
    fake.again = [
        [start("sides", 2), stop("sides", "failed", "Busy still."), end("partial")],
        [start("sides", 3), fragment("sides", "- Rice."), stop("sides"), end()],
    ]
    ask(page)
    again(page, "sides").click()
    expect(panel(page, "sides").locator(".trouble")).to_have_text("Busy still.")
    again(page, "sides").press("Enter")
    expect(status(page)).to_contain_text("All six parts are here.")
    expect(page.locator(".timeline li[data-spoilt]")).to_have_count(1)


def test_the_time_between_end_and_retry_is_not_counted(page: Page, serve_runs: ServeRuns) -> None:
    """A retry an hour later makes neither the bars nor their sum an hour long."""
    hour = 3_600_000
    fake = serve_runs(SIDES_FAILED)
    fake.again = [[start("sides", 2, at_ms=hour), stop("sides", at_ms=hour + 1500), end(at_ms=hour + 1500)]]
    ask(page)
    again(page, "sides").click()
    failed_at = 10 * (len(SIDES_FAILED) - 1)
    expect(page.locator(".sum")).to_contain_text(f"Side by side: {(failed_at + 1500) / 1000:.1f} s.")


def test_a_part_without_an_end_can_be_retried(page: Page, serve_runs: ServeRuns) -> None:
    """A part without an end at the end of the run is unfinished and can be retried."""
    fake = serve_runs([*PICK, *INGREDIENTS, end("partial")])
    fake.again = [[start("sides"), fragment("sides", "- Rice."), stop("sides"), end("partial")]]
    ask(page)
    expect(state(page, "sides")).to_have_text("Not finished")
    again(page, "sides").click()
    expect(body(page, "sides")).to_have_text("Rice.")


def test_a_lost_run_cannot_be_rewritten(page: Page, serve_runs: ServeRuns) -> None:
    """If the server has lost a finished run, Retry says so and disappears; the text is kept."""
    fake = serve_runs(SIDES_FAILED)
    ask(page)
    expect(again(page, "sides")).to_be_visible()
    fake.gone = 410
    again(page, "sides").click()
    expect(status(page)).to_contain_text("This recipe has expired")
    expect(again(page, "sides")).to_be_hidden()
    expect(state(page, "ingredients")).to_have_text("Done")


def test_a_late_response_to_retry_changes_nothing(page: Page, serve_runs: ServeRuns) -> None:
    """If the user has left the recipe, the page stays where it is; the recipe has the part later."""
    gate = Gate()
    fake = serve_runs(SIDES_FAILED)
    fake.refusals["POST part"] = [gate]
    fake.again = [[*SIDES_AGAIN, end()]]
    ask(page)
    again(page, "sides").click()
    page.go_back()
    with page.expect_response("**/parts/sides"):
        gate.open()
    expect(title(page)).to_have_text("Ingredients in, recipe out.")
    expect(status(page)).to_be_empty()
    page.go_forward()
    expect(body(page, "sides")).to_have_text("Rice.")
    assert len(fake.made("GET events")) == 2


# Another idea


def test_another_idea_is_cooked_as_a_run_of_its_own(page: Page, serve_runs: ServeRuns) -> None:
    """The request has the chosen dish; the run has its own address, and the first run keeps its address."""
    fake = serve_runs(WHOLE, [run_begins(CHOSEN_PARTS, recipe=RECIPES[1]), *INGREDIENTS, Gate()])
    ask(page)
    button = page.get_by_role("button", name="Cook this instead Beef Soup")
    expect(button).to_be_enabled()
    page.locator("textarea").fill("something else")
    button.click()
    expect(page).to_have_url(f"{fake.url}/r/run-2")
    expect(title(page)).to_have_text("Beef Soup")
    expect(title(page)).to_be_focused()
    expect(status(page)).to_have_text("Writing your recipe…")
    expect(panel(page, "alternates")).to_be_hidden()
    expect(page.locator("textarea")).to_have_value(REQUEST["ingredientsOnHand"])
    assert fake.made("POST /runs")[1] == {**REQUEST, "recipe": RECIPES[1]}
    page.go_back()
    expect(title(page)).to_have_text("Pepper Steak")
    expect(panel(page, "alternates")).to_be_visible()


def test_another_idea_waits_for_the_run_to_end(page: Page, serve_runs: ServeRuns) -> None:
    """The buttons are disabled while a recipe is generated."""
    gate = Gate()
    serve_runs([*PICK, *OTHERS, gate, end("partial")])
    ask(page)
    button = page.get_by_role("button", name="Cook this instead Onion Tart")
    expect(button).to_be_disabled()
    gate.open()
    expect(button).to_be_enabled()


@pytest.mark.parametrize("part", ["sides", "nutrition"])
def test_retry_and_ideas_work_with_the_keyboard_alone(page: Page, serve_runs: ServeRuns, part: str) -> None:
    """Each Retry names its part, and Enter presses it."""
    failed = [start(part), stop(part, "failed", BUSY)]
    fake = serve_runs([*PICK, *failed, end("partial")])
    fake.again = [[start(part, 2), fragment(part, "- Rice."), stop(part), end("partial")]]
    ask(page)
    heading = panel(page, part).get_by_role("heading").inner_text()
    page.get_by_role("button", name=f"Try again {heading}").press("Enter")
    expect(body(page, part)).to_have_text("Rice.")

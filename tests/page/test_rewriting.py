"""Stop, Retry and another idea: what a cook does with a recipe beyond reading it."""

import pytest
from playwright.sync_api import Locator, Page, expect
from starlette.responses import JSONResponse

from tests.page.conftest import Cooks
from tests.page.wire import (
    ASKED,
    BEGUN,
    BUSY,
    CHOSEN_PARTS,
    INGREDIENTS,
    NO_DISH,
    OTHERS,
    PARTS,
    PICK,
    SIDES_FAILED,
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


def test_stop_before_the_first_event(page: Page, cooks: Cooks) -> None:
    """Stop works while nothing has come yet, and the page can generate again."""
    fake = cooks([*BEGUN, Gate()])
    ask(page)
    expect(page).to_have_url(f"{fake.url}/r/run-1")
    page.get_by_role("button", name="Stop").click()
    expect(status(page)).to_have_text("Stopped before anything was written.")
    for part in PARTS:
        expect(state(page, part)).to_have_text("Stopped")
    expect(page.locator("#generate")).to_be_enabled()
    expect(page.locator("#stop")).to_be_disabled()


def test_stop_in_mid_stream_keeps_what_was_written(page: Page, cooks: Cooks) -> None:
    """The server is told; what was written stays, and the parts that were open say that they were stopped."""
    fake = cooks([*PICK, *INGREDIENTS, start("intro"), fragment("intro", "From the p"), Gate()])
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


def test_stop_is_said_to_be_under_way(page: Page, cooks: Cooks) -> None:
    """Until the server has stopped the run, the status says that it is being stopped."""
    gate = Gate()
    fake = cooks([*PICK, Gate()])
    fake.refusals["DELETE run"] = [gate]
    ask(page)
    expect(title(page)).to_have_text("Pepper Steak")
    page.get_by_role("button", name="Stop").click()
    expect(status(page)).to_have_text("Stopping…")
    gate.open()
    expect(status(page)).to_have_text("Stopped. The text so far stays.")


def test_stop_while_the_order_is_under_way_stops_the_run_too(page: Page, cooks: Cooks) -> None:
    """A run whose id comes after Stop is stopped as soon as it is known, and never shown."""
    gate = Gate()
    fake = cooks([*PICK, Gate()])
    fake.refusals["POST /runs"] = [gate]
    ask(page)
    expect(status(page)).to_have_text("Waiting for the dish…")
    page.get_by_role("button", name="Stop").click()
    expect(status(page)).to_have_text("Stopped before anything was written.")
    expect(page.locator("#generate")).to_be_focused()
    with page.expect_request(lambda request: request.method == "DELETE") as deleted:
        gate.open()
    assert deleted.value.url == f"{fake.url}/runs/run-1"
    expect(page).to_have_url(f"{fake.url}/")
    expect(title(page)).to_have_text("Ingredients in, recipe out.")


def test_the_same_again_after_stop_is_a_run_of_its_own(page: Page, cooks: Cooks) -> None:
    """Who stopped an order and asks for the same once more gets a run that the first one's end does not touch."""
    gate = Gate()
    fake = cooks([*PICK, Gate()])
    fake.refusals["POST /runs"] = [gate]
    ask(page)
    page.get_by_role("button", name="Stop").click()
    page.locator("#generate").click()
    expect(page).to_have_url(f"{fake.url}/r/run-1")
    with page.expect_request(lambda request: request.method == "DELETE") as deleted:
        gate.open()
    assert deleted.value.url == f"{fake.url}/runs/run-2"
    expect(status(page)).to_have_text("Writing your recipe…")


def test_reset_stops_a_live_run_and_shows_the_empty_form(page: Page, cooks: Cooks) -> None:
    """Reset in mid-stream ends the run, and nothing of it shows up afterwards."""
    gate = Gate()
    fake = cooks([*PICK, gate, *written("intro", "Too late"), end()])
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


def test_a_failed_part_of_an_ended_run_is_written_again(page: Page, cooks: Cooks) -> None:
    """Retry has the server write the part once more; the rest stays where it is, and the status tells both."""
    gate = Gate()
    fake = cooks(SIDES_FAILED)
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


def test_a_failed_part_of_a_live_run_is_written_again(page: Page, cooks: Cooks) -> None:
    """Retry does not wait for the run's end, and needs no new connection."""
    pressed, rest = Gate(), Gate()
    failed = [start("sides"), stop("sides", "failed", BUSY)]
    fake = cooks([*PICK, *INGREDIENTS, *failed, pressed, *SIDES_AGAIN, rest, *OTHERS, end()])
    ask(page)
    again(page, "sides").click()
    expect(state(page, "sides")).to_have_text("Trying again")
    pressed.open()
    expect(body(page, "sides")).to_have_text("Rice.")
    rest.open()
    expect(status(page)).to_contain_text("All six parts are here.")
    assert len(fake.made("GET events")) == 1


def test_a_run_that_ended_just_before_retry_is_followed_on(page: Page, cooks: Cooks) -> None:
    """When the last event is under way as Retry is pressed, the page follows what comes after it."""
    answer, ends = Gate(), Gate()
    failed = [start("sides"), stop("sides", "failed", BUSY)]
    fake = cooks([*PICK, *INGREDIENTS, *OTHERS, *failed, ends, end("partial")])
    fake.refusals["POST part"] = [answer]
    fake.again = [[*SIDES_AGAIN, end()]]
    ask(page)
    again(page, "sides").click()
    ends.open()
    expect(status(page)).to_contain_text("not complete")
    answer.open()
    expect(status(page)).to_contain_text("All six parts are here.")
    expect(body(page, "sides")).to_have_text("Rice.")


def test_what_was_made_from_a_part_is_written_again_with_it(page: Page, cooks: Cooks) -> None:
    """With the ingredients the steps are awaited again, even before they begin."""
    gate = Gate()
    cut = [start("ingredients"), fragment("ingredients", "- 300 g"), stop("ingredients", "cut_off", "At its limit.")]
    fake = cooks([*PICK, *cut, *STEPS, end("partial")])
    fake.again = [[start("ingredients", 2), gate, *written("steps", "1. Fry.", 2), end("partial")]]
    ask(page)
    expect(again(page, "steps")).to_be_hidden()
    again(page, "ingredients").click()
    expect(state(page, "steps")).to_have_text("Trying again")
    expect(body(page, "steps").get_by_role("listitem")).to_have_text(["Slice the beef.", "Sear it."])
    gate.open()
    expect(body(page, "steps").get_by_role("listitem")).to_have_text(["Fry."])


def test_steps_without_ingredients_are_not_offered(page: Page, cooks: Cooks) -> None:
    """What a part is made from has to come first: only the ingredients can be written again."""
    failed = [start("ingredients"), stop("ingredients", "failed", BUSY), stop("steps", "failed", "No ingredients.")]
    fake = cooks([*PICK, *failed, end("partial")])
    fake.again = [[start("ingredients", 2), Gate()]]
    ask(page)
    expect(again(page, "ingredients")).to_be_visible()
    expect(again(page, "steps")).to_be_hidden()
    again(page, "ingredients").click()
    expect(state(page, "steps")).to_have_text("Waiting for the ingredients")


def test_without_a_dish_the_recipe_is_written_again_as_a_whole(page: Page, cooks: Cooks) -> None:
    """One button regenerates everything except the nutrition, because no other part can be written without a dish."""
    gate = Gate()
    fake = cooks(NO_DISH)
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


def test_new_ideas_are_said_to_change_the_dish(page: Page, cooks: Cooks) -> None:
    """The ideas are made with the dish, so their button says that it will be another one, and all is regenerated."""
    gate = Gate()
    failed = [start("alternates"), stop("alternates", "failed", BUSY)]
    fake = cooks([*PICK, *failed, *INGREDIENTS, *STEPS, *written("intro", "Old."), *SIDES_AGAIN, end("partial")])
    fake.again = [[start("alternates", 2), proposed(picked=1), gate, *written("intro", "New.", 2), end("partial")]]
    ask(page)
    panel(page, "alternates").get_by_role("button", name="Try again, with a new dish Other ideas").click()
    expect(title(page)).to_have_text("Beef Soup")
    expect(state(page, "intro")).to_have_text("Trying again")
    gate.open()
    expect(body(page, "intro")).to_have_text("New.")


def test_a_refused_retry_is_told_in_the_servers_words(page: Page, cooks: Cooks) -> None:
    """When a part can't be written again, the status says why, and everything stays as it is."""
    fake = cooks(SIDES_FAILED)
    fake.refusals["POST part"] = [JSONResponse({"detail": "It is being written already."}, 409)]
    ask(page)
    again(page, "sides").click()
    expect(status(page)).to_have_text("It is being written already.")
    expect(state(page, "sides")).to_have_text("Failed")
    expect(again(page, "sides")).to_be_visible()


def test_a_retry_may_fail_again(page: Page, cooks: Cooks) -> None:
    """A part that fails once more can be tried a third time, and the earlier attempts are to be seen in its bar."""
    fake = cooks(SIDES_FAILED)
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


def test_the_time_between_end_and_retry_is_not_counted(page: Page, cooks: Cooks) -> None:
    """A part that is written again an hour later makes neither the bars nor their sum an hour long."""
    hour = 3_600_000
    fake = cooks(SIDES_FAILED)
    fake.again = [[start("sides", 2, at_ms=hour), stop("sides", at_ms=hour + 1500), end(at_ms=hour + 1500)]]
    ask(page)
    again(page, "sides").click()
    failed_at = 10 * (len(SIDES_FAILED) - 1)
    expect(page.locator(".sum")).to_contain_text(f"Side by side: {(failed_at + 1500) / 1000:.1f} s.")


def test_a_part_that_was_never_ended_can_be_written(page: Page, cooks: Cooks) -> None:
    """A run that ends without a word on a part leaves it unfinished, and to be tried again."""
    fake = cooks([*PICK, *INGREDIENTS, end("partial")])
    fake.again = [[start("sides"), fragment("sides", "- Rice."), stop("sides"), end("partial")]]
    ask(page)
    expect(state(page, "sides")).to_have_text("Not finished")
    again(page, "sides").click()
    expect(body(page, "sides")).to_have_text("Rice.")


def test_a_run_that_is_gone_can_not_be_written_again(page: Page, cooks: Cooks) -> None:
    """When the server has lost an ended run, Retry says so and goes; what is on the page stays."""
    fake = cooks(SIDES_FAILED)
    ask(page)
    expect(again(page, "sides")).to_be_visible()
    fake.gone = 410
    again(page, "sides").click()
    expect(status(page)).to_contain_text("This recipe has expired")
    expect(again(page, "sides")).to_be_hidden()
    expect(state(page, "ingredients")).to_have_text("Done")


def test_an_answer_to_retry_that_comes_too_late_changes_nothing(page: Page, cooks: Cooks) -> None:
    """Who has left the recipe before the server took the order stays where he went; the recipe has the part later."""
    gate = Gate()
    fake = cooks(SIDES_FAILED)
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


def test_another_idea_is_cooked_as_a_run_of_its_own(page: Page, cooks: Cooks) -> None:
    """The same is asked for with the dish chosen; it gets an address of its own, and the first stays at its own."""
    fake = cooks(WHOLE, [run_begins(CHOSEN_PARTS, recipe=RECIPES[1]), *INGREDIENTS, Gate()])
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
    expect(page.locator("textarea")).to_have_value(ASKED["ingredientsOnHand"])
    assert fake.made("POST /runs")[1] == {**ASKED, "recipe": RECIPES[1]}
    page.go_back()
    expect(title(page)).to_have_text("Pepper Steak")
    expect(panel(page, "alternates")).to_be_visible()


def test_another_idea_waits_for_the_run_to_end(page: Page, cooks: Cooks) -> None:
    """While a recipe is written, no other is begun: the buttons are there, but disabled."""
    gate = Gate()
    cooks([*PICK, *OTHERS, gate, end("partial")])
    ask(page)
    button = page.get_by_role("button", name="Cook this instead Onion Tart")
    expect(button).to_be_disabled()
    gate.open()
    expect(button).to_be_enabled()


@pytest.mark.parametrize("part", ["sides", "nutrition"])
def test_retry_and_ideas_work_with_the_keyboard_alone(page: Page, cooks: Cooks, part: str) -> None:
    """Each Retry says which part it is for, and Enter presses it."""
    failed = [start(part), stop(part, "failed", BUSY)]
    fake = cooks([*PICK, *failed, end("partial")])
    fake.again = [[start(part, 2), fragment(part, "- Rice."), stop(part), end("partial")]]
    ask(page)
    heading = panel(page, part).get_by_role("heading").inner_text()
    page.get_by_role("button", name=f"Try again {heading}").press("Enter")
    expect(body(page, part)).to_have_text("Rice.")

"""Rewriting parts, and runs with a chosen dish."""

import asyncio
import re

import httpx

from tests.client import (
    NO_TLS,
    REQUEST,
    ask,
    cancel,
    follow,
    named,
    rewrite,
    start,
    statuses,
    wait_until,
    written,
)
from tests.conftest import ServeScripts
from tests.servers import PARTS, Finish, Gate, Refuse, default_script, run

DISH = {"name": "Onion Tart", "intro": "Crisp."}


def test_a_failed_part_of_a_finished_run_is_rewritten(serve_scripts: ServeScripts) -> None:
    """The run continues after its earlier events in a new epoch, and ends again."""
    url, provider = serve_scripts({"intro": [[Refuse(401)], ["A fine ", "dish."]]})
    address = start(url)
    before = follow(address)
    assert statuses(before) == ["partial"]
    answer = rewrite(address, "intro")
    assert [answer.status_code, answer.headers["location"]] == [202, address.removeprefix(url)]
    assert answer.json() == {"run_id": address.rsplit("/")[-1], "part": "intro", "attempt": 2}
    rest = follow(address, before[-1].id)
    assert [event.name for event in rest] == ["part_start", "fragment", "part_end", "end"]
    assert [event.seq for event in rest] == list(range(before[-1].seq, before[-1].seq + 4))
    assert rest[0].fields["attempt"] == 2
    assert statuses(rest) == ["ok"]
    whole = follow(address)
    assert [event.fields for event in whole] == [event.fields for event in before[:-1] + rest]
    assert written(whole)["intro"] == "A fine dish."
    assert [ask("GET", address).json()["status"], provider.calls[-1]["step"]] == ["ok", "intro"]


def test_readers_of_an_earlier_epoch_resume(serve_scripts: ServeScripts) -> None:
    """Each reader gets exactly the events after its last one; the earlier end is gone."""
    url, _ = serve_scripts()
    address = start(url)
    epochs = [follow(address)]
    for part in ("intro", "sides"):
        assert rewrite(address, part).status_code == 202
        epochs.append(follow(address))
    whole = epochs[-1]
    for events in epochs[:-1]:
        for event in events:
            common = min(event.seq, len(events) - 1)
            assert follow(address, event.id) == whole[common:]


def has_ended(address: str, part: str) -> bool:
    return ask("GET", address).json()["parts"][part]["state"] == "ok"


def test_a_part_of_a_live_run_is_rewritten(serve_scripts: ServeScripts) -> None:
    """It is added to the same log, and the run ends when all parts have ended."""
    gate = Gate()
    url, _ = serve_scripts({"nutrition": ["Beef ", gate], "intro": [["First."], ["Second."]]})
    address = start(url)
    assert wait_until(lambda: all(has_ended(address, part) for part in ("intro", "steps")), seconds=5)
    assert rewrite(address, "intro").json()["attempt"] == 2
    assert wait_until(lambda: ask("GET", address).json()["parts"]["intro"]["text"] == "Second.", seconds=5)
    gate.open()
    events = follow(address)
    assert [statuses(events), written(events)["intro"]] == [["ok"], "Second."]
    assert len({event.id.split("-")[0] for event in events}) == 1
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


def test_a_run_ends_after_its_rewrites(serve_scripts: ServeScripts) -> None:
    """If the rewritten part takes longer than the others, the end waits for it."""
    gate, again = Gate(), Gate()
    url, _ = serve_scripts({"nutrition": ["Beef ", gate], "intro": [["First."], ["Second.", again]]})
    address = start(url)
    assert wait_until(lambda: all(has_ended(address, part) for part in ("intro", "steps")), seconds=5)
    assert rewrite(address, "intro").status_code == 202
    gate.open()
    assert wait_until(lambda: ask("GET", address).json()["parts"]["nutrition"]["state"] == "ok", seconds=5)
    assert ask("GET", address).json()["status"] == "running"
    again.open()
    assert statuses(follow(address)) == ["ok"]


def test_the_dependents_of_a_part_are_rewritten_with_it(serve_scripts: ServeScripts) -> None:
    """The steps are rewritten with the new ingredients; all other parts are unchanged."""
    url, provider = serve_scripts({"ingredients": [["old beef"], ["new beef"]]})
    address = start(url)
    before = follow(address)
    assert rewrite(address, "ingredients").status_code == 202
    rest = follow(address, before[-1].id)
    assert [fields["part"] for fields in named(rest, "part_start")] == ["ingredients", "steps"]
    assert {fields["attempt"] for fields in named(rest, "part_start")} == {2}
    assert "new beef" in str(provider.calls[-1]["body"])
    assert [call["step"] for call in provider.calls[6:]] == ["ingredients", "steps"]


def test_rewriting_the_alternates_makes_another_recipe(serve_scripts: ServeScripts) -> None:
    """Rewriting the alternates makes a new proposal and rewrites all parts about the dish."""
    url, provider = serve_scripts()
    address = start(url)
    before = follow(address)
    assert rewrite(address, "alternates").json()["attempt"] == 2
    rest = follow(address, before[-1].id)
    assert {fields["part"] for fields in named(rest, "part_start")} == set(PARTS) - {"nutrition"}
    assert named(rest, "proposal")
    assert [call["step"] for call in provider.calls].count("proposal") == 2
    assert statuses(rest) == ["ok"]


def test_a_running_part_is_not_rewritten(serve_scripts: ServeScripts) -> None:
    """A 409 with a message for running parts, for waiting ones, and for those that they need."""
    url, _ = serve_scripts({"steps": ["1. ", Gate()], "sides": [Gate()]})
    address = start(url)
    assert wait_until(lambda: ask("GET", address).json()["parts"]["steps"]["text"] == "1. ", seconds=5)
    assert wait_until(lambda: ask("GET", address).json()["parts"]["intro"]["state"] == "ok", seconds=5)
    for part in ("steps", "ingredients", "sides", "alternates"):
        answer = rewrite(address, part)
        assert answer.status_code == 409
        assert re.fullmatch(r"Still being generated: (?:Ingredients|Steps|On the side|, )+\.", answer.json()["detail"])
    korean = ask("POST", f"{address}/parts/steps", headers={"Sizzle-Run-Key": address.key, "Accept-Language": "ko"})
    assert korean.json()["detail"] == "아직 쓰고 있어요: 만드는 법."


def test_a_part_is_rewritten_once_at_a_time(serve_scripts: ServeScripts) -> None:
    """A second request for it is a 409, even before the rewrite has started."""
    url, _ = serve_scripts({"intro": [["First."], [Gate()]]})
    address = start(url)
    follow(address)

    async def ask_twice() -> list[int]:
        async with httpx.AsyncClient(verify=NO_TLS, headers={"Sizzle-Run-Key": address.key}) as client:
            answers = await asyncio.gather(*(client.post(f"{address}/parts/intro") for _ in range(2)))
        return sorted(answer.status_code for answer in answers)

    assert run(ask_twice()) == [202, 409]
    assert cancel(address).status_code == 204


def test_a_part_without_its_input_names_the_part_to_rewrite(serve_scripts: ServeScripts) -> None:
    """This covers steps without ingredients, and parts about a dish that was never proposed."""
    url, _ = serve_scripts({"ingredients": [Refuse(401)]})
    address = start(url)
    follow(address)
    answer = rewrite(address, "steps")
    assert [answer.status_code, "“Ingredients”" in answer.json()["detail"]] == [409, True]
    url, _ = serve_scripts({"proposal": [Refuse(401)]})
    address = start(url)
    assert statuses(follow(address)) == ["failed"]
    for part in ("intro", "sides", "ingredients", "steps"):
        answer = rewrite(address, part)
        assert [answer.status_code, "“Other ideas”" in answer.json()["detail"]] == [409, True]


def test_steps_are_not_made_from_half_a_list(serve_scripts: ServeScripts) -> None:
    """Ingredients that were stopped have to be rewritten first; those at their token limit are sufficient."""
    url, _ = serve_scripts({"ingredients": [["- 300 g be", Gate()], ["- 300 g beef\n- 2 on", Finish("length")]]})
    address = start(url)
    assert wait_until(lambda: ask("GET", address).json()["parts"]["ingredients"]["text"] != "", seconds=5)
    assert cancel(address).status_code == 204
    answer = rewrite(address, "steps")
    assert [answer.status_code, "“Ingredients”" in answer.json()["detail"]] == [409, True]
    assert rewrite(address, "ingredients").status_code == 202
    follow(address)
    assert states(address)["ingredients"] == ["cut_off", "- 300 g beef\n- 2 on"]
    assert rewrite(address, "steps").status_code == 202


def test_a_part_that_needs_no_dish_is_rewritten_without_one(serve_scripts: ServeScripts) -> None:
    """In a run whose proposal failed, the nutrition is rewritten without a proposal; the run is still failed."""
    url, provider = serve_scripts({"proposal": [Refuse(401)]})
    address = start(url)
    before = follow(address)
    calls = len(provider.calls)
    assert rewrite(address, "nutrition").status_code == 202
    rest = follow(address, before[-1].id)
    assert [call["step"] for call in provider.calls[calls:]] == ["nutrition"]
    assert {event.name for event in rest} == {"part_start", "fragment", "part_end", "end"}
    assert statuses(rest) == ["failed"]


def test_an_unknown_part_is_a_422(sizzle_url: str) -> None:
    """It names the known parts."""
    answer = rewrite(start(sizzle_url), "dessert")
    assert [answer.status_code, answer.json()["detail"][0]["field"]] == [422, "part"]
    assert all(part in answer.json()["detail"][0]["expected"] for part in PARTS)


def test_a_stopped_part_can_be_rewritten(serve_scripts: ServeScripts) -> None:
    """A part that was stopped starts again; parts that never started leave the run partial."""
    url, _ = serve_scripts({"sides": [["Rice", Gate()], ["Rice and peas"]], "nutrition": [Gate()]})
    address = start(url)
    assert wait_until(lambda: ask("GET", address).json()["parts"]["sides"]["text"] == "Rice", seconds=5)
    assert wait_until(lambda: ask("GET", address).json()["parts"]["steps"]["state"] == "ok", seconds=5)
    assert cancel(address).status_code == 204
    assert rewrite(address, "sides").status_code == 202
    events = follow(address)
    assert [statuses(events), written(events)["sides"]] == [["partial"], "Rice and peas"]


def test_a_chosen_dish_needs_no_proposal(serve_scripts: ServeScripts) -> None:
    """Its run has five parts, and no proposal is requested."""
    url, provider = serve_scripts()
    events = follow(start(url, {**REQUEST, "recipe": DISH}))
    assert events[0].fields["request"]["recipe"] == DISH
    assert events[0].fields["parts"] == [part for part in PARTS if part != "alternates"]
    assert statuses(events) == ["ok"]
    assert {fields["part"] for fields in named(events, "part_end")} == set(PARTS) - {"alternates"}
    assert sorted(call["step"] for call in provider.calls) == sorted(set(PARTS) - {"alternates"})
    assert all("Onion Tart" in str(call["body"]) for call in provider.calls if call["step"] != "nutrition")


def test_a_part_of_a_chosen_dish_is_rewritten(serve_scripts: ServeScripts) -> None:
    """The dish is kept; the run has no alternates."""
    url, provider = serve_scripts()
    address = start(url, {**REQUEST, "recipe": DISH})
    before = follow(address)
    assert rewrite(address, "alternates").status_code == 409
    assert rewrite(address, "intro").status_code == 202
    assert statuses(follow(address, before[-1].id)) == ["ok"]
    assert "Onion Tart" in str(provider.calls[-1]["body"])
    state = ask("GET", address).json()
    assert [state["options"], state["picked"]] == [[DISH], 0]


def test_an_attempt_replaces_the_earlier_one(serve_scripts: ServeScripts) -> None:
    """A part that breaks off starts again: it has the text of the last attempt and one end."""
    url, _ = serve_scripts({"intro": [["Half a sen", Finish(None)], ["The whole."]]})
    events = follow(start(url))
    assert [fields["attempt"] for fields in named(events, "part_start") if fields["part"] == "intro"] == [1, 2]
    assert [fields["status"] for fields in named(events, "part_end") if fields["part"] == "intro"] == ["ok"]
    assert written(events)["intro"] == "The whole."


def states(address: str) -> dict[str, list[str]]:
    """Each part's state and text."""
    return {part: [state["state"], state["text"]] for part, state in ask("GET", address).json()["parts"].items()}


def test_a_failed_rewrite_keeps_the_text(serve_scripts: ServeScripts) -> None:
    """If a rewrite fails, the previous text is kept and sent again."""
    url, _ = serve_scripts({"intro": [["First."], [Refuse(401)]]})
    address = start(url)
    follow(address)
    assert rewrite(address, "intro").status_code == 202
    events = follow(address)
    assert [statuses(events), written(events)["intro"]] == [["partial"], "First."]
    assert states(address)["intro"] == ["failed", "First."]


def test_a_failed_rewrite_of_the_ingredients_keeps_them(serve_scripts: ServeScripts) -> None:
    """The steps that were made from them are kept, too."""
    url, _ = serve_scripts({"ingredients": [["old beef"], [Refuse(401)]]})
    address = start(url)
    follow(address)
    before = states(address)
    assert rewrite(address, "ingredients").status_code == 202
    follow(address)
    assert states(address) == before | {part: ["failed", before[part][1]] for part in ("ingredients", "steps")}


def test_a_failed_rewrite_of_the_alternates_keeps_them(serve_scripts: ServeScripts) -> None:
    """The dish and all its parts are kept, too."""
    url, _ = serve_scripts({"proposal": [default_script("proposal"), [Refuse(401)]]})
    address = start(url)
    follow(address)
    before = states(address)
    assert rewrite(address, "alternates").status_code == 202
    follow(address)
    assert states(address) == before | {part: ["failed", before[part][1]] for part in set(PARTS) - {"nutrition"}}


def test_text_is_kept_until_the_next_attempt_has_text(serve_scripts: ServeScripts) -> None:
    """A run that is stopped during a retry without text keeps the text of the earlier attempt."""
    url, _ = serve_scripts({"intro": [["Half a sen", Finish(None)], [Gate()]]})
    address = start(url)
    assert wait_until(lambda: ask("GET", address).json()["parts"]["intro"]["attempt"] == 2, seconds=5)
    assert cancel(address).status_code == 204
    assert states(address)["intro"] == ["cut_off", "Half a sen"]

"""No part waits longer than necessary, as the order of events shows while gates hold providers back."""

import json
from random import Random

import pytest

from tests.client import REQUEST, Event, events_named, read, start_of, where
from tests.conftest import ServeScripts
from tests.servers import RECIPES, Gate


def test_the_four_concurrent_parts_are_interleaved(serve_scripts: ServeScripts) -> None:
    """Intro, ingredients, nutrition and sides all produce text before any of them ends."""
    gates = {part: Gate() for part in ("intro", "ingredients", "nutrition", "sides")}
    url, _ = serve_scripts({part: ["first ", gate, "last"] for part, gate in gates.items()})
    writing: set[str] = set()

    def open_when_all_write(event: Event) -> None:
        if event[0] == "message" and event[1] in {"int", "add", "ing", "sde"}:
            writing.add(event[1])
        if len(writing) == 4:
            for gate in gates.values():
                gate.open()

    events = read(url, seen=open_when_all_write)
    assert events_named(events, "end")[0]["status"] == "ok"
    first_end = next(i for i, event in enumerate(events) if event[0] == "part_end" and "alternates" not in event[2])
    assert {code for code in ("int", "add", "ing", "sde") if where(events, code)[0] < first_end} == writing


def test_steps_wait_for_the_ingredients_only(serve_scripts: ServeScripts) -> None:
    """The steps end while the intro waits, and their prompt contains the ingredients."""
    gate = Gate()
    url, provider = serve_scripts({"intro": ["once ", gate, "done"], "ingredients": ["- 300 g beef"]})

    def open_after_steps(event: Event) -> None:
        if event[0] == "part_end" and '"steps"' in event[2]:
            gate.open()

    events = read(url, seen=open_after_steps)
    assert max(where(events, "ste")) < max(where(events, "int"))
    assert start_of(events, "steps") > max(where(events, "add"))
    call = next(call for call in provider.calls if call["step"] == "steps")
    assert "<ingredients_needed>\n- 300 g beef\n</ingredients_needed>" in call["body"]["messages"][1]["content"]


def test_nutrition_starts_with_the_proposal(serve_scripts: ServeScripts) -> None:
    """The nutrition ends before the proposal has a word."""
    gate = Gate()
    url, _ = serve_scripts({"proposal": [gate, json.dumps(RECIPES)]})

    def open_after_nutrition(event: Event) -> None:
        if event[0] == "part_end" and '"nutrition"' in event[2]:
            gate.open()

    events = read(url, seen=open_after_nutrition)
    assert max(where(events, "ing")) < start_of(events, "intro")
    assert events_named(events, "end")[0]["status"] == "ok"


def seed_that_picks(place: int) -> int:
    return next(seed for seed in range(100) if Random(seed).randrange(3) == place)


@pytest.mark.parametrize("place", [0, 1])
def test_parts_start_when_the_picked_recipe_is_complete(serve_scripts: ServeScripts, place: int) -> None:
    """The parts after the pick end before the later recipes of the proposal arrive."""
    gate = Gate()
    whole = json.dumps(RECIPES)
    cut = whole.index("}", whole.index(RECIPES[place]["name"])) + 1
    url, _ = serve_scripts({"proposal": [whole[:cut], gate, whole[cut:]]})

    def open_after_steps(event: Event) -> None:
        if event[0] == "part_end" and '"steps"' in event[2]:
            gate.open()

    events = read(url, REQUEST | {"seed": seed_that_picks(place)}, seen=open_after_steps)
    assert events_named(events, "proposal")[0] == {"options": RECIPES[: place + 1], "picked": place}
    assert events_named(events, "proposal")[-1] == {"options": RECIPES, "picked": place}
    assert events_named(events, "end")[0]["status"] == "ok"
    assert len(where(events, "alt")) == 2

"""The options of a proposal: which recipes are read from it, and which one is picked."""

import asyncio
import json
from collections import Counter

import pytest
from hypothesis import given, strategies as st

from chains.errors import ProposalError
from chains.parts.choice import Options, ProposalReader, options_in
from chains.parts.context import material
from chains.parts.events import Failed, Option
from tests.servers import run

FIELDS = ("name", "intro")


def option(name: str, intro: str) -> Option:
    return {"name": name, "intro": intro}


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda text: bool(text.strip()))
recipes = st.lists(st.builds(option, words, words), max_size=4)


def clean(recipe: Option) -> Option:
    return option(" ".join(recipe["name"].split()), " ".join(recipe["intro"].split()))


@given(recipes, st.booleans(), st.sampled_from(["", "```json\n", "Sure! Here you are: ", "{not json} "]))
def test_every_complete_recipe_is_read_whatever_its_text(proposed: list[Option], ascii_only: bool, before: str) -> None:
    """Names and intros with braces, quotes, backslashes or escapes are unchanged; after prose, three are read."""
    rows = [{"name": recipe["name"], "intro": recipe["intro"]} for recipe in proposed]
    text = before + json.dumps(rows, ensure_ascii=ascii_only) + "\n```"
    is_draft = before == "Sure! Here you are: "
    assert options_in(text, FIELDS, 3) == [clean(recipe) for recipe in proposed][-3 if is_draft else 0 :]


def test_values_other_than_texts_become_json() -> None:
    rows = [{"name": "Kettle", "intro": {"city": "Köln", "since": 1900}}, {"name": "Mug", "intro": 7}]
    refused = [{"name": 5, "intro": "x"}, {"name": "Jug", "intro": None}]
    assert options_in(json.dumps([*rows, *refused]), FIELDS, 3) == [
        option("Kettle", '{"city":"Köln","since":1900}'),
        option("Mug", "7"),
    ]


def test_an_option_with_objects_of_several_levels_is_read_as_it_is() -> None:
    deep = {"name": "Kettle", "intro": {"a": {"b": {"c": [{"d": {"e": {"f": 1}}}]}}}}
    assert options_in(json.dumps([deep]), FIELDS, 3) == [option("Kettle", '{"a":{"b":{"c":[{"d":{"e":{"f":1}}}]}}}')]


@given(recipes, st.data())
def test_a_growing_proposal_only_adds_recipes(proposed: list[Option], data: st.DataObject) -> None:
    """Any prefix of the text contains a prefix of the list."""
    text = json.dumps([{"name": recipe["name"], "intro": recipe["intro"]} for recipe in proposed])
    cut = data.draw(st.integers(0, len(text)))
    early = options_in(text[:cut], FIELDS, 3)
    assert early == options_in(text, FIELDS, 3)[: len(early)]


def picked_by(seed: int, names: str) -> str:
    """The name that this seed picks from these recipes."""

    async def pick() -> str:
        shortlist = Options(3, seed)
        for name in names:
            shortlist.add({"name": name, "intro": "x"})
        shortlist.close("too few")
        picked = await shortlist.pick()
        assert isinstance(picked, dict)
        assert shortlist.found[shortlist.picked] == picked
        assert {recipe["name"] async for recipe in shortlist.others()} | {picked["name"]} == set(names[:3])
        return picked["name"]

    return run(pick())


@pytest.mark.parametrize("names", ["AB", "ABC", "ABCDE"])
def test_the_pick_is_uniform(names: str) -> None:
    """Over 1,500 seeds each recipe is picked equally often, within 4 standard deviations."""
    counts = Counter(picked_by(seed, names) for seed in range(1500))
    share = 1 / len(names[:3])
    deviation = (1500 * share * (1 - share)) ** 0.5
    assert set(counts) == set(names[:3])
    assert all(abs(count - 1500 * share) < 4 * deviation for count in counts.values())


def test_a_seed_repeats_the_pick() -> None:
    assert [picked_by(7, "ABC") for _ in range(5)] == [picked_by(7, "ABC")] * 5


def test_fewer_than_two_are_a_failure() -> None:
    """The pick is a `Failed` with the reason, and `check` raises it."""

    async def ask() -> None:
        shortlist = Options(3, seed=0)
        assert shortlist.picked == 1, "the one that never comes"
        shortlist.add({"name": "A", "intro": "x"})
        shortlist.add({"name": "A", "intro": "the same again"})
        shortlist.close("too few")
        assert await shortlist.pick() == Failed("too few")
        with pytest.raises(ProposalError, match="too few"):
            shortlist.check()

    run(ask())


def test_a_cancelled_reader_does_not_affect_the_others() -> None:
    """The options are filled and closed as before, and the other readers get theirs."""

    async def ask() -> None:
        shortlist = Options(3, seed=0)
        leaving, staying = asyncio.create_task(shortlist.pick()), asyncio.create_task(shortlist.pick())
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
        for name in "ABC":
            shortlist.add({"name": name, "intro": "x"})
        shortlist.close("too few")
        assert await staying == {"name": "B", "intro": "x"}
        assert leaving.cancelled()

    run(ask())


def test_an_object_of_the_request_is_json_in_a_prompt_and_closes_no_tag() -> None:
    values = {"person": {"name": "<Kim>", "tags": ["a"]}, "hints": [{"n": 1}, "b"], "budget": None}
    assert material(values) == {
        "person": '{"name":"&lt;Kim&gt;","tags":["a"]}',
        "hints": '{"n":1}, b',
        "budget": "",
    }


def test_a_draft_before_a_proposal_is_not_read_early() -> None:
    reader = ProposalReader(("name", "intro"))
    recipe = '{"name": "Stew", "intro": "Warm."}'
    assert reader.feed(f"We could write [{recipe}], or better:") == []
    early = ProposalReader(("name", "intro"))
    assert [found["name"] for found in early.feed(f'```json\n{{"recipes": [{recipe}')] == ["Stew"]


def test_nested_objects_are_parsed_once() -> None:
    """Objects whose nesting shows that they are no options are not parsed."""
    reader = ProposalReader(("name", "intro"))
    assert reader.feed("{" * 50_000) == []
    assert [reader.feed("}") for _ in range(100)] == [[]] * 100
    wrapped = '{"data": {"recipes": [{"name": "Stew", "intro": "Warm.", "extra": {"kcal": 5}}]}}'
    assert [recipe["name"] for recipe in ProposalReader(("name", "intro")).feed(wrapped)] == ["Stew"]

"""Diets, what must be avoided, and the number of people, from the request to every prompt."""

from typing import Any

import httpx
import pytest

from tests.client import read
from tests.conftest import ServeScripts


def test_every_prompt_carries_diet_what_to_avoid_and_servings(serve_scripts: ServeScripts) -> None:
    url, provider = serve_scripts({})
    read(url, {"ingredientsOnHand": "tofu, rice", "diet": "vegan", "avoid": ["peanuts", "soy"], "servings": 6})
    assert len(provider.calls) == 6
    for call in provider.calls:
        rules, prompt = (message["content"] for message in call["body"]["messages"])
        assert "<diet>vegan</diet>\n<avoid>peanuts, soy</avoid>\n<servings>6</servings>" in prompt
        assert "Keep every diet in <diet>" in rules
        assert "Give amounts for the number of people in <servings>" in rules


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"diet": "x" * 301}, "diet"),
        ({"avoid": ["nuts", 3]}, "avoid"),
        ({"servings": 0}, "servings"),
        ({"servings": 21}, "servings"),
        ({"servings": "some"}, "servings"),
    ],
)
@pytest.mark.parametrize("path", ["/generate", "/runs"])
def test_a_wrong_restriction_is_a_422_that_names_its_field(
    sizzle_url: str, path: str, fields: dict[str, Any], named: str
) -> None:
    answer = httpx.post(f"{sizzle_url}{path}", json={"ingredientsOnHand": "beef", **fields})
    assert [answer.status_code, answer.json()["detail"][0]["field"]] == [422, named]


@pytest.mark.parametrize("typed", ["감자", "두부", "무", "굴", "떡", "ox", "무, 굴"])
def test_an_ingredient_of_one_syllable_or_two_letters_is_accepted(serve_scripts: ServeScripts, typed: str) -> None:
    url, provider = serve_scripts({})
    read(url, {"ingredientsOnHand": typed})
    assert all(f"\n{typed}\n" in call["body"]["messages"][1]["content"] for call in provider.calls)

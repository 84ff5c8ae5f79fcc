"""Requests in free text, in English and Korean."""

from contextlib import suppress

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from chains.recipe.free_text import request_in


@pytest.mark.parametrize(
    ("text", "ingredients", "minutes"),
    [
        ("beef, onions; 30 minutes", "beef, onions", 30),
        ("소고기, 양파 30분", "소고기, 양파", 30),
        ("소고기, 양파; 1시간 30분", "소고기, 양파", 90),
        ("1시간 반 안에 김치, 두부", "김치, 두부", 90),
        ("두부 2인분, 한 시간", "두부 2인분", 60),
        ("beef, onions in half an hour", "beef, onions", 30),
        ("An hour and a half: chicken thighs, rice", "chicken thighs, rice", 90),
        ("1h30 eggs", "eggs", 90),
        ("1.5 hours, potatoes", "potatoes", 90),
        ("a quarter of an hour: toast, cheese", "toast, cheese", 15),
        ("eggs, spinach; 20", "eggs, spinach", 20),
        ("beef, three quarters of an hour", "beef", 45),
        ("half hour: beef", "beef", 30),
        ("30-45 minutes, beef", "beef", 45),
        ("20 minutes: 3 minute noodles, eggs", "3 minute noodles, eggs", 20),
        ("두부랑 김치 네 시간", "두부랑 김치", 240),
        ("3분카레, 밥", "3분카레, 밥", 30),
        ("2 minute noodles, eggs", "2 minute noodles, eggs", 30),
        ("30분안에 두부", "두부", 30),
        ("beef; 1/2 hour", "beef; 1/2 hour", 30),
        (f"beef; {'9' * 400} hours", f"beef; {'9' * 400} hours", 30),
        ("oranges for 20 minutes or less, honey", "oranges, honey", 20),
        ("beef marinated 20 minutes; 45 minutes", "beef marinated 20 minutes", 45),
        ("500 g beef, 2 onions, ham", "500 g beef, 2 onions, ham", 30),
    ],
)
def test_ingredients_and_time_are_separated(text: str, ingredients: str, minutes: int) -> None:
    """Other numbers stay with the ingredients; without a time it is thirty minutes."""
    request = request_in(text)
    assert [request.ingredients_on_hand, request.prep_time] == [ingredients, minutes]


def test_the_language_is_that_of_the_text() -> None:
    """One Korean word makes the request Korean."""
    assert [request_in(text).language for text in ("beef; 20 min", "beef, 양파")] == ["en", "ko"]


@given(st.text())
def test_any_text_is_a_request_or_bad_input(text: str) -> None:
    """No other exception is raised, and the request is within the limits."""
    with suppress(ValidationError):
        assert 5 <= request_in(text).prep_time <= 240


@pytest.mark.parametrize("bulk", ["1" * 1_000_000, "i " * 500_000, "an hour " * 100_000])
def test_a_very_long_text_is_refused_at_once(bulk: str) -> None:
    """It is not searched for a time."""
    with pytest.raises(ValidationError, match="at most 2000"):
        request_in(bulk)

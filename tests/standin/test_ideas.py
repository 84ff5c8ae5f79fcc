"""The dishes that the stand-in proposes for the ingredients on hand, and the side dishes."""

import re

import pytest

from app.standin.cook import reply
from tests.standin.prompts import prompt, recipes
from tests.standin.test_recipes import SEEDS, all_cooked, cooked, language_of


@pytest.mark.parametrize(
    ("on_hand", "minutes", "main"),
    [
        ("bananas, flour, sugar, eggs, butter", 90, "banana"),
        ("cauliflower, cheddar, milk, flour, butter", 30, "cauliflower|cheddar"),
        ("dark chocolate, eggs, butter", 30, "chocolate"),
        ("lentils, carrots, celery, onion", 60, "lentil|carrot"),
        ("hot dogs, buns, ketchup, mustard", 30, "hot dog"),
        ("corned beef, potatoes, onion, egg", 30, "corned beef|egg"),
        ("coke, chicken wings, soy sauce", 40, "chicken wing"),
        ("strawberries, cream, sugar", 30, "strawberr"),
        ("canned sardines, spaghetti, raisins", 30, "sardine|spaghetti"),
        ("삼겹살, 상추, 쌈장, 마늘", 30, "삼겹살"),
        ("순두부, 바지락, 계란", 30, "바지락|순두부"),
        ("당면, 시금치, 당근, 소고기", 40, "소고기"),
        ("꽈리고추, 멸치", 30, "멸치"),
        ("북어채, 계란, 무, 두부", 30, "두부|북어채"),
        ("떡국떡, 만두, 계란, 김", 30, "떡국떡|만두"),
        ("단무지, 햄, 계란, 당근, 김, 밥", 30, "햄"),
        ("국수, 멸치육수, 애호박, 계란", 30, "국수|계란"),
        ("사과 2개, 버터, 계피, 파이지", 60, "사과"),
        ("삶은 계란 3개, 감자, 마요네즈", 30, "감자"),
        ("rice noodles, beef strips, lime, fish sauce", 30, "beef strips"),
    ],
)
def test_each_of_the_first_two_ideas_cooks_the_main_food(on_hand: str, minutes: int, main: str) -> None:
    """Dishes of foods from the cupboard come after dishes of the foods on hand."""
    for seed in SEEDS:
        for recipe in list(cooked(on_hand, minutes, language_of(on_hand), seed))[:2]:
            assert any(re.search(main, line, re.IGNORECASE) for line in recipe.lines), recipe.name


@pytest.mark.parametrize(
    ("on_hand", "minutes", "step"),
    [
        ("beer, bratwurst, potatoes", 45, r"Drink 500 ml beer with it|500 ml beer, "),
        ("소주, 삼겹살, 상추", 30, "소주 500ml를 곁들여 마셔요"),
        ("sausages, potatoes, ketchup", 30, "2 tbsp ketchup"),
        ("roast lamb, potatoes, mint sauce", 30, "2 tbsp mint sauce on the table"),
        ("bratwurst, potatoes, sour cream", 30, "150 ml sour cream"),
        ("떡국떡, 만두, 단무지", 30, "단무지 100g"),
    ],
)
def test_drinks_and_table_sauces_come_with_a_dish_that_they_suit(on_hand: str, minutes: int, step: str) -> None:
    first = all_cooked(on_hand, minutes, language_of(on_hand))[0]
    assert re.search(step, first.steps)


@pytest.mark.parametrize(
    ("on_hand", "food", "dish"),
    [
        ("spaghetti, tomatoes, ham, mayo", "mayo", "Pasta|Spaghetti"),
        ("kimchi, tofu, cheddar", "cheddar", "Jjigae|Kimchi Stew"),
        ("pears, blue cheese, walnuts", "pear", "Mash|Purée"),
        ("cherry tomatoes, rice, basil oil", "tear [^.]*basil oil", ""),
        ("shrimps, lemon, butter", "whisk [^.]*butter", "Salad"),
        ("aubergines, passata, mozzarella", "alongside.*passata|passata.*alongside", ""),
    ],
)
def test_what_does_not_suit_a_dish_is_left_out_of_it(on_hand: str, food: str, dish: str) -> None:
    """No mayonnaise on pasta, no cheddar beside a kimchi stew, no baby food for adults, no slices of passata."""
    for recipe in all_cooked(on_hand, 45):
        assert not (re.search(dish, recipe.name) and re.search(food, recipe.steps))


@pytest.mark.parametrize("on_hand", ["gnocchi, tomatoes", "penne, bacon, cream", "macaroni, cheddar, broccoli"])
def test_a_pasta_dish_is_named_after_the_pasta_on_hand(on_hand: str) -> None:
    for recipe in all_cooked(on_hand, 30):
        assert "Spaghetti" not in recipe.name or any("spaghetti" in line for line in recipe.lines)


def test_of_what_is_in_store_only_what_is_needed_goes_in() -> None:
    """A typed amount of butter, oil or sugar is the amount on hand, not the amount in the dish."""
    for recipe in all_cooked("500 g butter, 2 eggs, 1 kg sugar", 30):
        assert not [line for line in recipe.lines if re.match(r"500 g butter|1 kg sugar", line)]


def test_one_serving_takes_half_of_two() -> None:
    (first, *_) = recipes("계란, 밥", 15, "Korean")
    about = {"recipe_name": first["name"], "recipe_intro": first["intro"]}
    one = reply(*prompt("ingredients", "계란, 밥", 15, "Korean", servings="1", **about))
    assert "밥 1공기" in one
    assert re.search(r"계란 [12]개", one)

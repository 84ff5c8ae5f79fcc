"""The stand-in reads lists of ingredients that contain more than names."""

import pytest

from app.standin.cook import reply
from tests.standin.prompts import prompt, recipes, whole_recipe


def notes(on_hand: str, language: str) -> list[str]:
    return [line.split(":")[0] for line in reply(*prompt("nutrition", on_hand, language=language)).splitlines()]


@pytest.mark.parametrize("evening", ["오늘 밤 먹을 두부", "오늘밤에 두부", "내일 밤에 먹을 두부"])
def test_a_night_is_no_chestnut(evening: str) -> None:
    assert notes(f"{evening}, 김치", "Korean") == ["- 두부", "- 김치"]
    assert "- 밤" in notes("밤, 두부", "Korean")


def test_gluten_free_pasta_is_a_food_and_a_restriction() -> None:
    """The pasta stays, and no recipe adds one of wheat."""
    assert notes("400 g gluten-free pasta, tomatoes", "English") == ["- Gluten-free pasta", "- Tomatoes"]
    on_hand = "글루텐 프리 파스타, 마늘"
    needed = [whole_recipe(on_hand, 30, "Korean", recipe)["ingredients"] for recipe in recipes(on_hand, 30, "Korean")]
    assert any("글루텐프리 파스타 200g" in text for text in needed)
    assert not any("스파게티면" in text for text in needed)


def test_egg_whites_bring_no_whole_eggs() -> None:
    for seed in range(4):
        for recipe in recipes("egg whites, rice", 20, "English", seed):
            assert " eggs" not in whole_recipe("egg whites, rice", 20, "English", recipe)["ingredients"]


@pytest.mark.parametrize(
    ("on_hand", "language", "words"),
    [
        ("ramen, egg", "English", "less than the 240 minutes that you have"),
        ("라면, 계란", "Korean", "말씀하신 240분보다 짧지만"),
    ],
)
def test_a_dish_far_shorter_than_the_time_says_so(on_hand: str, language: str, words: str) -> None:
    (recipe, *_) = recipes(on_hand, 240, language)
    assert words in whole_recipe(on_hand, 240, language, recipe)["intro"]
    (quick, *_) = recipes(on_hand, 15, language)
    assert words[:9] not in whole_recipe(on_hand, 15, language, quick)["intro"]


def test_soy_sauce_is_never_left_out_for_lack_of_time() -> None:
    for recipe in recipes("가지, 간장, 마늘", 20, "Korean"):
        assert (
            "시간이 모자라 쓰지 않은 재료: 간장" not in whole_recipe("가지, 간장, 마늘", 20, "Korean", recipe)["intro"]
        )


@pytest.mark.parametrize("question", ["A recipe for dog biscuits with oats", "How do I season a pan, is soap ok?"])
def test_pet_food_and_pans_are_no_reason_to_refuse(question: str) -> None:
    assert "is not food" not in reply("", question)
    assert "pets" not in reply("", question)

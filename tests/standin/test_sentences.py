"""The stand-in reads whole messages: what is on hand, what is wished for, and what is neither."""

import json

import pytest

from app.standin.cook import reply
from chains.recipe.free_text import request_in
from tests.standin.prompts import prompt

SEEDS = range(3)


def answer(step: str, message: str, seed: int = 0, **recipe: str) -> str:
    """The answer to a step for a message, as the server asks for it."""
    request = request_in(message)
    variables = {key: str(value) for key, value in request.variables().items()}
    on_hand, minutes = variables.pop("ingredients_on_hand"), int(variables.pop("prep_time"))
    language = "Korean" if variables.pop("language") == "ko" else "English"
    return reply(*prompt(step, on_hand, minutes, language, **variables, **recipe), seed)


def foods(message: str) -> list[str]:
    """The foods that are read in a message: those with a note on nutrition."""
    notes = answer("nutrition", message).splitlines()
    return [line.removeprefix("- ").split(":")[0].lower() for line in notes if ":" in line]


def ideas(message: str, seed: int = 0) -> list[dict[str, str]]:
    return json.loads(answer("proposal", message, seed))


def recipe(message: str, seed: int = 0) -> dict[str, str]:
    """The first dish that is proposed, whole."""
    first = ideas(message, seed)[0]
    about = {"recipe_name": first["name"], "recipe_intro": first["intro"]}
    parts = {step: answer(step, message, seed, **about) for step in ("ingredients", "intro", "sides")}
    return {**first, **parts, "steps": answer("steps", message, seed, **about, ingredients=parts["ingredients"])}


@pytest.mark.parametrize(
    ("message", "on_hand"),
    [
        ("I'm exhausted after work, just eggs and bread in the house, nothing fancy please.", ["eggs", "bread"]),
        ("It's freezing outside and I want something cosy. I've got leeks and cream.", ["leeks", "cream"]),
        ("Date night tomorrow! Two duck breasts, green beans. Something impressive.", ["duck breasts", "green beans"]),
        ("Got a slow cooker and an air fryer. Carrots, celery", ["carrots", "celery"]),
        ("The kids want something sweet after school, we have bananas and oats.", ["bananas", "oats"]),
        ("Could you please help me use up a bunch of kale before it goes bad?", ["kale"]),
        ("My flatmate ate all my cheese again. Left with tortillas and beans.", ["tortillas", "beans"]),
        ("We're out of milk but there's yogurt and a mango.", ["yogurt", "mango"]),
        ("Valentine's dinner: steaks n mushrooms. An hour's fine.", ["steaks", "mushrooms"]),
        ("Thinking of making meatballs, got 400g pork mince", ["pork mince"]),
        ("Would love a creamy curry tonight. cauliflower, potatoes", ["cauliflower", "potatoes"]),
        ("I bought way too many tomatoes at the market", ["tomatoes"]),
        ("there is some rambutan in my fridge", ["rambutan"]),
        ("ramen noodles, soba noodles, spam", ["ramen noodles", "soba noodles", "spam"]),
        ("We just got engaged! Celebrate with us: scallops, butter", ["scallops", "butter"]),
        ("Leftover stuffing, one sad lemon", ["stuffing", "lemon"]),
        ("What's a cheap way to feed us? Pasta and tins of tomatoes.", ["pasta", "tomatoes"]),
        ("soup", []),
        ("냉장고에 애호박, 두부 반 모, 대파 있어요. 20분 안에 되는 거요", ["애호박", "두부", "대파"]),
        ("비 오는 날 먹을 거 추천해줘. 부침가루, 오징어, 쪽파", ["부침가루", "오징어", "쪽파"]),
        ("퇴근하고 너무 피곤해요ㅠㅠ 계란이랑 밥만 있는데 10분 안에 되는 걸로요", ["계란", "밥"]),
        ("자취생인데 집에 참치캔이랑 김치밖에 없어요. 간단한 거 추천해 주세요.", ["참치", "김치"]),
        ("매콤한 게 당겨요. 떡, 어묵", ["떡", "어묵"]),
        ("매운 게 좋아요. 게 두 마리, 무", ["게", "무"]),
        ("배가 너무 고파요. 밥이랑 김 있어요", ["밥", "김"]),
        ("엄마가 감자를 한 박스 보내주셨어요. 뭐 해먹으면 좋을까요?", ["감자"]),
        ("장 보러 가기 귀찮다.. 양파, 계란뿐이야", ["양파", "계란"]),
        ("두부랑 계란으로 만들 수 있는 요리 알려줘", ["두부", "계란"]),
        ("신혼부부인데요 에어프라이어로 할 수 있는 거요. 감자, 베이컨", ["감자", "베이컨"]),
        ("냉장고에 두리안 있어요", ["두리안"]),
        ("고구마 한 상자 선물 받았는데 다 못 먹을 것 같아요", ["고구마"]),
        ("늦잠 자서 10분밖에 없어요. 토스트랑 계란", ["토스트", "계란"]),
        ("주말에 브런치 해먹으려고요. 식빵, 계란 두 개요.", ["식빵", "계란"]),
    ],
)
def test_the_words_of_a_sentence_are_no_ingredients(message: str, on_hand: list[str]) -> None:
    assert foods(message) == on_hand


@pytest.mark.parametrize(
    ("message", "minutes", "servings"),
    [
        ("냉장고에 애호박, 두부 반 모, 대파 있어요. 20분 안에 되는 거요", 20, "2인분"),
        ("손님이 네 분 오세요. 돼지고기 1kg, 상추가 있어요.", 30, "4인분"),
        ("시험 기간이에요. 참치, 김 있어요 5분컷으로요", 5, "2인분"),
        ("we r 4 hungry students with no money, got pasta and an onion", 30, "serves 4"),
        ("two slices of bread, 2 eggs for french toast", 30, "serves 2"),
    ],
)
def test_time_and_servings_of_a_message(message: str, minutes: int, servings: str) -> None:
    assert request_in(message).prep_time == minutes
    assert servings in recipe(message)["intro"]


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("soup", ("Soup",)),
        ("I feel sick and would love a soup. chicken thighs, ginger, carrots", ("Soup",)),
        ("something sweet with apples, no dairy", ("Apple", "Pancake", "Crêpe", "Crumble")),
        ("Need a quick breakfast before the gym: eggs, avocado, toast", ("Toast", "Sandwich", "Omelette", "Egg")),
        ("It's 40 degrees, no cooking please! Melon, prosciutto, rocket.", ("Plate", "Supper", "Salad")),
        ("curry paste, coconut milk, salmon", ("Curry", "Coconut")),
        ("비 오는 날 먹을 거 추천해줘. 부침가루, 오징어, 쪽파", ("전", "부침개")),
        ("찌개 끓여줘. 돼지고기, 김치, 두부", ("찌개",)),
        ("감기 걸려서 죽 먹고 싶은데 쌀이랑 전복이 있어요", ("죽",)),
        ("내일 소풍 가는데 김밥 싸야 해요. 단무지, 햄, 시금치, 계란, 김", ("김밥",)),
        ("주말 아침 느긋하게 먹을 팬케이크요. 밀가루, 계란 2개, 우유", ("팬케이크",)),
    ],
)
def test_a_wish_for_a_kind_of_dish_chooses_the_first_idea(message: str, names: tuple[str, ...]) -> None:
    for seed in SEEDS:
        assert any(name in ideas(message, seed)[0]["name"] for name in names)


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("비 오는 날 먹을 거 추천해줘. 부침가루, 오징어, 쪽파", ("전", "부침개")),
        ("a bag of flour, yeast, salt, water", ("Bread", "Flatbread")),
    ],
)
def test_any_idea_may_be_picked_and_each_is_what_was_wished_for(message: str, names: tuple[str, ...]) -> None:
    found = [idea["name"] for idea in ideas(message)]
    assert len(set(found)) == 3
    assert all(any(name in each for name in names) for each in found)


def test_a_wish_does_not_drop_the_meat() -> None:
    """A snack is wished for, but the sausages are what there is."""
    for seed in SEEDS:
        assert "소시지" in recipe("혼술 안주 추천 좀! 소시지, 양파", seed)["ingredients"]


@pytest.mark.parametrize("message", ["a bag of flour, yeast, salt, water", "밀가루 한 봉지, 이스트, 물, 소금"])
def test_flour_and_yeast_become_bread_of_a_sensible_size(message: str) -> None:
    for seed in SEEDS:
        bread = recipe(message, seed)
        lines = bread["ingredients"].replace("- ", "").splitlines()
        assert {"250 g flour", "160 ml water"} <= set(lines) or {"밀가루 250g", "물 160ml"} <= set(lines)
        assert "Not used" not in bread["intro"]
        assert "쓰지 않은" not in bread["intro"]


def test_lentils_are_done_in_half_an_hour() -> None:
    for seed in SEEDS:
        assert "lentils" in recipe("I'm diabetic, have lentils and carrots", seed)["ingredients"]


@pytest.mark.parametrize("message", ["avoid coconut. chicken, potatoes", "코코넛 빼고, 닭고기, 감자"])
def test_no_text_names_a_food_that_the_dish_does_without(message: str) -> None:
    for seed in range(6):
        for idea in ideas(message, seed):
            about = {"recipe_name": idea["name"], "recipe_intro": idea["intro"]}
            texts = [idea["name"], idea["intro"], answer("intro", message, seed, **about)]
            assert not any(word in text.lower() for text in texts for word in ("coconut", "코코넛"))


def test_milk_to_avoid_leaves_coconut_milk_in_a_curry() -> None:
    curry = recipe("카레 먹고 싶어요. 우유 알레르기 있어요. 감자, 당근, 닭고기")
    assert "코코넛밀크" in curry["ingredients"]


@pytest.mark.parametrize("message", ["oats, apple, almond milk", "오트밀, 블루베리, 두유"])
def test_no_milk_is_bought_where_there_is_milk_of_plants(message: str) -> None:
    for seed in SEEDS:
        lines = recipe(message, seed)["ingredients"].splitlines()
        assert not any(line.startswith(("- 300 ml milk", "- 우유")) for line in lines)


def test_eggs_without_salt_are_beaten_before_they_go_into_the_pan() -> None:
    frittata = recipe("no salt, no pepper: eggs, zucchini, cheese, frittata")
    assert "Beat" in frittata["steps"] or "beaten" in frittata["steps"]
    assert "eggs as well and warm through" not in frittata["steps"]

"""Diets, foods to avoid and the number of people, from the request to every prompt."""

import subprocess
import sys
from typing import Any

import pytest

from chains.recipe.restrictions import restrictions_in
from tests.client import ask, read
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
    answer = ask("POST", f"{sizzle_url}{path}", json={"ingredientsOnHand": "beef", **fields})
    assert [answer.status_code, answer.json()["detail"][0]["field"]] == [422, named]


@pytest.mark.parametrize("typed", ["감자", "두부", "무", "굴", "떡", "ox", "무, 굴", "🍅"])
def test_an_ingredient_of_one_syllable_or_two_letters_is_accepted(serve_scripts: ServeScripts, typed: str) -> None:
    url, provider = serve_scripts({})
    read(url, {"ingredientsOnHand": typed})
    assert all(f"\n{typed}\n" in call["body"]["messages"][1]["content"] for call in provider.calls)


@pytest.mark.parametrize(
    ("typed", "diets", "avoided", "servings", "rest"),
    [
        ("nut-free, bananas, oats, almonds", "", "nut", None, "bananas, oats, almonds"),
        ("dairy free pasta, tomatoes", "", "dairy", None, "dairy-free pasta, tomatoes"),
        ("dairy- and gluten-free, chicken", "", "dairy, gluten", None, "chicken"),
        ("gluten, dairy and nut free: chicken", "", "gluten, dairy, nut", None, "chicken"),
        ("chicken, rice, free from nuts and eggs", "", "nuts, eggs", None, "chicken, rice"),
        ("eggless, flour, milk", "", "egg", None, "flour, milk"),
        ("non-dairy milk, oats", "", "dairy", None, "non-dairy milk, oats"),
        ("without eggs: flour, milk, sugar", "", "eggs", None, "flour, milk, sugar"),
        ("no garlic, no onions, chicken, peas", "", "garlic, onions", None, "chicken, peas"),
        ("no dairy no eggs: flour, bananas", "", "dairy, eggs", None, "flour, bananas"),
        ("사과와 배 못 먹어요, 두부", "", "사과, 배", None, "두부"),
        ("사과 알레르기, 두부", "", "사과", None, "두부"),
        ("a pumpkin, just me", "", "", 1, "a pumpkin"),
        ("lactose intolerant, pasta, cheese", "", "lactose", None, "pasta, cheese"),
        ("I'm allergic to nuts and eggs. I have beef, onions", "", "nuts, eggs", None, "I have beef, onions"),
        ("allergic to peanuts, milk and sesame; chicken, rice", "", "peanuts, milk, sesame", None, "chicken, rice"),
        ("Allergies: peanuts, milk, chicken, rice", "", "peanuts, milk", None, "chicken, rice"),
        ("My wife can’t have gluten; chicken, potatoes", "", "gluten", None, "chicken, potatoes"),
        ("I don't eat pork or shellfish, rice, peas", "", "pork, shellfish", None, "rice, peas"),
        ("coeliac: bread, eggs", "coeliac", "", None, "bread, eggs"),
        ("vegan and halal, tofu", "vegan, halal", "", None, "tofu"),
        ("low-carb diet, chicken", "low carb", "", None, "chicken"),
        ("Pregnant. salmon, rice", "pregnant", "", None, "salmon, rice"),
        ("low-FODMAP, chicken", "low FODMAP", "", None, "chicken"),
        ("severe peanut allergy, vegan; tofu, noodles. For 6 people.", "vegan", "peanut", 6, "tofu, noodles"),
        ("dinner for four, 800 g chicken, rice", "", "", 4, "800 g chicken, rice"),
        ("serves 4: lamb, rice", "", "", 4, "lamb, rice"),
        ("2 adults and 2 kids, beef", "", "", 4, "beef"),
        ("4-6 people, beef", "", "", 6, "beef"),
        ("500 g beef for 4", "", "", 4, "500 g beef"),
        ("글루텐 프리, 닭고기, 국수", "", "글루텐", None, "닭고기, 국수"),
        ("우유, 계란 알레르기가 있어요, 밥", "", "우유, 계란", None, "밥"),
        ("땅콩알레르기 있어요, 닭고기", "", "땅콩", None, "닭고기"),
        ("갑각류 알러지, 새우, 밥", "", "갑각류", None, "새우, 밥"),
        ("계란빼고 밥이랑 김치", "", "계란", None, "밥이랑 김치"),
        ("계란이랑 우유 빼고, 밀가루", "", "계란, 우유", None, "밀가루"),
        ("오이 빼고 소고기, 양파", "", "오이", None, "소고기, 양파"),
        ("견과류 못 먹어요, 바나나", "", "견과류", None, "바나나"),
        ("우유 없이, 감자", "", "우유", None, "감자"),
        ("돼지고기 말고 소고기, 양파", "", "돼지고기", None, "소고기, 양파"),
        ("유당불내증이 있어요. 파스타", "", "유당", None, "파스타"),
        ("당뇨 환자예요, 닭고기", "diabetic", "", None, "닭고기"),
        ("임신 중이에요, 밥", "pregnant", "", None, "밥"),
        ("비건, 할랄, 두부", "vegan, halal", "", None, "두부"),
        ("4인분 두부", "", "", 4, "두부"),
        ("네 명, 두부, 김치", "", "", 4, "두부, 김치"),
        ("5인 가족, 닭", "", "", 5, "닭"),
        ("혼자 먹어요, 라면", "", "", 1, "라면"),
        # text that only resembles a restriction or a number of people
        ("free-range eggs, no-knead dough", "", "", None, "free-range eggs, no-knead dough"),
        ("kosher salt, beef", "", "", None, "kosher salt, beef"),
        ("no allergies, beef", "", "", None, "beef"),
        ("nothing but potatoes", "", "", None, "potatoes"),
        ("for two hours, beef", "", "", None, "for two hours, beef"),
        ("알레르기 없어요, 소고기", "", "", None, "소고기"),
        ("감자밖에 없어요", "", "", None, "감자밖에 없어요"),
        ("김치 말고는 없어요", "", "", None, "김치 말고는 없어요"),
        ("물기를 빼고 두부", "", "", None, "물기를 빼고 두부"),
        ("eggs and gluten-free bread", "", "gluten", None, "eggs and gluten-free bread"),
        ("sans onions, beef", "", "onions", None, "beef"),
        ("mushrooms are a no-go. beef, rice", "", "mushrooms", None, "beef, rice"),
        ("eggs make me ill. flour, milk", "", "eggs", None, "flour, milk"),
        ("steer clear of peanuts. noodles", "", "peanuts", None, "noodles"),
        ("nothing containing gluten, chicken", "", "gluten", None, "chicken"),
        ("zero dairy, pasta", "", "dairy", None, "pasta"),
        ("neither eggs nor milk: flour", "", "eggs, milk", None, "flour"),
        ("no milk, eggs or nuts: flour", "", "milk, eggs, nuts", None, "flour"),
        ("allergic to nuts - tofu, rice", "", "nuts", None, "tofu, rice"),
        ("alergic to eggs: flour", "", "eggs", None, "flour"),
        ("vegeterian, rice", "vegetarian", "", None, "rice"),
        ("GF & DF: chicken", "", "gluten, dairy", None, "chicken"),
        ("glutenfree: chicken", "", "gluten", None, "chicken"),
        ("새우 X, 밥", "", "새우", None, "밥"),
        ("우유X 계란X, 밀가루", "", "우유, 계란", None, "밀가루"),
        ("노 글루텐, 버섯", "", "글루텐", None, "버섯"),
        ("오이는 절대 넣지 마세요. 밥", "", "오이", None, "밥"),
        ("돼지고기는 종교 때문에 못 먹습니다. 두부", "", "돼지고기", None, "두부"),
        ("매운 거 못 먹어요. 떡", "", "매운것", None, "떡"),
        ("새우를 먹으면 안 돼요. 밥", "", "새우", None, "밥"),
        ("me and my wife, salmon", "", "", 2, "salmon"),
        ("어른 2명 아이 1명, 두부", "", "", 3, "두부"),
        ("손님 여섯 분, 소고기", "", "", 6, "소고기"),
        ("3 adults and a toddler: beef", "", "", 4, "beef"),
        ("cooking for 3 adults and a toddler: beef", "", "", 4, "beef"),
        ("Jain food: rice", "Jain", "", None, "rice"),
        ("no fuss pasta", "", "", None, "pasta"),
        ("양파 x3, 소고기", "", "", None, "양파 x3, 소고기"),
        ("고기 말고도 두부 있어요", "", "", None, "고기 말고도 두부 있어요"),
        ("my gf loves pasta", "", "", None, "my gf loves pasta"),
        ("peanuts could kill me; chicken", "", "peanuts", None, "chicken"),
        ("I react badly to soy. chicken", "", "soy", None, "chicken"),
        ("EpiPen for tree nuts; flour", "", "tree nuts", None, "flour"),
        ("고혈압, 닭고기", "low salt", "", None, "닭고기"),
        ("fruitarian, apples", "fruitarian", "", None, "apples"),
        # by no fixed phrase: a person, a word of harm or dislike, and a food
        ("my husband loathes bell peppers; rice", "", "bell peppers", None, "rice"),
        ("oats, walnuts sent my son to hospital", "", "walnuts", None, "oats"),
        ("beans, I gave up cheese in May", "", "cheese", None, "beans"),
        ("his skin flares up from tomatoes, cod", "", "tomatoes", None, "cod"),
        ("rice, dairy upsets my stomach", "", "dairy", None, "rice"),
        ("I can't cook chicken well", "", "", None, "I can't cook chicken well"),
        ("I don't want to waste the spinach", "", "", None, "I don't want to waste the spinach"),
        ("my salmon is not defrosted, rice", "", "", None, "my salmon is not defrosted, rice"),
        ("I'm sick and want chicken soup", "", "", None, "I'm sick and want chicken soup"),
        ("cod, not a fan of olives", "", "olives", None, "cod"),
        # one lexicon of foods decides what a name is, where a particle begins and where a list ends
        ("onion and garlic intolerance, rice", "", "onion, garlic", None, "rice"),
        ("no onions, olives or capers; rice", "", "onions, olives, capers", None, "rice"),
        ("turkey upsets my stomach, rice", "", "turkey", None, "rice"),
        ("no oven, rice", "", "", None, "rice"),
        ("garlic makes me happy, rice", "", "", None, "garlic makes me happy, rice"),
        ("rice, leave the butter out", "", "butter", None, "rice"),
        ("rice, without garlic, onions and mushrooms", "", "garlic, onions, mushrooms", None, "rice"),
        ("rice, allergic to dairy, eggs, and nuts", "", "dairy, eggs, nuts", None, "rice"),
        ("I'm allergic to dairy, eggs, and nuts. I have rice", "", "dairy, eggs, nuts", None, "I have rice"),
        ("no milk, eggs, or nuts: flour", "", "milk, eggs, nuts", None, "flour"),
        ("dairy, egg, and nut free: chicken", "", "dairy, egg, nut", None, "chicken"),
        ("eggs, milk, and nut allergy; rice", "", "eggs, milk, nut", None, "rice"),
        ("rice, strawberries cause hives", "", "strawberries", None, "rice"),
        ("rice, free of egg, milk, soy", "", "egg, milk, soy", None, "rice"),
        ("rice, ham doesn't agree with me", "", "ham", None, "rice"),
        ("rice, gluten is the enemy", "", "gluten", None, "rice"),
        ("rice, can't have anything with soy", "", "soy", None, "rice"),
        ("rice, garlic and onion are no-gos", "", "garlic, onion", None, "rice"),
        ("rice, everything but the garlic", "", "garlic", None, "rice"),
        ("rice, I'm not allowed alcohol", "", "alcohol", None, "rice"),
        ("broccoli, we used to hate broccoli", "", "", None, "broccoli, we"),
        ("I don't have an oven, pork", "", "", None, "I don't have an oven, pork"),
        ("낙지 알레르기, 밥", "", "낙지", None, "밥"),
        ("밥, 자몽은 약 때문에 안 돼요", "", "자몽", None, "밥"),
        ("밥, 마늘 향을 못 견뎌요", "", "마늘", None, "밥"),
        ("밥, 닭고기도 소고기도 안 먹어요", "", "닭고기, 소고기", None, "밥"),
        ("밥, 돼지고기 대신 두부로", "", "돼지고기", None, "밥, 두부로"),
        ("파인애플 먹으면 혀가 따가워요, 밥", "", "파인애플", None, "밥"),
        ("맛없는 사과, 설탕", "", "", None, "맛없는 사과, 설탕"),
        ("게 못 먹어요, 밥", "", "게", None, "밥"),
        ("가지는 빼고, 밥", "", "가지", None, "밥"),
        ("포도 싫어요, 밥", "", "포도", None, "밥"),
        ("떡볶이 말고 밥", "", "떡볶이", None, "밥"),
        ("톳이랑 굴은 빼고, 밥", "", "톳, 굴", None, "밥"),
        ("우유 계란 알레르기, 밥", "", "우유, 계란", None, "밥"),
        ("먹을 게 없어요, 밥", "", "", None, "먹을 게 없어요, 밥"),
        ("커피 끊었어요, 우유", "", "커피", None, "우유"),
        ("계란이랑 우유 둘 다 알레르기, 쌀가루", "", "계란, 우유", None, "쌀가루"),
        ("passover, chicken", "Passover", "", None, "chicken"),
        ("on warfarin: cod", "vitamin K", "", None, "cod"),
        ("신장이 안 좋아서 싱겁게, 두부", "kidney disease, low salt", "", None, "두부"),
        # what only resembles it
        ("no salt added tomatoes, pasta", "", "", None, "tomatoes, pasta"),
        ("no salt added, pasta", "", "salt", None, "pasta"),
        ("squid ink, rice", "", "", None, "squid ink, rice"),
        ("ink, squid", "", "", None, "ink, squid"),
        ("I can't live without cheese, tomatoes", "", "", None, "I, cheese, tomatoes"),
        ("never cooked fish before, cod", "", "", None, "never cooked fish before, cod"),
        ("my dog is allergic to chicken, rice", "", "", None, "rice"),
        ("low sodium soy sauce, tofu", "", "", None, "low sodium soy sauce, tofu"),
        ("무염 버터, 밀가루", "", "", None, "무염 버터, 밀가루"),
        ("치즈 없으면 안 돼요, 또띠아", "", "", None, "치즈 없으면 안 돼요, 또띠아"),
        ("메밀 먹고 쓰러진 적 있어요, 닭고기", "", "메밀", None, "닭고기"),
        # the polarity of a clause, and what it refers to
        ("chicken, rice, mushrooms (I hate them)", "", "mushrooms", None, "chicken, rice"),
        ("beef, cilantro? never", "", "cilantro", None, "beef"),
        ("allergies - fish, eggs. rice", "", "fish, eggs", None, "rice"),
        ("Dislikes: mushrooms, blue cheese; Have: steak", "", "mushrooms, blue cheese", None, "Have: steak"),
        ("severe allergy (peanut), rice", "", "peanut", None, "rice"),
        ("celery (allergic), noodles", "", "celery", None, "noodles"),
        ("eggs: allergic. flour", "", "eggs", None, "flour"),
        ("peanuts -> anaphylaxis!!! noodles", "", "peanuts", None, "noodles"),
        ("rice, corn, which I'm allergic to, lime", "", "corn", None, "rice, lime"),
        ("dragonfruit? can't. rice", "", "dragonfruit", None, "rice"),
        ("❌ dairy ❌ eggs, bread", "", "dairy, eggs", None, "bread"),
        ("gluten 🚫, chicken", "", "gluten", None, "chicken"),
        ("rice, dairy messes me up", "", "dairy", None, "rice"),
        ("none of us like parsnips, beef", "", "parsnips", None, "beef"),
        ("grandad can't chew nuts, apples", "", "nuts", None, "apples"),
        ("bread is not an option, soup", "", "bread", None, "soup"),
        ("beef stew but carrots are a hard no for me", "", "carrots", None, "beef stew"),
        ("eosinophilic so milk wheat soy all out, rice", "eosinophilic", "milk, wheat, soy", None, "rice"),
        ("rice, corn - hate it, lime", "", "corn", None, "rice, lime"),
        ("rice, remove nuts", "", "nuts", None, "rice"),
        ("my trainer cut out bread, eggs", "", "bread", None, "eggs"),
        ("rice, leave mayo off", "", "mayo", None, "rice"),
        ("I eat no meat except chicken, rice", "", "meat except chicken", None, "I eat, chicken, rice"),
        ("my kids refuse everything but pasta, ham", "", "", None, "my kids refuse everything but pasta, ham"),
        ("I can't find nuts, oats", "", "", None, "I can't find nuts, oats"),
        ("the rice isn't cooked, beans", "", "", None, "the rice isn't cooked, beans"),
        ("don't skip the garlic, pasta", "", "", None, "don't skip the garlic, pasta"),
        ("can't get enough cheese: cheddar", "", "", None, "can't get enough cheese: cheddar"),
        ("Dislikes: none; pork", "", "", None, "Dislikes: none; pork"),
        ("kale before it goes bad", "", "", None, "kale before it goes bad"),
        ("sugar-free gum, chicken", "", "", None, "sugar-free gum, chicken"),
        ("oats, nothing creamy or nutty", "", "cream, nut", None, "oats"),
        ("ham, no cheesy sauces, peas", "", "cheese", None, "ham, peas"),
        ("beef, onionless", "", "onion", None, "beef"),
        ("non-onion, beef", "", "onion", None, "beef"),
        ("no-onions, beef", "", "onions", None, "beef"),
        ("boneless beef, rindless bacon", "", "", None, "boneless beef, rindless bacon"),
        ("shellfish, as I know, makes me sick. rice", "", "shellfish", None, "rice"),
        ("broccoli's banned, ham", "", "broccoli", None, "ham"),
        ("never skip bacon, eggs", "", "", None, "never skip bacon, eggs"),
        ("400 g flour (not self-raising)", "", "", None, "400 g flour (not self-raising)"),
        ("chicken, starfruit is a no", "", "starfruit", None, "chicken"),
        ("the baby (9 months) shouldn't have honey, pear", "", "honey", None, "pear"),
        ("NF, oats", "", "nut", None, "oats"),
        ("satvik, dal", "sattvic", "", None, "dal"),
        ("무알콜 맥주, 소시지", "", "", None, "알코올 없이 맥주, 소시지"),
        ("무설탕 잼, 빵", "", "", None, "무설탕 잼, 빵"),
        # what is excepted, replaced or left off
        (
            "no meat except chicken or turkey. rice",
            "",
            "meat except chicken and turkey",
            None,
            "chicken or turkey. rice",
        ),
        ("lactose intolerant but butter is ok. flour", "", "lactose except butter", None, "but butter is ok. flour"),
        ("tree nuts no, peanuts yes. oats", "", "tree nuts except peanuts", None, "peanuts yes. oats"),
        ("nut allergy. peanut butter is fine for my wife", "", "nut", None, "peanut butter is fine for my wife"),
        ("no nuts, everything except peanuts: oats", "", "nuts, peanuts", None, "oats"),
        ("닭고기 말고 고기는 안 먹어요, 밥", "", "고기 except 닭고기", None, "밥"),
        ("게는 못 먹고 오징어는 돼요, 밥", "", "게 except 오징어", None, "오징어는 돼요, 밥"),
        ("pizza with any topping but olives", "", "olives", None, "pizza"),
        ("swap the butter for olive oil. pasta", "", "butter", None, "olive oil. pasta"),
        ("replace all cows milk w oat milk, flour", "", "milk", None, "oat milk, flour"),
        ("substitute oil for butter, flour", "", "butter", None, "substitute oil, flour"),
        ("milk -> soy milk, oats", "", "milk", None, "soy milk, oats"),
        ("use quinoa instead of rice, cod", "", "rice", None, "use quinoa, cod"),
        ("우유를 두유로 바꿔 주세요, 오트밀", "", "우유", None, "두유로 바꿔 주세요, 오트밀"),
        ("nuts off please, oats", "", "nuts", None, "oats"),
        ("beef out, lentils in, rice", "", "beef", None, "lentils in, rice"),
        ("beef and pork are right out, rice", "", "beef, pork", None, "rice"),
        ("peanuts x, rice", "", "peanuts", None, "rice"),
        ("pizza dough, rolled out, 4 x chicken breasts", "", "", None, "pizza dough, rolled out, 4 x chicken breasts"),
        ("노 새우! 밥", "", "새우", None, "밥"),
        (
            "no dairy except oat milk or ghee. rice",
            "",
            "dairy except oat milk and ghee",
            None,
            "oat milk or ghee. rice",
        ),
        ("no nuts, are almonds ok? rice", "", "nuts", None, "are almonds ok? rice"),
        ("no nuts, almonds are never ok, rice", "", "nuts, almonds", None, "rice"),
        ("견과류 알레르기, 아몬드는 괜찮나요? 밥", "", "견과류", None, "아몬드는 괜찮나요? 밥"),
        # Korean lists after a label, and a word of harm
        ("알레르기: 메밀, 잣. 닭, 대추", "", "메밀, 잣", None, "닭, 대추"),
        ("못 먹는 음식: 굴, 홍합. 배추, 두부", "", "굴, 홍합", None, "배추, 두부"),
        ("싫어하는 것: 피망 / 치즈", "", "피망", None, "/ 치즈"),
        ("복숭아 털만 닿아도 가려워해요. 요거트", "", "복숭아", None, "요거트"),
        ("고수 극혐.. 쌀국수", "", "고수", None, "쌀국수"),
        ("시아버님이 돼지고기를 안 드세요. 닭", "", "돼지고기", None, "닭"),
        ("hates olives; skip those, feta", "", "olives", None, "feta"),
        # products without what they normally contain
        ("dairy free cheese, rice", "", "dairy", None, "dairy-free cheese, rice"),
        ("eggless mayonnaise, rice", "", "egg", None, "eggless mayonnaise, rice"),
        ("vegan butter, vegan lasagna, rice", "vegan", "", None, "vegan butter, vegan lasagna, rice"),
        ("계란 없는 마요네즈, 밥", "", "계란", None, "계란없는 마요네즈, 밥"),
        # emoji, with marks on either side
        ("🍅 and 🧀", "", "", None, "tomato and cheese"),
        ("🍅랑 🧀", "", "", None, "토마토랑 치즈"),
        ("no 🦐, rice", "", "shrimp", None, "rice"),
        ("🐟🥚 allergy, rice", "", "fish, egg", None, "rice"),
        ("🥜🚫 rice", "", "peanut", None, "rice"),
        ("🥜🚫🥛🚫 rice", "", "peanut, milk", None, "rice"),
        ("🚫🥛🥜 🚫🌾 rice", "", "milk, peanut, wheat", None, "rice"),
        ("🌶️ no thanks, rice", "", "chili pepper", None, "rice"),
        ("계란 ❌ 두부", "", "계란", None, "두부"),
        # one letter missing, added, wrong or swapped
        ("alergic to penuts, rice", "", "peanuts", None, "rice"),
        ("shelfish allergie, rice", "", "shellfish", None, "rice"),
        ("no diary, selfish rice, custard", "", "dairy", None, "selfish rice, custard"),
        # who says it, and where a list ends
        ("my toddler's allergic - milk, egg. rice", "", "milk, egg", None, "rice"),
        ("Emma - no dairy. rice", "", "dairy", None, "rice"),
        ("rice, sorry no nuts my niece is allergic", "", "nuts", None, "rice"),
        ("omit: anchovies, capers. rice", "", "anchovies, capers", None, "rice"),
        ("I have eggs, no milk, and flour", "", "milk", None, "I have eggs, and flour"),
        ("강아지는 초콜릿 안 되죠, 초콜릿", "", "", None, "초콜릿"),
    ],
)
def test_restrictions_in_free_text_are_understood(
    typed: str, diets: str, avoided: str, servings: int | None, rest: str
) -> None:
    found = restrictions_in(typed)
    assert [", ".join(found.diets), ", ".join(found.avoided), found.servings] == [diets, avoided, servings]
    assert found.rest == rest


def test_what_free_text_says_joins_the_fields_in_every_prompt(serve_scripts: ServeScripts) -> None:
    url, provider = serve_scripts({})
    read(url, {"ingredientsOnHand": "nut-free, 비건, tofu. For 6 people", "diet": "halal", "avoid": "soy"})
    expected = "<diet>halal, vegan</diet>\n<avoid>soy, nut</avoid>\n<servings>6</servings>"
    assert [expected in call["body"]["messages"][1]["content"] for call in provider.calls] == [True] * 6


def test_more_people_than_a_recipe_serves_are_a_422(sizzle_url: str) -> None:
    answer = ask("POST", f"{sizzle_url}/generate", json={"ingredientsOnHand": "rice, dinner for 50 people"})
    assert [answer.status_code, answer.json()["detail"][0]["field"]] == [422, "ingredientsOnHand"]


LOOPS = """
import sys
from chains.recipe.free_text import _TIME
from chains.recipe.restrictions import restrictions_in
for piece in sys.argv[1:]:
    text = piece * (60_000 // len(piece))
    restrictions_in(text)
    list(_TIME.finditer(text))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "pieces",
    [
        ["beef " + "İ " * 50, "i ", "no ", "nut free ", "my not "],
        ["알레르기 ", "없이 ", "1 ", "1~", " ", "allergic to "],
        ["🥜", "🥜🚫", "swap the ", "no nuts ok is fine ", "a -> ", "우유를 우유로 ", "빼고 고기는 "],
    ],
)
def test_the_time_to_read_a_text_grows_with_its_length(pieces: list[str]) -> None:
    """A pattern with quadratic time would need an hour for such texts, which are 30 times the limit."""
    subprocess.run([sys.executable, "-c", LOOPS, *pieces], check=True, timeout=300)  # noqa: S603  our own words


@pytest.mark.parametrize(
    ("language", "notice"), [("en", "check every ingredient for allergens"), ("ko", "알레르기 성분을 확인")]
)
def test_a_recipe_ends_with_what_to_check(serve_scripts: ServeScripts, language: str, notice: str) -> None:
    url, _ = serve_scripts({})
    request = {"input": {"ingredientsOnHand": "beef", "language": language}}
    markdown = ask("POST", f"{url}/chains/recipe/invoke", json=request).json()["output"]
    assert notice in markdown.splitlines()[-1]

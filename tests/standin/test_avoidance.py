"""The stand-in keeps diets and allergies in every part of a recipe."""

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from app.standin.avoidance import avoidance
from app.standin.cook import reply
from app.standin.pantry import pantry
from chains.recipe.not_food import not_food_in
from chains.recipe.request import RecipeRequest
from tests.amounts import cases
from tests.standin.prompts import prompt

ANIMAL = (
    "chicken|beef|pork|bacon|ham|salmon|tuna|shrimp|prawns?|fish|anchov|gelatine|lard"
    "|닭|소고기|돼지|베이컨|햄|연어|참치|새우|액젓|멸치|어묵"
)
MILK = "butter|cream|cheese|yogh?urt|feta|버터|크림|치즈|요거트|우유"
# Each restriction, as people write it, and the words that no part may contain. "Coconut milk" is not milk.
BANNED = {
    "nut-free": "almonds?|walnuts?|nuts?|peanuts?|pesto|견과류|아몬드|호두|땅콩",
    "견과류 알레르기": "almonds?|walnuts?|nuts?|peanuts?|견과류|아몬드|호두|땅콩",
    "dairy-free": MILK,
    "lactose intolerant": MILK,
    "우유 알레르기": MILK,
    "egg allergy": "eggs?|mayonnaise|omelette|frittata|계란|달걀|마요네즈|오믈렛",
    "계란 빼고": "eggs?|mayonnaise|omelette|계란|달걀|마요네즈|오믈렛",
    "coeliac": "bread|pasta|spaghetti|wheat|flour|soy sauce|빵|파스타|밀가루|국수|간장",
    "글루텐 프리": "bread|pasta|spaghetti|wheat|flour|soy sauce|빵|파스타|밀가루|국수|간장",
    "no soy": "soy|tofu|miso|edamame|gochujang|doenjang|두부|간장|된장|고추장|풋콩",
    "allergic to fish": "salmon|tuna|cod|anchov\\w*|fish sauce|연어|참치|멸치|액젓|어묵",
    "갑각류 못 먹어요": "shrimp|prawns?|crab|새우|게살|꽃게",
    "no pork": "pork|bacon|ham|sausages?|돼지|베이컨|햄|소시지|삼겹살",
    "halal": "pork|bacon|ham|wine|beer|돼지|베이컨|햄|와인|맥주",
    "vegetarian": ANIMAL,
    "vegan": f"{ANIMAL}|{MILK}|eggs?|honey|계란|달걀|꿀",
    "비건": f"{ANIMAL}|{MILK}|eggs?|honey|계란|달걀|꿀",
    "sesame allergy": "sesame|tahini|참깨|참기름|통깨",
    "without onions": "onions?|양파",
    "양파 빼고": "onions?|양파",
}
FINE = re.compile(
    r"coconut (?:milk|cream)|oat drink|코코넛 ?(?:밀크|크림)|water chestnut|gluten-free|butter beans?", re.IGNORECASE
)
FOODS = [
    *(
        "almonds",
        "oats",
        "bananas",
        "butter",
        "cheese",
        "eggs",
        "flour",
        "milk",
        "pasta",
        "bread",
        "tofu",
        "soy sauce",
        "rice",
    ),
    *(
        "chicken",
        "bacon",
        "salmon",
        "shrimp",
        "potatoes",
        "onions",
        "mushrooms",
        "spinach",
        "tomatoes",
        "noodles",
        "honey",
    ),
    *(
        "소고기",
        "돼지고기",
        "두부",
        "김치",
        "계란",
        "우유",
        "참깨",
        "국수",
        "애호박",
        "감자",
        "새우",
        "durian",
        "매생이",
    ),
]


def named(text: str, words: str) -> list[str]:
    """The words of these that a text contains: English ones whole, Korean ones at the beginning of a word."""
    return re.findall(rf"(?<![^\W_])(?:{words})(?![a-z])", FINE.sub(" ", text), re.IGNORECASE)


def whole(on_hand: str, language: str, seed: int, **fields: object) -> dict[str, str]:
    """Every part of a recipe, from the chain's prompts for the request."""
    request = RecipeRequest.model_validate({"ingredientsOnHand": on_hand, "language": language, **fields})
    known = {name: str(request.variables()[name]) for name in ("diet", "avoid", "servings")}
    spoken = "Korean" if language == "ko" else "English"
    texts = {"proposal": reply(*prompt("proposal", on_hand, 45, spoken, **known), seed)}
    picked = json.loads(texts["proposal"])[seed % 3]
    known |= {"recipe_name": picked["name"], "recipe_intro": picked["intro"]}
    for step in ("ingredients", "intro", "nutrition", "sides", "steps"):
        known |= {"ingredients": texts.get("ingredients", "")}
        texts[step] = reply(*prompt(step, on_hand, 45, spoken, **known), seed)
    return texts


@pytest.mark.slow
@settings(max_examples=cases(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(BANNED)),
    st.lists(st.sampled_from(FOODS), min_size=1, max_size=6, unique=True),
    st.sampled_from(["en", "ko"]),
    st.integers(0, 50),
)
def test_no_part_names_what_is_avoided(restriction: str, foods: list[str], language: str, seed: int) -> None:
    texts = whole(", ".join([restriction, *foods]), language, seed)
    assert [(part, named(text, BANNED[restriction])) for part, text in texts.items()] == [(part, []) for part in texts]
    assert all(text.strip() for text in texts.values())


@pytest.mark.parametrize(
    ("fields", "banned"),
    [
        ({"diet": "vegan, gluten-free"}, f"{BANNED['vegan']}|bread|pasta|flour|soy sauce"),
        ({"avoid": "peanuts, milk"}, f"{MILK}|peanuts?"),
        ({"avoid": ["onions", "mushrooms"]}, "onions?|mushrooms?"),
        ({"avoid": "양파와 버섯"}, "onions?|mushrooms?"),
        ({"avoid": "계란노른자"}, BANNED["egg allergy"]),
        ({"diet": "lacto-vegetarian"}, f"{ANIMAL}|eggs?"),
        ({"diet": "jain"}, f"{ANIMAL}|eggs?|onions?|potato(?:es)?|carrots?|garlic"),
        ({"avoid": "onions (even cooked)"}, "onions?"),
        ({"avoid": "legumes"}, "peanuts?|beans?|lentils?|chickpeas?|tofu|soy sauce|edamame"),
        ({"avoid": "citrus"}, "lemons?|limes?|oranges?"),
        ({"avoid": "corn"}, "corn|sweetcorn|cornflour|polenta"),
        ({"avoid": "sulphites"}, "wine|raisins?|mustard|jam"),
        ({"avoid": "nut-free please", "diet": "halal"}, f"{BANNED['halal']}|nuts?|almonds?"),
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_the_fields_are_kept_like_free_text(fields: dict[str, object], banned: str, seed: int) -> None:
    texts = whole("mushrooms, onions, peanuts, milk, almonds, bacon, rice, potatoes", "en", seed, **fields)
    assert [named(text, banned) for text in texts.values()] == [[]] * 6


@pytest.mark.parametrize(
    ("avoided", "other"),
    [
        *(
            ("초콜릿", "chocolate"),
            ("식초", "vinegar"),
            ("멸치", "anchovy"),
            ("자몽", "grapefruit"),
            ("잣", "pine nuts"),
        ),
        *(("pork products", "bacon"), ("bivalves", "mussels"), ("leafy greens", "spinach")),
        *(
            ("malt", "barley bread"),
            ("nitrites", "ham"),
            ("질산염", "베이컨"),
            ("histamine", "parmesan"),
            ("히스타민", "토마토"),
        ),
        *(
            ("cheese", "feta"),
            ("fermented food", "김치"),
            ("감자", "fries"),
            ("cocoa", "다크초콜릿"),
            ("oats", "granola"),
        ),
        *(("seeds", "poppy seeds"), ("씨앗", "치아시드"), ("latex fruit", "avocado"), ("라텍스", "키위")),
    ],
)
def test_a_food_is_avoided_by_every_name_in_both_languages(avoided: str, other: str) -> None:
    assert not avoidance((), (avoided,)).allows(other)


@pytest.mark.parametrize(
    ("avoided", "allowed", "banned"),
    [
        ("meat except chicken", ["chicken", "닭가슴살"], ["beef", "turkey", "bacon"]),
        ("고기 except 닭고기", ["chicken", "닭고기"], ["beef", "삼겹살"]),
        ("seafood except fish", ["salmon"], ["shrimp"]),
        ("lactose except butter", ["butter"], ["cream"]),
        ("새우 except 오징어", ["squid"], ["shrimp"]),
    ],
)
def test_an_exception_stays_allowed(avoided: str, allowed: list[str], banned: list[str]) -> None:
    avoids = avoidance((), (avoided,))
    assert avoids.allowed([*allowed, *banned]) == allowed


@pytest.mark.parametrize(
    ("on_hand", "product", "banned"),
    [
        ("dairy-free cheese, pasta", "dairy-free cheese", "butter|cream|parmesan"),
        ("eggless mayonnaise, potatoes", "eggless mayonnaise", "eggs?"),
        ("vegan butter, vegan, flour, apples", "vegan butter", "eggs?|milk|honey"),
        ("gluten-free spaghetti, dairy-free butter, mushrooms", "gluten-free spaghetti", "flour|bread|cream"),
    ],
)
def test_a_product_without_what_is_avoided_is_used(on_hand: str, product: str, banned: str) -> None:
    texts = whole(on_hand, "en", 1)
    assert product in texts["ingredients"]
    assert [named(text.replace(product, ""), banned) for text in texts.values()] == [[]] * 6


def test_a_product_free_of_something_else_is_avoided() -> None:
    assert "egg-free" not in whole("egg-free noodles, rice, gluten-free", "en", 1)["ingredients"]


def test_whoever_avoids_grapefruit_may_have_an_orange() -> None:
    assert avoidance((), ("자몽",)).allowed(["orange", "오렌지"]) == ["orange", "오렌지"]


@pytest.mark.parametrize(("language", "says"), [("en", "can't vouch"), ("ko", "보장할 수 없어요")])
def test_a_diet_that_no_rule_covers_is_not_vouched_for(language: str, says: str) -> None:
    assert says in whole("chicken, rice", language, 1, diet="Blood type B")["intro"]


def test_an_unknown_food_that_is_avoided_is_not_used() -> None:
    texts = whole("durian, chicken, rice, no durian", "en", 1)
    assert [named(text, "durians?") for text in texts.values()] == [[]] * 6


def test_left_out_things_are_mentioned_without_a_name() -> None:
    texts = whole("nut-free, bananas, oats, almonds", "en", 1)
    assert "left out" in texts["intro"]


def test_amounts_are_for_the_number_of_people() -> None:
    two, six = (whole(f"tofu, rice, for {people} people", "en", 3)["ingredients"] for people in (2, 6))
    assert two != six
    assert "6 bowls of rice" in six


def test_no_food_that_the_stand_in_knows_is_refused() -> None:
    names = {name for food in pantry().values() for name in (*food.names, *food.also, *food.foreign)}
    assert {name: found for name in names if (found := not_food_in(name))} == {}

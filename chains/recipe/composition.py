"""The recipe and its six parts."""

from chains.parts.composition import Choice, Composition, Part
from chains.recipe import prompts
from chains.recipe.request import RecipeRequest, check_dish

RECIPE = Composition(
    name="recipe",
    title={"en": "A recipe", "ko": "레시피"},
    notice=prompts.NOTICE,
    request=RecipeRequest,
    system=prompts.SYSTEM,
    parts=(
        Choice(
            "alternates",
            prompts.PROPOSAL,
            title={"en": "Other ideas", "ko": "다른 아이디어"},
            role="fast",
            max_tokens=800,
            gives={"recipe_name": "name", "recipe_intro": "intro"},
            noun="recipe",
            check=check_dish,
            code="alt",
        ),
        Part(
            "intro",
            prompts.INTRO,
            title={"en": "About this dish", "ko": "요리 이야기"},
            max_tokens=550,
            temperature=0.55,
            code="int",
        ),
        Part(
            "ingredients",
            prompts.INGREDIENTS,
            title={"en": "Ingredients", "ko": "재료"},
            role="fast",
            max_tokens=500,
            code="add",
        ),
        Part("steps", prompts.STEPS, title={"en": "Steps", "ko": "만드는 법"}, max_tokens=700, code="ste"),
        Part("sides", prompts.SIDES, title={"en": "On the side", "ko": "곁들이면 좋은 것"}, max_tokens=372, code="sde"),
        Part(
            "nutrition",
            prompts.NUTRITION,
            title={"en": "Good to know", "ko": "알아 두면 좋은 것"},
            max_tokens=500,
            code="ing",
        ),
    ),
)

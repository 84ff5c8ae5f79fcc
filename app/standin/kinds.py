"""Sets of kinds of food that the rules for dishes and amounts share."""

STAPLES = frozenset({"noodle", "pasta", "bread", "rice", "tortilla", "ricecake", "quick_grain", "grain"})
FILLING = STAPLES | {"potato"}
# A dish is named after one of these, if it has one.
NAMED = frozenset(
    [
        "meat",
        "poultry",
        "fish",
        "shellfish",
        "mince",
        "cured",
        "tinned_fish",
        "tofu",
        "legume",
        "stewing",
        "bone_in",
        "whole_bird",
        "offal",
        "liver",
        "crustacean",
        "paneer",
        "lentil",
        "dried_pulse",
        "roe",
        "dried_fish",
        "dumpling",
        "ready_meal",
        "falafel",
    ]
)
NOTABLE = frozenset({"veg", "protein", "potato", "kimchi", "cheese", "fruit", "avocado", "roe", "dumpling"})
# The typed amount of such a food is the amount on hand, not the amount in the dish.
STOCKS = frozenset({"fat", "seasoning", "sauces", "dairy", "drink"})
# A pack or a box of such a food is more than a dish needs.
BULK = STOCKS | frozenset(
    [
        "flour",
        "potato",
        "rice",
        "grain",
        "quick_grain",
        "oats",
        "pasta",
        "allium",
        "rootveg",
        "aroma",
        "nut",
        "fruit",
        "egg",
    ]
)
POURED = frozenset({"beer", "spirit"})  # their amount does not grow with the number of servings
ONE_OF_A_KIND = frozenset({"fat", "stock"})
# For these kinds, a typed amount determines the servings.
WEIGHTY = frozenset(
    [
        "meat",
        "poultry",
        "fish",
        "shellfish",
        "mince",
        "stewing",
        "bone_in",
        "whole_bird",
        "offal",
        "potato",
        "egg",
        "tofu",
        "pasta",
        "noodle",
        "ricecake",
        "rice",
        "flour",
        "squash",
        "lentil",
        "dried_pulse",
        "quick_grain",
        "grain",
        "other",
        "cured",
    ]
)
# Without a typed amount, there is enough of these for two.
GARDEN = frozenset({"vegetable", "greens", "squash", "mushroom", "tomato"})

"""Questions that ask for a recipe, and what is not food in them."""

import re

from chains.recipe.not_food import NotFood, edible, listed_in, named_in

_COOK = r"(?:cook|bake|fry|roast|grill|braise|stew|boil|season|marinate|pickle|serve|saut[eé])"
_MEAL = (
    r"(?:dish(?:es)?(?![\s-]?(?:soap|wash))|dinner|lunch|breakfast|supper|meal|snack|dessert|soup|stew|salad|sandwich|cake"
    r"|cookies|sauce|smoothie|cocktail|curry|omelett?e?|pasta|pizza|stir[\s-]fry|casserole)"
)
_RECIPE = re.compile(
    r"\brecipes?\b"
    rf"|^\W{{0,5}}(?:please\s)?{_COOK}\b"
    rf"|\b(?:how|what|can|could|should|want|like|let['’]?s|please|help|to|i|we|me)\s(?:[\w'’]{{1,12}}\s){{0,3}}{_COOK}\b"
    rf"|\b(?:make|prepare|mix|create|whip\sup)\s(?:[\w'’]{{1,12}}\s){{0,4}}{_MEAL}\b"
    rf"|\b{_MEAL}\s(?:with|from|of|using)\b"
    r"|레시피|요리|볶아|볶음|끓여|끓이|구워|굽는|튀겨|튀김|찌개|조림|무침|비빔|반찬|만들어\s?먹|해\s?먹",
    re.IGNORECASE,
)
_CLEANING = re.compile(
    r"\b(?:clean|cleaning|remove|wash|washing|scrub|stains?|disinfect|unclog|rinse)\b|청소|닦|세척|지우|제거|씻|얼룩|소독",
    re.IGNORECASE,
)
_BEFORE_MEAT = re.compile(
    rf"(?:\b{_COOK}|\b(?:with|of|from|using|recipes?\sfor))\s(?:(?:a|an|the|my|our|your|his|her|some|minced)\s){{0,2}}$",
    re.IGNORECASE,
)
_PET_FOOD = re.compile(
    r"['’]?s?\s?(?:biscuits?|treats?|cookies?|snacks?|food|bowls?)\b|\s?(?:간식|사료|쿠키|밥)", re.IGNORECASE
)
_OF_PAN = re.compile(
    r"\bseason(?:ing)?\s(?:(?:a|an|the|my|our|your)\s)?(?:[\w-]{1,12}\s){0,2}(?:pan|skillet|wok|griddle)s?\b",
    re.IGNORECASE,
)
_AFTER_MEAT_KO = re.compile(r"(?:\s?고기)?[을를로]{0,2}\s?(?:요리|볶|끓|굽|구워|튀|찌|삶|먹)")
_INGREDIENT = re.compile(
    r"(?:\b(?:with|using|from|and)\b|,)([^,;:.!?()\n]{1,60}?)(?=$|[,;:.!?()\n]|\b(?:and|or|with)\b)", re.IGNORECASE
)
_LONGEST_QUESTION = 2000  # characters; a longer text contains a document, not a cook's own words


def not_food_in_question(question: str) -> NotFood | None:
    """Returns the first thing in a question that is not food, or None. A pet counts only if it is to be eaten."""
    found = listed_in(question)
    if _is_about_pan(question):
        return None
    if not found:
        return named_in(list(map(str.strip, _INGREDIENT.findall(edible(question)))))
    if found.kind != "pets":
        return found
    before, _, after = question.partition(found.food)
    if _PET_FOOD.match(after):
        return None
    return found if _BEFORE_MEAT.search(before[-40:]) or _AFTER_MEAT_KO.match(after) else None


def _is_about_pan(question: str) -> bool:
    """Whether a question is about seasoning a pan and names nothing to eat."""
    rest = _OF_PAN.sub(" ", question)
    return rest != question and not re.search(rf"\b(?:{_COOK}|{_MEAL}|eat|recipe)", rest, re.IGNORECASE)


def asks_for_recipe(question: str) -> bool:
    """Whether a question is about cooking something, and not about cleaning with it."""
    is_short = len(question) <= _LONGEST_QUESTION
    return is_short and bool(_RECIPE.search(_OF_PAN.sub(" ", question))) and not _CLEANING.search(question)

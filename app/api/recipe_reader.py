"""Reads messages as ingredients and time for a recipe."""

import re
from typing import LiteralString

from pydantic import ValidationError

from app.api.conversation import MAX_CHANGE, Change, Description, PlainReply, Vocabulary, first_items, headline
from chains.messages import Message
from chains.recipe.free_text import request_in
from chains.recipe.request import RecipeRequest
from chains.recipe.restrictions import restrictions_in
from chains.translations import Language, language_in

MAX_WISH = 6  # words, for example: a bit more spicy
GREETING: dict[Language, str] = {
    "en": "Hello! Tell me which ingredients you have and how much time, and I write a recipe, for example:\n\n"
    "> beef, onions, peppers; 30 minutes\n\n"
    "You can add a diet, an allergy and for how many people it is: “vegetarian, no nuts, for 4 people”.",
    "ko": "안녕하세요! 가지고 있는 재료와 시간을 알려 주시면 레시피를 써 드려요. 예를 들면:\n\n"
    "> 소고기, 양파, 피망; 30분\n\n"
    "식단, 알레르기, 인원도 함께 적을 수 있어요: “채식, 견과류 빼고, 4인분”.",
}
ONE_RECIPE: dict[Language, str] = {
    "en": "I write one recipe for each message and can't answer questions about it. Name the ingredients and the time, "
    "or say what to change, for example: “make it vegetarian”, “without onions”, “in 20 minutes”.",
    "ko": "메시지 하나에 레시피 하나를 써 드리고, 레시피에 대한 질문에는 답하지 못해요. 재료와 시간을 적거나, "
    "바꿀 것을 적어 주세요. 예: “채식으로”, “양파 빼고”, “20분 안에”.",
}
USAGE_HINT: LiteralString = (
    "Name the ingredients on hand and the time in the last user message, for example: beef, onions; 30 minutes."
)
NO_USER: LiteralString = "There is no message of the role 'user'. " + USAGE_HINT
NO_RECIPE: LiteralString = "{field}: {wrong}. " + USAGE_HINT
FIELDS: dict[Language, dict[str, str]] = {
    "en": {"ingredientsOnHand": "ingredients", "prepTime": "time"},
    "ko": {"ingredientsOnHand": "재료", "prepTime": "시간", "servings": "인분", "diet": "식단", "avoid": "빼는 재료"},
}
NO_TITLE: dict[Language, str] = {"en": "Recipe ideas", "ko": "레시피"}
TAGS: dict[Language, list[str]] = {"en": ["Cooking", "Recipes"], "ko": ["요리", "레시피"]}
EXAMPLE: dict[Language, str] = {"en": "eggs, potatoes", "ko": "달걀, 감자"}
CHANGES: dict[Language, tuple[str, ...]] = {
    "en": ("15 minutes", "make it vegetarian", "for 4 people"),
    "ko": ("15분", "채식으로", "4인분"),
}
SUMMARY: dict[Language, str] = {
    "en": "The user asked for a recipe with {food}.",
    "ko": "사용자가 이 재료로 만드는 레시피를 요청했어요: {food}.",
}
NO_SUMMARY: dict[Language, str] = {
    "en": "The user asked how to get a recipe.",
    "ko": "사용자가 레시피를 받는 방법을 물었어요.",
}
SEASONAL: dict[Language, str] = {"en": "seasonal vegetables", "ko": "제철 채소"}
IMAGE: dict[Language, str] = {
    "en": "A photograph of a home-cooked dish with {food} on a plain plate, in daylight.",
    "ko": "낮의 빛에서 찍은, 수수한 접시에 담은 집밥 사진: {food}.",
}

_LIST = re.compile(r"[,;:\n]")


class RecipeReader:
    """A `Reader` of recipes."""

    vocabulary = Vocabulary(
        nouns=("recipe", "dish", "요리", "레시피"),
        verbs=("cook",),
        questions=("how hot", "can i freeze", "can i store", "can i reheat"),
    )

    def greeting(self, language: Language) -> str:
        return GREETING[language]

    def no_answer(self, language: Language) -> str:
        return ONE_RECIPE[language]

    def no_user_message(self) -> Message:
        return Message(NO_USER)

    def invalid(self, field: str, wrong: str, language: Language) -> Message:
        return Message(NO_RECIPE, field=FIELDS[language].get(field, field), wrong=wrong)

    def request(self, text: str) -> RecipeRequest:
        return request_in(text)

    def change_in(self, text: str, *, points_back: bool) -> Change | None:
        if not _names_food(text):
            return Change(text)
        is_wish = points_back and len(text.split()) <= MAX_WISH and not _LIST.search(text)
        return Change(wish=text) if is_wish else None

    def first_request(self, change: Change) -> RecipeRequest:
        words = change.words or change.wish
        if not _names_food(words):
            raise PlainReply(self.no_answer(language_in(words)))
        return request_in(words)

    def changed(self, request: RecipeRequest, change: Change) -> RecipeRequest:
        """Keeps the time unless the change names one."""
        diet = ", ".join(filter(None, (request.diet, change.wish)))[:MAX_CHANGE]
        if not change.words:
            return request.model_copy(update={"diet": diet})
        changed = request_in(f"{request.ingredients_on_hand}, {change.words}")
        prep_time = changed.prep_time if "prep_time" in changed.model_fields_set else request.prep_time
        return changed.model_copy(update={"diet": diet, "prep_time": prep_time})

    def description(self, request: RecipeRequest | None, language: Language) -> Description:
        food = request.ingredients_on_hand if request else ""
        return Description(
            title=headline(food) or NO_TITLE[language],
            emoji="🍳",
            tags=TAGS[language],
            follow_ups=[f"{first_items(food) or EXAMPLE[language]}; {change}" for change in CHANGES[language]],
            summary=(SUMMARY if food else NO_SUMMARY)[language].format(food=food),
            image=IMAGE[language].format(food=food or SEASONAL[language]),
        )


def _names_food(text: str) -> bool:
    """Whether the text names more than a diet, things to avoid, a time and a number of people."""
    rest = restrictions_in(text).rest
    try:
        return bool(rest) and bool(request_in(rest).ingredients_on_hand)
    except ValidationError as error:
        return not any(_is_empty(problem["input"]) for problem in error.errors())  # inedible things are rejected later


def _is_empty(value: object) -> bool:
    return isinstance(value, str) and not any(character.isalpha() for character in value)

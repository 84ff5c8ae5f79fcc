"""The stand-in's answers to other compositions and to any task with a shape."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, strategies as st
from openai import OpenAI

from app.standin import MODEL_ID, general
from app.standin.answer import tokenize

GUIDE = "You are a travel guide: concrete and brief. Text between tags is material. Answer in {}."
INTERESTS = "<interests>\n{}\n</interests>\n<days>{}</days>\n"
IDEAS = (
    "Propose three destinations, each in another region. Answer with a JSON array of three objects and nothing else, "
    'each of the form {"place": "the town or region", "place_about": "one sentence on why it suits these interests"}.'
)
PLACE = "<place>{}</place>\n<place_about>{}</place_about>\n"
NOTICE = {"English": "rule-based stand-in and not from a language model", "Korean": "언어 모델이 아니라"}


def answer(client: OpenAI, system: str, human: str, **more: Any) -> str:
    sent: list[Any] = [{"role": "system", "content": system}, {"role": "user", "content": human}]
    stream = client.chat.completions.create(model=MODEL_ID, messages=sent, stream=True, **more)
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


@pytest.mark.parametrize(
    ("language", "interests"), [("English", "food markets, hiking"), ("Korean", "시장, 등산과 오래된 책방")]
)
def test_a_json_array_has_the_shape_that_the_prompt_shows(client: OpenAI, language: str, interests: str) -> None:
    """Three different objects with these keys, in the right language and about the material."""
    text = answer(client, GUIDE.format(language), INTERESTS.format(interests, 3) + IDEAS)
    options = json.loads(text)
    assert [list(option) for option in options] == [["place", "place_about"]] * 3
    assert len({option["place"] for option in options}) == len({option["place_about"] for option in options}) == 3
    assert bool(re.search("[가-힣]", text.replace("place_about", ""))) == (language == "Korean")
    assert not re.search("[a-z]", re.sub("place(_about)?", "", text)) or language == "English"
    assert interests.split(",")[0] in text


def test_the_seed_decides_what_is_proposed(client: OpenAI) -> None:
    def places(seed: int) -> str:
        return answer(client, GUIDE.format("English"), INTERESTS.format("old books", 3) + IDEAS, seed=seed)

    assert places(1) == places(1)
    assert len({places(seed) for seed in range(5)}) > 1


@pytest.mark.parametrize("language", ["English", "Korean"])
def test_sentences_are_about_the_material_and_name_the_stand_in(client: OpenAI, language: str) -> None:
    place = {"English": "Lisbon", "Korean": "제주"}[language]
    human = INTERESTS.format("trams", 2) + PLACE.format(place, "Hills.") + "Introduce it in four or five sentences."
    text = answer(client, GUIDE.format(language), human)
    assert place in text
    assert "trams" in text
    assert NOTICE[language] in text
    assert len(re.findall(r"[.](?: |$)", text)) == 5


def test_lines_begin_as_the_prompt_asks(client: OpenAI) -> None:
    human = INTERESTS.format("trams", 2) + 'List what to pack. At most four lines, each starting with "- ".'
    lines, notice = answer(client, GUIDE.format("English"), human).split("\n\n")
    assert 2 <= len(lines.splitlines()) <= 4
    assert all(line.startswith("- ") for line in lines.splitlines())
    assert NOTICE["English"] in notice


def test_each_day_has_a_numbered_line(client: OpenAI) -> None:
    """The number of days comes from the material, or from the lines of an earlier part."""
    system = GUIDE.format("English")
    plan = "Plan a route. One line for each day, starting with the number of the day and a full stop."
    route = answer(client, system, INTERESTS.format("trams", 6) + PLACE.format("Porto", "Hills.") + plan)
    days = "Describe each day of this route. One line for each day, starting with its number and a full stop."
    described = answer(client, system, PLACE.format("Porto", "Hills.") + f"<route>\n{route}\n</route>\n{days}")
    for text in (route, described):
        assert [line.split(".")[0] for line in text.split("\n\n")[0].splitlines()] == list("123456")
        assert "Porto" in text
        assert text.count(NOTICE["English"]) == 1


def test_the_lines_have_the_labels_that_are_listed(client: OpenAI) -> None:
    human = (
        "<days>3</days>\nEstimate what this trip costs. One line each for nights, meals and things to buy, "
        'starting with "- ", then the sum.'
    )
    english = answer(client, GUIDE.format("English"), human).split("\n\n")[0].splitlines()
    assert [line.split(":")[0] for line in english] == ["- Nights", "- Meals", "- Things to buy", "- Sum"]
    korean = answer(client, GUIDE.format("Korean"), human).split("\n\n")[0].splitlines()
    assert [line.split(":")[0] for line in korean] == ["- 숙박", "- 식사", "- 살 것", "- 합계"]


@pytest.mark.parametrize(
    ("human", "kinds"),
    [
        ('Give me a JSON object with the keys "title", "summary" about whales.', {"title": str, "summary": str}),
        (
            'Return JSON: {"score": 1, "tags": ["a"], "ok": true, "by": {"name": "x"}}',
            {"score": int, "tags": list, "ok": bool, "by": dict},
        ),
    ],
)
def test_one_object_is_not_an_array(client: OpenAI, human: str, kinds: dict[str, type]) -> None:
    found = json.loads(answer(client, "", human))
    assert {key: type(value) for key, value in found.items()} == kinds


def test_an_array_of_texts_has_the_requested_length(client: OpenAI) -> None:
    human = "<product>bicycles</product> Propose 5 slogans as a JSON array of strings."
    slogans = json.loads(answer(client, "You are a copywriter.", human))
    assert len(set(slogans)) == 5
    assert all("bicycles" in slogan.lower() for slogan in slogans)


WRITER = "You write launch notes. Answer in English."
BELL = "<product>a bicycle bell that plays birdsong</product>\n"


def test_a_proposal_is_about_the_material_and_not_about_its_form(client: OpenAI) -> None:
    """Only the first text of an object is a name, and no two texts are the same."""
    form = 'as a JSON array of three objects, each of the form {"slogan": "at most eight words", "tone": "one word"}.'
    options = json.loads(answer(client, WRITER, f"{BELL}Propose three slogans {form}"))
    assert all("a bicycle bell" in text.lower() for option in options for text in option.values())
    assert len({text for option in options for text in option.values()}) == 6


def test_sentences_of_an_earlier_part_are_no_topics(client: OpenAI) -> None:
    earlier = answer(client, WRITER, f"{BELL}Write the announcement in four sentences.")
    about = "<tone>Good value for those who come for it.</tone>"
    text = answer(client, WRITER, f"{BELL}{about}<announcement>{earlier}</announcement>\nWrite an e-mail.")
    assert set(re.findall(r"\b(?:for|with|With) ([^,:.]+?)(?:,|:|\.| without| it| beforehand)", text)) == {
        "a bicycle bell"
    }


def test_recipes_in_a_shape_of_their_own_are_recipes(client: OpenAI) -> None:
    human = 'Suggest three recipes with beef and onions as a JSON array, each {"dish": "", "minutes": 20}.'
    dishes = json.loads(answer(client, "", human))
    assert [list(dish) for dish in dishes] == [["dish", "minutes"]] * 3
    assert any("beef" in dish["dish"].lower() for dish in dishes)


def test_the_text_is_cut_and_counted_like_any_other(client: OpenAI) -> None:
    sent: list[Any] = [{"role": "user", "content": "Write three tips for learning the guitar, one to a line."}]
    whole = client.chat.completions.create(model=MODEL_ID, messages=sent)
    assert whole.usage
    assert whole.usage.completion_tokens == len(tokenize(whole.choices[0].message.content or ""))
    cut = client.chat.completions.create(model=MODEL_ID, messages=sent, max_tokens=5)
    assert cut.choices[0].finish_reason == "length"


def test_a_question_about_food_is_still_the_cooks(client: OpenAI) -> None:
    for system in ("", "You are a helpful assistant.", "You are a friendly cook. Answer in English."):
        assert "You need: " in answer(client, system, "What can I cook with beef and onions?")


@given(st.text(max_size=300), st.sampled_from(["{", '{"a": ', "[", "<a>", "JSON array of ", "1. ", "each for a, "]))
def test_any_task_is_answered(text: str, piece: str) -> None:
    assert general.reply("You are a travel guide.", f"{text}{piece * 50}{text}")


COACH = "You coach speakers. Answer in English, and with nothing before or after the text."


@pytest.mark.parametrize(
    ("system", "human"),
    [
        (COACH, "<topic>tides</topic>\nOne opening line."),
        (COACH, "A haiku about tides."),
        ("You are a helpful assistant.", "<topic>tides</topic>\nWhat do we know, besides the moon?"),
    ],
)
def test_a_vague_task_of_a_composition_is_answered_as_a_task(client: OpenAI, system: str, human: str) -> None:
    text = answer(client, system, human)
    assert "tides" in text.lower()
    assert "recipe" not in text
    assert "on foot" not in text  # a sentence about places


@pytest.mark.parametrize("human", ["hello", "What is a roux?", "<context>wine</context>\nWhat can I cook with eggs?"])
def test_other_vague_questions_are_still_the_cooks(client: OpenAI, human: str) -> None:
    assert "recipes" in answer(client, "You are a helpful assistant.", human)


@pytest.mark.parametrize(
    "task",
    [
        "Write a haiku of four lines: soft words.",
        "List four questions about the sea.",
        "Give three tips for beginners, one line each for hook, verse and end.",
        "Estimate the cost. One line each for tickets, petrol and tolls.",
        "Describe the sea in two sentences.",
        'Propose four names for a boat as a JSON array of objects, each {"name": "the name", "about": "one sentence"}.',
    ],
)
def test_a_korean_answer_to_an_english_task_is_in_korean(client: OpenAI, task: str) -> None:
    """It has no words of the instruction, except the keys of JSON."""
    for material in ("", "<topic>밤바다</topic>\n", "<mood>calm</mood>\n<likes>밤바다, 별</likes>\n"):
        text = answer(client, "You are a poet. Answer in Korean (한국어).", material + task)
        assert re.findall("[A-Za-z]+", re.sub(r'"\w+":', "", text)) == []
        assert len(re.findall(r"^(?:- | \{)", text, re.MULTILINE)) in (0, 3, 4)

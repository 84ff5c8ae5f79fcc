"""Compositions beside the recipe whose names are used elsewhere, on the wires."""

import json
import re
from contextlib import ExitStack
from datetime import date, datetime, time, timedelta
from itertools import pairwise, permutations
from pathlib import Path
from typing import Literal
from uuid import UUID

import httpx
import pytest
from pydantic import Field, HttpUrl, ValidationError

from app.api.compositions import describe
from app.api.conversation import Change
from app.api.form_reader import FormReader
from app.main import create_app
from chains.parts.composition import Choice, Composition, Part, Request
from chains.parts.free_text import request_from
from chains.parts.schema import example_of
from chains.translations import Language
from tests.client import OwnRun, ask, follow, named, statuses, wait_until
from tests.commands import sizzle, sizzle_in
from tests.conftest import ServeScripts
from tests.servers import Provider, provider, serving, settings_from
from tests.stories import BEDTIME, FAIR, LECTURE, STORY_WISHES, TOPIC, FairRequest, LectureRequest

REFERENCES = "tests.stories:BEDTIME,tests.stories:LECTURE"
FOOD = re.compile("recipe|dish|cook|요리|레시피|재료")
ROOT = Path(__file__).parent.parent
OPTIONS = {"bedtime": {"title": "The owl", "plot": "It flies."}, "lecture": {"choice": "Tides", "why": "They rise."}}


def prompts_of(provider: Provider, step: str) -> list[str]:
    return [call["body"]["messages"][-1]["content"] for call in provider.calls if call["step"] == step]


@pytest.mark.parametrize(
    ("composition", "wishes", "chain"),
    [(BEDTIME, STORY_WISHES, ["hero", "story", "lullaby"]), (LECTURE, TOPIC, ["intro", "steps"])],
)
def test_the_noun_of_an_option_may_be_the_name_of_a_part_or_of_what_the_choice_gives(
    serve_scripts: ServeScripts, composition: Composition, wishes: dict[str, object], chain: list[str]
) -> None:
    """With and without a chosen option, the parts of the chain start after each other, with their texts."""
    url, provider = serve_scripts(compositions=REFERENCES)
    assert composition.choice
    for more in ({}, {composition.choice.noun: OPTIONS[composition.name]}):
        answer = ask("POST", f"{url}/{composition.name}/runs", json={**wishes, **more})
        run = OwnRun(f"{url}{answer.headers['location']}")
        events, state = follow(run), ask("GET", run).json()
        assert statuses(events) == ["ok"]
        assert [fields["part"] for fields in named(events, "part_start") if fields["part"] in chain] == chain
        ends = [event.seq for event in events if event.name == "part_end" and event.fields["part"] in chain[:-1]]
        starts = [event.seq for event in events if event.name == "part_start" and event.fields["part"] in chain[1:]]
        assert all(end < start for end, start in zip(ends, starts, strict=True))
        for before, after in pairwise(chain):
            assert f"<{before}>{before} one, {before} two.</{before}>" in prompts_of(provider, after)[-1]
        option = state["options"][state["picked"]]
        assert f">{next(iter(option.values()))}</" in prompts_of(provider, chain[0])[-1]
    assert option == OPTIONS[composition.name]


def test_a_choice_asks_for_its_fields_if_its_prompt_does_not_name_them(serve_scripts: ServeScripts) -> None:
    url, provider = serve_scripts(compositions=REFERENCES)
    for composition, wishes in ((BEDTIME, STORY_WISHES), (LECTURE, TOPIC)):
        answer = ask("POST", f"{url}/{composition.name}/runs", json=wishes)
        assert statuses(follow(OwnRun(f"{url}{answer.headers['location']}"))) == ["ok"]
    assert prompts_of(provider, "plots") == ["Mina owls False: propose four plots, each with title and plot."]
    assert prompts_of(provider, "ideas") == [
        "tides: propose three lectures.\nAnswer with a JSON array of 3 objects and nothing else, each of the form "
        '{"choice": "…", "why": "…"}.'
    ]


FAIR_WISHES = {
    "fairName": "Ada's", "moods": ["wild"], "budget": "70.10", "page": "https://example.com/", "length": "PT3H",
    "rooms": [2, "barn"], "guests": 30,
}  # fmt: skip


def test_values_without_a_type_in_json_are_kept_with_the_run(serve_scripts: ServeScripts, tmp_path: Path) -> None:
    """They reach the prompt, and another process reads them from the store."""
    settings = {"compositions": "tests.stories:FAIR", "store": f"sqlite://{tmp_path}/runs.db"}
    with ExitStack() as first:
        scripted = first.enter_context(provider({}, settings_from(**settings).load_compositions().values()))
        served = create_app(settings_from(groq_api_key="sk-groq-1", groq_base_url=scripted.url, **settings))
        url = first.enter_context(serving(served))
        answer = ask("POST", f"{url}/fair/runs", json=FAIR_WISHES)
        location = answer.headers["location"]
        assert statuses(follow(OwnRun(f"{url}{location}"))) == ["ok"]
        assert prompts_of(scripted, "plan") == ["Ada's wild 70.10 https://example.com/ 3:00:00 2, barn 30"]
    url, _ = serve_scripts(**settings)
    state = ask("GET", f"{url}{location}").json()
    assert state["request"] == {"language": "en", "seed": None, **FAIR_WISHES}
    assert (
        ask("POST", f"{url}{location}/parts/plan", headers={"Sizzle-Run-Key": answer.json()["key"]}).status_code == 202
    )
    assert ask("GET", f"{url}{location}/events").status_code == 200


def test_a_conversation_changes_a_request_with_a_computed_field() -> None:
    reader, fair = FormReader(FAIR), FairRequest(fairName="Ada's")
    for text in ("30 guests", '{"guests": 30}'):
        change = reader.change_in(text, points_back=True)
        assert change
        assert reader.changed(fair, change) == FairRequest(fairName="Ada's", guests=30)
    with_page = reader.changed(fair, Change('{"fairName": "Bo\'s", "page": "https://example.com/"}'))
    assert with_page == FairRequest(fairName="Bo's", page=HttpUrl("https://example.com/"))


@pytest.mark.parametrize(
    "prompt", ["Give each a title and a plot.", "title과 plot을 쓰세요.", '[{{"title": "", "plot": ""}}]']
)
def test_a_prompt_that_names_the_fields_is_sent_as_it_is(prompt: str) -> None:
    assert Choice("plots", prompt, gives=("title", "plot")).template == prompt
    assert Choice("plots", prompt, gives=("plot", "tit")).template.endswith('{{"plot": "…", "tit": "…"}}.')


def test_the_standin_answers_a_choice_whose_prompt_does_not_name_its_fields() -> None:
    done = sizzle_in(ROOT, "generate", "tides", "--composition", "tests.stories:LECTURE", "--json")
    proposals = [json.loads(line) for line in done.stdout.splitlines() if '"proposal"' in line]
    assert [done.returncode, len(proposals[-1]["options"])] == [0, 3]


@pytest.mark.parametrize("order", list(permutations(("", "/bedtime", "/lecture"))))
def test_chains_of_compositions_that_share_names_have_their_own_requests(
    serve_scripts: ServeScripts, order: tuple[str, ...]
) -> None:
    """Whichever is called first, its fields keep their defaults, aliases and limits."""
    url, _ = serve_scripts(compositions=REFERENCES)
    recipe = {"ingredientsOnHand": "beef", "recipe_name": "Stew", "ingredients": "- beef"}
    story = {**STORY_WISHES, "hero": "An owl."}
    calls = {
        "": {"recipe": {"ingredientsOnHand": "beef"}, "steps": recipe, "intro": recipe},
        "/bedtime": {"bedtime": STORY_WISHES, "story": story},
        "/lecture": {
            "lecture": TOPIC,
            "steps": {**TOPIC, "intro": "Good evening."},
            "intro": {**TOPIC, "choice": "Ebb"},
        },
    }
    for prefix in order:
        for name, fields in calls[prefix].items():
            allowed = ask("GET", f"{url}{prefix}/chains/{name}/input_schema").json()["properties"]
            given = {field: value for field, value in fields.items() if field in allowed}
            answer = ask("POST", f"{url}{prefix}/chains/{name}/invoke", json={"input": given})
            assert answer.status_code == 200, (prefix, name, answer.text)
            wrong = ask("POST", f"{url}{prefix}/chains/{name}/invoke", json={"input": {**given, "seed": -1}})
            assert [wrong.status_code, wrong.json()["detail"][0]["field"]] == [422, "seed"]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_messages_of_every_composition_hold_no_word_about_food(serve_scripts: ServeScripts, language: str) -> None:
    """These are messages about an expired run and about a field that every request has."""
    url, _ = serve_scripts(compositions=REFERENCES, keep_runs_s=0.05)
    wrong = ask("POST", f"{url}/lecture/runs", json={**TOPIC, "seed": -1, "language": language})
    answer = ask("POST", f"{url}/lecture/runs", json={**TOPIC, "language": language})
    run = f"{url}{answer.headers['location']}"
    accepted = {"Accept-Language": language}
    assert wait_until(lambda: ask("GET", run, headers=accepted).status_code == 410, seconds=5)
    for text in (wrong.json()["detail"][0]["expected"], ask("GET", run, headers=accepted).json()["detail"]):
        assert text.isascii() == (language == "en")
        assert not FOOD.search(text)


def test_the_help_of_the_terminal_says_what_the_argument_is_for_another_composition() -> None:
    text = " ".join(sizzle("generate", "--help", COLUMNS="300", TERM="dumb").stdout.split())
    assert "With --composition, the text of its request, or a JSON object with the request's fields." in text


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "en",
            ["Text, 1 to 60 characters.", "Text, 3 to 500 characters.", "A whole number, 1 to 12.", "true or false."],
        ),
        ("ko", ["글, 1~60자.", "글, 3~500자.", "정수, 1~12.", "true 또는 false."]),
    ],
)
def test_a_field_without_a_description_has_its_type_and_limits_in_a_422(
    serve_scripts: ServeScripts, language: str, expected: list[str]
) -> None:
    url, _ = serve_scripts(compositions=REFERENCES)
    wrong: dict[str, object] = {"child": "", "likes": "", "age": 0, "is_scary": "perhaps"}
    for path, body in (("runs", wrong), ("generate", wrong), ("chains/bedtime/invoke", {"input": wrong})):
        answer = ask("POST", f"{url}/bedtime/{path}", json=body, headers={"Accept-Language": language})
        assert [answer.status_code, *(problem["expected"] for problem in answer.json()["detail"])] == [422, *expected]


def test_a_422_names_the_place_within_a_field(serve_scripts: ServeScripts) -> None:
    url, _ = serve_scripts(compositions="tests.stories:PARTY")
    wrong = {"on": "soon", "guests": [{"name": "Mina"}, {"age": "x"}], "colours": ["red", 3], "rounds": ["x"]}
    for path, body in (("runs", wrong), ("chains/party/batch", {"inputs": [wrong]})):
        answer = ask("POST", f"{url}/party/{path}", json=body)
        assert "Accept-Language" in answer.headers["vary"]
        problems = answer.json()["detail"]
        assert [(problem["field"], problem["message"]) for problem in problems][1:] == [
            ("guests", "guests[1].name: Field required."),
            ("guests", "guests[1].age: Input should be a valid integer, unable to parse string as an integer."),
            ("colours", "colours[1]: Input should be a valid string."),
            ("rounds", "Input should be a valid integer."),
            ("rounds", "rounds[0]: Input should be a valid integer, unable to parse string as an integer."),
        ]
        assert [problems[0]["field"], problems[0]["expected"]] == ["on", "Text, such as 2027-03-14."]


def test_the_terminal_shows_a_request_that_works_when_a_text_leaves_a_field_empty() -> None:
    done = sizzle_in(ROOT, "generate", "owls", "--composition", "tests.stories:BEDTIME", COLUMNS="300", TERM="dumb")
    assert done.returncode == 2
    assert """This works: '{"child": "child", "likes": "likes"}'""" in done.stderr


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("owls", "likes: Field required. A message that works: "),
        ("부엉이", "likes: 필수 항목이에요. 이렇게 보내면 돼요: "),
    ],
)
def test_v1_shows_a_message_that_works_when_a_text_leaves_a_field_empty(
    serve_scripts: ServeScripts, text: str, error: str
) -> None:
    url, _ = serve_scripts(compositions=REFERENCES)

    def say(content: str) -> httpx.Response:
        message = {"role": "user", "content": content}
        return ask("POST", f"{url}/v1/chat/completions", json={"model": "bedtime", "messages": [message]})

    answer = say(text)
    prefix, brace, example = answer.json()["error"]["message"].partition("{")
    assert [answer.status_code, prefix] == [400, error]
    assert say(brace + example).status_code == 200


class Poem(Request):
    """A request without a text field."""

    form: Literal["haiku", "sonnet"] = "haiku"
    lines: int = 4


POEM = Composition("poem", Poem, "Answer in {language_name}.", (Part("verse", "{form} {lines}"),))


def test_a_text_that_sets_no_field_is_an_error() -> None:
    assert request_from(POEM, "3 lines", "en") == Poem(lines=3)
    with pytest.raises(ValidationError):
        request_from(POEM, "sea, fog", "en")


class LaunchRequest(Request):
    product: str
    weeks: int = Field(default=6, title="Weeks until launch")


def test_a_number_before_the_title_of_a_field_sets_that_field_alone() -> None:
    parts = (Part("mail", "{product} in {weeks} weeks"),)
    reader = FormReader(Composition(name="launch", request=LaunchRequest, system="", parts=parts))
    change = reader.change_in("4 weeks until launch", points_back=False)
    assert change
    assert reader.changed(LaunchRequest(product="a bell"), change) == LaunchRequest(product="a bell", weeks=4)


class LessonRequest(Request):
    level: int | None = Field(default=None, ge=1, le=6)
    topic: str | None = None


LESSON = Composition("lesson", LessonRequest, "", (Part("dialogue", "{topic} {level}"),))


def test_optional_texts_and_numbers_are_read_like_required_ones() -> None:
    assert request_from(LESSON, "markets, 2 levels", "en") == LessonRequest(topic="markets, 2 levels", level=2)
    reader = FormReader(LESSON)
    harder = reader.change_in("level 2, 3 level", points_back=True)
    assert harder
    assert reader.changed(LessonRequest(), harder) == LessonRequest(topic="level 2, 3 level", level=3)
    assert reader.description(LessonRequest(level=6), "en").follow_ups == ["5 level", "more about “Dialogue”"]
    assert reader.description(LessonRequest(), "en").follow_ups == ["more about “Dialogue”"]


def test_a_number_before_seeds_is_a_part_of_the_text() -> None:
    assert request_from(LESSON, "7 seeds", "en") == LessonRequest(topic="7 seeds")


def test_a_required_text_goes_before_an_optional_one() -> None:
    class LetterRequest(Request):
        sender: str | None = None
        occasion: str

    letter = Composition("letter", LetterRequest, "", (Part("body", "{sender} {occasion}"),))
    assert request_from(letter, "a birthday", "en") == LetterRequest(occasion="a birthday")


def test_json_without_a_language_has_that_of_the_reader() -> None:
    assert request_from(POEM, '{"lines": 3}', "ko").language == "ko"
    assert request_from(POEM, '{"language": "en"}', "ko").language == "en"


def test_a_composition_without_a_title_is_called_by_its_name_everywhere() -> None:
    assert [POEM.title_in("en"), POEM["verse"].title_in("ko")] == ["Poem", "Verse"]
    assert describe(POEM).title == {"en": "Poem", "ko": "Poem"}
    assert "“Poem”" in FormReader(POEM).greeting("en")


class Kinds(Request):
    """A required field of each kind."""

    mood: Literal["calm", "wild"]
    tags: list[str] = Field(min_length=2)
    is_loud: bool
    at_least: int = Field(ge=3)
    above: int = Field(gt=4)
    below: float = Field(lt=0.5)
    optional: int | None
    long: str = Field(min_length=20, max_length=22)
    option: LectureRequest
    day: date
    time: time
    moment: datetime
    length: timedelta
    id: UUID
    page: HttpUrl
    shown: str = Field(examples=["like this"], pattern="like.*")
    renamed: str = Field(alias="reNamed")
    spare: str = ""


@pytest.mark.parametrize("language", ["en", "ko"])
def test_an_example_of_a_request_is_valid_and_has_its_required_fields(language: Language) -> None:
    example = example_of(Kinds, language)
    assert Kinds.model_validate_json(example).language == language
    assert "spare" not in example
    assert Kinds.model_validate_json(example).shown == "like this"

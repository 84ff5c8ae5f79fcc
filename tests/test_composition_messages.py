"""422s, playgrounds, settings and the terminal for a composition other than the recipe."""

import re
from pathlib import Path

import pytest

from app.settings import Settings
from tests.client import ask
from tests.commands import sizzle_in
from tests.conftest import ServeScripts

TRIPS = ("examples.trip:TRIP",)
WISHES = {"interests": "food markets, hiking", "days": 2}
ROOT = Path(__file__).parent.parent


def test_a_422_says_in_korean_what_is_right(serve_scripts: ServeScripts) -> None:
    """The expected value is the field's Korean description."""
    url, _ = serve_scripts(compositions=TRIPS)
    problem = ask("POST", f"{url}/trip/runs", json=WISHES | {"days": 99, "language": "ko"}).json()["detail"][0]
    assert [problem["field"], problem["expected"]] == ["days", "여행 기간: 1~14일."]


@pytest.mark.parametrize("name", ["ticket", "theTicket"])
def test_a_422_ends_in_one_full_stop_and_expects_the_same_of_a_name_and_an_alias(
    serve_scripts: ServeScripts, name: str
) -> None:
    url, _ = serve_scripts(compositions=("tests.stories:PATCH",))
    problem = ask("POST", f"{url}/patch/runs", json={name: "12"}).json()["detail"]
    assert problem == [
        {"field": name, "message": "A ticket looks like ABC-123.", "expected": "Text, 2 to 9 characters."}
    ]
    chat = {"model": "patch", "messages": [{"role": "user", "content": f'{{"{name}": "12"}}'}]}
    message = ask("POST", f"{url}/v1/chat/completions", json=chat).json()["error"]["message"]
    assert message == f"{name}: A ticket looks like ABC-123."


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (
            "/trip/runs",
            WISHES | {"choice": 1},
            "choice: 1~200자의 place, 4,096자까지의 place_about. 없으면 새로 제안해요.",
        ),
        (
            "/runs",
            {"ingredientsOnHand": "beef", "recipe": 1},
            "recipe: 1~200자의 name, 4,096자까지의 intro. 없으면 새로 제안해요.",
        ),
        ("/trip/chains/budget/invoke", {"input": WISHES | {"day_by_day": "1. Walk.", "packing": ""}}, "그 부분의 글."),
    ],
)
def test_a_wrong_option_or_result_has_a_korean_description(
    serve_scripts: ServeScripts, path: str, body: dict[str, object], expected: str
) -> None:
    url, _ = serve_scripts(compositions=TRIPS)
    problem = ask("POST", f"{url}{path}", json=body, headers={"Accept-Language": "ko"}).json()["detail"][0]
    assert problem["expected"] == expected


def test_a_wrong_input_of_a_chain_says_what_is_right(serve_scripts: ServeScripts) -> None:
    """This covers fields of the request and the results that a part needs."""
    url, _ = serve_scripts(compositions=TRIPS)
    for path, body, field in (
        ("/trip/chains/trip/invoke", WISHES | {"days": 99}, "days"),
        ("/trip/chains/budget/invoke", WISHES | {"day_by_day": "1. Walk.", "packing": ""}, "packing"),
        ("/chains/recipe/invoke", {"ingredientsOnHand": "beef", "prepTime": 1}, "prepTime"),
    ):
        problem = ask("POST", f"{url}{path}", json={"input": body}).json()["detail"][0]
        assert problem["field"] == field
        assert problem["expected"]


def test_the_playgrounds_of_a_composition_have_a_page(serve_scripts: ServeScripts) -> None:
    url, _ = serve_scripts(compositions=TRIPS)
    page = ask("GET", f"{url}/trip/chains")
    links = re.findall(r'href="(trip/chains/\w+/playground/)"', page.text)
    assert [page.status_code, len(links)] == [200, 7]
    assert {ask("GET", f"{url}/{link}").status_code for link in links} == {200}


def test_the_environment_names_the_model_of_a_part_of_one_composition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIZZLE_MODELS__TRIP__ROUTE", "groq-gpt-oss-120b")
    monkeypatch.setenv("GROQ_API_KEY", "k")
    chosen = Settings(compositions=TRIPS).choose_models()
    assert [chosen["trip.route"], chosen["trip.ideas"]] == ["groq-gpt-oss-120b", "groq-gpt-oss-20b"]


@pytest.mark.parametrize("text", ["food markets", '{"interests": "food markets", "days": 2}'])
def test_the_terminal_writes_a_composition(text: str) -> None:
    done = sizzle_in(ROOT, "generate", text, "--composition", "examples.trip:TRIP")
    assert done.returncode == 0, done.stderr
    titles = ["About this trip", "Route", "Day by day", "Packing", "Budget", "Other ideas"]
    assert re.findall("^## (.*)$", done.stdout, re.MULTILINE) == titles


def test_the_terminal_names_the_field_of_a_composition_that_is_wrong() -> None:
    done = sizzle_in(ROOT, "generate", '{"interests": "food", "days": 99}', "--composition", "examples.trip:TRIP")
    assert [done.returncode, "days" in done.stderr] == [2, True]

"""A composition beside the recipe, the trip, on every wire."""

import json
import re
from pathlib import Path

import pytest

from examples.trip import TRIP
from tests.client import (
    OwnRun,
    ReceivedEvent,
    ask,
    events_named,
    follow,
    named,
    read,
    rewrite,
    start,
    start_of,
    statuses,
    texts,
    wait_until,
    written,
)
from tests.conftest import ServeScripts
from tests.servers import Gate, Provider, Refuse, Script, options_of

COMPOSITIONS = Path(__file__).parents[1] / "docs" / "compositions.md"
REFERENCE = "examples.trip:TRIP"
WISHES = {"interests": "food markets, hiking", "days": 2, "seed": 1}
assert TRIP.choice
PLACES = options_of(TRIP.choice)
PICKED = 0  # by the seed
TEXTS = {name: f"{name} one, {name} two." for name in TRIP.names if name != "ideas"}
MARKDOWN = "# place 1\n\nplace_about 1\n\n## About this trip\n\noverview one, overview two.\n\n## Route\n"


def prompt_of(provider: Provider, step: str) -> str:
    """The last prompt of a step."""
    return [call["body"]["messages"][-1]["content"] for call in provider.calls if call["step"] == step][-1]


def serve_trip(
    serve_scripts: ServeScripts, scripts: dict[str, Script | list[Script]] | None = None
) -> tuple[str, Provider]:
    """Serves the trip beside the recipe; returns the address of its routes."""
    url, provider = serve_scripts(scripts, compositions=REFERENCE)
    return f"{url}/trip", provider


def start_trip(url: str, wishes: dict[str, object] | None = None) -> OwnRun:
    answer = ask("POST", f"{url}/runs", json=wishes or WISHES)
    run = OwnRun(f"{url}/runs/{answer.json()['run_id']}")
    run.key = answer.json()["key"]
    return run


def starts(events: list[ReceivedEvent]) -> list[str]:
    return [fields["part"] for fields in named(events, "part_start")]


def test_generate_streams_each_part_under_its_name(serve_scripts: ServeScripts) -> None:
    url, _ = serve_trip(serve_scripts)
    events = read(url, WISHES)
    others = "".join(
        f"<li><b>{place['place']}</b> &nbsp;<i>{place['place_about']}</i></li>" for place in PLACES[PICKED + 1 :]
    )
    assert texts(events) == {**TEXTS, "ideas": others}
    assert events_named(events, "run")[0]["composition"] == "trip"
    assert [event["status"] for event in events_named(events, "end")] == ["ok"]


def test_lists_and_objects_of_an_option_are_json_in_prompts_and_text_for_readers(serve_scripts: ServeScripts) -> None:
    about = {"sights": ["hall", "hills"], "nights": {"least": 2, "most": {"alone": 3}}}
    proposal = json.dumps([{**place, "place_about": about} for place in PLACES])
    url, provider = serve_trip(serve_scripts, {"ideas": [proposal]})
    shown = "sights: hall, hills; nights: least: 2, most: alone: 3"
    assert f"<li><b>place 2</b> &nbsp;<i>{shown}</i></li>" in texts(read(url, WISHES))["ideas"]
    assert json.dumps(about, separators=(",", ":")) in prompt_of(provider, "overview")
    markdown = ask("POST", f"{url}/chains/trip/invoke", json={"input": WISHES}).json()["output"]
    assert markdown.startswith(f"# place 1\n\n{shown}\n\n## About this trip")
    assert f"- **place 3**: {shown}\n" in markdown
    run = start_trip(url)
    follow(run)
    assert ask("GET", run).json()["parts"]["ideas"]["text"] == f"place 2: {shown}\nplace 3: {shown}\n"


def test_a_part_waits_for_the_parts_that_its_prompt_names_only(serve_scripts: ServeScripts) -> None:
    """The budget starts after packing and the days, however long the overview takes."""
    packing, overview = Gate(), Gate()
    url, provider = serve_trip(serve_scripts, {"packing": ["- boots ", packing, "to walk"], "overview": [overview]})
    ended: list[str] = []

    def open_in_turn(event: tuple[str, str, str]) -> None:
        name, _, text = event
        if name != "part_end":
            return
        ended.append(json.loads(text)["part"])
        if ended[-1] == "day_by_day":
            assert "budget" not in [call["step"] for call in provider.calls]
            packing.open()
        if ended[-1] == "budget":
            overview.open()

    events = read(url, WISHES, open_in_turn)
    assert [ended.index("packing") < ended.index("budget"), ended[-2:]] == [True, ["budget", "overview"]]
    assert start_of(events, "packing") < start_of(events, "route") < start_of(events, "day_by_day")
    prompt = prompt_of(provider, "budget")
    assert f"<day_by_day>\n{TEXTS['day_by_day']}\n</day_by_day>" in prompt
    assert "<packing>\n- boots to walk\n</packing>" in prompt


def test_a_run_is_found_streamed_and_resumed(serve_scripts: ServeScripts) -> None:
    url, _ = serve_trip(serve_scripts)
    answer = ask("POST", f"{url}/runs", json=WISHES)
    location = answer.headers["location"]
    assert [answer.status_code, location] == [201, f"/trip/runs/{answer.json()['run_id']}"]
    run = f"{url.removesuffix('/trip')}{location}"
    events = follow(run)
    assert events[0].fields["composition"] == "trip"
    assert events[0].fields["parts"] == list(TRIP.names)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [fields["option"] for fields in named(events, "alternate")] == PLACES[PICKED + 1 :]
    assert statuses(events) == ["ok"]
    for event in events[:-1]:
        assert follow(run, event.id) == events[event.seq :]
    state = ask("GET", run).json()
    assert [state["composition"], state["options"], state["picked"]] == ["trip", PLACES, PICKED]
    assert {name: part["text"] for name, part in state["parts"].items() if name != "ideas"} == TEXTS


def test_a_part_is_rewritten_with_the_parts_that_need_it(serve_scripts: ServeScripts) -> None:
    url, provider = serve_trip(serve_scripts, {"route": [["1. Lyon"], ["1. Annecy"]]})
    run = start_trip(url)
    before = follow(run)
    answer = rewrite(run, "route")
    assert [answer.status_code, answer.headers["location"]] == [202, run[run.index("/trip") :]]
    rest = follow(run, before[-1].id)
    assert starts(rest) == ["route", "day_by_day", "budget"]
    assert written(follow(run)) | {"ideas": ""} == {**TEXTS, "route": "1. Annecy", "ideas": ""}
    assert "<route>\n1. Annecy\n</route>" in prompt_of(provider, "day_by_day")


def test_a_part_alone_is_rewritten_if_no_other_needs_it(serve_scripts: ServeScripts) -> None:
    url, _ = serve_trip(serve_scripts, {"overview": [["Hills."], ["Lakes."]]})
    run = start_trip(url)
    before = follow(run)
    assert rewrite(run, "overview").status_code == 202
    assert starts(follow(run, before[-1].id)) == ["overview"]


def test_a_chosen_option_is_written_without_a_proposal(serve_scripts: ServeScripts) -> None:
    url, provider = serve_trip(serve_scripts)
    run = start_trip(url, {**WISHES, "choice": {"place": "Annecy", "place_about": "A lake."}})
    assert statuses(follow(run)) == ["ok"]
    assert "ideas" not in [call["step"] for call in provider.calls]
    assert "<place>Annecy</place>" in prompt_of(provider, "route")


def test_a_failed_dependency_is_named(serve_scripts: ServeScripts) -> None:
    """Parts that need the failed one fail with a message in the language of the request; the others continue."""
    url, _ = serve_trip(serve_scripts, {"packing": [Refuse(401)]})
    for language, reason in (("en", "Needs “Packing”, which failed."), ("ko", "준비물")):
        events = follow(start_trip(url, {**WISHES, "language": language}))
        ends = {fields["part"]: fields for fields in named(events, "part_end")}
        assert {name for name, end in ends.items() if end["status"] == "failed"} == {"packing", "budget"}
        assert reason in ends["budget"]["message"]
        assert statuses(events) == ["partial"]


def test_a_run_belongs_to_the_routes_of_its_composition(serve_scripts: ServeScripts) -> None:
    url, _ = serve_trip(serve_scripts)
    root = url.removesuffix("/trip")
    trip, recipe = start_trip(url), start(root)
    trip_id, recipe_id = trip.rsplit("/")[-1], recipe.rsplit("/")[-1]
    for address in (f"{root}/runs/{trip_id}", f"{url}/runs/{recipe_id}", f"{root}/runs/{trip_id}/events"):
        assert ask("GET", address).status_code == 404
    foreign = ask("POST", f"{root}/runs/{trip_id}/parts/steps", headers={"Sizzle-Run-Key": trip.key})
    assert foreign.status_code == 404
    assert ask("POST", f"{trip}/parts/steps", headers={"Sizzle-Run-Key": trip.key}).status_code == 422


def test_a_wrong_request_names_the_field(serve_scripts: ServeScripts) -> None:
    url, _ = serve_trip(serve_scripts)
    for path in ("generate", "runs"):
        answer = ask("POST", f"{url}/{path}", json={**WISHES, "days": 99})
        assert [answer.status_code, answer.json()["detail"][0]["field"]] == [422, "days"]


def test_langserve_runs_the_composition_and_its_parts(serve_scripts: ServeScripts) -> None:
    url, provider = serve_trip(serve_scripts)
    whole = ask("POST", f"{url}/chains/trip/invoke", json={"input": WISHES})
    assert whole.json()["output"].startswith(MARKDOWN)
    part = ask(
        "POST", f"{url}/chains/day_by_day/invoke", json={"input": {**WISHES, "place": "Lyon", "route": "1. <b>"}}
    )
    assert part.json()["output"] == TEXTS["day_by_day"]
    assert "<route>\n1. &lt;b&gt;\n</route>" in prompt_of(provider, "day_by_day")
    missing = ask("POST", f"{url}/chains/budget/invoke", json={"input": {**WISHES, "packing": "- boots"}})
    assert [missing.status_code, missing.json()["detail"][0]["field"]] == [422, "day_by_day"]


def test_the_composition_is_a_model_of_openai_clients(serve_scripts: ServeScripts) -> None:
    """A message is the request as JSON, or the value of its first text field."""
    url, provider = serve_trip(serve_scripts)
    root = url.removesuffix("/trip")
    assert "trip" in [model["id"] for model in ask("GET", f"{root}/v1/models").json()["data"]]
    body = {"model": "trip", "messages": [{"role": "user", "content": json.dumps(WISHES)}]}
    answer = ask("POST", f"{root}/v1/chat/completions", json=body).json()
    assert answer["choices"][0]["message"]["content"].startswith(MARKDOWN)
    body = {"model": "trip", "messages": [{"role": "user", "content": "old castles"}]}
    assert ask("POST", f"{root}/v1/chat/completions", json=body).status_code == 200
    assert "<interests>\nold castles\n</interests>\n<days>3</days>" in prompt_of(provider, "packing")


def test_the_recipe_stays_at_the_root(serve_scripts: ServeScripts) -> None:
    url, _ = serve_trip(serve_scripts)
    assert statuses(follow(start(url.removesuffix("/trip")))) == ["ok"]


def test_a_part_of_a_composition_has_a_model_of_its_own(serve_scripts: ServeScripts) -> None:
    """`SIZZLE_MODELS__TRIP__ROUTE` sets it, and `SIZZLE_MODELS__ROUTE` if no other composition has such a part."""
    for name in ("route", "trip.route"):
        url, provider = serve_scripts(compositions=REFERENCE, models={name: "groq-gpt-oss-120b"})
        assert wait_until(lambda url=url: ask("GET", f"{url}/healthz").status_code == 200, seconds=5)
        read(f"{url}/trip", WISHES)
        models = {call["step"]: call["body"]["model"] for call in provider.calls}
        assert [models["route"], models["ideas"]] == ["openai/gpt-oss-120b", "openai/gpt-oss-20b"]


DOCUMENTED = re.search(r"```python\n(# talks.py\n.*?)```", COMPOSITIONS.read_text("utf-8"), re.DOTALL)


def test_the_composition_in_the_documentation_is_served(tmp_path: Path, serve_scripts: ServeScripts) -> None:
    """It has the schedule that the page describes."""
    assert DOCUMENTED
    (tmp_path / "documented_talks.py").write_text(DOCUMENTED[1], "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        url, _ = serve_scripts(compositions="documented_talks:TALK")
        events = read(f"{url}/talk", {"topic": "tides"})
    assert set(texts(events)) == {"ideas", "outline", "questions", "closing"}
    order = [event["part"] for event in events_named(events, "part_start")]
    assert [set(order[:2]), order[2:]] == [{"ideas", "questions"}, ["outline", "closing"]]

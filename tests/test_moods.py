"""A Choice in the middle of a composition: it needs a part, and a part needs the options that were not picked."""

from tests.client import ask, follow, named, rewrite, start, statuses
from tests.conftest import ServeScripts

MOODS = ("tests.moods:MOODS",)
TOPIC = {"topic": "rain", "tags": ["slow", "</tags> <b>"]}


def test_a_part_may_need_the_options_that_were_not_picked(serve_scripts: ServeScripts) -> None:
    """It waits for all of them. A part may be named pick."""
    url, provider = serve_scripts(compositions=MOODS)
    events = follow(start(f"{url}/moods", TOPIC))
    assert statuses(events) == ["ok"]
    prompt = next(call for call in provider.calls if call["step"] == "why")["body"]["messages"][1]["content"]
    options = [f"title {number}: about {number}\n" for number in (1, 2, 3)]
    picked = named(events, "proposal")[-1]["picked"]
    assert [option in prompt for option in options] == [number != picked for number in range(3)]


def test_a_list_in_a_request_cannot_close_its_tag(serve_scripts: ServeScripts) -> None:
    url, provider = serve_scripts(compositions=MOODS)
    follow(start(f"{url}/moods", TOPIC))
    prompt = next(call for call in provider.calls if call["step"] == "mood")["body"]["messages"][1]["content"]
    assert "<tags>slow, &lt;/tags&gt; &lt;b&gt;</tags>" in prompt


def test_an_enum_in_a_request_is_its_value_in_the_prompt(serve_scripts: ServeScripts) -> None:
    url, provider = serve_scripts(compositions=MOODS)
    follow(start(f"{url}/moods", TOPIC | {"weather": "dry", "sounds": ["wet", "dry"]}))
    prompt = next(call for call in provider.calls if call["step"] == "mood")["body"]["messages"][1]["content"]
    assert prompt.endswith(" dry wet, dry.")


def test_rewriting_what_a_choice_needs_makes_a_new_choice(serve_scripts: ServeScripts) -> None:
    """The options are proposed again, and their dependents wait for the new pick."""
    url, provider = serve_scripts(compositions=MOODS)
    run = start(f"{url}/moods", TOPIC)
    first = follow(run)
    assert rewrite(run, "mood").status_code == 202
    again = follow(run, first[-2].id)
    assert sorted(fields["part"] for fields in named(again, "part_start")) == ["ideas", "mood", "pick", "why"]
    assert named(again, "proposal")
    order = [call["step"] for call in provider.calls][4:]
    assert order[:2] == ["mood", "ideas"]


def test_a_message_that_is_half_a_json_object_is_a_400(serve_scripts: ServeScripts) -> None:
    url, _ = serve_scripts(compositions=MOODS)
    body = {"model": "moods", "messages": [{"role": "user", "content": '{"topic": "rain"'}]}
    answer = ask("POST", f"{url}/v1/chat/completions", json=body)
    assert [answer.status_code, answer.json()["error"]["param"]] == [400, "messages"]
    assert "ngredients" not in answer.json()["error"]["message"]


def test_a_chosen_option_stays_when_what_the_choice_needed_is_rewritten(serve_scripts: ServeScripts) -> None:
    url, provider = serve_scripts(compositions=MOODS)
    run = start(f"{url}/moods", TOPIC | {"choice": {"title": "Puddles", "about": "To jump in."}})
    first = follow(run)
    calls = len(provider.calls)
    assert rewrite(run, "mood").status_code == 202
    again = follow(run, first[-2].id)
    assert [statuses(again), sorted(fields["part"] for fields in named(again, "part_start"))] == [
        ["ok"],
        ["mood", "pick", "why"],
    ]
    prompts = [call["body"]["messages"][1]["content"] for call in provider.calls[calls:]]
    assert "Write about the idea Puddles." in prompts

"""POST /generate: the seed's wire, what goes on beside it, and what happens when something fails."""

import html
import json
import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse

from app.sse import CODES
from tests.conftest import Serve, ServeScripts
from tests.servers import RECIPES, Finish, Gate, Provider, Refuse, default_script

ASKED = {"ingredientsOnHand": "beef flank, onions, peppers", "prepTime": "45"}
Event = tuple[str, str, str]  # the event field, the code, the text


def read(url: str, asked: dict[str, Any] | None = None, seen: Callable[[Event], None] = lambda _: None) -> list[Event]:
    """All events of one answer; `seen` is called with each as it comes."""
    events: list[Event] = []
    with httpx.Client(timeout=20) as client, connect_sse(client, "POST", f"{url}/generate", json=asked or ASKED) as sse:
        for event in sse.iter_sse():
            code, _, text = event.data.partition("|")
            events.append((event.event, code, text))
            seen(events[-1])
    return events


def texts(events: list[Event]) -> dict[str, str]:
    """What the seed's page ends up with, by code."""
    written: dict[str, str] = {}
    for name, code, text in events:
        if name == "message":
            written[code] = written.get(code, "") + text
    return written


def told(events: list[Event], name: str) -> list[dict[str, Any]]:
    """The JSON of the named events."""
    return [json.loads(text) for event, _, text in events if event == name]


def where(events: list[Event], code: str) -> list[int]:
    """The positions of a code's fragments."""
    return [place for place, (event, held, _) in enumerate(events) if event == "message" and held == code]


def start_of(events: list[Event], part: str) -> int:
    """The position at which a part's model was asked."""
    return next(i for i, (event, _, text) in enumerate(events) if event == "part_start" and f'"{part}"' in text)


def test_all_six_codes_come_and_the_run_ends_once(serve_scripts: ServeScripts) -> None:
    """A recipe is six parts under the seed's codes, then exactly one end."""
    url, _ = serve_scripts()
    events = read(url)
    assert texts(events).keys() == set(CODES.values())
    assert texts(events)["ste"] == "steps one, steps two."
    assert events[0][0] == "run"
    assert [told(events, "end")[0]["status"], events[-1][0]] == ["ok", "end"]
    assert {end["status"] for end in told(events, "part_end")} == {"ok"}


def test_the_wire_byte_for_byte(serve_scripts: ServeScripts) -> None:
    """Pipes, angle brackets and ampersands are references, newlines are ⮑, and every other character is itself."""
    tricky = ["a|b<i>&\n", "\r\nété 🥘 ", "소고기를\u2028 ", '"q" {x} ⮑;', "don't"]
    url, _ = serve_scripts({"intro": tricky, "sides": ["\n"], "nutrition": ["data: x", "\n\nevent: y"]})
    with httpx.Client() as client, client.stream("POST", f"{url}/generate", json=ASKED) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-accel-buffering"] == "no"
        assert "no-" in response.headers["cache-control"]
        body = b"".join(response.iter_raw())
    lines = [line for line in body.split(b"\n\n") if line.startswith(b"data: ")]
    assert [line.decode() for line in lines if line.startswith(b"data: int|")] == [
        "data: int|a&#124;b&lt;i&gt;&amp;⮑",
        "data: int|⮑été 🥘 ",
        "data: int|소고기를\u2028 ",
        'data: int|"q" {x} ⮑;',
        "data: int|don't",
    ]
    assert b"data: sde|\xe2\xae\x91\n\n" in body
    assert [line for line in lines if line.startswith(b"data: ing|")] == [
        b"data: ing|data: x",
        "data: ing|⮑⮑event: y".encode(),
    ]
    names = [recipe["name"] for recipe in RECIPES]
    assert all(line.count(b"|") == 1 for line in lines)
    alternates = [line for line in lines if line.startswith(b"data: alt|")]
    assert len(alternates) == 2
    for line in alternates:
        name = line.decode().removeprefix("data: alt|<li><b>").partition("</b>")[0]
        intro = html.escape(RECIPES[names.index(name)]["intro"])
        assert line.decode() == f"data: alt|<li><b>{name}</b> &nbsp;<i>{intro}</i></li>"


def test_characters_split_across_reads_arrive_whole(serve_scripts: ServeScripts) -> None:
    """A Korean syllable or an emoji that is cut by the network anywhere is put together again."""
    chunk = {"choices": [{"index": 0, "delta": {"content": "소고기 🥘 볶음"}, "finish_reason": None}]}
    raw = b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"
    bytewise = [raw[i : i + 1] for i in range(len(raw))]
    url, _ = serve_scripts({"intro": bytewise})
    assert texts(read(url))["int"] == "소고기 🥘 볶음"


def test_the_seeds_own_page_can_read_it(serve_scripts: ServeScripts) -> None:
    """Taking what is between the first two pipes, ⮑ as a newline, and appending it as HTML shows the model's text."""
    said = "1. Fry <hot> & fast | 5 min\n2. Eat"
    url, _ = serve_scripts({"steps": [said[:9], said[9:]]})
    page = dict.fromkeys(CODES.values(), "")
    for _, code, text in read(url):
        if code in page:
            page[code] += text.split("|")[0].replace("⮑", "\n")
    assert html.unescape(page["ste"]) == said


def test_events_of_our_own_have_a_code_that_no_page_knows(serve_scripts: ServeScripts) -> None:
    """A named event's code is its name: a word, so that a selector made of it is valid, and never a part's code."""
    url, _ = serve_scripts()
    for event, code, _ in read(url):
        assert code in CODES.values() if event == "message" else code == event
        assert code.replace("_", "").isalpha()


def test_the_four_concurrent_parts_are_interleaved(serve_scripts: ServeScripts) -> None:
    """Intro, ingredients, nutrition and sides all write before any of them ends."""
    gates = {part: Gate() for part in ("intro", "ingredients", "nutrition", "sides")}
    url, _ = serve_scripts({part: ["first ", gate, "last"] for part, gate in gates.items()})
    writing: set[str] = set()

    def open_when_all_write(event: Event) -> None:
        if event[0] == "message" and event[1] in {"int", "add", "ing", "sde"}:
            writing.add(event[1])
        if len(writing) == 4:
            for gate in gates.values():
                gate.open()

    events = read(url, seen=open_when_all_write)
    assert told(events, "end")[0]["status"] == "ok"
    first_end = next(i for i, event in enumerate(events) if event[0] == "part_end" and "alternates" not in event[2])
    assert {code for code in ("int", "add", "ing", "sde") if where(events, code)[0] < first_end} == writing


def test_steps_wait_for_the_ingredients_only(serve_scripts: ServeScripts) -> None:
    """The steps are written to their end while the intro is still held, and their prompt holds the ingredients."""
    held = Gate()
    url, provider = serve_scripts({"intro": ["once ", held, "done"], "ingredients": ["- 300 g beef"]})

    def open_after_steps(event: Event) -> None:
        if event[0] == "part_end" and '"steps"' in event[2]:
            held.open()

    events = read(url, seen=open_after_steps)
    assert max(where(events, "ste")) < max(where(events, "int"))
    assert start_of(events, "steps") > max(where(events, "add"))
    asked = next(call for call in provider.calls if call["step"] == "steps")
    assert "<ingredients_needed>\n- 300 g beef\n</ingredients_needed>" in asked["body"]["messages"][1]["content"]


def test_nutrition_starts_beside_the_proposal(serve_scripts: ServeScripts) -> None:
    """Nutrition is written to its end before the proposal has a word."""
    held = Gate()
    url, _ = serve_scripts({"proposal": [held, json.dumps(RECIPES)]})

    def open_after_nutrition(event: Event) -> None:
        if event[0] == "part_end" and '"nutrition"' in event[2]:
            held.open()

    events = read(url, seen=open_after_nutrition)
    assert max(where(events, "ing")) < start_of(events, "intro")
    assert told(events, "end")[0]["status"] == "ok"


def seed_that_picks(place: int) -> int:
    return next(seed for seed in range(100) if Random(seed).randrange(3) == place)


@pytest.mark.parametrize("place", [0, 1])
def test_the_stage_starts_when_the_picked_recipe_is_complete(serve_scripts: ServeScripts, place: int) -> None:
    """The parts behind the pick are written while the proposal's later recipes are still to come."""
    held = Gate()
    whole = json.dumps(RECIPES)
    cut = whole.index("}", whole.index(RECIPES[place]["name"])) + 1
    url, _ = serve_scripts({"proposal": [whole[:cut], held, whole[cut:]]})

    def open_after_steps(event: Event) -> None:
        if event[0] == "part_end" and '"steps"' in event[2]:
            held.open()

    events = read(url, ASKED | {"seed": seed_that_picks(place)}, seen=open_after_steps)
    assert told(events, "proposal")[0] == {"recipes": RECIPES[: place + 1], "picked": place}
    assert told(events, "proposal")[-1] == {"recipes": RECIPES, "picked": place}
    assert told(events, "end")[0]["status"] == "ok"
    assert len(where(events, "alt")) == 2


@pytest.mark.parametrize("part", ["ingredients", "intro", "nutrition", "sides", "steps"])
def test_a_part_fails_alone(serve_scripts: ServeScripts, part: str) -> None:
    """Whichever part its provider refuses, the others are complete, but for the steps, which need the ingredients."""
    url, _ = serve_scripts({part: [Refuse(500)]})
    events = read(url)
    lost = {"ingredients", "steps"} if part == "ingredients" else {part}
    assert {end["part"] for end in told(events, "part_end") if end["status"] == "failed"} == lost
    assert {end["part"] for end in told(events, "part_end") if end["status"] == "ok"} == CODES.keys() - lost
    assert {error["part"] for error in told(events, "error")} == lost
    assert told(events, "end")[0]["status"] == "partial"


def test_a_part_that_breaks_off_keeps_what_was_written(serve_scripts: ServeScripts) -> None:
    """A stream that ends without finish_reason is cut off, never done; one at its limit says so."""
    url, _ = serve_scripts({"intro": ["half a sen", Finish(None)], "steps": ["1. Cut", Finish("length")]})
    events = read(url)
    ends = {end["part"]: end for end in told(events, "part_end")}
    assert texts(events)["int"] == "half a sen"
    assert [ends["intro"]["status"], ends["intro"]["finish_reason"]] == ["cut_off", None]
    assert [ends["steps"]["status"], ends["steps"]["finish_reason"]] == ["cut_off", "length"]
    assert "limit" in ends["steps"]["message"]
    assert told(events, "end")[0]["status"] == "partial"


def test_an_error_within_the_stream_fails_the_part(serve_scripts: ServeScripts) -> None:
    """`data: {"error": …}` after some text, unreadable JSON and an answer without a word are failures."""
    url, _ = serve_scripts(
        {
            "intro": ["some ", b'data: {"error": {"message": "sk-canary-1234 overloaded"}}\n\n'],
            "sides": [b"data: {half\n\n"],
            "nutrition": [Finish("stop")],
        }
    )
    events = read(url)
    assert {end["part"] for end in told(events, "part_end") if end["status"] == "failed"} == {
        "intro",
        "sides",
        "nutrition",
    }
    assert texts(events)["int"] == "some "


@pytest.mark.parametrize(
    ("status", "hint"),
    [(400, "registry"), (401, "API key"), (403, "API key"), (404, "model's id"), (429, "wait"), (503, "try again")],
)
def test_a_refused_proposal_fails_the_run_in_words_for_people(
    serve_scripts: ServeScripts, caplog: pytest.LogCaptureFixture, status: int, hint: str
) -> None:
    """The run's error says what to do, nutrition is complete, and nothing of the provider's own words is anywhere."""
    url, _ = serve_scripts({"proposal": [Refuse(status)]})
    events = read(url)
    assert hint in next(error for error in told(events, "error") if error["part"] is None)["message"]
    assert told(events, "end")[0]["status"] == "failed"
    assert texts(events) == {"ing": "nutrition one, nutrition two."}
    assert "canary" not in str(events) + caplog.text
    assert "provider words" not in str(events) + caplog.text
    assert "Traceback" not in str(events) + caplog.text


@pytest.mark.parametrize(
    "written",
    [
        '```json\n[{"name": "A", "intro": "a"}, {"name": "B", "intro": "b",},]\n```',
        'Here are {three} 5" ideas: [{"name":"A","intro":"a {x}"},{"name":"B","intro":"b"}] Enjoy!',
        '{"recipes": [{"name": "A", "intro": "a", "tags": {"k": 1}}, {"name": "B", "intro": "b"}]}',
        '[{"name": "", "intro": "none"}, {"title": 1}, {"name": "A", "intro": "a"}, {"name": "B", "intro": "b"}, {"na',
    ],
)
def test_the_proposal_is_read_tolerantly(serve_scripts: ServeScripts, written: str) -> None:
    """Code fences, trailing commas, prose, a wrapping object, unusable and unfinished entries do no harm."""
    url, provider = serve_scripts({"proposal": [written[i : i + 3] for i in range(0, len(written), 3)]})
    events = read(url)
    assert [recipe["name"] for recipe in told(events, "proposal")[-1]["recipes"]] == ["A", "B"]
    assert told(events, "end")[0]["status"] == "ok"
    assert [call["step"] for call in provider.calls].count("proposal") == 1


def test_too_few_recipes_are_asked_for_once_more(serve_scripts: ServeScripts) -> None:
    """A list of one usable recipe is asked for again, and what is there then serves."""
    url, provider = serve_scripts({"proposal": [[json.dumps(RECIPES[:1])], [json.dumps(RECIPES[1:])]]})
    events = read(url)
    assert [call["step"] for call in provider.calls].count("proposal") == 2
    assert told(events, "proposal")[-1]["recipes"] == RECIPES
    assert told(events, "end")[0]["status"] == "ok"


@pytest.mark.parametrize("proposed", ["I can't.", "[]", json.dumps(RECIPES[:1]), ""])
def test_too_few_recipes_twice_fail_the_run(serve_scripts: ServeScripts, proposed: str) -> None:
    """After the second such list the run fails with a clear message."""
    url, provider = serve_scripts({"proposal": [proposed]})
    events = read(url)
    assert told(events, "end")[0]["status"] == "failed"
    assert len([error for error in told(events, "error") if error["part"] is None]) == 1
    assert [call["step"] for call in provider.calls].count("proposal") <= 2


def test_a_client_that_goes_away_closes_the_calls(serve_scripts: ServeScripts) -> None:
    """Every call under way is closed within a second when the reader leaves, before and after the first token."""
    held = Gate()
    parts = ("intro", "ingredients", "nutrition", "sides")
    seen: list[str] = []
    url, provider = serve_scripts(
        {"intro": ["a ", held], "ingredients": [held], "nutrition": ["b ", held], "sides": [held, "c"]}
    )
    with httpx.Client() as client, client.stream("POST", f"{url}/generate", json=ASKED) as response:
        lines = response.iter_lines()
        while sum(line == "event: part_start" for line in seen) < 5:
            seen.append(next(lines))
        assert wait_until(lambda: {call["step"] for call in provider.calls} >= set(parts), seconds=1)
    assert wait_until(lambda: set(provider.closed) == set(parts), seconds=1)


def test_a_client_that_goes_away_before_the_pick_closes_the_calls(serve_scripts: ServeScripts) -> None:
    """A proposal that is still silent is closed too, and nothing is asked afterwards."""
    held = Gate()
    url, provider = serve_scripts({"proposal": [held], "nutrition": [held]})
    with httpx.Client() as client, client.stream("POST", f"{url}/generate", json=ASKED) as response:
        lines = response.iter_lines()
        assert sum(next(lines) == "event: part_start" for _ in range(9)) == 2
        assert wait_until(lambda: len(provider.calls) == 2, seconds=1)
    assert wait_until(lambda: set(provider.closed) == {"proposal", "nutrition"}, seconds=1)
    assert len(provider.calls) == 2


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition came true in time."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        threading.Event().wait(0.01)
    return condition()


def test_a_silent_stream_is_kept_open_by_comments(serve_scripts: ServeScripts) -> None:
    """While the models say nothing, comments come, which no reader takes for an event."""
    held = Gate()
    url, _ = serve_scripts({"proposal": [held, json.dumps(RECIPES)], "nutrition": [held]}, keep_alive_s=0.05)
    lines: list[str] = []
    with httpx.stream("POST", f"{url}/generate", json=ASKED) as response:
        for line in response.iter_lines():
            lines.append(line)
            if sum(line.startswith(":") for line in lines) == 3:
                held.open()
    assert "event: end" in lines
    assert all(line == "" or line.startswith((":", "data: ", "event: ")) for line in lines)


BAD = [
    ({}, "ingredientsOnHand"),
    ({"ingredientsOnHand": "ab"}, "ingredientsOnHand"),
    ({"ingredientsOnHand": "  a \n "}, "ingredientsOnHand"),
    ({"ingredientsOnHand": "1234, 🥘"}, "ingredientsOnHand"),
    ({"ingredientsOnHand": "x" * 2001}, "ingredientsOnHand"),
    ({"ingredientsOnHand": 7}, "ingredientsOnHand"),
    ({"ingredientsOnHand": "beef", "prepTime": "soon"}, "prepTime"),
    ({"ingredientsOnHand": "beef", "prepTime": 4}, "prepTime"),
    ({"ingredientsOnHand": "beef", "prepTime": "241"}, "prepTime"),
    ({"ingredientsOnHand": "beef", "prepTime": 30.5}, "prepTime"),
    ({"ingredientsOnHand": "beef", "language": "fr"}, "language"),
    ({"ingredientsOnHand": "beef", "model": "x"}, "model"),
]


@pytest.mark.parametrize(("body", "field"), BAD)
def test_bad_input_is_a_422_that_names_the_field(sizzle_url: str, body: dict[str, Any], field: str) -> None:
    """It says which field, what was wrong, and what is right."""
    answer = httpx.post(f"{sizzle_url}/generate", json=body)
    assert answer.status_code == 422
    (complaint,) = answer.json()["detail"]
    assert complaint["field"] == field
    assert complaint["message"].endswith(".")
    assert complaint["expected"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"beef"', b'{"ingredientsOnHand": "\\ud800 ab"}'])
def test_a_body_that_is_no_request_is_a_422(sizzle_url: str, body: bytes) -> None:
    """Whatever is sent in place of the JSON object is answered, never a 500."""
    answer = httpx.post(f"{sizzle_url}/generate", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["field"] in {"body", "ingredientsOnHand"}


def test_a_body_that_is_not_even_text_is_refused(sizzle_url: str) -> None:
    """Bytes that are no UTF-8 are a 400."""
    headers = {"content-type": "application/json"}
    assert httpx.post(f"{sizzle_url}/generate", content=b"\xff", headers=headers).status_code == 400


def test_a_huge_body_is_refused(sizzle_url: str) -> None:
    """More than 64 KiB is a 413."""
    assert httpx.post(f"{sizzle_url}/generate", json={"ingredientsOnHand": "x" * 70_000}).status_code == 413


def test_other_origins_may_ask_if_the_settings_name_them(serve: Serve) -> None:
    """The seed's own page and the origins in the settings get the CORS header, others do not."""
    url = serve(cors_origins="https://cook.example, https://eat.example")

    def allowed(origin: str) -> str | None:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        headers["Access-Control-Request-Headers"] = "content-type"
        return httpx.options(f"{url}/generate", headers=headers).headers.get("access-control-allow-origin")

    origins = ["http://localhost:5173", "https://eat.example", "https://evil.example"]
    assert [allowed(origin) for origin in origins] == [*origins[:2], None]


def test_health_says_who_answers(serve: Serve, serve_scripts: ServeScripts) -> None:
    """It names the model of each step, and whether the stand-in is among them."""
    assert httpx.get(f"{serve()}/healthz").json()["standin"] is True
    health = httpx.get(f"{serve_scripts()[0]}/healthz").json()
    assert [health["status"], health["standin"]] == ["ok", False]
    assert health["models"]["proposal"] == "groq-gpt-oss-20b"
    assert "sk-" not in str(health)


def test_numbers_and_numeric_strings_are_alike(serve_scripts: ServeScripts) -> None:
    """45 and "45" ask for the same, in the prompt of every step."""
    url, provider = serve_scripts()
    for minutes in (45, "45"):
        read(url, {"ingredientsOnHand": "beef", "prepTime": minutes})
    assert len(provider.calls) == 12
    assert all("<prep_time_minutes>45<" in call["body"]["messages"][1]["content"] for call in provider.calls)


def test_a_default_script_is_enough(serve_scripts: ServeScripts) -> None:
    """Two recipes at once on one server do not mix."""
    url, provider = serve_scripts({"intro": default_script("intro")})
    assert isinstance(provider, Provider)
    assert texts(read(url))["int"] == texts(read(url))["int"]

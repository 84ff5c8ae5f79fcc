"""POST /generate: the wire byte for byte, its named events, and invalid requests."""

import html
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.client import CODES, REQUEST, ask, events_named, read, texts, wait_until
from tests.conftest import Serve, ServeScripts
from tests.servers import RECIPES, Finish, Gate


def test_all_six_codes_arrive_and_the_run_ends_once(serve_scripts: ServeScripts) -> None:
    """A recipe has six parts under the seed's codes, then exactly one end."""
    url, _ = serve_scripts()
    events = read(url)
    assert texts(events).keys() == set(CODES.values())
    assert texts(events)["ste"] == "steps one, steps two."
    assert events[0][0] == "run"
    assert [events_named(events, "end")[0]["status"], events[-1][0]] == ["ok", "end"]
    assert {end["status"] for end in events_named(events, "part_end")} == {"ok"}


def test_the_wire_byte_for_byte(serve_scripts: ServeScripts) -> None:
    """Pipes, angle brackets and ampersands are references, newlines are ⮑, and every other character is unchanged."""
    tricky = ["a|b<i>&\n", "\r\nété 🥘 ", "소고기를\u2028 ", '"q" {x} ⮑;', "don't"]
    url, _ = serve_scripts({"intro": tricky, "sides": ["\n", "."], "nutrition": ["data: x", "\n\nevent: y"]})
    with httpx.Client() as client, client.stream("POST", f"{url}/generate", json=REQUEST) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-accel-buffering"] == "no"
        assert "no-" in response.headers["cache-control"]
        body = b"".join(response.iter_raw())
    lines = body.decode().split("\n\n")
    assert _joined(lines, "int") == 'a&#124;b&lt;i&gt;&amp;⮑⮑été 🥘 소고기를\u2028 "q" {x} ⮑;don\'t'
    assert _joined(lines, "sde") == "⮑."
    assert _joined(lines, "ing") == "data: x⮑⮑event: y"


def _joined(lines: list[str], code: str) -> str:
    return "".join(line.removeprefix(f"data: {code}|") for line in lines if line.startswith(f"data: {code}|"))


def test_characters_split_across_reads_arrive_whole(serve_scripts: ServeScripts) -> None:
    """A Korean syllable or an emoji that is cut anywhere by the network is put together again."""
    chunk = {"choices": [{"index": 0, "delta": {"content": "소고기 🥘 볶음"}, "finish_reason": None}]}
    raw = b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"
    bytewise = [raw[i : i + 1] for i in range(len(raw))]
    url, _ = serve_scripts({"intro": bytewise})
    assert texts(read(url))["int"] == "소고기 🥘 볶음"


def test_the_seeds_own_page_can_read_it(serve_scripts: ServeScripts) -> None:
    """A page that appends the text after the first pipe as HTML shows the model's text."""
    steps = "1. Fry <hot> & fast | 5 min\n2. Eat"
    url, _ = serve_scripts({"steps": [steps[:9], steps[9:]]})
    page = dict.fromkeys(CODES.values(), "")
    for _, code, text in read(url):
        if code in page:
            page[code] += text.split("|")[0].replace("⮑", "\n")
    assert html.unescape(page["ste"]) == steps


def test_events_of_our_own_have_a_code_that_no_page_knows(serve_scripts: ServeScripts) -> None:
    """A named event's code is its name: a valid selector, and never a part's code."""
    url, _ = serve_scripts()
    for event, code, _ in read(url):
        assert code in CODES.values() if event == "message" else code == event
        assert code.replace("_", "").isalpha()


def test_an_attempt_begins_a_new_paragraph(serve_scripts: ServeScripts) -> None:
    """The page already shows the earlier attempt, so the next one's text starts below it."""
    url, _ = serve_scripts(
        {"intro": [["Half a sen", Finish(None)], ["The whole."]], "sides": [[Finish("stop")], ["Rice"]]}
    )
    events = read(url)
    texts = {code: "".join(text for _, gate, text in events if gate == code) for code in ("int", "sde")}
    assert texts == {"int": "Half a sen⮑⮑The whole.", "sde": "Rice"}
    starts = [start["attempt"] for start in events_named(events, "part_start") if start["part"] == "intro"]
    assert [starts, events_named(events, "end")[0]["status"]] == [[1, 2], "ok"]


def test_an_idea_is_shown_once(serve_scripts: ServeScripts) -> None:
    """If the proposal is requested again, its complete alternates are not repeated."""
    broken_off = [json.dumps(RECIPES[:2])[:-1], Finish(None)]
    url, provider = serve_scripts({"proposal": [broken_off, [json.dumps(RECIPES)]]})
    events = read(url, {"ingredientsOnHand": "beef", "seed": 0})
    assert [call["step"] for call in provider.calls].count("proposal") == 2
    shown = "".join(text for _, code, text in events if code == "alt")
    proposal = events_named(events, "proposal")[-1]
    del proposal["options"][proposal["picked"]]
    assert re.findall("<b>(.*?)</b>", shown) == [recipe["name"] for recipe in proposal["options"]]
    assert [len(proposal["options"]), "⮑" in shown] == [2, False]


def test_a_run_ends_when_its_client_leaves(serve_scripts: ServeScripts) -> None:
    """Its calls are closed and its log is deleted."""
    url, provider = serve_scripts({"nutrition": ["Beef ", Gate()], "proposal": [Gate()]})
    with httpx.stream("POST", f"{url}/generate", json=REQUEST) as response:
        pieces = response.iter_text()
        first = next(pieces)
        assert wait_until(lambda: len(provider.calls) == 2, seconds=5)
    assert wait_until(lambda: sorted(provider.closed) == ["nutrition", "proposal"], seconds=1)
    run_id = json.loads(first.split("data: run|")[1].split("\n")[0])["run_id"]
    assert wait_until(lambda: ask("GET", f"{url}/runs/{run_id}").status_code == 404, seconds=1)


def test_a_silent_stream_is_kept_open_by_comments(serve_scripts: ServeScripts) -> None:
    """Comments are sent while the models are silent; no client takes them for events."""
    gate = Gate()
    url, _ = serve_scripts({"proposal": [gate, json.dumps(RECIPES)], "nutrition": [gate]}, keep_alive_s=0.05)
    lines: list[str] = []
    with httpx.stream("POST", f"{url}/generate", json=REQUEST) as response:
        for line in response.iter_lines():
            lines.append(line)
            if sum(line.startswith(":") for line in lines) == 3:
                gate.open()
    assert "event: end" in lines
    assert all(line == "" or line.startswith((":", "data: ", "event: ")) for line in lines)


BAD = [
    ({}, "ingredientsOnHand"),
    ({"ingredientsOnHand": "a"}, "ingredientsOnHand"),
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
    ({"ingredientsOnHand": "beef", "seed": 10**26}, "seed"),
    ({"ingredientsOnHand": "beef", "seed": True}, "seed"),
    ({"ingredientsOnHand": "beef", "seed": -1}, "seed"),
]


@pytest.mark.parametrize(("body", "field"), BAD)
def test_bad_input_is_a_422_that_names_the_field(sizzle_url: str, body: dict[str, Any], field: str) -> None:
    """It also says what was wrong and what is right."""
    answer = ask("POST", f"{sizzle_url}/generate", json=body)
    assert answer.status_code == 422
    (complaint,) = answer.json()["detail"]
    assert complaint["field"] == field
    assert complaint["message"].endswith(".")
    assert complaint["expected"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"beef"', b'{"ingredientsOnHand": "\\ud800 ab"}'])
def test_a_body_that_is_not_a_request_is_a_422(sizzle_url: str, body: bytes) -> None:
    """A body that is not JSON is a 400."""
    answer = ask("POST", f"{sizzle_url}/generate", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == (400 if body == b"{" else 422)
    assert answer.json()["detail"][0]["field"] in {"body", "ingredientsOnHand"}


def test_a_body_that_is_not_even_text_is_refused(sizzle_url: str) -> None:
    """Bytes that are not UTF-8 are a 400."""
    headers = {"content-type": "application/json"}
    assert ask("POST", f"{sizzle_url}/generate", content=b"\xff", headers=headers).status_code == 400


def test_a_huge_body_is_refused(sizzle_url: str) -> None:
    """More than a megabyte is a 413."""
    assert ask("POST", f"{sizzle_url}/generate", json={"ingredientsOnHand": "x" * 1_100_000}).status_code == 413


def test_other_origins_may_ask_if_the_settings_name_them(serve: Serve) -> None:
    """The seed's own page and the origins in the settings get the CORS header, others do not."""
    url = serve(cors_origins="https://cook.example, https://eat.example")

    def allowed(origin: str) -> str | None:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        headers["Access-Control-Request-Headers"] = "content-type"
        return httpx.options(f"{url}/generate", headers=headers).headers.get("access-control-allow-origin")

    origins = ["http://localhost:5173", "https://eat.example", "https://evil.example"]
    assert [allowed(origin) for origin in origins] == [*origins[:2], None]


def test_health_names_the_models(serve: Serve, serve_scripts: ServeScripts) -> None:
    """It names the model of each part, and whether the stand-in is among them."""
    assert ask("GET", f"{serve()}/healthz").json()["standin"] is True
    health = ask("GET", f"{serve_scripts()[0]}/healthz").json()
    assert [health["status"], health["standin"]] == ["ok", False]
    assert health["models"]["alternates"] == "groq-gpt-oss-20b"
    assert "sk-" not in str(health)


def test_numbers_and_numeric_strings_are_alike(serve_scripts: ServeScripts) -> None:
    """45 and "45" result in the same prompts."""
    url, provider = serve_scripts()
    for minutes in (45, "45"):
        read(url, {"ingredientsOnHand": "beef", "prepTime": minutes})
    assert len(provider.calls) == 12
    assert all("<prep_time_minutes>45<" in call["body"]["messages"][1]["content"] for call in provider.calls)


def test_concurrent_recipes_do_not_mix(serve_scripts: ServeScripts) -> None:
    """Eight concurrent clients each get the complete recipe for their own request."""

    def cook(number: int) -> list[str]:
        events = read(url, {"ingredientsOnHand": f"beef no. {number}", "seed": number})
        assert events_named(events, "run")[0]["request"]["ingredientsOnHand"] == f"beef no. {number}"
        return sorted(texts(events))

    url, provider = serve_scripts()
    with ThreadPoolExecutor(8) as readers:
        assert list(readers.map(cook, range(8))) == [sorted(CODES.values())] * 8
    for number in range(8):
        bodies = [
            call for call in provider.calls if f"beef no. {number}\n" in str(call["body"]["messages"][1]["content"])
        ]
        assert len(bodies) == 6

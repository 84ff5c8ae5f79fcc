"""The race, as `sizzle race` and as `POST /race`: what is measured, in which order, and what failures do to it."""

import json
import os
import pty
import re
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pyte
import pytest
from httpx_sse import connect_sse

from app.models import open_models
from chains.race import PROMPT, RaceEnd, Result, race
from tests import commands
from tests.client import wait_until
from tests.conftest import Serve, ServeScripts
from tests.servers import Finish, Gate, Provider, Refuse, Script, provider, run, settings_from

FAST = {"SIZZLE_STANDIN_TTFT_MS": "5", "SIZZLE_STANDIN_TOKENS_PER_S": "2000"}
ONE, OTHER = "groq-gpt-oss-20b", "groq-gpt-oss-120b"
PNG = b"\x89PNG\r\n\x1a\n"


def usage(tokens: int, **details: int) -> bytes:
    """The chunk in which a provider counts tokens."""
    counted = {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
    return f"data: {json.dumps(chunk | {'usage': counted | {'completion_tokens_details': details}})}\n\n".encode()


ANSWER: Script = ["Slice ", "the ", "beef.", usage(3)]


def sizzle(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs `sizzle race` to its end."""
    return commands.sizzle("race", *arguments, **FAST, **environment)


def over(scripted: Provider) -> dict[str, str]:
    """The environment in which Groq is the scripted provider."""
    return {"GROQ_API_KEY": "sk-secret", "SIZZLE_GROQ_BASE_URL": scripted.url}


def models(document: str) -> dict[str, Any]:
    """What `--json` says of each model."""
    return {row["model"]: row for row in json.loads(document)["models"]}


def events(url: str, **asked: Any) -> list[tuple[str, Any]]:
    """The events of `POST /race`."""
    with httpx.Client(timeout=30) as client, connect_sse(client, "POST", f"{url}/race", json=asked) as source:
        return [(event.event, json.loads(event.data)) for event in source.iter_sse()]


def results(url: str, **asked: Any) -> dict[str, Any]:
    return {said["model"]: said for name, said in events(url, **asked) if name == "result"}


# `sizzle race`


def test_without_a_key_the_stand_in_is_measured_and_said_to_be() -> None:
    """Without a terminal there is a plain table, ranked, with its definitions, and who answered is said below it."""
    done = sizzle("--rounds", "1")
    assert done.returncode == 0
    assert re.search(r"^ *1 +stand-in +Rule-based stand-in +\d+ +\d+ +[\d,]+ +\d+ +\d+ ", done.stdout, re.MULTILINE)
    assert "not a language model" in done.stdout.splitlines()[-1]
    assert "\x1b" not in done.stdout


def test_json_has_every_round_and_figures_that_fit_each_other() -> None:
    """Best is the round with the shortest time to the first token; TPS, median and total follow from the rounds."""
    done = sizzle("--rounds", "3", "--json")
    document = json.loads(done.stdout)
    assert [document["rounds"], document["prompt"], document["standin"]] == [3, PROMPT, True]
    (row,) = document["models"]
    assert [row["model"], row["provider"], row["failure"]] == ["stand-in", "standin", None]
    assert len(row["rounds"]) == 3
    assert row["best"] == min(row["rounds"], key=lambda figures: figures["ttft_ms"])
    assert row["median"] == {name: median(figures[name] for figures in row["rounds"]) for name in row["best"]}
    for figures in row["rounds"]:
        assert figures["tokens"] > 100
        assert 5 <= figures["ttft_ms"] < figures["total_ms"]
        seconds = (figures["total_ms"] - figures["ttft_ms"]) / 1000
        assert figures["tokens_per_s"] == pytest.approx((figures["tokens"] - 1) / seconds, rel=0.01)


def test_rounds_are_interleaved_behind_a_warm_up() -> None:
    """Each model is asked once more than there are rounds, one after the other, with the same prompt and limits."""
    with provider({"completion": ANSWER}) as scripted:
        done = sizzle(OTHER, ONE, "--rounds", "2", "--json", **over(scripted))
    sent = [call["body"] for call in scripted.calls]
    assert [body["model"] for body in sent] == ["openai/gpt-oss-120b", "openai/gpt-oss-20b"] * 3
    for body in sent:
        assert body["messages"] == [{"role": "user", "content": PROMPT}]
        assert [body["temperature"], body["max_completion_tokens"]] == [0, 500]
    assert {name: len(row["rounds"]) for name, row in models(done.stdout).items()} == {ONE: 2, OTHER: 2}


def test_a_failed_model_gives_its_reason_and_the_others_go_on() -> None:
    """What the provider itself said is nowhere; one measured model is success, none is not."""
    with provider({"completion": ANSWER}) as answering, provider({"completion": [Refuse(401)]}) as refusing:
        fireworks = {"FIREWORKS_API_KEY": "sk-secret", "SIZZLE_FIREWORKS_BASE_URL": refusing.url}
        done = sizzle("--rounds", "2", **over(answering), **fireworks)
        none = sizzle("fireworks-glm-flash", **fireworks)
    assert [done.returncode, none.returncode] == [0, 1]
    reason = "fireworks-glm-flash failed: Fireworks did not accept the key (401): check the provider's API key"
    assert reason in done.stdout
    assert reason in none.stdout
    assert [len(answering.calls), len(refusing.calls)] == [6, 3]
    assert re.findall(r"^ *(\d)? +(\S+gpt\S+|\S+flash) +\w+", done.stdout, re.MULTILINE)[2:] == [
        ("", "fireworks-glm-flash"),
        ("", "fireworks-gpt-oss-120b"),
    ]
    assert not re.search("canary|sk-secret|Traceback", done.stdout + done.stderr + none.stdout + none.stderr)


def test_what_was_measured_before_a_failure_is_kept() -> None:
    """A model that fails in its last round has its figures, and still comes after those that did not fail."""
    with provider({"completion": [ANSWER] * 5 + [[Refuse(429)]]}) as scripted:
        done = sizzle(ONE, OTHER, "--rounds", "2", "--json", **over(scripted))
    rows = models(done.stdout)
    assert list(rows) == [ONE, OTHER]
    assert [len(rows[OTHER]["rounds"]), rows[OTHER]["best"]] == [1, rows[OTHER]["rounds"][0]]
    assert "wait a minute" in rows[OTHER]["failure"]
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["gpt-nope"], [ONE, "stand-in"]),
        (["fireworks-glm-flash"], ["FIREWORKS_API_KEY"]),
        (["my-llama"], ["SIZZLE_KEYS__MINE"]),
        (["stand-in"], ["no other model"]),
        (["--rounds", "0"], ["--rounds"]),
        (["--rounds", "21"], ["--rounds"]),
        (["--plot", "/nowhere/race.png"], ["--plot", "/nowhere/race.png"]),
        (["--plot", "race.jpg"], ["--plot", ".png"]),
    ],
)
def test_what_can_not_be_measured_is_named_before_anything_is(
    arguments: list[str], named: list[str], tmp_path: Path
) -> None:
    """A model that is unknown or has no key, and a picture that can't be written, end it with 2 and no call."""
    registry = tmp_path / "registry.toml"
    registry.write_text(
        '[providers.mine]\nlabel = "Mine"\nbase_url = "http://127.0.0.1:9/v1"\n'
        '[models.my-llama]\nprovider = "mine"\nid = "l"\ncontext_window = 9\nmax_output = 9\n',
        encoding="utf-8",
    )
    with provider() as scripted:
        done = sizzle(*arguments, **over(scripted), SIZZLE_REGISTRY=str(registry))
    assert done.returncode == 2
    said = re.sub(r"[│\s]+", " ", done.stderr)
    assert all(name in said for name in named)
    assert "Traceback" not in said
    assert scripted.calls == []


def test_plot_draws_a_png(tmp_path: Path) -> None:
    """`--plot` writes the picture beside the table, failed models and all."""
    picture = tmp_path / "race.png"
    with provider({"completion": [ANSWER, [Refuse(500)], ANSWER]}) as scripted:
        done = sizzle("--rounds", "1", "--plot", str(picture), **over(scripted))
    assert [done.returncode, done.stderr.count("Traceback")] == [0, 0]
    assert picture.read_bytes().startswith(PNG)


def test_plot_without_matplotlib_says_how_to_get_it(tmp_path: Path) -> None:
    """It is one line, before anything is measured, and leaves no file."""
    (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError(name='matplotlib')", encoding="utf-8")
    picture = tmp_path / "race.png"
    with provider() as scripted:
        env = os.environ | over(scripted) | {"PYTHONPATH": str(tmp_path)}
        command = [commands.SIZZLE, "race", "--plot", str(picture)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)  # noqa: S603
    assert [done.returncode, done.stderr.count("\n")] == [1, 1]
    assert "-m pip install matplotlib" in done.stderr
    assert scripted.calls == []
    assert not picture.exists()


def drawn_on(columns: int, main_end: int, seen: Callable[[str], None] = lambda _: None) -> list[str]:
    """The lines of the terminal when the program has ended; `seen` is called with all of them at each change."""
    screen = pyte.Screen(columns, 24)
    stream = pyte.ByteStream(screen)
    with open(main_end, "rb", buffering=0) as terminal:
        try:
            while piece := terminal.read(65536):
                stream.feed(piece)
                seen("\n".join(screen.display))
        except OSError:  # what reading a pty answers when the other end is closed
            pass
    assert not screen.cursor.hidden
    return [line.rstrip() for line in screen.display]


def on_a_terminal(columns: int, env: dict[str, str]) -> tuple[commands.Command, int]:
    main_end, terminal_end = pty.openpty()
    termios.tcsetwinsize(terminal_end, (24, columns))
    env = os.environ | {"TERM": "xterm-256color"} | env
    with open(os.devnull, "wb") as nowhere:
        process = commands.Command(("race", "--rounds", "2"), env, terminal_end, nowhere.fileno())
    os.close(terminal_end)
    return process, main_end


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_shows_one_whole_table_at_the_end(columns: int) -> None:
    """On a tty the table is drawn again for each call and stands there once, with ranks, figures and bars."""
    with provider({"completion": ANSWER}) as scripted:
        process, main_end = on_a_terminal(columns, over(scripted))
        lines = drawn_on(columns, main_end)
    assert process.wait(10) == 0
    ranked = [line.split() for line in lines if line.lstrip().startswith(("1 ", "2 "))]
    assert [row[:2] for row in ranked] in ([["1", ONE], ["2", OTHER]], [["1", OTHER], ["2", ONE]])
    assert all("█" in "".join(row) for row in ranked)
    assert sum("TTFT ms" in line for line in lines) == 1
    assert not any("round" in line or "…" in line for line in lines)


def test_ctrl_c_ends_it_and_leaves_the_terminal_as_it_was() -> None:
    """The cursor is back, what was measured stands there, and the call to the provider is closed."""
    with provider({"completion": [ANSWER] * 3 + [["Slice ", Gate()]]}) as scripted:
        process, main_end = on_a_terminal(80, over(scripted))
        signals = [signal.SIGINT]

        def interrupt(shown: str) -> None:
            if signals and re.search(rf"{OTHER} +round 1 of 2", shown):
                assert wait_until(lambda: len(scripted.calls) == 4, seconds=5)
                process.send_signal(signals.pop())

        lines = drawn_on(80, main_end, interrupt)
        assert process.wait(10) == 130
        assert wait_until(lambda: scripted.closed == ["completion"], seconds=2)
    assert sum(line.lstrip().startswith("1 ") for line in lines) == 1
    assert "Traceback" not in "\n".join(lines)


# `POST /race`


def test_each_call_is_told_and_the_ranking_is_the_end(serve_scripts: ServeScripts) -> None:
    """Start, warm-ups, rounds with their figures, a result for each model, and `end` always last."""
    url, _ = serve_scripts({"completion": ANSWER}, race=True)
    told = events(url, rounds=2)
    assert [(name, said.get("model"), said.get("round")) for name, said in told] == [
        ("start", None, None),
        ("call", ONE, 0),
        ("call", OTHER, 0),
        ("call", ONE, 1),
        ("round", ONE, 1),
        ("call", OTHER, 1),
        ("round", OTHER, 1),
        ("call", ONE, 2),
        ("round", ONE, 2),
        ("result", ONE, None),
        ("call", OTHER, 2),
        ("round", OTHER, 2),
        ("result", OTHER, None),
        ("end", None, None),
    ]
    entrant = {"model": ONE, "provider": "groq", "label": "Groq"}
    assert told[0][1] == {"entrants": [entrant, entrant | {"model": OTHER}], "rounds": 2}
    best = {said["model"]: said["best"]["ttft_ms"] for name, said in told if name == "result"}
    assert told[-1][1] == {"ranking": sorted(best, key=lambda name: best[name])}
    assert [said["figures"]["tokens"] for name, said in told if name == "round"] == [3] * 4


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (["Slice ", Finish(None)], "broke off"),
        (["Slice ", Finish("content_filter")], "content filter"),
        ([Finish("stop")], "without a word"),
        ([Finish("length")], "before it wrote a word"),
        (["Slice ", b"data: {half\n\n"], "can't be read"),
        ([Refuse(503)], "failed (503)"),
    ],
)
def test_an_answer_that_is_not_whole_is_a_failure(serve_scripts: ServeScripts, script: Script, reason: str) -> None:
    """It fails that model in words of our own, and the race still comes to its end."""
    url, _ = serve_scripts({"completion": [ANSWER, ANSWER, script, ANSWER]}, race=True)
    measured = results(url, rounds=1)
    assert reason in measured[ONE]["failure"]
    assert [measured[OTHER]["failure"], len(measured[OTHER]["rounds"])] == [None, 1]


def test_an_answer_cut_off_at_the_limit_is_whole_enough(serve_scripts: ServeScripts) -> None:
    """The limit is ours, so reaching it is no failure."""
    url, _ = serve_scripts({"completion": ["Slice ", "the ", usage(2), Finish("length")]}, race=True)
    assert results(url, rounds=1, models=[ONE])[ONE]["failure"] is None


def test_the_first_token_is_the_first_text(serve_scripts: ServeScripts) -> None:
    """The empty delta that opens an answer stops no clock: time to the first token covers the wait after it."""
    gate, held = Gate(), 0.0
    url, scripted = serve_scripts({"completion": [ANSWER, [gate, "Slice ", "it.", usage(5)]]}, race=True)
    asked = {"rounds": 1, "models": [ONE]}
    with httpx.Client(timeout=30) as client, connect_sse(client, "POST", f"{url}/race", json=asked) as source:
        for event in source.iter_sse():
            told = json.loads(event.data)
            if event.event == "call" and told["round"] == 1:
                assert wait_until(lambda: len(scripted.calls) == 2, seconds=5)
                start = time.perf_counter()
                threading.Event().wait(0.1)
                held = (time.perf_counter() - start) * 1000
                gate.open()
            if event.event == "result":
                assert held <= told["best"]["ttft_ms"] < told["best"]["total_ms"]
    assert held


@pytest.mark.parametrize(
    ("counted", "tokens", "has_rate"),
    [([], None, False), ([usage(1)], 1, False), ([usage(40)], 40, True), ([usage(40, reasoning_tokens=30)], 10, True)],
    ids=["uncounted", "one", "text", "reasoning"],
)
def test_tokens_are_those_of_the_text_as_the_provider_counts_them(
    serve_scripts: ServeScripts, counted: Script, tokens: int | None, has_rate: bool
) -> None:
    """Without a count, or for a single token, there is no rate; reasoning, which comes first, is not part of it."""
    url, _ = serve_scripts({"completion": ["Slice ", "it.", *counted]}, race=True)
    best = results(url, rounds=1, models=[ONE])[ONE]["best"]
    assert [best["tokens"], best["tokens_per_s"] is not None] == [tokens, has_rate]


def test_a_call_without_end_is_given_up() -> None:
    """A model that keeps a call open beyond the deadline fails, and the call is closed."""

    async def told(url: str) -> list[Any]:
        settings = settings_from(groq_api_key="sk-1", groq_base_url=url)
        async with (
            open_models(settings) as cooks,
            aclosing(race({ONE: cooks.completion_models[ONE]}, 3, deadline_s=0.3)) as going,
        ):
            return [progress async for progress in going]

    with provider({"completion": ["Slice ", Gate()]}) as scripted:
        *_, result, end = run(told(scripted.url))
        assert wait_until(lambda: scripted.closed == ["completion"], seconds=2)
    reason = "Groq took longer than 0.3 seconds for one answer: try again."
    assert [result, end] == [Result(ONE, (), None, None, reason), RaceEnd((ONE,))]


def test_one_race_at_a_time_and_it_ends_with_its_reader(serve_scripts: ServeScripts) -> None:
    """A second race gets 409; when the reader leaves, its call is closed and the next race can start."""
    url, scripted = serve_scripts({"completion": [["Slice ", Gate()], ANSWER]}, race=True)
    with httpx.stream("POST", f"{url}/race", json={}, timeout=30) as first:
        assert wait_until(lambda: len(scripted.calls) == 1, seconds=5)
        second = httpx.post(f"{url}/race", json={})
        assert [first.status_code, second.status_code] == [200, 409]
        assert "running" in second.json()["detail"]
    assert wait_until(lambda: scripted.closed == ["completion"], seconds=2)
    assert wait_until(lambda: httpx.post(f"{url}/race", json={"rounds": 1}).status_code == 200, seconds=2)


def test_bad_input_does_not_hold_the_track(serve_scripts: ServeScripts) -> None:
    """A refused request leaves the way free for the next."""
    url, _ = serve_scripts({"completion": ANSWER}, race=True)
    assert httpx.post(f"{url}/race", json={"rounds": 0}).status_code == 422
    assert events(url, rounds=1)[-1][0] == "end"


def test_with_a_key_the_race_is_off_unless_the_settings_allow_it(serve_scripts: ServeScripts) -> None:
    """It is a 403 that says what to set, nothing is sent, and the page is told as much."""
    url, scripted = serve_scripts()
    answer = httpx.post(f"{url}/race", json={})
    assert [answer.status_code, "SIZZLE_RACE=true" in answer.json()["detail"]] == [403, True]
    assert scripted.calls == []
    told = httpx.get(f"{url}/race/entrants").json()
    assert [told["off"], told["standin"]] == [answer.json()["detail"], False]


def test_without_a_key_the_race_is_on(serve: Serve) -> None:
    """The stand-in costs nothing."""
    url = serve(standin_ttft_ms=5, standin_tokens_per_s=0)
    told = httpx.get(f"{url}/race/entrants").json()
    assert [told["off"], told["standin"], [entrant["model"] for entrant in told["entrants"]]] == [
        None,
        True,
        ["stand-in"],
    ]
    assert events(url, rounds=1)[-1] == ("end", {"ranking": ["stand-in"]})


@pytest.mark.parametrize(
    ("asked", "field", "right"),
    [
        ({"rounds": 0}, "rounds", "from 1 to 20"),
        ({"rounds": 21}, "rounds", "from 1 to 20"),
        ({"rounds": "3"}, "rounds", "from 1 to 20"),
        ({"rounds": True}, "rounds", "from 1 to 20"),
        ({"models": []}, "models", "names of models"),
        ({"models": ["stand-in"]}, "models", ONE),
        ({"models": [ONE, "https://example.org/v1"]}, "models", ONE),
        ({"prompt": "Hi"}, "prompt", "rounds, models"),
        ([], "body", "rounds, models"),
        ("{", "body", "rounds, models"),
    ],
)
def test_bad_input_names_the_field_and_what_is_right(
    serve_scripts: ServeScripts, asked: Any, field: str, right: str
) -> None:
    """It is a 422 in the form of the other routes, and nothing is sent to a provider."""
    url, scripted = serve_scripts(race=True)
    body = asked if isinstance(asked, str) else json.dumps(asked)
    answer = httpx.post(f"{url}/race", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert [problem["field"], right in problem["expected"]] == [field, True]
    assert scripted.calls == []


def test_a_form_on_another_page_can_not_start_a_race(serve_scripts: ServeScripts) -> None:
    """Only JSON that says so is taken, which a browser asks the server about before it sends it."""
    url, scripted = serve_scripts(race=True)
    answer = httpx.post(f"{url}/race", content="{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
    assert scripted.calls == []

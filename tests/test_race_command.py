"""`sizzle race`: its table, its JSON and its picture, in a terminal and without."""

import json
import os
import pty
import re
import signal
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pyte
import pytest

from chains.race import PROMPT
from tests import commands
from tests.client import wait_until
from tests.race_answers import ANSWER, ONE, OTHER
from tests.servers import Gate, Provider, Refuse, provider

FAST = {"SIZZLE_STANDIN_TTFT_MS": "5", "SIZZLE_STANDIN_TOKENS_PER_S": "2000"}
PNG = b"\x89PNG\r\n\x1a\n"


def sizzle(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs `sizzle race` to its end."""
    return commands.sizzle("race", *arguments, **FAST, **environment)


def over(scripted: Provider) -> dict[str, str]:
    """The environment in which the scripted provider is Groq."""
    return {"GROQ_API_KEY": "sk-secret", "SIZZLE_GROQ_BASE_URL": scripted.url}


def models(document: str) -> dict[str, Any]:
    """The results of each model in the output of `--json`."""
    return {row["model"]: row for row in json.loads(document)["models"]}


def test_without_a_key_the_stand_in_is_measured_and_named() -> None:
    """Without a terminal there is a plain ranked table, and below it a note that the stand-in answered."""
    done = sizzle("--rounds", "1")
    assert done.returncode == 0
    assert re.search(r"^ *1 +stand-in +Rule-based stand-in +\d+ +\d+ +[\d,]+ +\d+ +\d+ ", done.stdout, re.MULTILINE)
    assert "not a language model" in done.stdout.splitlines()[-1]
    assert "\x1b" not in done.stdout


def test_json_has_every_round_with_consistent_figures() -> None:
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


def test_rounds_are_interleaved_after_a_warm_up() -> None:
    """The models are called in turn, once more than there are rounds, with the same prompt and limits."""
    with provider({"completion": ANSWER}) as scripted:
        done = sizzle(OTHER, ONE, "--rounds", "2", "--json", **over(scripted))
    sent = [call["body"] for call in scripted.calls]
    assert [body["model"] for body in sent] == ["openai/gpt-oss-120b", "openai/gpt-oss-20b"] * 3
    for body in sent:
        assert body["messages"] == [{"role": "user", "content": PROMPT}]
        assert [body["temperature"], body["max_completion_tokens"]] == [0, 500]
    assert {name: len(row["rounds"]) for name, row in models(done.stdout).items()} == {ONE: 2, OTHER: 2}


def test_a_failed_model_has_a_reason_and_the_others_continue() -> None:
    """The provider's own words are nowhere. The command succeeds if at least one model was measured."""
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


def test_figures_before_a_failure_are_kept() -> None:
    """A model that fails in its last round has figures, but ranks after those that did not fail."""
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
def test_a_mistake_is_named_before_any_call(arguments: list[str], named: list[str], tmp_path: Path) -> None:
    """An unknown model, a missing key or an unwritable picture: exit status 2 and no call."""
    registry = tmp_path / "registry.toml"
    registry.write_text(
        '[providers.mine]\nlabel = "Mine"\nbase_url = "http://127.0.0.1:9/v1"\n'
        '[models.my-llama]\nprovider = "mine"\nid = "l"\ncontext_window = 9\nmax_output = 9\n',
        encoding="utf-8",
    )
    with provider() as scripted:
        done = sizzle(*arguments, **over(scripted), SIZZLE_REGISTRY=str(registry))
    assert done.returncode == 2
    printed = re.sub(r"[│\s]+", " ", done.stderr)
    assert all(name in printed for name in named)
    assert "Traceback" not in printed
    assert scripted.calls == []


def test_plot_draws_a_png(tmp_path: Path) -> None:
    """Failed models are in the picture, too."""
    picture = tmp_path / "race.png"
    with provider({"completion": [ANSWER, [Refuse(500)], ANSWER]}) as scripted:
        done = sizzle("--rounds", "1", "--plot", str(picture), **over(scripted))
    assert [done.returncode, done.stderr.count("Traceback")] == [0, 0]
    assert picture.read_bytes().startswith(PNG)


def test_plot_without_matplotlib_says_how_to_get_it(tmp_path: Path) -> None:
    """It prints one line before any call and leaves no file."""
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
    """The lines of the terminal at the end; `seen` is called with all of them at each change."""
    screen = pyte.Screen(columns, 24)
    stream = pyte.ByteStream(screen)
    with open(main_end, "rb", buffering=0) as terminal:
        try:
            while piece := terminal.read(65536):
                stream.feed(piece)
                seen("\n".join(screen.display))
        except OSError:  # reading a pty raises it when the other end is closed
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
    """The table is redrawn for each call and is there once at the end, with ranks, figures and bars."""
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
    """The cursor is visible, the figures so far are shown, and the call to the provider is closed."""
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

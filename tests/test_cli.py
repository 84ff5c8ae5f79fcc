"""The command line in a process of its own."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import termios
from importlib.metadata import version
from pathlib import Path

import httpx
import pyte
import pytest

from app.stores import EVENT_NAMES
from chains.recipe.composition import RECIPE
from tests.client import ask, read
from tests.commands import FAST, SIZZLE, Command, sizzle
from tests.conftest import ServeScripts
from tests.servers import Finish, Refuse, provider


def test_help_names_commands_keys_and_options() -> None:
    """--help names the commands and the keys; each command's help names its options with their units."""
    output = sizzle("--help").stdout
    assert all(
        word in output for word in ("serve", "generate", "models", "standin", "GROQ_API_KEY", "FIREWORKS_API_KEY")
    )
    assert "milliseconds" in sizzle("standin", "--help").stdout.lower()
    assert "minutes" in sizzle("generate", "--help").stdout
    assert "--workers" in sizzle("serve", "--help").stdout


def test_version_is_that_of_the_installed_package() -> None:
    done = sizzle("--version")
    assert (done.returncode, done.stdout) == (0, f"sizzle {version('sizzle')}\n")


def test_generate_prints_the_recipe_in_reading_order() -> None:
    """Without a terminal it prints Markdown: the dish, then its parts. The model is named on stderr."""
    done = sizzle("generate", "beef, onions", "--minutes", "30")
    assert done.returncode == 0
    headings = ["About this dish", "Ingredients", "Steps", "On the side", "Good to know", "Other ideas"]
    assert re.findall(r"^## (.*)$", done.stdout, re.MULTILINE) == headings
    assert done.stdout.startswith("# ")
    assert "1. " in done.stdout
    assert "rule-based stand-in" in done.stderr
    assert "\x1b" not in done.stdout


def test_generate_speaks_korean() -> None:
    done = sizzle("generate", "소고기, 양파", "--lang", "ko")
    assert done.returncode == 0
    assert len(re.findall("[가-힣]", done.stdout)) > 200


def test_generate_prints_json_lines() -> None:
    """--json prints each event on a line, and at the end how the run ended."""
    output = sizzle("generate", "beef, onions", "--json", "--seed", "3").stdout
    events = [json.loads(line) for line in output.splitlines()]
    assert {event["event"] for event in events} <= set(EVENT_NAMES.values())
    assert {event["part"] for event in events if event["event"] in ("fragment", "alternate")} == set(events[0]["parts"])
    assert [events[0]["event"], events[-1]["event"], events[-1]["status"]] == ["run", "end", "ok"]


def shown_on_a_terminal(lines: int, **environment: str) -> list[str]:
    """The lines on a terminal of this height, and above it, at the end."""
    main_end, terminal_end = pty.openpty()
    termios.tcsetwinsize(terminal_end, (lines, 100))
    env = os.environ | FAST | {"TERM": "xterm-256color"} | environment
    process = Command(("generate", "beef, onions"), env, terminal_end, terminal_end)
    os.close(terminal_end)
    drawn = b""
    with open(main_end, "rb", buffering=0) as screen:
        try:
            while piece := screen.read(65536):
                drawn += piece
        except OSError:  # reading a pty raises it when the other end is closed
            pass
    assert process.wait(10) == 0
    terminal = pyte.HistoryScreen(100, lines, history=2000)
    pyte.ByteStream(terminal).feed(drawn)
    above = ["".join(cell.data for _, cell in sorted(line.items())) for line in terminal.history.top]
    return [*above, *terminal.display]


@pytest.mark.parametrize("lines", [24, 60])
def test_generate_fills_panels_on_a_terminal(lines: int) -> None:
    """Even a terminal of 24 lines shows six panels; at the end it shows the whole recipe once."""
    shown = shown_on_a_terminal(lines)
    assert sum("─ done ─" in line for line in shown) == 6
    for heading in [part.title_in("en") for part in RECIPE.parts]:
        assert sum(f"─ {heading} ─" in line for line in shown) == 1


def test_a_panel_is_cleared_for_the_next_attempt() -> None:
    """If a part breaks off, only the text of the last attempt is shown."""
    with provider({"intro": [["Half a sen", Finish(None)], ["The whole."]]}) as scripted:
        shown = shown_on_a_terminal(60, GROQ_API_KEY="sk-secret", SIZZLE_GROQ_BASE_URL=scripted.url)
    assert sum("The whole." in line for line in shown) == 1
    assert not any("Half a sen" in line for line in shown)


def test_generate_ends_quietly_when_its_reader_does() -> None:
    """`| head -1` and Ctrl-C end it without a stack trace."""
    command = f"{SIZZLE} generate 'beef, onions' --json | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=os.environ | FAST)  # noqa: S603, S607
    assert "Traceback" not in done.stderr
    # a shell that runs the tests in the background makes them ignore the signal, but not the program
    heeding = ["env", "--default-signal=INT", SIZZLE, "generate", "beef", "--json"]
    process = subprocess.Popen(heeding, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, output = process.communicate(timeout=20)
    assert [process.returncode, "Traceback" in output] == [130, False]


def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        command, env = [SIZZLE, "generate", "beef"], os.environ | FAST
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=env, check=False)  # noqa: S603
    assert [done.returncode, done.stderr.splitlines()[-1]] == [1, "sizzle: No space left on device"]
    assert "Traceback" not in done.stderr


def test_a_proxy_is_not_used_for_this_machine() -> None:
    """The stand-in is used directly if the environment names a proxy."""
    done = sizzle("generate", "beef", HTTP_PROXY="http://127.0.0.1:9", ALL_PROXY="http://127.0.0.1:9")
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_proxy_is_used_for_other_machines(scheme: str) -> None:
    """A provider that only the proxy can resolve writes a recipe; `NO_PROXY` exempts it."""
    with provider() as upstream:
        address = upstream.url.removeprefix("http://").removesuffix("/v1")
        proxied = {"HTTP_PROXY": f"{scheme}{address}", "SIZZLE_GROQ_BASE_URL": "http://groq.invalid/v1"}
        done = sizzle("generate", "beef, onions", GROQ_API_KEY="sk-1", **proxied)
        assert done.returncode == 0
        assert {call["headers"]["host"] for call in upstream.calls} == {"groq.invalid"}
        done = sizzle("generate", "beef, onions", GROQ_API_KEY="sk-1", **proxied, NO_PROXY="groq.invalid")
        assert "could not be reached" in done.stderr


def test_generate_reports_what_failed() -> None:
    """If a provider fails, the exit status is 1 and the reason is printed, without the provider's own words."""
    with provider({"proposal": [Refuse(401)]}) as refusing:
        done = sizzle("generate", "beef, onions", GROQ_API_KEY="sk-secret", SIZZLE_GROQ_BASE_URL=refusing.url)
    assert done.returncode == 1
    assert "did not accept the key (401)" in done.stderr
    assert not re.search("canary|sk-secret|Traceback", done.stdout + done.stderr)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["generate", "a"], "INGREDIENTS"),
        (["generate", "beef", "--minutes", "3"], "--minutes"),
        (["generate", "beef", "--lang", "fr"], "--lang"),
        (["serve", "--port", "99999"], "--port"),
        (["generate"], "INGREDIENTS"),
    ],
)
def test_bad_arguments_are_named(arguments: list[str], named: str) -> None:
    """The exit status is 2, and there is no stack trace."""
    done = sizzle(*arguments)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [["serve"], ["models"], ["generate", "beef"]])
def test_a_wrong_setting_is_one_line(command: list[str]) -> None:
    """Each command that reads the settings names the wrong one in one line."""
    done = sizzle(*command, SIZZLE_STANDIN_TTFT_MS="soon")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "SIZZLE_STANDIN_TTFT_MS" in done.stderr


def test_models_shows_the_registry() -> None:
    """Every model with its window, output limit, whether its key is set, and its parts."""
    output = sizzle("models", GROQ_API_KEY="sk-secret").stdout
    assert re.search(
        r"groq-gpt-oss-20b +Groq +alternates, ingredients +131,072\s+openai/gpt-oss-20b +set +65,536", output
    )
    assert re.search(r"fireworks-glm-flash .*\n.* missing ", output)
    assert "sk-secret" not in output


def test_serve_starts_the_stand_in_and_ends_with_it() -> None:
    """Without a key `sizzle serve` answers with its page and its stream, and ends at once on a signal."""
    command = [SIZZLE, "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | FAST)  # noqa: S603
    assert process.stdout
    url = next(found[0] for line in process.stdout if (found := re.search(r"http://127.0.0.1:\d+", line)))
    assert "Sizzle" in ask("GET", url).text
    with httpx.stream("POST", f"{url}/generate", json={"ingredientsOnHand": "beef"}, timeout=60) as response:
        assert b"event: end" in b"".join(response.iter_raw())
    process.terminate()
    process.stdout.read()
    process.stdout.close()
    assert process.wait(10) in (0, -15)


def test_standin_serves_alone() -> None:
    """`sizzle standin` prints its address and answers there, within the bounds of `sizzle serve`."""
    command = [SIZZLE, "standin", "--port", "0", "--ttft-ms", "1", "--tokens-per-s", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603
    assert process.stdout
    url = next(found[0] for line in process.stdout if (found := re.search(r"http://127.0.0.1:\d+", line)))
    models = ask("GET", f"{url}/v1/models", headers={"Authorization": "Bearer any"}).json()
    assert "rule-based" in json.dumps(models)
    assert ask("GET", f"{url}/v1/models", headers=[("X", "y")] * 101).status_code == 431
    process.terminate()
    process.stdout.read()
    process.stdout.close()
    process.wait(10)


@pytest.mark.parametrize("command", ["serve", "standin"])
def test_a_port_that_is_taken_is_one_line(command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = sizzle(command, "--port", str(port))
    assert [done.returncode, done.stdout] == [1, ""]
    assert done.stderr.startswith(f"sizzle: 127.0.0.1, port {port}: Address already in use.")
    assert done.stderr.count("\n") == 1


def test_a_skipped_provider_is_shown(serve_scripts: ServeScripts) -> None:
    """`/healthz` and `sizzle models` show the seconds; without a server they are unknown."""
    url, provider = serve_scripts({"proposal": [Refuse(503)], "nutrition": [Refuse(503)]})
    assert ask("GET", f"{url}/healthz").json()["cooling_down"] == {}
    read(url)
    assert len(provider.calls) == 6
    assert 20 < ask("GET", f"{url}/healthz").json()["cooling_down"]["groq"] <= 30
    assert re.search(r"Groq, rests for \d+ s", sizzle("models", "--server", url).stdout)
    assert "cooldowns are unknown" in sizzle("models", "--server", "http://127.0.0.1:9").stdout


@pytest.mark.parametrize("store", ["memory://", "sqlite:///runs.db"])
def test_several_workers_need_a_store_that_they_share(store: str) -> None:
    """A reader would come back to another one, which does not have his run."""
    done = sizzle("serve", "--workers", "2", "--store", store, "--port", "0")
    assert [done.returncode, done.stdout] == [1, ""]
    assert done.stderr == (
        "sizzle: --workers 2 needs a store that several processes share: --store redis://… (SIZZLE_STORE)\n"
    )


def test_a_prefix_that_is_no_path_is_refused() -> None:
    done = sizzle("serve", "--root-path", "https://cook.example/sizzle", "--port", "0")
    assert done.returncode == 2
    assert "'--root-path': expected a path, such as /sizzle" in done.stderr


def test_a_store_that_does_not_exist_is_refused() -> None:
    done = sizzle("serve", "--store", "postgres://here", "--port", "0")
    assert done.returncode == 1
    assert done.stderr == (
        "sizzle: SIZZLE_STORE: expected one of sqlite:///…, memory://…, redis://…, rediss://…, unix://….\n"
    )

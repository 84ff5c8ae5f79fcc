"""Output on terminals: narrow or low ones, other encodings, other languages, and a hostile model's text."""

import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import termios

import httpx
import pyte
import pytest

from tests.commands import FAST, SIZZLE, Command, sizzle
from tests.servers import RECIPES, Gate, Script, provider

HOSTILE = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x1b]8;;http://x\x1b\\\x9b2J\x00\x08\u202ebeef"
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


class Terminal:
    """A program on a terminal of this size."""

    def __init__(self, *arguments: str, columns: int, lines: int, **environment: str) -> None:
        self._main, end = pty.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        # pytest-xdist sets COLUMNS and LINES in its workers, which have precedence over the terminal's size
        inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        env = inherited | FAST | {"TERM": "xterm-256color"} | environment
        with open(os.devnull, "wb") as nowhere:
            self.process = Command(arguments, env, end, nowhere.fileno())
        os.close(end)
        self.written = b""
        self._screen = pyte.HistoryScreen(columns, lines, history=2000)
        self._stream = pyte.ByteStream(self._screen)

    def shows(self, text: str, times: int = 1) -> bool:
        """Reads until this many rows of the terminal contain the text, or the program has ended."""
        while sum(text in row for row in self._screen.display) < times:
            if not self._read():
                return False
        return True

    def whole(self) -> list[str]:
        """The rows on the terminal and above it after the program has ended."""
        while self._read():
            pass
        self.process.wait(10)
        os.close(self._main)
        return self.rows()

    def rows(self) -> list[str]:
        above = ["".join(cell.data for _, cell in sorted(row.items())) for row in self._screen.history.top]
        return [*above, *self._screen.display]

    def _read(self) -> bool:
        try:
            piece = os.read(self._main, 65536)
        except OSError:  # reading raises it when the other end is closed
            return False
        self.written += piece
        self._stream.feed(piece)
        return bool(piece)


@pytest.mark.parametrize("columns", [80, 100])
def test_models_shows_everything_on_a_narrow_terminal(columns: int) -> None:
    shown = "\n".join(Terminal("models", columns=columns, lines=200, GROQ_API_KEY="k").whole())
    for text in ("groq-gpt-oss-20b", "openai/gpt-oss-20b", "Fireworks", "missing", "set", "131,072", "65,536"):
        assert text in shown
    assert {"alternates", "ingredients", "nutrition"} <= set(re.findall(r"\w+", shown))
    assert max(len(row.rstrip()) for row in shown.split("\n")) <= columns


@pytest.mark.parametrize("columns", [60, 62, 64, 66, 72])
def test_models_cuts_no_column_of_a_narrower_terminal(columns: int) -> None:
    rows = Terminal("models", columns=columns, lines=300, GROQ_API_KEY="k").whole()
    shown = "\n".join(rows)
    windows = re.findall(r" ([0-9,]+) *$", shown, re.MULTILINE)
    assert "Window" in shown
    assert windows[:2] == ["131,072", "65,536"]
    assert {"alternates", "ingredients", "nutrition"} <= set(re.findall(r"\w+", shown))


def test_states_are_in_the_requested_language() -> None:
    rows = Terminal("generate", "소고기, 양파", "--lang", "ko", columns=100, lines=60).whole()
    shown = "\n".join(rows).replace(" ", "")
    assert shown.count("완료") == 6
    assert "done" not in shown


def test_a_low_terminal_shows_what_is_being_written() -> None:
    """Each of the six panels is visible while the recipe is generated, however long the others are."""
    gate = Gate()
    scripts = {"steps": [*[f"{number}. Stir.\n" for number in range(1, 60)], "Serve.", gate]}
    with provider(scripts) as scripted:
        keys = {"GROQ_API_KEY": "k", "SIZZLE_GROQ_BASE_URL": scripted.url}
        terminal = Terminal("generate", "beef", columns=80, lines=24, **keys)
        assert terminal.shows("Serve.")
        assert terminal.shows("─╮", times=6)
        gate.open()
        rows = terminal.whole()
    assert sum(re.search(r"\b1\. Stir\.", row) is not None for row in rows) == 1


def test_ctrl_c_leaves_the_title_once() -> None:
    with provider({"steps": ["1. Cut.", Gate()]}) as scripted:
        keys = {"GROQ_API_KEY": "k", "SIZZLE_GROQ_BASE_URL": scripted.url}
        terminal = Terminal("generate", "beef", "--seed", "3", columns=100, lines=60, **keys)
        assert terminal.shows("1. Cut.")
        terminal.process.send_signal(signal.SIGINT)
        rows = terminal.whole()
    titles = {recipe["name"] for recipe in RECIPES}
    assert sum(row.strip() in titles for row in rows) == 1


def test_a_model_s_text_does_not_control_the_terminal() -> None:
    """Control characters are removed from plain text and from panels; in JSON they are escaped."""
    recipes = [{**recipe, "name": f"{recipe['name']}{HOSTILE}"} for recipe in RECIPES]
    scripts: dict[str, Script | list[Script]] = {"intro": [HOSTILE], "proposal": [json.dumps(recipes)]}
    with provider(scripts) as scripted:
        keys = {"GROQ_API_KEY": "k", "SIZZLE_GROQ_BASE_URL": scripted.url}
        plain, lines = sizzle("generate", "beef", **keys).stdout, sizzle("generate", "beef", "--json", **keys).stdout
        terminal = Terminal("generate", "beef", columns=100, lines=60, **keys)
        terminal.whole()
    assert "beef" in plain
    assert not CONTROLS.search(plain)
    assert not CONTROLS.search(lines)
    assert b"]52;" not in terminal.written.replace(b"\x1b", b"").replace(b"]52;c;ZXZpbA==", b"")
    assert b"\x1b]" not in terminal.written
    assert b"\x1b[2J" not in terminal.written


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.parametrize("output", [[], ["--json"]])
def test_a_character_that_an_encoding_lacks_costs_nothing_else(encoding: str, output: list[str]) -> None:
    with provider({"intro": ["Slow\u2011cooked 소고기 stew."]}) as scripted:
        keys = {"GROQ_API_KEY": "k", "SIZZLE_GROQ_BASE_URL": scripted.url, "PYTHONIOENCODING": encoding}
        done = sizzle("generate", "beef", *output, **keys)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "cooked" in done.stdout
    assert "steps two." in done.stdout


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = sizzle("serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "--port" in done.stderr
    assert done.stderr.count("\n") == 1


def test_options_of_a_recipe_reach_it() -> None:
    done = sizzle("generate", "beef", "--diet", "halal", "--avoid", "peanuts", "--servings", "4", "--json")
    assert '"diet":"halal","avoid":"peanuts","servings":4' in done.stdout
    assert "20" in sizzle("generate", "beef", "--servings", "99").stderr


def test_the_stand_in_leaves_the_server_s_log_alone() -> None:
    """Requests are logged while it runs in the process, and the server logs its start once."""
    command = [SIZZLE, "serve", "--port", "0"]
    process = subprocess.Popen(  # noqa: S603
        command, text=True, env=os.environ | FAST, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout
    log = ""
    url = None
    for line in process.stdout:
        log += line
        if found := re.search(r"http://127.0.0.1:\d+", line):
            url = found[0]
            break
    assert url
    assert httpx.post(f"{url}/generate", json={"ingredientsOnHand": "beef"}, timeout=60).status_code == 200
    process.terminate()
    log += process.stdout.read()
    process.wait(10)
    process.stdout.close()
    assert log.count("Sizzle is ready.") == 1
    assert log.count("Finished server process") == 1
    assert '"event":"POST /generate","status":200' in log
    assert "/v1/chat/completions" not in log

"""The environment of a real process: the effect of other programs' variables, and how keys are read."""

import os
import pwd
import re
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from app.server.network import proxy_for
from app.settings import Settings, misspelled_settings, read_settings
from chains.errors import ConfigError
from tests import commands
from tests.servers import provider, settings_from
from tests.test_cli import FAST, SIZZLE

NOBODY = "http://127.0.0.1:9"
OF_OTHERS = {
    "ALL_PROXY": "socks5://127.0.0.1:9",
    "HTTPS_PROXY": "127.0.0.1:9",
    "OPENAI_PROXY": "socks5://127.0.0.1:9",
    "OPENAI_BASE_URL": NOBODY,
    "OPENAI_API_BASE": NOBODY,
    "OPENAI_API_KEY": "sk-of-another",
    "OPENAI_ORG_ID": "org-of-another",
    "OPENAI_LOG": "debug",
    "SSL_CERT_FILE": "/gone/certificates.pem",
    "SSL_CERT_DIR": "/gone",
    "WEB_CONCURRENCY": "many",
    "REQUESTS_CA_BUNDLE": "/gone/bundle.pem",
    "CURL_CA_BUNDLE": "/gone/bundle.pem",
    "NO_PROXY": "[::1]:80,10.0.0.0/8, *.example.com",
    "LANGCHAIN_HANDLER": "langchain",
    "OTEL_PROPAGATORS": "tracecontext,b3",
    "OTEL_PYTHON_CONTEXT": "threads",
    "TERMINAL_WIDTH": "wide",
}
LANGSMITH = {"LANGCHAIN_TRACING_V2": "true", "LANGSMITH_API_KEY": "ls-hush-1"}
TRACES = {"OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY}


def sizzle(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | FAST | environment
    return subprocess.run([SIZZLE, *arguments], capture_output=True, text=True, timeout=180, env=env)  # noqa: S603


@pytest.mark.parametrize(
    "command",
    [["generate", "beef"], ["race", "--rounds", "1", "--json"], ["models"], ["serve", "--help"]],
)
def test_variables_of_other_programs_change_nothing(command: list[str]) -> None:
    done = sizzle(*command, **OF_OTHERS)
    assert [done.returncode, "Traceback" in done.stderr] == [0, False]
    assert "of-another" not in done.stdout + done.stderr


def test_arguments_are_read_as_utf_8_in_a_locale_without_it() -> None:
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "utf-8"}
    done = sizzle("generate", "감자", "--lang", "ko", **locale)
    assert [done.returncode, "감자" in done.stdout] == [0, True]


def test_serve_ignores_other_programs_variables() -> None:
    command, env = [SIZZLE, "serve", "--port", "0"], os.environ | FAST | OF_OTHERS
    process = subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
    )
    assert process.stdout
    output = ""
    for line in process.stdout:
        output += line
        if found := re.search(r"http://127.0.0.1:\d+", line):
            assert httpx.get(f"{found[0]}/healthz", trust_env=False, timeout=60).status_code == 200
            break
    process.send_signal(signal.SIGTERM)
    output += process.stdout.read()
    process.stdout.close()
    process.wait(60)
    assert ["http://127.0.0.1" in output, "Traceback" in output] == [True, False]


def test_calls_go_where_our_own_settings_say_and_the_key_is_stripped() -> None:
    with provider() as scripted:
        done = sizzle(
            "generate", "beef", GROQ_API_KEY="\ufeff gsk-1 \r\n", SIZZLE_GROQ_BASE_URL=scripted.url, **OF_OTHERS
        )
    assert [done.returncode, "Traceback" in done.stderr] == [0, False]
    assert {call["headers"]["authorization"] for call in scripted.calls} == {"Bearer gsk-1"}
    assert "of-another" not in str(scripted.calls)


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"SSL_CERT_FILE": "/gone.pem"}, "SSL_CERT_FILE: expected a readable file"),
        ({"ALL_PROXY": "socks5://user:hush@127.0.0.1:9"}, "ALL_PROXY: expected the address of an HTTP proxy"),
        ({"SSLKEYLOGFILE": "/gone/keys"}, "SSLKEYLOGFILE: expected a file that can be written"),
        ({"HTTPS_PROXY": "http://user:hush#1@127.0.0.1:9"}, "HTTPS_PROXY: expected the address of an HTTP proxy"),
        ({"LANGSMITH_TRACING": "true"}, "LANGSMITH_API_KEY is missing, but LANGSMITH_TRACING is on"),
        (LANGSMITH | {"LANGCHAIN_ENDPOINT": "smith"}, "LANGSMITH_ENDPOINT: expected an address"),
        (LANGSMITH | {"LANGSMITH_TRACING_SAMPLING_RATE": "half"}, "LANGSMITH_TRACING_SAMPLING_RATE: expected a number"),
        (TRACES | {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "99999"}, "A variable OTEL_…: max_export_batch_size must be"),
    ],
)
def test_an_obstacle_on_the_way_to_a_provider_is_one_line(environment: dict[str, str], line: str) -> None:
    done = commands.sizzle("serve", "--port", "0", GROQ_API_KEY="gsk-1", **environment)
    assert [done.returncode, done.stderr.count("\n")] == [1, 1]
    assert line in done.stderr
    assert "hush" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SSL_CERT_FILE", "folder"),
        ("SSL_CERT_FILE", "folder/text.pem"),
        ("SSL_CERT_DIR", "gone"),
        ("HTTPS_PROXY", "socks5h://127.0.0.1:9"),
        ("HTTPS_PROXY", "http://[::1"),
        ("HTTPS_PROXY", "127.0.0.1:port"),
        ("HTTPS_PROXY", "http://"),
        ("HTTPS_PROXY", "http://user:a?b@127.0.0.1:9"),
    ],
)
def test_certificates_and_proxies_that_cannot_be_used_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "text.pem").write_text("no certificate")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv(name, value)
    Settings().check()  # the stand-in needs neither
    with pytest.raises(ConfigError, match=f"^{name}: "):
        settings_from(groq_api_key="gsk-1").check()


@pytest.mark.parametrize(
    ("no_proxy", "address", "proxy"),
    [
        ("", "https://api.groq.com/openai/v1", "http://proxy:3128"),
        ("api.groq.com", "https://api.groq.com/openai/v1", None),
        (".groq.com", "https://api.groq.com/openai/v1", None),
        ("groq.com", "https://api.groq.com/openai/v1", None),
        ("*.groq.com", "https://api.groq.com/openai/v1", None),
        ("a.example, *", "https://api.groq.com/openai/v1", None),
        ("roq.com", "https://api.groq.com/openai/v1", "http://proxy:3128"),
        ("10.0.0.0/8", "https://10.1.2.3/v1", None),
        ("10.1.2.3:8443", "https://10.1.2.3:8443/v1", None),
        ("10.0.0.0/8", "https://11.1.2.3/v1", "http://proxy:3128"),
        ("", "https://127.0.0.2/v1", None),
        ("", "https://[::1]:8080/v1", None),
    ],
)
def test_no_proxy_is_read_in_all_its_forms(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, address: str, proxy: str | None
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_for(address) == proxy


@pytest.mark.parametrize("around", ['"{}"', "'{}'\n", " {} "])
def test_quotes_around_a_proxy_are_removed(monkeypatch: pytest.MonkeyPatch, around: str) -> None:
    """`docker run --env-file` leaves them there."""
    monkeypatch.setenv("HTTPS_PROXY", around.format("http://proxy:3128"))
    assert proxy_for("https://api.groq.com/openai/v1") == "http://proxy:3128"


def test_the_log_of_a_command_quotes_no_key_of_a_library() -> None:
    """LangSmith's message about a failure has a line with the first and last characters of its key."""
    done = sizzle("generate", "beef", **LANGSMITH, LANGSMITH_ENDPOINT=NOBODY)
    assert [done.returncode, "Failed to multipart ingest runs" in done.stderr] == [0, True]
    assert "API Key" not in done.stderr


def test_a_misspelled_setting_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Others that begin like ours, such as those of Kubernetes, are ignored."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("export sizzle_modle=x\nSIZZLE_MODELS__STEPS=stand-in\n")
    environment = {"TOKNE": "x", "DAILY_BUDGET": "5", "MODEL__STEPS": "x", "STORE": "memory://", "VERSION": "1"}
    for name, value in {**environment, "PORT": "tcp://10.0.0.1:8000", "SERVICE_HOST": "10.0.0.1"}.items():
        monkeypatch.setenv(f"SIZZLE_{name}", value)
    hint = "{} is not a setting: did you mean {}?"
    hints = [
        hint.format("SIZZLE_DAILY_BUDGET", "SIZZLE_DAILY_BUDGET_USD"),
        hint.format("SIZZLE_MODEL__STEPS", "SIZZLE_MODELS__"),
        hint.format("SIZZLE_TOKNE", "SIZZLE_TOKEN"),
        hint.format("sizzle_modle", "SIZZLE_MODEL"),
    ]
    assert misspelled_settings() == hints
    done = sizzle("check", "--offline")
    assert [done.returncode, all(each in done.stdout for each in hints)] == [0, True]


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_command_whose_streams_are_closed_works(closed: str) -> None:
    command = f"{SIZZLE} generate beef {closed}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=os.environ | FAST)  # noqa: S603, S607
    assert [done.returncode, "Traceback" in done.stderr] == [0, False]


@pytest.mark.parametrize("value", ["gsk-1", " gsk-1\n", "\ufeffgsk-1", '"gsk-1"', "\u200bgsk-1\xa0", "Bearer gsk-1"])
@pytest.mark.parametrize(("name", "of"), [("GROQ_API_KEY", "groq"), ("SIZZLE_KEYS__TOGETHER", "together")])
def test_what_was_copied_along_with_a_key_is_removed(
    monkeypatch: pytest.MonkeyPatch, name: str, of: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert {of: key.get_secret_value() for of, key in read_settings().provider_keys().items()} == {of: "gsk-1"}


@pytest.mark.parametrize("around", [" {}\n", "\ufeff{}\r", '"{}"', "'{}' "])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GROQ_BASE_URL", "http://127.0.0.1:9/v1"),
        ("MODEL", "stand-in"),
        ("MODELS__STEPS", "stand-in"),
        ("STORE", "sqlite:///runs.db"),
        ("REGISTRY", "own.toml"),
        ("LOG_LEVEL", "debug"),
        ("CORS_ORIGINS", "https://cook.example"),
        ("ALLOWED_HOSTS", "cook.example"),
        ("FAST", "false"),
        ("MAX_RUNS", "5"),
    ],
)
def test_blanks_quotes_and_marks_around_a_setting_are_removed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, around: str
) -> None:
    default = Settings()
    monkeypatch.setenv(f"SIZZLE_{name}", value)
    plain = read_settings()
    monkeypatch.setenv(f"SIZZLE_{name}", around.format(value))
    assert read_settings() == plain != default


@pytest.mark.parametrize("name", ["GROQ_BASE_URL", "MODEL", "REGISTRY", "STORE", "TOKEN", "TOKENS_FILE", "MAX_RUNS"])
def test_a_setting_of_blanks_counts_as_missing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"SIZZLE_{name}", ' ""\n')
    assert read_settings() == Settings()


@pytest.mark.parametrize("name", ["KEEP_RUNS_S", "SEND_TIMEOUT_S", "HEDGE_AFTER_S", "DAILY_BUDGET_USD"])
@pytest.mark.parametrize("value", ["inf", "nan"])
def test_a_setting_has_to_be_finite(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"SIZZLE_{name}", value)
    with pytest.raises(ConfigError, match=f"^SIZZLE_{name}: "):
        read_settings()


@pytest.mark.parametrize("name", ["GROQ_API_KEY", "SIZZLE_KEYS__TOGETHER"])
def test_an_empty_key_counts_as_missing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, " \n")
    assert read_settings().provider_keys() == {}


@pytest.mark.parametrize("name", ["GROQ_API_KEY", "SIZZLE_KEYS__TOGETHER"])
@pytest.mark.parametrize("key", ["gsk 1", "gsk\n1", "gsk-é", "gsk…", "gsk\x00-1"])
def test_a_key_that_no_header_can_hold_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, key: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f'{name}="{key}"\n', encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        read_settings()
    assert str(raised.value).startswith(f"{name}: contains an invalid character")
    assert "gsk" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file or directory"), (b"\xff\xfe", "this is not UTF-8"), (b"x", "Expected '=' after a key")],
)
def test_a_registry_that_cannot_be_read_is_named_with_its_variable(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "mine.toml"
    if content:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        settings_from(registry=file).check()
    assert str(raised.value).startswith(f"SIZZLE_REGISTRY: {file}: {reason}")


def test_without_a_home_the_store_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run as a user whom the system does not know."""

    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("SIZZLE_STORE", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(ConfigError, match=r"^SIZZLE_STORE: set it, XDG_STATE_HOME or HOME"):
        Settings().with_own_store()
    assert settings_from(store="memory://").with_own_store().store == "memory://"


def test_a_composition_that_ends_the_process_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leaving.py").write_text("raise SystemExit(0)\n")
    done = sizzle("generate", "beef", "--composition", "leaving:TRIP")
    assert [done.returncode, done.stderr] == [1, "sizzle: leaving:TRIP: SystemExit: 0 (line 1).\n"]


def test_tokens_in_a_folder_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^SIZZLE_TOKENS_FILE: Is a directory\."):
        settings_from(tokens_file=tmp_path).check()


def test_files_with_a_byte_order_mark_and_windows_line_ends_are_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """This covers `.env`, the registry and the tokens."""
    monkeypatch.chdir(tmp_path)
    toml = '[providers.mine]\r\npreset = "ollama"\r\nlabel = "Mine"\r\n'
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfGROQ_API_KEY=gsk-1\r\nSIZZLE_REGISTRY=mine.toml\r\n")
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbf" + toml.encode())
    monkeypatch.setenv("SIZZLE_TOKENS_FILE", "tokens")
    (tmp_path / "tokens").touch(0o600)
    (tmp_path / "tokens").write_bytes(b"\xef\xbb\xbfkim " + b"0123456789abcdef" * 2 + b"\r\n")
    settings = read_settings()
    tokens = settings.token_source().current
    assert tokens
    assert list(tokens.by_name) == ["kim"]
    assert {name: key.get_secret_value() for name, key in settings.provider_keys().items()} == {"groq": "gsk-1"}
    assert settings.load_registry().providers["mine"].label == "Mine"

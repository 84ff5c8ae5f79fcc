"""Settings and registry: which model writes which part, and the messages for wrong values."""

from pathlib import Path

import pytest

from app.main import create_app
from app.settings import read_settings
from app.stores.sqlite import parse_url
from chains.errors import ConfigError
from chains.models.registry import load_registry
from tests.client import REQUEST, ask, events_named, read
from tests.conftest import Serve, ServeScripts
from tests.servers import PARTS, Provider, provider, serving, settings_from

FOR_ANY_REQUEST = {"accept", "accept-encoding", "connection"}
PARTS_BY_STEP = {part: part for part in PARTS} | {"proposal": "alternates"}
FAST, LARGE = {"alternates", "ingredients"}, {"intro", "nutrition", "sides", "steps"}

OWN = """
[providers.mine]
label = "Mine"
base_url = "{url}"
{key}

[models.tiny]
provider = "mine"
id = "tiny-1"
context_window = {window}
max_output = 90
"""


def models_called(provider: Provider) -> dict[str, str]:
    """The model of each part."""
    return {PARTS_BY_STEP[call["step"]]: call["body"]["model"] for call in provider.calls}


def keys_sent(provider: Provider) -> set[str]:
    return {call["headers"]["authorization"] for call in provider.calls}


def test_with_both_keys_each_provider_gets_its_steps(serve_scripts: ServeScripts) -> None:
    """Groq's fastest model writes parts that others need, Fireworks' large one the rest, each with its own key."""

    with provider() as fireworks:
        url, groq = serve_scripts(fireworks_api_key="fw-2", fireworks_base_url=fireworks.url)
        assert events_named(read(url), "end")[0]["status"] == "ok"
    assert models_called(groq) == dict.fromkeys(FAST, "openai/gpt-oss-20b")
    assert models_called(fireworks) == dict.fromkeys(LARGE, "accounts/fireworks/models/gpt-oss-120b")
    assert [keys_sent(groq), keys_sent(fireworks)] == [{"Bearer sk-groq-1"}, {"Bearer fw-2"}]


def test_every_call_has_its_path_and_body(serve_scripts: ServeScripts) -> None:
    """Each call streams, requests the usage, and has its part's limit and temperature and a low reasoning effort."""
    url, provider = serve_scripts()
    read(url)
    assert {call["path"] for call in provider.calls} == {"/v1/chat/completions"}
    wanted = {"proposal": (800, 0.25), "ingredients": (500, 0.25), "intro": (550, 0.55)}
    wanted |= {"nutrition": (500, 0.25), "sides": (372, 0.25), "steps": (700, 0.25)}
    bodies = {call["step"]: call["body"] for call in provider.calls}
    assert {step: (body["max_completion_tokens"], body["temperature"]) for step, body in bodies.items()} == wanted
    for body in bodies.values():
        assert [body["stream"], body["stream_options"]] == [True, {"include_usage": True}]
        assert body["reasoning_effort"] == "low"
        assert [message["role"] for message in body["messages"]] == ["system", "user"]
        assert "top_p" not in body


def test_with_one_key_only_all_steps_run_on_that_provider(serve_scripts: ServeScripts) -> None:
    """A Groq key alone, or a Fireworks key alone, is enough for the whole recipe."""

    url, groq = serve_scripts()
    read(url)
    assert models_called(groq) == dict.fromkeys(FAST, "openai/gpt-oss-20b") | dict.fromkeys(
        LARGE, "openai/gpt-oss-120b"
    )
    with provider() as fireworks:
        settings = settings_from(fireworks_api_key="fw-2", fireworks_base_url=fireworks.url)
        with serving(create_app(settings)) as url:
            read(url)
    large = "accounts/fireworks/models/gpt-oss-120b"
    small = "accounts/fireworks/models/glm-5p3-flash"
    assert models_called(fireworks) == dict.fromkeys(FAST, small) | dict.fromkeys(LARGE, large)


def test_a_step_can_be_given_another_model(serve_scripts: ServeScripts) -> None:
    """The settings name a registered model for a part."""
    url, provider = serve_scripts(models={"steps": "groq-gpt-oss-20b"})
    read(url)
    assert models_called(provider)["steps"] == "openai/gpt-oss-20b"


@pytest.mark.parametrize("key", ["needs_key = false", ""])
def test_another_provider_is_an_entry_in_a_file(serve_scripts: ServeScripts, tmp_path: Path, key: str) -> None:
    """Another server is used with or without a key; no other provider's key is ever sent to it."""

    with provider() as mine:
        registry = tmp_path / "mine.toml"
        registry.write_text(OWN.format(url=mine.url, key=key, window=8192))
        keys = {} if key else {"keys": {"mine": "sk-mine"}}
        url, _ = serve_scripts(registry=registry, models={"sides": "tiny"}, **keys)
        assert events_named(read(url), "end")[0]["status"] == "ok"
    assert models_called(mine) == {"sides": "tiny-1"}
    assert keys_sent(mine) == {"Bearer none" if key else "Bearer sk-mine"}
    assert mine.calls[0]["body"]["max_completion_tokens"] == 90
    assert "reasoning_effort" not in mine.calls[0]["body"]


STANDIN_WARNING = "The rule-based stand-in, not a language model, writes sides: set GROQ_API_KEY or FIREWORKS_API_KEY."


@pytest.mark.parametrize("left_to_standin", [None, "sides"])
def test_the_standin_starts_only_for_the_steps_that_have_no_other_model(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture, left_to_standin: str | None
) -> None:
    """A server that needs no key writes all parts of its registry without the stand-in."""
    steps = [step for step in (*FAST, *LARGE) if step != left_to_standin]
    tables = "".join(f'[parts.{step}]\nmodels = ["tiny", "stand-in"]\nmax_tokens = 90\n' for step in steps)
    registry = tmp_path / "mine.toml"
    with provider() as mine:
        registry.write_text(OWN.format(url=mine.url, key="needs_key = false", window=8192) + tables)
        url = serve(registry=registry, standin_ttft_ms=1, standin_tokens_per_s=0)
        health, models = ask("GET", f"{url}/healthz").json(), ask("GET", f"{url}/v1/models").json()["data"]
        assert events_named(read(url), "end")[0]["status"] == "ok"
        assert models_called(mine) == dict.fromkeys(steps, "tiny-1")
    expected = [left_to_standin] if left_to_standin else []
    assert [health["standin"], health["standin_parts"]] == [bool(expected), expected]
    assert [model["id"] for model in models if "stand-in" in model["id"]] == ["stand-in"] * len(expected)
    warnings = [record.getMessage() for record in caplog.records if "stand-in" in record.getMessage().lower()]
    assert [warning for warning in warnings if "not a language model" in warning and "writes" in warning] == (
        [STANDIN_WARNING] if expected else []
    )
    assert any("stand-in" in warning for warning in warnings) is bool(expected)


def test_a_standin_that_a_setting_names_asks_for_no_key(
    serve_scripts: ServeScripts, caplog: pytest.LogCaptureFixture
) -> None:
    url, _ = serve_scripts(models={"sides": "stand-in"})
    assert ask("GET", f"{url}/healthz").json()["standin_parts"] == ["sides"]
    assert "The rule-based stand-in, not a language model, writes sides." in [
        record.getMessage() for record in caplog.records
    ]


def test_a_prompt_that_cannot_fit_is_refused_with_the_numbers(serve_scripts: ServeScripts, tmp_path: Path) -> None:
    """A model with too small a window is not called; the message has the three numbers."""

    with provider() as mine:
        registry = tmp_path / "mine.toml"
        registry.write_text(OWN.format(url=mine.url, key="needs_key = false", window=600))
        url, _ = serve_scripts(registry=registry, models={"sides": "tiny"})
        events = read(url, REQUEST | {"ingredientsOnHand": "소고기, 양파 " * 200})
    (end,) = [end for end in events_named(events, "part_end") if end["part"] == "sides"]
    assert end["status"] == "failed"
    assert "may take 90, but tiny holds 600" in end["message"]
    assert mine.calls == []


WRONG = [
    ({"SIZZLE_STANDIN_TTFT_MS": "fast"}, "SIZZLE_STANDIN_TTFT_MS: "),
    ({"SIZZLE_STANDIN_TOKENS_PER_S": "-1"}, "SIZZLE_STANDIN_TOKENS_PER_S: "),
    ({"SIZZLE_GROQ_BASE_URL": "groq"}, "SIZZLE_GROQ_BASE_URL: "),
    ({"SIZZLE_MODELS__DESSERT": "x"}, "SIZZLE_MODELS__DESSERT"),
    ({"SIZZLE_MODELS__STEPS": "gpt-9"}, "unknown model 'gpt-9'"),
    ({"SIZZLE_MODELS__STEPS": "groq-gpt-oss-20b"}, "no key for groq"),
    ({"SIZZLE_REGISTRY": "nowhere.toml"}, "nowhere.toml"),
    ({"SIZZLE_MODELS": "foo"}, "SIZZLE_MODELS: expected SIZZLE_MODELS__<NAME>"),
    ({"SIZZLE_KEYS": "sk-secret"}, "SIZZLE_KEYS: expected SIZZLE_KEYS__<NAME>"),
    ({"SIZZLE_KEYS__A__B": "sk-secret"}, "SIZZLE_KEYS__A: "),
    ({"SIZZLE_KEYS": '{"a": ["sk-secret"]}'}, "SIZZLE_KEYS__A: "),
]


@pytest.mark.parametrize(("environment", "named"), WRONG)
def test_a_wrong_setting_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], named: str
) -> None:
    """The message names the variable or the value, before anything starts."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as raised:
        create_app()
    assert named in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "sk-secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        ("[models", "mine.toml"),
        ("models = 3", "providers, models, roles and parts"),
        ('[models.x]\nprovider = "nobody"\nid = "x"\ncontext_window = 1\nmax_output = 1', "unknown provider nobody"),
        ('[models.x]\nprovider = "groq"\nid = "x"\ncontext_window = 0\nmax_output = 1', "models.x.context_window"),
        ('[parts.sides]\nmodels = ["no"]', "unknown model no"),
        ('[providers.x]\nlabel = "X"\nbase_url = "ftp://x"', "providers.x.base_url"),
    ],
)
def test_a_wrong_registry_is_named_in_one_line(tmp_path: Path, toml: str, named: str) -> None:
    """The message names the file and the entry."""

    file = tmp_path / "mine.toml"
    file.write_text(toml)
    with pytest.raises(ConfigError) as raised:
        load_registry(file)
    assert named in str(raised.value)
    assert "mine.toml" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_settings_come_from_the_environment_and_from_dotenv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keys have their usual names, other settings a prefix; the environment has precedence; keys are never shown."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("GROQ_API_KEY=from-file\nFIREWORKS_API_KEY=from-file\nSIZZLE_STANDIN_SEED=4\n")
    monkeypatch.setenv("GROQ_API_KEY", "from-environment")
    monkeypatch.setenv("SIZZLE_KEYS__TOGETHER", "t")
    monkeypatch.setenv("SIZZLE_CORS_ORIGINS", "https://a.example,https://b.example")
    settings = read_settings()
    keys = {name: key.get_secret_value() for name, key in settings.provider_keys().items()}
    assert keys == {"groq": "from-environment", "fireworks": "from-file", "together": "t"}
    assert settings.standin_seed == 4
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert "from-" not in repr(settings)


def test_the_log_is_set_in_letters_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIZZLE_LOG_LEVEL", "INFO")
    monkeypatch.setenv("SIZZLE_LOG_FORMAT", " Json ")
    assert [read_settings().log_level, read_settings().log_format] == ["info", "json"]


def test_the_sdks_environment_variables_are_not_sent(
    serve_scripts: ServeScripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No OPENAI_* variable reaches a provider, and no unnecessary header."""
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "leak")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-leak: leak")
    url, provider = serve_scripts()
    assert events_named(read(url), "end")[0]["status"] == "ok"
    assert "leak" not in str([call["headers"] for call in provider.calls])
    sent = {name for call in provider.calls for name in call["headers"]}
    assert sent <= {"authorization", "content-type", "content-length", "host", "user-agent"} | FOR_ANY_REQUEST


def test_a_process_of_its_own_keeps_runs_in_the_users_state_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another program's are in memory; whatever is set holds for both."""
    monkeypatch.delenv("SIZZLE_STORE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    own = settings_from().with_own_store()
    assert [settings_from().store, own.store] == ["memory://", f"sqlite://{tmp_path}/sizzle/runs.db"]
    assert [settings_from().keep_s, own.keep_s, settings_from(keep_runs_s=5).keep_s] == [900, 30 * 86_400, 5]
    assert settings_from(store="memory://").with_own_store().store == "memory://"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settings_from().with_own_store().store == f"sqlite://{tmp_path}/.local/state/sizzle/runs.db"


@pytest.mark.parametrize(
    ("url", "path", "synchronous"),
    [
        ("sqlite:///var/lib/runs.db", "/var/lib/runs.db", "normal"),
        ("sqlite:////var/lib/runs.db?synchronous=full", "/var/lib/runs.db", "full"),
        ("sqlite:///var/my%20runs.db", "/var/my runs.db", "normal"),
    ],
)
def test_the_address_of_a_file_is_absolute(url: str, path: str, synchronous: str) -> None:
    assert parse_url(url) == (Path(path), synchronous)

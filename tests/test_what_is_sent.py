"""Requests fit the provider: names of fields, keys, addresses, and the number of concurrent calls."""

import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from app.settings import Settings
from chains.errors import ConfigError
from chains.models.registry import Provider, load_registry
from tests.client import REQUEST, ReceivedEvent, ask, cancel, follow, named, start, statuses, wait_until
from tests.conftest import Serve
from tests.servers import RECIPES, Gate, Provider as Scripted, Refuse, Script, provider

OneSlot = Callable[..., tuple[str, Scripted]]

HOSTED = {"groq", "fireworks", "together", "cerebras", "openrouter", "mistral", "azure"}
LOCAL = {"vllm", "llamacpp", "ollama", "lmstudio"}
MODEL = '[models.mine]\nprovider = "{of}"\nid = "m"\ncontext_window = 32768\nmax_output = 4096\n'
QUESTION = {"query": "What is a roux?"}


def own(place: Path, of: str, toml: str = "") -> Path:
    """A registry with a model of that provider, and the rest of `toml`."""
    file = place / "own.toml"
    file.write_text(f"{toml}\n{MODEL.format(of=of)}")
    return file


def sent(serve: Serve, place: Path, of: str, toml: str = "", query: str = "", **settings: Any) -> dict[str, Any]:
    """The call for a plain completion with a model of that provider."""
    with provider() as scripted:
        base_urls = {of: f"{scripted.url}{query}"}
        url = serve(registry=own(place, of, toml), model="mine", base_urls=base_urls, **settings)
        assert ask("GET", f"{url}/completion", params=QUESTION).text == "completion one, completion two."
        (call,) = scripted.calls
    return call


@pytest.mark.parametrize("name", sorted(HOSTED | LOCAL))
def test_each_preset_sends_the_fields_that_its_server_takes(serve: Serve, tmp_path: Path, name: str) -> None:
    """Mistral (https://docs.mistral.ai/api) and others reject unknown fields; Ollama and llama.cpp ignore them."""
    keys = {name: "k-1"} if name in HOSTED else {}
    call = sent(serve, tmp_path, name, keys=keys)
    limit = "max_completion_tokens" if name in {"groq", "fireworks", "cerebras", "azure"} else "max_tokens"
    fields = {"messages", "model", "stream", "temperature", limit}
    assert set(call["body"]) == fields | ({"stream_options"} if name != "mistral" else set())
    assert call["body"][limit] == 1000
    key = call["headers"].get("api-key" if name == "azure" else "authorization")
    assert key == {"azure": "k-1"}.get(name, "Bearer k-1" if name in HOSTED else "Bearer none")
    assert ("authorization" in call["headers"]) == (name != "azure")


def test_a_provider_can_override_fields_of_a_preset(serve: Serve, tmp_path: Path) -> None:
    """Fields of the body are added or replace ours; a model's have precedence over its provider's."""
    toml = """
[providers.desk]
preset = "mistral"
needs_key = false
extra_headers = {X-Title = "Sizzle"}
extra_body = {temperature = 1, safe_prompt = true, provider = {sort = "latency"}}
"""
    file = own(tmp_path, "desk", toml)
    file.write_text(file.read_text() + "extra_body = {safe_prompt = false}\n")
    with provider() as scripted:
        url = serve(registry=file, model="mine", base_urls={"desk": scripted.url})
        assert ask("GET", f"{url}/completion", params=QUESTION).status_code == 200
        (call,) = scripted.calls
    assert {name: call["body"].get(name) for name in ("temperature", "safe_prompt", "provider", "extra_body")} == {
        "temperature": 1,
        "safe_prompt": False,
        "provider": {"sort": "latency"},
        "extra_body": None,
    }
    assert "stream_options" not in call["body"]
    assert call["headers"]["x-title"] == "Sizzle"


@pytest.mark.parametrize("ending", ["", "/", "//", "/chat/completions", "/chat/completions/", "?a=1", "/?a=1&b=2"])
def test_a_base_url_may_end_in_many_ways(serve: Serve, tmp_path: Path, ending: str) -> None:
    call = sent(serve, tmp_path, "vllm", query=ending)
    assert call["path"] == "/v1/chat/completions"
    assert call["query"] == ending.partition("?")[2]


def test_a_password_in_a_base_url_is_sent_as_basic(serve: Serve, tmp_path: Path) -> None:
    """A proxy in front of a local server may ask for one."""
    with provider() as scripted:
        url = scripted.url.replace("http://", "http://kim:p%40ss@")
        served = serve(registry=own(tmp_path, "vllm"), model="mine", base_urls={"vllm": url})
        assert ask("GET", f"{served}/completion", params=QUESTION).text == "completion one, completion two."
        (call,) = scripted.calls
    assert call["headers"]["authorization"] == f"Basic {b64encode(b'kim:p@ss').decode()}"


@given(st.lists(st.sampled_from(["v1", "openai", "a b", "é", "chat"]), max_size=3), st.sampled_from(["", "?a=b"]))
def test_an_address_is_the_same_however_the_base_url_ends(path: list[str], query: str) -> None:
    base = "/".join(["https://host:8443", *path])
    urls = {
        Provider(label="P", base_url=f"{base}{end}{query}").url("chat/completions")
        for end in ("", "/", "/chat/completions", "/chat/completions/")
    }
    assert urls == {f"{base}/chat/completions{query}"}


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ('preset = "nobody"', "providers.desk.preset"),
        ('preset = "ollama"\nlimit_field = "n_predict"', "providers.desk.limit_field"),
        ('preset = "ollama"\nnext_token_s = inf', "providers.desk.next_token_s"),
        ('preset = "ollama"\nmax_concurrent_calls = 0', "providers.desk.max_concurrent_calls"),
        ('preset = "ollama"\nbase_url = "http://"', "providers.desk.base_url"),
        ('preset = "ollama"\nbase_url = "http://[::1/v1"', "providers.desk.base_url"),
        ('preset = "ollama"\nbase_url = "http://host:port/v1"', "providers.desk.base_url"),
        ('preset = "ollama"\nkey_header = "a b"', "providers.desk.key_header"),
        ('preset = "ollama"\nextra_body = {n = 2}', "providers.desk.extra_body"),
        ('preset = "ollama"\nextra_headers = {"a" = "b\\n"}', "providers.desk.extra_headers"),
    ],
)
def test_an_entry_that_cannot_be_right_is_named(tmp_path: Path, entry: str, field: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_registry(own(tmp_path, "desk", f"[providers.desk]\n{entry}"))
    assert field in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("setting", ["keys", "base_urls"])
def test_a_setting_for_an_unknown_provider_is_named(setting: str) -> None:
    with pytest.raises(ConfigError, match=f"SIZZLE_{setting.upper()}__TOGETHERR: unknown provider"):
        Settings(**{setting: {"togetherr": "http://x"}}).load_registry()  # type: ignore[arg-type]


def test_without_a_key_only_the_stand_in_can_be_used(sizzle_url: str) -> None:
    """There are presets that need no key, but they are not used by themselves."""
    models = ask("GET", f"{sizzle_url}/v1/models").json()["data"]
    assert [model["id"] for model in models] == ["sizzle", "stand-in"]
    assert set(ask("GET", f"{sizzle_url}/healthz").json()["models"].values()) == {"stand-in"}


@pytest.mark.parametrize(
    ("name", "small", "large"),
    [
        ("together", "together-gpt-oss-20b", "together-gpt-oss-120b"),
        ("cerebras", "cerebras-gpt-oss-120b", "cerebras-gpt-oss-120b"),
        ("openrouter", "openrouter-gpt-oss-20b", "openrouter-gpt-oss-120b"),
        ("mistral", "mistral-small", "mistral-small"),
    ],
)
def test_a_key_alone_is_enough(name: str, small: str, large: str) -> None:
    settings = Settings(keys={name: "k-1"})  # type: ignore[dict-item]
    chosen = settings.choose_models()
    assert chosen == dict.fromkeys(("alternates", "ingredients"), small) | dict.fromkeys(
        ("intro", "nutrition", "sides", "steps"), large
    )


@pytest.fixture
def one_slot(serve: Serve, tmp_path: Path) -> Iterator[OneSlot]:
    """Serves Sizzle over a llama.cpp that follows `scripts` and writes one answer at a time."""
    toml = '[providers.desk]\npreset = "llamacpp"\nfirst_token_s = 3\nnext_token_s = 20'
    with ExitStack() as stack:

        def start(scripts: dict[str, Script | list[Script]], **settings: Any) -> tuple[str, Scripted]:
            scripted = stack.enter_context(provider(scripts))
            file, base_urls = own(tmp_path, "desk", toml), {"desk": scripted.url}
            return serve(registry=file, base_urls=base_urls, model="mine", **settings), scripted

        yield start


def test_a_server_with_one_slot_writes_a_whole_recipe(one_slot: OneSlot) -> None:
    """There is one call at a time, and parts that others need are first."""
    proposed, gate, started = json.dumps(RECIPES), Gate(), set[str]()
    url, scripted = one_slot({"proposal": [proposed[:-1], gate, proposed[-1]]})

    def release(event: ReceivedEvent) -> None:
        started.update({event.fields["part"]} if event.name == "part_start" else ())
        if started >= {"ingredients", "intro", "nutrition", "sides"}:
            gate.open()

    events = follow(start(url), seen=release)
    steps = [call["step"] for call in scripted.calls]
    assert {end["status"] for end in named(events, "part_end")} == {"ok"}
    assert steps[:2] == ["proposal", "ingredients"]
    assert sorted(steps) == ["ingredients", "intro", "nutrition", "proposal", "sides", "steps"]
    assert scripted.most_at_once == 1


def test_waiting_for_a_slot_does_not_count_as_slow(one_slot: OneSlot) -> None:
    """Calls that wait for a slot longer than the first-token timeout neither fail nor are hedged."""
    with provider() as groq:
        gate = Gate()
        settings = {"hedge_after_s": 3, "groq_api_key": "k", "groq_base_url": groq.url}
        url, scripted = one_slot({"proposal": [json.dumps(RECIPES)[:-1], gate, "]"]}, **settings)
        slow = threading.Timer(4.5, gate.open)
        slow.start()
        events = follow(start(url))
        assert {end["status"] for end in named(events, "part_end")} == {"ok"}
        assert {begin["attempt"] for begin in named(events, "part_start")} == {1}
        assert ask("GET", f"{url}/healthz").json()["cooling_down"] == {}
    assert [len(scripted.calls), groq.calls] == [6, []]


def test_a_cancelled_call_frees_its_slot(one_slot: OneSlot) -> None:
    """A run is cancelled while one of its calls is running and another one waits."""
    url, scripted = one_slot({"proposal": [[Gate()], [json.dumps(RECIPES)]]})
    run = start(url)
    assert wait_until(lambda: len(scripted.calls) == 1, seconds=10)
    assert cancel(run).is_success
    assert statuses(follow(start(url, REQUEST | {"seed": 2}))) == ["ok"]


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (400, "limit_field"),
        (404, "base URL"),
        (405, "base URL"),
        (410, "base URL"),
        (415, "base URL"),
        (421, "base URL"),
        (422, "stream_usage"),
        (426, "base URL"),
        (407, "proxy"),
        (451, "another provider"),
        (499, "another provider"),
        (418, "extra_body"),
        (302, "base URL"),
        (501, "base URL"),
        (520, "try again"),
        (522, "base URL"),
        (526, "base URL"),
        (511, "network"),
        (529, "is overloaded"),
        (599, "try again"),
    ],
)
def test_each_status_names_what_to_look_at(serve: Serve, status: int, hint: str) -> None:
    with provider({"completion": [Refuse(status)]}) as scripted:
        url = serve(groq_api_key="k", groq_base_url=scripted.url)
        answer = ask("GET", f"{url}/completion", params=QUESTION)
    assert [answer.status_code, len(scripted.calls)] == [502, 1]
    assert f"({status})" in answer.json()["detail"]
    assert hint in answer.json()["detail"]

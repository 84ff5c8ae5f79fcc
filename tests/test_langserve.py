"""LangServe's endpoints and playground, with its own client and in a real browser."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from langserve import RemoteRunnable
from playwright.sync_api import Page, expect

from app.main import create_app
from app.settings import Settings
from chains.finish_reasons import CUT_OFF
from chains.models.chat import BROKEN_OFF
from tests.client import ask, wait_until
from tests.conftest import ServeScripts, Uncalled
from tests.servers import PROMPTS, Finish, Gate, Refuse, chunk, run, serving

DISH = {"ingredientsOnHand": "beef, onions", "prepTime": 30, "recipe_name": "Beef stew", "ingredients": "- 300 g beef"}
FIELDS = {
    "recipe": ["ingredientsOnHand", "prepTime"],
    "alternates": ["ingredientsOnHand", "prepTime"],
    "nutrition": ["ingredientsOnHand", "prepTime"],
    "ingredients": ["ingredientsOnHand", "prepTime", "recipe_name"],
    "intro": ["ingredientsOnHand", "prepTime", "recipe_name"],
    "sides": ["ingredientsOnHand", "prepTime", "recipe_name"],
    "steps": list(DISH),
}
HEADINGS = ["About this dish", "Ingredients", "Steps", "On the side", "Good to know", "Other ideas"]


def input_of(name: str) -> dict[str, Any]:
    """The input of the chain of this name."""
    return {field: DISH[field] for field in FIELDS[name]}


@contextmanager
def remote(url: str) -> Iterator[RemoteRunnable[Any, Any]]:
    """LangServe's client, whose connections are closed at the end."""
    chain: RemoteRunnable[Any, Any] = RemoteRunnable(url)
    with chain.sync_client:
        yield chain
    run(chain.async_client.aclose())


def invoke(url: str, name: str, config: dict[str, Any] | None = None) -> httpx.Response:
    return ask("POST", f"{url}/chains/{name}/invoke", json={"input": input_of(name), "config": config or {}})


def headings(markdown: str) -> list[str]:
    return [line.removeprefix("## ") for line in markdown.splitlines() if line.startswith("## ")]


@pytest.mark.parametrize("name", FIELDS)
def test_a_remote_runnable_works_on_every_chain(serve_scripts: ServeScripts, name: str) -> None:
    """Invoke, stream, batch and their async forms return the same text."""
    url, _ = serve_scripts()
    given = input_of(name) | {"seed": 3}

    async def in_async_forms() -> list[Any]:
        async with chain.async_client:
            streamed = "".join([piece async for piece in chain.astream(given)])
            return [await chain.ainvoke(given), streamed, *await chain.abatch([given, given])]

    with remote(f"{url}/chains/{name}") as chain:
        text = chain.invoke(given)
        assert ("Pepper Steak" if name in ("recipe", "alternates") else f"{name} one, ") in text
        assert "".join(chain.stream(given)) == text
        assert chain.batch([given, given]) == [text, text]
        assert run(in_async_forms()) == [text] * 4


def test_the_whole_streams_markdown_in_reading_order(serve_scripts: ServeScripts) -> None:
    """The parts are streamed one after the other; nothing is lost or repeated."""
    url, _ = serve_scripts()
    with remote(f"{url}/chains/recipe") as chain:
        pieces = list(chain.stream(input_of("recipe")))
    text = "".join(pieces)
    assert len(pieces) > 1
    assert text.startswith("# ")
    assert headings(text) == HEADINGS
    assert "## Steps\n\nsteps one, steps two.\n\n## On the side\n\nsides one, sides two.\n" in text


def test_a_failed_part_has_its_reason_in_the_text(serve_scripts: ServeScripts) -> None:
    """The text continues after the reason. If the proposal fails, the nutrition part remains."""
    url, _ = serve_scripts({"sides": [Refuse(500)], "intro": ["Half", Finish("length")]})
    text = invoke(url, "recipe").json()["output"]
    assert headings(text) == HEADINGS
    assert "Half\n\n> Cut off at the limit" in text
    assert "> Groq failed (500): try again." in text
    url, _ = serve_scripts({"proposal": [Refuse(401)]})
    text = invoke(url, "recipe").json()["output"]
    assert "nutrition one, nutrition two." in text
    assert "did not accept the key (401)" in text


def test_a_model_is_chosen_by_its_name_only(serve_scripts: ServeScripts) -> None:
    """The field accepts the names of models whose provider has a key; the rest of the config is ignored."""
    url, provider = serve_scripts()
    with serving(create_app(Settings())) as other:  # offers the stand-in only
        assert "groq" not in ask("GET", f"{other}/chains/recipe/config_schema").text
        schema = ask("GET", f"{url}/chains/recipe/config_schema").json()
    assert schema["$defs"]["Model"]["enum"] == ["groq-gpt-oss-20b", "groq-gpt-oss-120b", "as set"]
    invoke(url, "recipe", {"configurable": {"model": "groq-gpt-oss-120b", "openai_api_base": "http://x"}})
    assert {call["body"]["model"] for call in provider.calls} == {"openai/gpt-oss-120b"}
    for model in ("fireworks-gpt-oss-120b", "http://127.0.0.1:1/v1", ""):
        assert invoke(url, "recipe", {"configurable": {"model": model}}).status_code == 422
    assert len(provider.calls) == 6


def test_other_config_of_the_client_is_ignored(serve_scripts: ServeScripts) -> None:
    """Tags, metadata, names and concurrency limits of a client are ignored."""
    url, _ = serve_scripts()
    config = {"metadata": {"step": "x"}, "run_name": "pick", "max_concurrency": 1, "recursion_limit": 1}
    assert headings(invoke(url, "recipe", config).json()["output"]) == HEADINGS


@pytest.mark.parametrize("end", [Finish(None), Finish("length")])
def test_a_cut_off_part_alone_is_an_error(serve_scripts: ServeScripts, end: Finish) -> None:
    """A part alone cannot report it in its text: invoke is a 502 with our message, and a stream breaks off."""
    url, _ = serve_scripts({"intro": ["Half", end]})
    answer = invoke(url, "intro")
    assert [answer.status_code, answer.json()["detail"]] == [502, CUT_OFF["length"] if end.reason else BROKEN_OFF]
    with remote(f"{url}/chains/intro") as chain, pytest.raises(httpx.HTTPError):
        list(chain.stream(input_of("intro")))


@pytest.mark.parametrize(
    ("endpoint", "body", "status"),
    [("invoke", "x", 400), ("invoke", "{}", 422), ("batch", '{"inputs": 5}', 422), ("batch", "[]", 422)],
)
def test_an_invalid_input_is_a_422_and_no_json_a_400(uncalled: Uncalled, endpoint: str, body: str, status: int) -> None:
    """This includes bodies at which LangServe itself fails."""
    url, provider = uncalled
    answer = ask("POST", f"{url}/chains/recipe/{endpoint}", content=body, headers={"content-type": "application/json"})
    assert [answer.status_code, provider.calls] == [status, []]
    assert answer.json()["detail"][0]["message"]


def test_bad_input_is_a_422_that_names_the_field(uncalled: Uncalled) -> None:
    """The input of the playground and of the client has the same limits as the page's."""
    url, provider = uncalled
    for name, field in [("recipe", "ingredientsOnHand"), ("steps", "ingredients"), ("sides", "recipe_name")]:
        given = input_of(name) | {field: ""}
        answer = ask("POST", f"{url}/chains/{name}/invoke", json={"input": given})
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["field"] == field
    assert provider.calls == []


def test_a_batch_is_bounded(serve_scripts: ServeScripts) -> None:
    """Twenty inputs are accepted; twenty-one are a 413 before any call."""
    url, provider = serve_scripts()
    too_many = ask("POST", f"{url}/chains/sides/batch", json={"inputs": [input_of("sides")] * 21})
    assert [too_many.status_code, provider.calls] == [413, []]
    assert "at most 20" in too_many.json()["detail"]
    answer = ask("POST", f"{url}/chains/sides/batch", json={"inputs": [input_of("sides")] * 20})
    assert len(answer.json()["output"]) == 20
    assert ask("POST", f"{url}/chains/sides/batch", json=[]).status_code == 422


@pytest.mark.parametrize("name", ["recipe", "alternates", "sides"])
@pytest.mark.parametrize("endpoint", ["invoke", "batch", "stream", "stream_log"])
def test_a_providers_error_is_not_repeated(
    serve_scripts: ServeScripts, caplog: pytest.LogCaptureFixture, name: str, endpoint: str
) -> None:
    """No response and no log contains the body, the headers or the key of a provider that refuses."""
    url, provider = serve_scripts({step: [Refuse(401)] for step in PROMPTS})
    given = input_of(name)
    body = {"inputs": [given]} if endpoint == "batch" else {"input": given}
    answer = ask("POST", f"{url}/chains/{name}/{endpoint}", json=body)  # whose end is always sent
    assert provider.calls
    assert "without completing" not in caplog.text
    for text in (str(answer.headers) + answer.text, caplog.text):
        assert not any(secret in text for secret in ("canary", "provider words", "sk-groq-1", "x-secret", "Traceback"))


def test_a_refused_part_alone_is_a_502_with_our_message(serve_scripts: ServeScripts) -> None:
    """A part alone answers what went wrong and what to do."""
    url, _ = serve_scripts({"sides": [Refuse(429)]})
    answer = invoke(url, "sides")
    assert [answer.status_code, "wait a minute" in answer.json()["detail"]] == [502, True]


def test_every_chain_has_schemas_and_a_playground(sizzle_url: str) -> None:
    """The index links to the playgrounds, and the schemas have titles."""
    index = ask("GET", f"{sizzle_url}/chains").text
    for name in FIELDS:
        assert f'href="chains/{name}/playground/"' in index
        assert ask("GET", f"{sizzle_url}/chains/{name}/playground/").status_code == 200
        assert ask("GET", f"{sizzle_url}/chains/{name}/output_schema").json()["type"] == "string"
        labels = ask("GET", f"{sizzle_url}/chains/{name}/input_schema").json()["properties"]
        assert labels["ingredientsOnHand"]["title"] == "Ingredients on hand"


def test_the_playground_streams_a_recipe(page: Page, sizzle_url: str) -> None:
    page.goto(f"{sizzle_url}/chains")
    page.get_by_role("link", name="recipe").click()
    page.get_by_role("textbox").first.fill("beef, onions")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("## Other ideas")).to_be_visible(timeout=15_000)


@pytest.mark.parametrize(
    "path",
    ["%00", "assets", "index.html/x", "x" * 300, "nothing", "../../../../etc/passwd", "%2e%2e/%2e%2e/api_handler.py"],
)
def test_an_unknown_file_of_the_playground_is_a_404(sizzle_url: str, path: str) -> None:
    answer = ask("GET", f"{sizzle_url}/chains/recipe/playground/{path}")
    assert (answer.status_code, list(answer.json())) == (404, ["detail"])


@pytest.mark.parametrize(
    "path",
    [
        "c/N4IgLgngDgpiBcIC/invoke",
        "c/N4Ig/playground/",
        "c/x/input_schema",
        "token_feedback",
        "feedback",
        "stream_events",
    ],
)
def test_other_routes_of_langserve_are_off(sizzle_url: str, path: str) -> None:
    """One of them unpacks 64 KB to a gigabyte."""
    for method in ("GET", "POST"):
        assert ask(method, f"{sizzle_url}/chains/recipe/{path}").status_code == 404


CONFIGS: list[Any] = [None, "N4Ig", 5, ["N4Ig"], [None], {"configurable": None}, {"configurable": {"model": [1]}}]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("endpoint", ["invoke", "batch", "stream", "stream_log"])
def test_a_config_that_is_none_is_a_422(uncalled: Uncalled, endpoint: str, config: Any) -> None:
    url, provider = uncalled
    given = {"inputs": [input_of("recipe")]} if endpoint == "batch" else {"input": input_of("recipe")}
    answer = ask("POST", f"{url}/chains/recipe/{endpoint}", json=given | {"config": config})
    assert (answer.status_code, provider.calls) == (422, [])
    assert {"field", "message", "expected"} == answer.json()["detail"][0].keys()


@pytest.mark.parametrize("bad", [{"prepTime": 30}, [1], "x", None, {}, 5, {"ingredientsOnHand": ["beef", "onions", 5]}])
def test_a_batch_with_one_bad_input_is_a_422(uncalled: Uncalled, bad: Any) -> None:
    """No call is made."""
    url, provider = uncalled
    answer = ask("POST", f"{url}/chains/recipe/batch", json={"inputs": [input_of("recipe"), bad]})
    assert (answer.status_code, provider.calls) == (422, [])
    assert answer.json()["detail"][0]["message"]


@pytest.mark.parametrize("endpoint", ["invoke", "batch"])
def test_the_calls_are_closed_when_the_client_leaves(serve_scripts: ServeScripts, endpoint: str) -> None:
    url, provider = serve_scripts({"sides": ["One", Gate()]})
    given = {"inputs": [input_of("sides")] * 2} if endpoint == "batch" else {"input": input_of("sides")}
    body, count = json.dumps(given), 2 if endpoint == "batch" else 1
    head = f"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
        client.sendall(f"POST /chains/sides/{endpoint} HTTP/1.1\r\n{head}\r\n{body}".encode())
        assert wait_until(lambda: len(provider.calls) == count, seconds=20)
    assert wait_until(lambda: provider.closed == ["sides"] * count, seconds=20)


def test_stream_log_contains_no_prompt_and_no_words_of_a_provider(serve_scripts: ServeScripts) -> None:
    """This holds for any `include_*` filter."""
    url, _ = serve_scripts({"sides": [chunk({"content": "Bread."}, x_secret="provider word"), Finish("stop")]})
    given = {"input": input_of("sides"), "include_names": ["sides", "ChatOpenAI"], "include_types": ["llm", "prompt"]}
    answer = ask("POST", f"{url}/chains/sides/stream_log", json=given)
    assert "Bread." in answer.text
    assert not any(word in answer.text for word in ("system", "ChatOpenAI", "finish_reason", "provider word", "<prep"))

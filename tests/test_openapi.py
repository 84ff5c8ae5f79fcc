"""The OpenAPI documents, the JSON Schema of the events, and /docs match the actual responses."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from jsonschema import Draft202012Validator
from playwright.sync_api import Page, expect

from app.main import create_app
from app.settings import Settings
from tests.access import guarded
from tests.client import REQUEST, ask, follow, start
from tests.conftest import ServeScripts
from tests.servers import Refuse, serving

RUN = {"recipe": {"name": "Pepper Steak"}, **REQUEST}


@pytest.fixture(scope="module")
def fast_url() -> Iterator[str]:
    with serving(create_app(Settings(standin_ttft_ms=0, standin_tokens_per_s=0))) as url:
        yield url


def document(url: str) -> dict[str, Any]:
    answer = ask("GET", f"{url}/openapi.json")
    assert answer.status_code == 200, answer.text
    return answer.json()


def validator(url: str, name: str) -> Draft202012Validator:
    """A validator of bodies against a component of the document."""
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document(url)["components"]})


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from [value] if key == "$ref" else references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_document_has_our_routes_and_none_of_langserves(fast_url: str) -> None:
    paths = document(fast_url)["paths"]
    own = {"/generate", "/runs", "/runs/{run_id}", "/runs/{run_id}/events", "/runs/{run_id}/parts/{part}"}
    assert own | {"/completion", "/race", "/healthz", "/schema/events.json"} <= paths.keys()
    assert not [path for path in paths if path.startswith(("/chains", "/v1", "/static"))]


@pytest.mark.parametrize("path", ["", "/chains", "/v1"])
def test_every_reference_of_a_document_leads_somewhere(fast_url: str, path: str) -> None:
    made = document(f"{fast_url}{path}")
    names = {f"#/components/schemas/{name}" for name in made["components"]["schemas"]}
    assert set(references(made)) <= names
    assert set(references(made["paths"]))


def test_streams_headers_and_refusals_are_described(fast_url: str) -> None:
    paths = document(fast_url)["paths"]
    events = paths["/runs/{run_id}/events"]["get"]
    event = events["responses"]["200"]["content"]["text/event-stream"]["schema"]["properties"]
    assert event["data"]["contentSchema"] == {"$ref": "#/components/schemas/Event"}
    assert {parameter["name"].lower() for parameter in events["parameters"]} == {"run_id", "last-event-id"}
    start_run = paths["/runs"]["post"]
    assert {"Location", "Sizzle-Run-Key"} == start_run["responses"]["201"]["headers"].keys()
    assert "Retry-After" in start_run["responses"]["503"]["headers"]
    assert "idempotency-key" in {parameter["name"].lower() for parameter in start_run["parameters"]}
    assert {"404", "409", "410", "422", "503"} <= paths["/runs/{run_id}/parts/{part}"]["post"]["responses"].keys()
    assert {"413", "415", "422", "503"} <= paths["/generate"]["post"]["responses"].keys()
    assert {"400", "422", "431", "502"} <= paths["/completion"]["get"]["responses"].keys()


def test_a_document_says_which_routes_need_a_token(fast_url: str) -> None:
    with guarded() as private:
        made = private.ask("GET", "/openapi.json").json()
        start_run, alive = made["paths"]["/runs"]["post"], made["paths"]["/livez"]["get"]
        refused = [private.ask("POST", "/runs", token="", json={}), private.ask("GET", "/livez", token="")]
    assert made["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert [start_run["security"], "401" in start_run["responses"]] == [[{"token": []}], True]
    assert ["security" in alive, "401" in alive["responses"], "421" in alive["responses"]] == [False, False, True]
    assert [answer.status_code for answer in refused] == [401, 200]
    validator(fast_url, "Refusal").validate(refused[0].json())
    open_run = document(fast_url)["paths"]["/runs"]["post"]
    assert ["security" in open_run, "401" in open_run["responses"]] == [False, False]


def test_bad_input_and_refusals_have_the_form_that_is_described(fast_url: str) -> None:
    bad, refusal = validator(fast_url, "HTTPValidationError"), validator(fast_url, "Refusal")
    bad.validate(ask("POST", f"{fast_url}/runs", json={}).json())
    bad.validate(
        ask("POST", f"{fast_url}/generate", content=b"\xff", headers={"content-type": "application/json"}).json()
    )
    bad.validate(ask("POST", f"{fast_url}/chains/recipe/batch", json={"inputs": [5]}).json())
    refusal.validate(ask("GET", f"{fast_url}/runs/x").json())
    with pytest.raises(Exception, match="is not of type"):
        refusal.validate(ask("POST", f"{fast_url}/runs", json={}).json())


@pytest.mark.parametrize("body", [REQUEST, RUN])
@pytest.mark.parametrize("scripts", [{}, {"sides": [Refuse(401)]}, {"proposal": [Refuse(401)]}])
def test_every_event_and_state_is_as_the_schema_says(
    serve_scripts: ServeScripts, scripts: dict[str, Any], body: dict[str, Any]
) -> None:
    url, _ = serve_scripts(scripts)
    schema = ask("GET", f"{url}/schema/events.json").json()
    Draft202012Validator.check_schema(schema)
    events, component = Draft202012Validator(schema), validator(url, "Event")
    run = start(url, body)
    for event in follow(run):
        events.validate({event.name: event.fields})
        component.validate(event.fields)
    validator(url, "RunState").validate(ask("GET", run).json())
    assert not events.is_valid({"end": {"status": "ok"}})


def test_docs_show_every_route_and_load_nothing_from_elsewhere(page: Page, fast_url: str) -> None:
    asked_for: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: asked_for.append(request.url))
    page.on("console", lambda message: problems.append(message.text))
    page.goto(f"{fast_url}/docs")
    expect(page.get_by_role("heading", name="POST /runs", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="PartEnd", exact=True)).to_be_visible()
    assert page.get_by_role("heading", level=2).count() > len(document(fast_url)["paths"])
    assert all(url.startswith(fast_url) for url in asked_for)
    assert problems == []
    violations = Axe().run(page).response["violations"]
    assert [violation["id"] for violation in violations] == [], json.dumps(violations)[:2000]


OPENAI_REFUSALS = [
    (400, {"json": {"model": "sizzle"}}),
    (403, {"json": {"model": "sizzle"}, "headers": {"Origin": "https://other.example"}}),
    (404, {"json": {"model": "none", "messages": [{"role": "user", "content": "beef"}]}}),
    (413, {"content": b" " * 1_100_000, "headers": {"Content-Type": "application/json"}}),
    (415, {"content": b"{}"}),
    (421, {"headers": {"Host": "other.example"}, "json": {}}),
]


@pytest.mark.parametrize(("status", "request_"), OPENAI_REFUSALS)
def test_the_openai_routes_document_their_errors(fast_url: str, status: int, request_: dict[str, Any]) -> None:
    """They have OpenAI's format; FastAPI's 422 is neither sent nor documented."""
    made = document(f"{fast_url}/v1")
    responses = made["paths"]["/chat/completions"]["post"]["responses"]
    assert responses.keys() == {"200", "400", "401", "403", "404", "413", "415", "421", "429", "502", "503"}
    assert "HTTPValidationError" not in made["components"]["schemas"]
    answer = ask("POST", f"{fast_url}/v1/chat/completions", **request_)
    assert answer.status_code == status
    Draft202012Validator(responses[str(status)]["content"]["application/json"]["schema"]).validate(answer.json())

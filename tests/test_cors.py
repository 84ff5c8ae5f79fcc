"""Pages of other origins: what they may send and read, with httpx and in a real browser with OpenAI's SDK."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from app.main import create_app
from app.settings import Settings, read_settings
from chains.errors import ConfigError
from tests.client import REQUEST, ask
from tests.conftest import Serve, ServeScripts
from tests.needs import give_up
from tests.servers import Gate, Refuse, serving

COOK = "https://cook.example"
ROUTES = [
    "/",
    "/generate",
    "/runs",
    "/completion",
    "/race",
    "/chains/recipe/stream",
    "/v1/models",
    "/v1/chat/completions",
]
SENT = {
    "OpenAI's SDK": "authorization,content-type,x-stainless-arch,x-stainless-lang,x-stainless-os,"
    "x-stainless-package-version,x-stainless-retry-count,x-stainless-runtime,x-stainless-runtime-version,"
    "x-stainless-timeout",
    "a client of runs": "content-type,idempotency-key,last-event-id,sizzle-run-key",
    "a client of OpenRouter": "authorization,content-type,http-referer,x-title",
}


def preflight(url: str, origin: str, headers: str = "content-type", method: str = "POST") -> httpx.Response:
    preflight = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return ask("OPTIONS", url, headers={"Origin": origin, **preflight})


def allowed(url: str, origin: str) -> str | None:
    return preflight(f"{url}/runs", origin).headers.get("access-control-allow-origin")


@pytest.mark.parametrize("client", SENT)
@pytest.mark.parametrize("route", ROUTES)
def test_an_allowed_page_may_send_what_its_library_sends(serve_cook: str, route: str, client: str) -> None:
    answer = preflight(serve_cook + route, COOK, SENT[client])
    assert [answer.status_code, answer.headers["access-control-allow-origin"]] == [200, COOK]
    assert answer.headers["access-control-allow-headers"].split(",") == SENT[client].split(",")


def test_an_allowed_page_may_send_a_head_with_its_key(serve_cook: str) -> None:
    assert preflight(f"{serve_cook}/v1/models", COOK, "authorization", "HEAD").status_code == 200


@pytest.fixture(scope="module")
def serve_cook() -> Iterator[str]:
    with serving(create_app(Settings(cors_origins=(COOK,)))) as url:
        yield url


@pytest.mark.parametrize(
    ("method", "path", "more", "status"),
    [
        ("GET", "/nothing", {}, 404),
        ("GET", "/v1/nothing", {}, 404),
        ("GET", "/generate", {}, 405),
        ("POST", "/runs", {"json": {}}, 422),
        ("POST", "/v1/chat/completions", {"json": {}}, 400),
        ("POST", "/runs", {"content": b"x" * 2_000_000}, 413),
        ("POST", "/v1/chat/completions", {"content": b"x" * 2_000_000}, 413),
        ("GET", "/runs/00000000-0000-0000-0000-000000000000", {}, 404),
        ("POST", "/chains/recipe/invoke", {"json": {}}, 422),
    ],
)
def test_a_page_can_read_why_it_was_refused(
    serve_cook: str, method: str, path: str, more: dict[str, Any], status: int
) -> None:
    headers = {"Origin": COOK, "Content-Type": "application/json"}
    answer = ask(method, serve_cook + path, headers=headers, **more)
    assert [answer.status_code, answer.headers.get("access-control-allow-origin")] == [status, COOK]


def test_a_page_can_read_retry_after(serve_scripts: ServeScripts) -> None:
    """It can read the headers of a 502 and a 503, and the location of a run."""
    scripts = {"completion": [Refuse(401)], "proposal": [Gate()]}
    url, _ = serve_scripts(scripts, cors_origins=(COOK,), max_runs=1)
    failed = ask("GET", f"{url}/completion?query=beef", headers={"Origin": COOK})
    first, full = [ask("POST", f"{url}/runs", json=REQUEST, headers={"Origin": COOK}) for _ in range(2)]
    answers = (failed, first, full)
    assert [answer.status_code for answer in answers] == [502, 201, 503]
    assert [answer.headers["access-control-allow-origin"] for answer in answers] == [COOK] * 3
    exposed = full.headers["access-control-expose-headers"].split(", ")
    assert {"Location", "Retry-After", "Sizzle-Run-Key"} <= set(exposed)
    assert int(full.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("setting", "origin"),
    [
        ("https://cook.example/", COOK),
        ("HTTPS://Cook.Example", COOK),
        ("https://cook.example:443", COOK),
        ("http://cook.example:80/", "http://cook.example"),
        ("http://cook.example:8080/", "http://cook.example:8080"),
        (" https://other.example , https://cook.example/ ", COOK),
        ("https://küche.example", "https://xn--kche-0ra.example"),
        ("http://[::1]:5000/", "http://[::1]:5000"),
        ("tauri://localhost", "tauri://localhost"),
    ],
)
def test_an_origin_is_read_as_browsers_send_it(serve: Serve, setting: str, origin: str) -> None:
    url = serve(cors_origins=setting)
    assert [allowed(url, origin), allowed(url, "https://evil.example")] == [origin, None]


@pytest.mark.parametrize(
    "setting",
    [
        "https://cook.example/app",
        "https://cook.example?x",
        "https://cook.example/#x",
        "https://user@cook.example",
        "cook.example",
        "localhost:5173",
        "https://*.cook.example",
        "https://cook.example:port",
        "https://cook.example:99999",
        "https://",
        "null",
        "http://[::1",
        "https://a.example https://b.example",
    ],
)
def test_an_invalid_origin_is_refused_at_start(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    """One line names the variable, its value and what is right."""
    monkeypatch.setenv("SIZZLE_CORS_ORIGINS", setting)
    with pytest.raises(ConfigError) as refused:
        read_settings()
    line = str(refused.value)
    assert line.startswith("SIZZLE_CORS_ORIGINS: ")
    assert [setting in line, "https://cook.example" in line, "\n" in line] == [True, True, False]


def test_all_origins_are_allowed_with_a_warning(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    url = serve(cors_origins="*")
    assert allowed(url, "https://evil.example") == "*"
    (warning,) = [record.getMessage() for record in caplog.records if "SIZZLE_CORS_ORIGINS" in record.getMessage()]
    assert "\n" not in warning


def test_the_seed_projects_page_can_be_switched_off(serve: Serve) -> None:
    seed = "http://localhost:5173"
    assert allowed(serve(), seed) == seed
    url = serve(seed_page=False, cors_origins=COOK)
    assert [allowed(url, seed), allowed(url, COOK)] == [None, COOK]


# --- in a real browser


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of npm's newest `openai`."""
    npm, folder = shutil.which("npm"), tmp_path_factory.mktemp("npm")
    command = [npm or "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, "openai"]
    if npm is None or subprocess.run(command, check=False).returncode:  # noqa: S603
        give_up("needs npm and its package openai")
    return folder / "node_modules" / "openai"


@contextmanager
def page_elsewhere(*mounts: Mount) -> Iterator[str]:
    """The address of an empty page of another origin."""

    async def empty(_: object) -> HTMLResponse:
        return HTMLResponse("<!doctype html><title>Elsewhere</title>")

    with serving(Starlette(routes=[Route("/", empty), *mounts])) as url:
        yield url


WITH_SDK = """async ([base, ask]) => {
    const { default: OpenAI } = await import("/openai/index.mjs");
    const client = new OpenAI({ baseURL: base + "/v1", apiKey: "any", dangerouslyAllowBrowser: true, maxRetries: 0 });
    const messages = [{ role: "user", content: ask }];
    const stream = await client.chat.completions.create({ model: "sizzle", messages, stream: true });
    let text = "", reason = null;
    for await (const { choices: [choice] } of stream) {
        text += choice?.delta.content ?? "";
        reason = choice?.finish_reason ?? reason;
    }
    const error = await client.chat.completions.create({ model: "gpt-5", messages }).catch((error) => error);
    return [text, reason, error.status, error.message];
}"""


def test_openais_sdk_works_from_another_origin(page: Page, sdk: Path, serve: Serve) -> None:
    """It streams a recipe, and its error has our message."""
    with page_elsewhere(Mount("/openai", StaticFiles(directory=sdk))) as elsewhere:
        url = serve(cors_origins=elsewhere, standin_ttft_ms=1, standin_tokens_per_s=0)
        page.goto(elsewhere)
        text, reason, status, message = page.evaluate(WITH_SDK, [url, "beef, onions; 30 minutes"])
    assert ["## Steps" in text, reason, status] == [True, "stop", 404]
    assert "There is no model 'gpt-5'" in message


BY_HAND = """async ([base, ask]) => {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": "k", "Authorization": "Bearer any" };
    const body = JSON.stringify(ask);
    const first = await fetch(base + "/runs", { method: "POST", headers, body });
    headers["Idempotency-Key"] = "l";
    const second = await fetch(base + "/runs", { method: "POST", headers, body });
    const large = await fetch(base + "/runs", { method: "POST", headers, body: "x".repeat(2_000_000) });
    return [first.headers.get("location"), second.status, second.headers.get("retry-after"), large.status];
}"""


def test_a_page_elsewhere_begins_a_run_and_reads_a_refusal(page: Page, serve_scripts: ServeScripts) -> None:
    with ExitStack() as stack:
        elsewhere = stack.enter_context(page_elsewhere())
        url, _ = serve_scripts({"proposal": [Gate()]}, cors_origins=elsewhere, max_runs=1)
        page.goto(elsewhere)
        location, status, retry_after, too_large = page.evaluate(BY_HAND, [url, REQUEST])
    assert [location.startswith("/runs/"), status, retry_after.isdigit(), too_large] == [True, 503, True, 413]


def test_a_page_that_is_not_allowed_reads_nothing(page: Page, sizzle_url: str) -> None:
    with page_elsewhere() as elsewhere:
        page.goto(elsewhere)
        failed = page.evaluate(
            "async (url) => await fetch(url).then(() => 'read', () => 'refused')", f"{sizzle_url}/healthz"
        )
    assert failed == "refused"

"""`sizzle check` says before the start what would be wrong."""

import json
from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.commands import sizzle
from tests.servers import serving

KEY = "gsk_canary0123456789abcdef"
TOKEN = "sizzle-canary-token-0123456789-abcdef"


def test_without_a_key_it_says_what_would_happen_and_what_to_set(tmp_path: Path) -> None:
    done = sizzle("check", "--offline", "--store", f"sqlite://{tmp_path}/new/runs.db")
    assert done.returncode == 0, done.stdout
    rows = _rows(done.stdout)
    assert rows["Rule-based stand-in"] == (
        "warning",
        "The rule-based stand-in answers, not a language model: set GROQ_API_KEY or FIREWORKS_API_KEY",
    )
    assert rows["Store"] == ("ok", f"{tmp_path}/new/runs.db will be created")
    assert not (tmp_path / "new").exists()


def test_a_good_deployment_passes_and_shows_no_secret() -> None:
    """The provider is asked for its models once, with the key."""
    seen = list[str]()

    async def models(request: object) -> JSONResponse:
        seen.append(json.dumps(dict(request.headers)))  # type: ignore[attr-defined]
        return JSONResponse({"data": []})

    with serving(Starlette(routes=[Route("/v1/models", models)])) as url:
        done = sizzle(
            "check", "--host", "0.0.0.0", "--store", "memory://", GROQ_API_KEY=KEY, SIZZLE_TOKEN=TOKEN,  # noqa: S104
            SIZZLE_GROQ_BASE_URL=f"{url}/v1", SIZZLE_DAILY_BUDGET_USD="5", SIZZLE_ALLOWED_HOSTS="cook.example",
        )  # fmt: skip
    assert done.returncode == 0, done.stdout
    rows = _rows(done.stdout)
    assert rows["Groq"] == ("ok", "answers")
    assert rows["Budget"] == ("ok", "$5 a day")
    assert rows["Store"][0] == "warning"
    assert rows["Exposure"][1] == "0.0.0.0: for other machines, with a token (owner); names: cook.example"
    assert len(seen) == 1
    assert KEY in seen[0]
    assert "canary" not in done.stdout + done.stderr


def test_everything_that_would_keep_the_server_from_working_is_named_at_once(tmp_path: Path) -> None:
    async def models(_: object) -> JSONResponse:
        return JSONResponse({"error": "provider words"}, 401)

    (tmp_path / "runs.db").write_text("not a database, but long enough to be read as one. " * 100)
    with serving(Starlette(routes=[Route("/v1/models", models)])) as url:
        settings = {
            "GROQ_API_KEY": KEY,
            "SIZZLE_GROQ_BASE_URL": f"{url}/v1",
            "SIZZLE_STORE": f"sqlite://{tmp_path}/runs.db",
        }
        done = sizzle("check", "--host", "0.0.0.0", "--lang", "ko", **settings)  # noqa: S104
    assert done.returncode == 1
    rows = _rows(done.stdout)
    assert {name for name, (state, _) in rows.items() if state == "오류"} == {"Groq", "저장소", "공개 범위"}
    assert rows["Groq"][1] == "키를 받아들이지 않아요: GROQ_API_KEY"
    assert not {"provider words", "canary"} & set(done.stdout.split())


def test_a_setting_that_cannot_be_read_is_the_only_row() -> None:
    done = sizzle("check", SIZZLE_MAX_RUNS="many")
    assert done.returncode == 1
    assert [(name, state) for name, (state, _) in _rows(done.stdout).items()] == [("Settings", "error")]


def _rows(output: str) -> dict[str, tuple[str, str]]:
    """State and text of each row, by what it is about."""
    rows = [[cell for cell in line.strip().split("  ") if cell.strip()] for line in output.splitlines() if line.strip()]
    return {name.strip(): (state.strip(), text.strip()) for state, name, text in rows}

"""What the page is sent in its tests, and what of it to look at."""

import json
from collections.abc import AsyncIterator
from typing import Any

from playwright.sync_api import Locator, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.routing import Mount
from starlette.routing import Route as Path
from starlette.staticfiles import StaticFiles

from app.routes import PAGE_HEADERS, WEB
from tests.servers import RECIPES, Gate

PARTS = ("alternates", "ingredients", "intro", "nutrition", "sides", "steps")


def named(name: str, **fields: Any) -> str:
    return f"event: {name}\ndata: {name}|{json.dumps(fields, ensure_ascii=False)}\n\n"


def fragment(code: str, text: str) -> str:
    references = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "\n": "⮑"})
    return f"data: {code}|{text.translate(references)}\n\n"


def start(part: str, attempt: int = 1) -> str:
    return named("part_start", part=part, attempt=attempt, provider="groq", model=f"{part}-model")


def stop(part: str, status: str = "ok", message: str | None = None) -> str:
    figures = {"finish_reason": "stop", "ttft_ms": 210, "tokens": 90, "tokens_per_s": 412.4}
    return named("part_end", part=part, status=status, message=message, **figures)


def written(part: str, code: str, text: str) -> str:
    return start(part) + fragment(code, text) + stop(part)


def end(status: str = "ok") -> str:
    return named("end", status=status, total_ms=2300)


PICK = named("run", run_id="r", request={}, parts=PARTS) + named("proposal", recipes=RECIPES, picked=0)
INGREDIENTS = written("ingredients", "add", "- 300 g beef flank\n- 2 onions\n")
OTHERS = (
    start("alternates")
    + fragment("alt", "<li><b>Beef Soup</b> &nbsp;<i>Slow</i></li>")
    + stop("alternates")
    + written("intro", "int", "From the pan.\nTo the plate.")
    + written("nutrition", "ing", "- Onions: fibre.\n")
    + written("steps", "ste", "1. Slice the beef.\n2. Sear it.\n")
)
SIDES = written("sides", "sde", "- Rice: it soaks up the juices.\n")
WHOLE = PICK + INGREDIENTS + OTHERS + SIDES + end()


def page_over(moves: tuple[str | Gate | Exception, ...]) -> Starlette:
    """The page, and a `POST /generate` that makes these moves."""

    async def body() -> AsyncIterator[str]:
        for move in moves:
            match move:
                case Gate():
                    await move.passed()
                case Exception():
                    raise move
                case text:
                    yield text

    async def index(_: Request) -> FileResponse:
        return FileResponse(WEB / "index.html", headers=PAGE_HEADERS)

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "standin": False})

    async def generate(_: Request) -> StreamingResponse:
        return StreamingResponse(body(), media_type="text/event-stream")

    routes = [Path("/", index), Path("/healthz", health), Path("/generate", generate, methods=["POST"])]
    return Starlette(routes=[*routes, Mount("/static", StaticFiles(directory=WEB))])


def ask(page: Page, ingredients: str = "beef flank, onions") -> None:
    page.locator("textarea").fill(ingredients)
    page.locator("#generate").click()


def panel(page: Page, part: str) -> Locator:
    return page.locator(f".panel[data-part={part}]")


def body(page: Page, part: str) -> Locator:
    return panel(page, part).locator(".body")


def state(page: Page, part: str) -> Locator:
    return panel(page, part).locator(".state")


def status(page: Page) -> Locator:
    return page.get_by_role("status")

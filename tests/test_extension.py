"""Users of create_app() can extend the FastAPI application, and streams still work."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.main import create_app
from app.settings import Settings
from tests.client import ask, events_named, follow, named, read, start, statuses
from tests.servers import serving


class Gathered:
    """A middleware that sends nothing before the response is complete."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        messages: list[Message] = []

        async def gather(message: Message) -> None:
            messages.append(message)

        await self.app(scope, receive, gather)
        for message in messages:
            await send(message)
        return None


class Marked:
    """A pure ASGI middleware that marks each response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def mark(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-mark", b"yes")]
            await send(message)

        await self.app(scope, receive, mark)


@pytest.fixture
def app() -> FastAPI:
    return create_app(Settings(standin_ttft_ms=0, standin_tokens_per_s=0))


async def _decorate(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    response.headers["x-mark"] = "yes"
    return response


def _add_decorated(app: FastAPI) -> None:
    app.middleware("http")(_decorate)


ADDITIONS: dict[str, Callable[[FastAPI], Any]] = {
    "pure ASGI": lambda app: app.add_middleware(Marked),
    "BaseHTTPMiddleware": _add_decorated,
    "gzip": lambda app: app.add_middleware(GZipMiddleware, minimum_size=1),
    "one that gathers": lambda app: app.add_middleware(Gathered),
}


@pytest.mark.parametrize("add", ADDITIONS.values(), ids=ADDITIONS.keys())
def test_middleware_that_is_added_works_and_no_stream_suffers(app: FastAPI, add: Callable[[FastAPI], Any]) -> None:
    add(app)
    with serving(app) as url:
        assert events_named(read(url), "end")[0]["status"] == "ok"
        run = start(url)
        events = follow(run)
        assert statuses(events) == ["ok"]
        assert len(named(events, "part_end")) == 6
        answer = ask("GET", f"{run}/events")
        assert answer.text.startswith("retry:")
        assert ask("GET", f"{url}/healthz").json()["status"] == "ok"
        if add in (ADDITIONS["pure ASGI"], ADDITIONS["BaseHTTPMiddleware"]):
            assert answer.headers["x-mark"] == ask("GET", f"{url}/healthz").headers["x-mark"] == "yes"


def test_an_exception_handler_that_is_added_is_called(app: FastAPI) -> None:
    class Burnt(Exception):
        pass

    async def burnt(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse({"burnt": True}, 418)

    async def mine(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return JSONResponse({"mine": error.status_code}, error.status_code)

    app.add_exception_handler(Burnt, burnt)
    app.add_exception_handler(409, mine)

    @app.get("/burn")
    async def burn() -> None:
        raise Burnt

    @app.get("/conflict")
    async def conflict() -> None:
        raise HTTPException(409)

    with serving(app) as url:
        assert (ask("GET", f"{url}/burn").status_code, ask("GET", f"{url}/burn").json()) == (418, {"burnt": True})
        assert ask("GET", f"{url}/conflict").json() == {"mine": 409}


def test_routes_that_are_added_answer_and_are_documented(app: FastAPI) -> None:
    router = APIRouter(prefix="/pantry")

    @router.get("/{shelf}")
    async def shelf(shelf: int) -> dict[str, int]:
        return {"shelf": shelf}

    @app.post("/order")
    async def order(item: dict[str, str]) -> dict[str, str]:
        return item

    app.include_router(router)
    with serving(app) as url:
        assert ask("GET", f"{url}/pantry/2").json() == {"shelf": 2}
        assert ask("HEAD", f"{url}/pantry/2").status_code == 200
        assert ask("GET", f"{url}/pantry/x").json()["detail"][0]["field"] == "shelf"
        assert ask("POST", f"{url}/order", json={"a": "b"}).json() == {"a": "b"}
        assert ask("POST", f"{url}/order", json={"a": "b" * 1_100_000}).status_code == 413
        assert ask("GET", f"{url}/chains/recipe/input_schema").status_code == 200
        assert {"/pantry/{shelf}", "/order", "/runs"} <= ask("GET", f"{url}/openapi.json").json()["paths"].keys()


def test_an_unexpected_error_is_a_500_in_json(app: FastAPI) -> None:
    """The response does not contain the error's message."""

    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError("sk-canary")

    with serving(app) as url:
        answer = ask("GET", f"{url}/broken")
        assert (answer.status_code, answer.json()["detail"][:20]) == (500, "Something went wrong")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_application_can_be_served_twice(app: FastAPI) -> None:
    """The second time it opens its models again."""
    for _ in range(2):
        with serving(app) as url:
            assert ask("GET", f"{url}/chains/recipe/input_schema").status_code == 200
            body = {"input": {"ingredientsOnHand": "beef, onions"}}
            assert ask("POST", f"{url}/chains/recipe/invoke", json=body).status_code == 200

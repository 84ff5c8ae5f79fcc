"""Serves the recipe's page at once. Everything else waits until the program is imported, which takes seconds."""

import asyncio
import re
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from app.server.page import WEB, Assets, composition_page, page_response
from app.server.root_path import route_path
from app.server.security_headers import SecurityHeaders

if TYPE_CHECKING:
    from fastapi import FastAPI

T = TypeVar("T")

PROBES = re.compile(r"/livez|/readyz")
PAGE = re.compile(rf"/|/r/[^/]+|/static/.+|{PROBES.pattern}")
RETRY_AFTER = {"Retry-After": "1"}  # seconds


class StartingApp:
    """Loads an application in a thread and then passes each request on to it.

    Requests for the paths `early` are answered before that. `on_ready` is called when the application has started,
    `on_failure` when it could not: `failure` says why.
    """

    def __init__(
        self, load: Callable[[], "FastAPI"], on_ready: Callable[[], object], on_failure: Callable[[], object],
        early: re.Pattern[str] = PAGE,
    ) -> None:  # fmt: skip
        self._load, self._on_ready, self._on_failure, self._is_early = load, on_ready, on_failure, early.fullmatch
        self._app: ASGIApp | None = None
        self._settled = asyncio.Event()
        self._stopping = asyncio.Event()
        self.failure: Exception | None = None
        self._early = SecurityHeaders(_early_app(self._lifespan))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (not self._app and self._is_early(route_path(scope))):
            return await self._early(scope, receive, send)
        if not self._app:
            await self._settled.wait()
        return await (self._app or SecurityHeaders(_unavailable))(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncGenerator[None]:
        running = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._stopping.set()
            if not self._app:
                running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _run(self) -> None:
        """Runs the application's own lifespan in one task, as a server does."""
        try:
            app = await _in_daemon_thread(self._load)
            async with app.router.lifespan_context(app):
                self._app = app
                self._settled.set()
                self._on_ready()
                await self._stopping.wait()
        except Exception as error:  # noqa: BLE001  the command raises it again
            self.failure = error
            self._on_failure()
        finally:
            self._settled.set()


def _early_app(lifespan: Lifespan[Starlette]) -> Starlette:
    return Starlette(
        routes=[
            Route("/", _page),
            Route("/r/{run_id}", _page),
            Route("/livez", _alive),
            Route("/readyz", _not_ready),
            Mount("/static", Assets(directory=WEB)),
        ],
        lifespan=lifespan,
    )


async def _page(request: Request) -> Response:
    return page_response(composition_page("index.html"), request.scope)


async def _alive(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _not_ready(_: Request) -> Response:
    return JSONResponse({"status": "starting"}, 503, RETRY_AFTER)


async def _unavailable(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"detail": "The server could not start."}, 503)(scope, receive, send)


def _in_daemon_thread(work: Callable[[], T]) -> "asyncio.Future[T]":
    """Returns the result of `work`. The thread is a daemon, so that Ctrl-C does not wait for an import."""
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(work())
        except Exception as error:  # noqa: BLE001  raised again where the result is awaited
            result.set_exception(error)

    result.set_running_or_notify_cancel()
    threading.Thread(target=run, name="starting", daemon=True).start()
    return asyncio.wrap_future(result)

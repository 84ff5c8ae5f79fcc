"""The server while it starts: its page is served at once, everything else waits."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from fastapi import FastAPI
from playwright.sync_api import Page, expect

from app.main import create_app
from app.server.starting import StartingApp
from app.settings import Settings
from chains.errors import ConfigError
from tests.client import ask
from tests.page.wire import panel, status
from tests.servers import serving

FAST = Settings(standin_ttft_ms=5, standin_tokens_per_s=0)


class Start:
    """A server whose application is loaded when `load` is set."""

    def __init__(self, make: Callable[[], FastAPI]) -> None:
        self.load, self.is_ready, self.has_failed = threading.Event(), threading.Event(), threading.Event()
        self.app = StartingApp(lambda: self._load(make), self.is_ready.set, self.has_failed.set)
        self.url = ""

    def _load(self, make: Callable[[], FastAPI]) -> FastAPI:
        self.load.wait()
        return make()


@contextmanager
def starting(make: Callable[[], FastAPI] = lambda: create_app(FAST)) -> Iterator[Start]:
    start = Start(make)
    with serving(start.app) as start.url:
        try:
            yield start
        finally:
            start.load.set()


@pytest.mark.parametrize("path", ["/", "/r/6d3a2c1e-93b5-4f0c-8d9e-7a4b5c6d7e8f"])
def test_the_page_is_served_at_once_with_its_assets_and_headers(path: str) -> None:
    with starting() as start:
        page = ask("GET", start.url + path)
        assert (page.status_code, "What’s in your kitchen?" in page.text) == (200, True)
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert ask("GET", f"{start.url}/static/main.js").status_code == 200
        assert ask("GET", f"{start.url}/static/index.html").status_code == 404
        assert ask("GET", f"{start.url}/livez").status_code == 200


def test_readyz_says_when_models_can_be_asked() -> None:
    with starting() as start:
        early = ask("GET", f"{start.url}/readyz")
        assert (early.status_code, early.json(), early.headers["retry-after"]) == (503, {"status": "starting"}, "1")
        start.load.set()
        assert start.is_ready.wait(30)
        assert ask("GET", f"{start.url}/readyz").json() == {"status": "ready"}


def test_a_request_waits_until_the_server_is_ready() -> None:
    with starting() as start, ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(httpx.post, f"{start.url}/generate", json={"ingredientsOnHand": "beef"}, timeout=30)
        ask("GET", start.url)
        assert not waiting.done()
        start.load.set()
        assert "event: end" in waiting.result().text


def test_a_server_that_cannot_start_says_so_and_ends() -> None:
    def fail() -> FastAPI:
        raise ConfigError("SIZZLE_MODEL: unknown.")

    with starting(fail) as start, ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(httpx.get, f"{start.url}/healthz")
        start.load.set()
        assert waiting.result().status_code == 503
        assert start.has_failed.wait(30)
        assert str(start.app.failure) == "SIZZLE_MODEL: unknown."


def test_a_page_that_opened_early_generates_once_the_server_is_ready(page: Page) -> None:
    with starting() as start:
        page.goto(start.url)
        page.locator("#ingredients-on-hand").fill("beef, onions")
        start.load.set()
        page.locator("#generate").click()
        expect(status(page)).to_contain_text("Done.")
        expect(panel(page, "steps")).to_contain_text("beef")
        page.goto("about:blank")  # a server waits for open readers

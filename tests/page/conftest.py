"""The page, opened in a real browser, and servers that send it what a test says."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Page, Route

from tests.page.wire import page_over
from tests.servers import serving


@pytest.fixture
def kitchen(page: Page, sizzle_url: str) -> Page:
    """The page, opened."""
    page.goto(sizzle_url)
    return page


@pytest.fixture
def answer(page: Page) -> Callable[..., None]:
    """Answers every `POST /generate` of the page with one whole body."""

    def fulfil(body: str, status: int = 200, content_type: str = "text/event-stream") -> None:
        def reply(route: Route) -> None:
            route.fulfill(body=body, status=status, content_type=f"{content_type}; charset=utf-8")

        page.route("**/generate", reply)

    return fulfil


@pytest.fixture
def stream() -> Iterator[Callable[..., str]]:
    """Serves the page over a `POST /generate` that sends what it is given, waits at each gate, and dies of an error."""
    with ExitStack() as servers:
        yield lambda *moves: servers.enter_context(serving(page_over(moves)))

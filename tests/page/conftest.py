"""The page in a real browser, over the real server or over one that follows scripts."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Page

from tests.page.wire import FakeServer, Move
from tests.servers import serving

ServeRuns = Callable[..., FakeServer]


@pytest.fixture
def real_page(page: Page, sizzle_url: str) -> Page:
    """Opens the page over the real server."""
    page.goto(sizzle_url)
    return page


@pytest.fixture
def serve_runs(page: Page) -> Iterator[ServeRuns]:
    """Serves the page over a fake server whose runs follow these scripts in turn, and opens it."""
    with ExitStack() as servers:

        def serve(*scripts: list[Move]) -> FakeServer:
            fake = FakeServer(*scripts)
            fake.url = servers.enter_context(serving(fake.app()))
            page.goto(fake.url)
            return fake

        yield serve
        page.goto("about:blank")  # a server waits for open readers

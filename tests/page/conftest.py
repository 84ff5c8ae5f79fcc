"""The page, opened in a real browser, over the real server or over one that follows scripts."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Page

from tests.page.wire import FakeKitchen, Move
from tests.servers import serving

Cooks = Callable[..., FakeKitchen]


@pytest.fixture
def kitchen(page: Page, sizzle_url: str) -> Page:
    """The page over the real server, opened."""
    page.goto(sizzle_url)
    return page


@pytest.fixture
def cooks(page: Page) -> Iterator[Cooks]:
    """Serves the page over a fake kitchen, whose runs follow these scripts in turn, and opens it."""
    with ExitStack() as servers:

        def serve(*scripts: list[Move]) -> FakeKitchen:
            fake = FakeKitchen(*scripts)
            fake.url = servers.enter_context(serving(fake.app()))
            page.goto(fake.url)
            return fake

        yield serve
        page.goto("about:blank")  # a server waits for those who still read

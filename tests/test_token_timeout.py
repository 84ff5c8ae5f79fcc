"""The timeout between tokens, which is shorter than that for the first token."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.client import events_named, read, wait_until
from tests.conftest import Serve
from tests.faults import GOOD, HEAD, Answer, FaultServer, Good, Stall, delta, faults, streamed

REGISTRY = """
[providers.groq]
label = "Groq"
base_url = "http://127.0.0.1/v1"
first_token_s = 20
next_token_s = 0.5
"""

ServeIntro = Callable[..., tuple[str, FaultServer]]


@pytest.fixture
def serve_intro(serve: Serve, tmp_path: Path) -> Iterator[ServeIntro]:
    """Serves Sizzle over a provider with these answers for the intro; returns Sizzle's address and the provider."""
    registry = tmp_path / "registry.toml"
    registry.write_text(REGISTRY)
    with ExitStack() as stack:

        def start(*answers: Answer) -> tuple[str, FaultServer]:
            server = stack.enter_context(faults({"intro": answers}))
            return serve(registry=registry, groq_api_key="k", groq_base_url=server.url("groq")), server

        yield start


def test_a_model_may_think_but_not_fall_silent(serve_intro: ServeIntro) -> None:
    """A silent call is closed soon, although its first token could have taken much longer."""
    url, server = serve_intro(streamed(Good(1), Stall()), GOOD)
    read(url)
    stalled = server.of("intro")[0]
    assert wait_until(lambda: stalled.closed is not None, seconds=1)
    assert stalled.closed is not None
    assert 0.4 < stalled.closed - stalled.received_at < 5


def test_an_answer_with_a_finish_reason_is_complete(serve_intro: ServeIntro) -> None:
    """If nothing follows its finish_reason, only the token count is missing."""
    url, _ = serve_intro((HEAD, delta("Quick and hot."), delta(finish_reason="stop"), Stall()))
    events = read(url)
    assert next(end["status"] for end in events_named(events, "part_end") if end["part"] == "intro") == "ok"
    assert events_named(events, "end")[0]["total_ms"] < 5000

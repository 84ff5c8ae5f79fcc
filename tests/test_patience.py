"""Deadlines from one token to the next, where there was more time before the first."""

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
    """Serves Sizzle over a provider that answers calls for the intro so; returns Sizzle's address and the provider."""
    registry = tmp_path / "registry.toml"
    registry.write_text(REGISTRY)
    with ExitStack() as stack:

        def start(*answers: Answer) -> tuple[str, FaultServer]:
            server = stack.enter_context(faults({"intro": answers}))
            return serve(registry=registry, groq_api_key="k", groq_base_url=server.url("groq")), server

        yield start


def test_a_model_may_think_for_long_and_not_fall_silent(serve_intro: ServeIntro) -> None:
    """It is hung up on soon when it does, though its first token could have come much later."""
    url, server = serve_intro(streamed(Good(1), Stall()), GOOD)
    read(url)
    stalled = server.of("intro")[0]
    assert wait_until(lambda: stalled.closed is not None, seconds=1)
    assert stalled.closed is not None
    assert 0.4 < stalled.closed - stalled.received_at < 5


def test_an_answer_that_said_why_it_ended_is_whole(serve_intro: ServeIntro) -> None:
    """Where nothing comes after its finish_reason, only the number of its tokens is lost."""
    url, _ = serve_intro((HEAD, delta("Quick and hot."), delta(finish_reason="stop"), Stall()))
    events = read(url)
    assert next(end["status"] for end in events_named(events, "part_end") if end["part"] == "intro") == "ok"
    assert events_named(events, "end")[0]["total_ms"] < 5000

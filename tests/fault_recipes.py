"""Sizzle over two providers, both played by the fault server, and what its clients receive."""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.main import create_app
from app.settings import Settings
from tests.client import CODES, Event, ask, events_named
from tests.faults import (
    CANARY,
    FaultServer,
    good_text,
)
from tests.servers import RECIPES, serving

KEYS = {"groq_api_key": f"{CANARY}-groq", "fireworks_api_key": f"{CANARY}-fireworks"}
# the providers that are called for each step, in order
ORDER = {"proposal": ("groq", "fireworks"), "ingredients": ("groq", "fireworks"), "intro": ("fireworks", "groq")}
LABELS = {"groq": "Groq", "fireworks": "Fireworks"}
# timeouts: long enough for a good answer on a busy machine, short enough to wait for
TIMEOUTS = """
[providers.groq]
label = "Groq"
base_url = "http://127.0.0.1/v1"
first_token_s = 0.6
next_token_s = 0.5

[providers.fireworks]
label = "Fireworks"
base_url = "http://127.0.0.1/v1"
first_token_s = 0.6
next_token_s = 0.5
"""

PARTIAL_TEXT = "intro one, "  # the text of an attempt that breaks off
ServeFaults = Callable[..., tuple[str, FaultServer]]


@contextmanager
def sizzle_over(server: FaultServer, **settings: Any) -> Iterator[str]:
    """Serves Sizzle over two providers, both played by the fault server."""
    urls = {f"{provider}_base_url": server.url(provider) for provider in LABELS}
    with tempfile.TemporaryDirectory() as place:
        registry = Path(place, "timeouts.toml")
        registry.write_text(TIMEOUTS)
        with serving(create_app(Settings(**{"registry": registry, **KEYS, **urls, **settings}))) as url:
            yield url


def shown(events: list[Event]) -> dict[str, str]:
    """The final text of each code on a page: an attempt above 1 replaces the earlier text."""
    parts: dict[str, str] = {}
    for name, code, text in events:
        if name == "message":
            parts[code] = parts.get(code, "") + text
        elif name == "part_start" and (start := json.loads(text))["attempt"] > 1 and start["part"] != "alternates":
            parts[CODES[start["part"]]] = ""
    texts = {code: text.removeprefix("⮑⮑") for code, text in parts.items()}  # separates attempts on `POST /generate`
    return {code: text for code, text in texts.items() if text.strip("⮑ ")}


def good_recipe(events: list[Event]) -> dict[str, str]:
    """The texts on a page if nothing is lost or repeated."""
    (picked,) = {proposal["picked"] for proposal in events_named(events, "proposal")}
    others = [recipe for place, recipe in enumerate(RECIPES) if place != picked]
    ideas = "".join(f"<li><b>{one['name']}</b> &nbsp;<i>{one['intro']}</i></li>" for one in others)
    texts = {code: good_text(part) for part, code in CODES.items()}
    return {**texts, "alt": ideas.replace("Slow & warm", "Slow &amp; warm")}


def attempts(events: list[Event], part: str) -> list[tuple[int, str]]:
    """The number and the provider of each of the part's attempts."""
    return [
        (start["attempt"], start["provider"]) for start in events_named(events, "part_start") if start["part"] == part
    ]


def end_of(events: list[Event], part: str) -> dict[str, Any]:
    """The only `part_end` of the part."""
    (end,) = [end for end in events_named(events, "part_end") if end["part"] == part]
    return end


def assert_secret(url: str, events: list[Event], log: str) -> None:
    """Checks that keys, the provider's words and stack traces are nowhere."""
    everywhere = str(events) + log + ask("GET", f"{url}/healthz").text
    assert CANARY not in everywhere
    assert "upstream" not in everywhere
    assert "Traceback" not in everywhere

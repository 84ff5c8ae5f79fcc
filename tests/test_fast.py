"""The fast path gives the same results as LangChain's public API, and the program runs without it."""

import subprocess
import sys
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from chains._fast import PLAIN, acceleration
from tests.client import REQUEST, follow, named, start, statuses, written
from tests.conftest import ServeScripts
from tests.servers import Finish, Refuse

FAST = acceleration()


def test_the_installed_versions_have_what_the_fast_path_relies_on() -> None:
    assert FAST is not PLAIN


def test_an_unvalidated_message_is_the_validated_one() -> None:
    chunk = FAST.text_chunk("beef ")
    assert chunk == AIMessageChunk(content="beef ")
    assert FAST.generation(chunk) == ChatGenerationChunk(message=chunk)
    assert chunk.model_dump() == PLAIN.text_chunk("beef ").model_dump()


def mutable_values(message: AIMessageChunk) -> dict[str, int]:
    return {name: id(value) for name, value in message.__dict__.items() if isinstance(value, dict | list | set)}


def test_no_two_messages_share_a_mutable_value() -> None:
    """A handler that changes one message does not change others."""
    one, other = FAST.text_chunk("a"), FAST.text_chunk("b")
    assert mutable_values(one).keys() >= {"additional_kwargs", "response_metadata", "tool_calls"}
    assert not set(mutable_values(one).values()) & set(mutable_values(other).values())


@pytest.mark.parametrize(
    "missing",
    [
        "import langchain_core.tracers.event_stream as m; del m._AstreamEventsCallbackHandler",
        "from langchain_core.language_models import BaseChatModel as m; del m._convert_input",
    ],
)
def test_a_langchain_without_the_private_api_is_used_by_its_public_one(missing: str) -> None:
    """There is one warning, however often the acceleration is created."""
    check = "from chains._fast import PLAIN, acceleration\nassert acceleration() is acceleration() is PLAIN"
    command = [sys.executable, "-c", f"{missing}\n{check}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Running without the fast path") == 1


SCRIPTS: list[dict[str, Any]] = [
    {},
    {"steps": [[Refuse(503)], ["1. Cut ", "2. Eat"]], "sides": [Refuse(401)]},
    {"intro": [["<think>Hmm, ", "beef.</think>", "Hearty."]], "ingredients": [["- 300 g be", Finish(None)]]},
    {"proposal": [Refuse(401)]},
]


@pytest.mark.parametrize("scripts", SCRIPTS)
def test_a_run_is_the_same_without_the_fast_path(serve_scripts: ServeScripts, scripts: dict[str, Any]) -> None:
    """The parts have the same number of attempts, the same texts and the same ends."""
    runs: list[Any] = []
    for fast in (True, False):
        url, _ = serve_scripts(scripts, fast=fast)
        events = follow(start(url, {**REQUEST, "seed": 1}))
        starts = sorted(
            (event.fields["part"], event.fields["attempt"]) for event in events if event.name == "part_start"
        )
        ends = {
            fields["part"]: [fields[name] for name in ("status", "finish_reason", "message")]
            for fields in named(events, "part_end")
        }
        runs.append([statuses(events), starts, ends, written(events)])
    assert runs[0] == runs[1]

"""Processes that write runs to a file, are killed, and leave what is in it to the next one."""

import asyncio
import sqlite3
import zlib
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, closing
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from app.models import open_models
from app.runs.runs import Runs
from app.runs.state import RunState, state_of
from app.stores import LogEntry, RunStart
from app.stores.encoding import LETTERS
from app.stores.sqlite import SqliteEventLog
from chains.parts.composition import Composition
from chains.parts.events import PartEnd, PartStart
from chains.parts.requests import run_request
from chains.recipe.composition import RECIPE
from examples.trip import TRIP
from tests.servers import Provider, Script, provider, run, settings_from

SEED = next(seed for seed in range(100) if Random(seed).randrange(3) == 0)  # picks the first of three
COMPOSITIONS = {"recipe": RECIPE, "trip": TRIP}
REQUESTS: Mapping[str, dict[str, Any]] = {
    "recipe": {"ingredientsOnHand": "beef", "seed": SEED},
    "trip": {"interests": "food markets", "days": 3},
}


@asynccontextmanager
async def process(path: Path, scripted: Provider, key: str = "k") -> AsyncGenerator[Runs]:
    """What a server does for its runs from its start to its end."""
    settings = settings_from(groq_api_key=key, groq_base_url=scripted.url, compositions=("examples.trip:TRIP",))
    requests = {name: run_request(each) for name, each in COMPOSITIONS.items()}
    async with (
        open_models(settings) as models,
        aclosing(SqliteEventLog(path, requests)) as log,
        aclosing(Runs(models.served, log)) as runs,
    ):
        await runs.resume()
        yield runs


def copy(path: Path, to: Path) -> Path:
    """Copies what is in the file at this moment, which is what a killed process leaves."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
    return to


async def read(runs: Runs, run_id: UUID, count: int = 10_000, seen: Sequence[LogEntry] = ()) -> list[LogEntry]:
    """What a reader has who had `seen`, when he has read `count` more events or the end."""
    entries = list[LogEntry]()
    async with aclosing(runs.follow(run_id, seen[-1].id if seen else None)) as batches:
        async for batch in batches:
            entries += batch
            if len(entries) >= count:
                break
    return [*seen, *entries[:count]]


def folded(composition: Composition, entries: Iterable[LogEntry]) -> RunState:
    """The run as one shows it who reads these events."""
    start, *others = entries
    assert isinstance(start.event, RunStart)
    state = state_of(start.event, composition)
    state.add([start, *others])
    return state


def starts(entries: Iterable[LogEntry]) -> list[tuple[str, int]]:
    return [(entry.event.part, entry.event.attempt) for entry in entries if isinstance(entry.event, PartStart)]


def ended(entries: Iterable[LogEntry]) -> set[str]:
    return {entry.event.part for entry in entries if isinstance(entry.event, PartEnd)}


def killed_run(
    tmp_path: Path,
    scripts: Mapping[str, Script | list[Script]],
    until: Collection[str],
    rewrite: str | None = None,
    part_text: tuple[str, str] | None = None,
) -> tuple[RunState, list[dict[str, Any]]]:
    """The state of a recipe that was killed when these parts had ended, and the calls made after it."""
    request = run_request(RECIPE).model_validate(REQUESTS["recipe"])

    async def scenario(scripted: Provider) -> tuple[RunState, list[dict[str, Any]]]:
        async with process(tmp_path / "runs.db", scripted) as runs:
            run_id = await runs.start("recipe", request)
            if rewrite:
                await read(runs, run_id)
                assert await runs.rewrite(run_id, rewrite) == 2
            await reached(runs, run_id, until, part_text, tmp_path / "runs.db")
            left = copy(tmp_path / "runs.db", tmp_path / "left.db")
        calls = len(scripted.calls)
        async with process(left, scripted) as runs:
            await read(runs, run_id)
            return await runs.state(run_id), scripted.calls[calls:]

    with provider(dict(scripts)) as scripted:
        return run(scenario(scripted))


async def reached(
    runs: Runs, run_id: UUID, until: Collection[str], part_text: tuple[str, str] | None, path: Path
) -> None:
    """Waits until these parts have ended and this text is there, and until all of that is in the file."""
    async with aclosing(runs.follow(run_id)) as batches:
        async for _ in batches:
            state = await runs.state(run_id)
            is_there = not part_text or state.parts[part_text[0]].text == part_text[1]
            if is_there and all(state.parts[part].state == "ok" for part in until):
                break
    async with asyncio.timeout(5):
        while stored_events(path) < (await runs.state(run_id)).length:  # noqa: ASYNC110  another thread writes it
            await asyncio.sleep(0.01)


def stored_events(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        blocks = connection.execute("SELECT lines FROM blocks UNION ALL SELECT lines FROM compacted").fetchall()
    texts = (lines if lines[:1] in LETTERS.values() else zlib.decompress(lines) for (lines,) in blocks)
    return sum(text.count(b"\n") + 1 for text in texts)

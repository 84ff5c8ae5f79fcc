"""The SQLite store beyond the contract: the content of the file after a restart, and faults of the file."""

import asyncio
import resource
import sqlite3
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from pathlib import Path
from random import Random
from secrets import token_urlsafe

import pytest

from app.stores import (
    EventId,
    ExpiredRunError,
    LogEntry,
    Rewrite,
    RunStart,
    UnavailableError,
    UnknownRunError,
)
from app.stores.sqlite import SqliteEventLog
from chains.errors import ConfigError
from chains.parts.events import Fragment
from tests.servers import run
from tests.stores.logs import END, REQUESTS, START, events_in, fragments, log_of, rest

DAY_S = 86_400
WORDS = """
    slice the beef thin across grain heat oil in a wide pan until it shimmers sear one minute per side and set aside add
    onions peppers garlic stir two minutes more pour soy sauce with water simmer return meat toss serve over hot rice
    season taste salt pepper lemon juice fresh herbs rest for five minutes before you cut 300 g 2 tbsp 1 tsp - ** **
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "runs.db"


@asynccontextmanager
async def opened(path: Path) -> AsyncGenerator[SqliteEventLog]:
    async with aclosing(SqliteEventLog(path, REQUESTS)) as log:
        yield log


def change(path: Path, statement: str, *values: object) -> None:
    """Changes a file that no store has open."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement, values)


def copy(path: Path, to: Path) -> Path:
    """Copies the current content of the file, as a killed process leaves it."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
    return to


@contextmanager
def full_disk(path: Path) -> Generator[None]:
    """Limits all files of this process to the current size of the store's log."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = path.with_name(f"{path.name}-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_finished_runs_are_there_after_a_restart(path: Path) -> None:
    """They have every event, under the same ids; the store's secret, expired and unknown runs are the same, too."""

    async def scenario() -> None:
        async with log_of(SqliteEventLog(path, REQUESTS), *fragments(600), END) as log:
            before, secret = await rest(log), await log.secret()
        async with opened(path) as log:
            after = await rest(log)
            assert [(entry.id, entry.json, entry.event) for entry in after] == [
                (entry.id, entry.json, entry.event) for entry in before
            ]
            assert await log.is_complete("run", before[-1].id)
            assert [await log.secret(), await log.unfinished()] == [secret, []]
            with pytest.raises(UnknownRunError):
                await log.read("other")

    run(scenario())


def test_a_run_that_was_cut_off_is_unfinished_after_a_restart(path: Path, tmp_path: Path) -> None:
    """Taken over, it continues where its file ends, in another epoch, also for readers that have seen more."""

    async def scenario() -> tuple[list[LogEntry], list[LogEntry], list[LogEntry]]:
        async with log_of(SqliteEventLog(path, REQUESTS), *fragments(5)) as log:
            await log.release("run")  # flushes
            await log.take_over("run")
            for event in fragments(5, 5):
                await log.append("run", event)
            seen = await log.read("run")
            killed = copy(path, tmp_path / "killed.db")
        async with opened(killed) as log:
            assert await log.unfinished() == ["run"]
            await log.take_over("run")
            for event in [*fragments(3, 10), END]:
                await log.append("run", event)
            return seen, await rest(log, seen[-1].id), await rest(log)

    seen, after, whole = run(scenario())
    assert events_in(seen) == [START, *fragments(10)]
    assert events_in(whole) == [START, *fragments(5), *fragments(3, 10), END]
    assert after == whole[6:]
    assert {entry.id.epoch for entry in seen}.isdisjoint(entry.id.epoch for entry in whole)


def test_a_reopened_run_is_unfinished_with_its_rewrites_after_a_restart(path: Path, tmp_path: Path) -> None:
    """Its end is gone, its events and rewrites are kept; the next end removes the rewrites."""
    rewrite = Rewrite(("intro",), 3)

    async def scenario() -> list[object]:
        async with log_of(SqliteEventLog(path, REQUESTS), *fragments(2), END) as log:
            ended = await rest(log)
            await log.reopen("run")
            await log.add_rewrite("run", rewrite)
            killed = copy(path, tmp_path / "killed.db")
        async with opened(killed) as log:
            seen: list[object] = [await log.unfinished(), await log.rewrites("run"), events_in(await log.read("run"))]
            await log.take_over("run")
            await log.append("run", END)
            return [*seen, await log.rewrites("run"), events_in(await rest(log, ended[-1].id))]

    assert run(scenario()) == [["run"], [rewrite], [START, *fragments(2)], [], [END]]


def test_an_ephemeral_run_is_not_stored(path: Path) -> None:
    """It is readable until its process ends."""

    async def scenario() -> None:
        async with opened(path) as log:
            await log.begin("run", START, ephemeral=True)
            for event in [*fragments(2), END]:
                await log.append("run", event)
            assert events_in(await rest(log)) == [START, *fragments(2), END]
            await log.forget("run")
            await log.begin("run", START, ephemeral=True)
        async with opened(path) as log:
            assert await log.unfinished() == []
            with pytest.raises(UnknownRunError):
                await log.read("run")

    run(scenario())


@pytest.mark.parametrize(("days", "is_there"), [(1, True), (29, True), (31, False)])
def test_a_finished_run_is_kept_for_thirty_days(path: Path, days: int, is_there: bool) -> None:
    """This includes time in which the server was not running."""

    async def scenario() -> None:
        async with log_of(SqliteEventLog(path, REQUESTS), *fragments(2), END):
            pass
        change(path, "UPDATE runs SET began_at = began_at - ?, ended_at = ended_at - ?", days * DAY_S, days * DAY_S)
        async with opened(path) as log:
            if is_there:
                assert events_in(await rest(log)) == [START, *fragments(2), END]
                return
            for name in ("before", "after"):
                with pytest.raises(ExpiredRunError):
                    await log.read("run")
                await log.begin(name, START)

    run(scenario())


def test_a_run_of_another_composition_waits_until_that_is_served(path: Path) -> None:
    """Until then it is unknown."""

    async def scenario() -> None:
        async with opened(path) as log:
            await log.begin("run", RunStart("run", "trip", START.request, ()))
            await log.release("run")
        for requests in ({}, {"trip": REQUESTS["recipe"]}):
            async with aclosing(SqliteEventLog(path, requests)) as log:
                assert await log.unfinished() == ["run"]
                (start,) = await log.read("run")
                if requests:
                    assert isinstance(start.event, RunStart)
                else:
                    with pytest.raises(UnknownRunError):
                        _ = start.event
        change(path, "UPDATE runs SET began_at = began_at - ?", 31 * DAY_S)
        async with opened(path) as log:
            assert await log.unfinished() == []
            with pytest.raises(ExpiredRunError):
                await log.read("run")

    run(scenario())


def test_a_finished_recipe_takes_one_page(path: Path) -> None:
    """Some 490 events of a recipe's words, and everything that the file has about it, are at most 4.5 KB."""
    words = WORDS.split()
    random = Random(1)

    async def scenario() -> None:
        async with opened(path) as log:
            for number in range(60):
                await log.begin(f"{number:036}", START)
                for _ in range(488):
                    await log.append(f"{number:036}", Fragment("intro", f" {random.choice(words)}"))
                await log.append(f"{number:036}", END)

    run(scenario())
    with closing(sqlite3.connect(path)) as connection:
        pages, free = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
    assert (pages - free - 8) * 4096 / 60 <= 4.5 * 1024


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as refused:
        SqliteEventLog(path, REQUESTS)
    return str(refused.value)


def test_a_file_has_one_server(path: Path) -> None:
    """A second server is refused with one line until the first one ends."""

    async def scenario() -> str:
        async with opened(path):
            line = refusal(path)
        async with opened(path):
            return line

    assert run(scenario()) == (
        f"SIZZLE_STORE: {path}: another server uses this file. Stop that one, or name another file."
    )


def test_a_newer_file_is_refused(path: Path) -> None:
    """The file is not changed."""

    async def scenario() -> None:
        async with opened(path):
            pass

    run(scenario())
    change(path, "PRAGMA user_version = 99")
    assert refusal(path) == (
        f"SIZZLE_STORE: {path}: a newer Sizzle wrote this file. Install that one, or name another file."
    )


def test_files_of_other_programs_are_refused(tmp_path: Path) -> None:
    """This covers a text, another program's database, a folder, and a path through a file."""
    text, other = tmp_path / "text.db", tmp_path / "other.db"
    text.write_text("no database " * 100)
    change(other, "CREATE TABLE other (id INTEGER)")
    for path, reason in (
        (text, "file is not a database. Restore a backup, or move the file away."),
        (other, "this is another program's file. Name another one."),
        (tmp_path, "Is a directory. Name another file, or make this one writable."),
        (text / "runs.db", f"{text} is not a folder. Name another file."),
    ):
        assert refusal(path).removeprefix(f"SIZZLE_STORE: {path}: ") == reason
    assert text.read_text() == "no database " * 100


def test_a_damaged_page_is_one_line_at_the_start(path: Path) -> None:
    """Whichever page it is, the server starts or names the setting."""

    async def write() -> None:
        async with log_of(SqliteEventLog(path, REQUESTS), Fragment("intro", token_urlsafe(20_000)), END) as log:
            await log.begin("other", START)

    async def start() -> None:
        async with opened(path) as log:
            assert await log.unfinished() == ["other"]

    run(write())
    content, refusals = path.read_bytes(), list[str]()
    for page in range(4096, len(content), 4096):
        path.write_bytes(content[:page] + bytes(4096) + content[page + 4096 :])
        try:
            run(start())
        except ConfigError as error:
            refusals.append(str(error))
    line = f"SIZZLE_STORE: {path}: database disk image is malformed. Restore a backup, or move the file away."
    assert refusals
    assert set(refusals) == {line}


def test_a_file_that_another_program_writes_is_refused(path: Path) -> None:
    """With one line, as soon as the start would write, too."""

    async def create() -> None:
        async with opened(path):
            pass

    run(create())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        line = refusal(path)
    assert line == (f"SIZZLE_STORE: {path}: another program writes this file. Stop that one, or name another file.")
    run(create())


@pytest.mark.parametrize("is_whole_file", [True, False])
def test_a_damaged_run_does_not_stop_the_server(path: Path, is_whole_file: bool) -> None:
    """It is unavailable; everything else works."""

    async def write() -> None:
        async with log_of(SqliteEventLog(path, REQUESTS), Fragment("intro", token_urlsafe(50_000)), END) as log:
            await log.begin("other", START)
            await log.append("other", END)

    async def read() -> None:
        async with opened(path) as log:
            with pytest.raises(UnavailableError):
                await log.read("run")
            assert events_in(await log.read("other")) == [START, END]

    run(write())
    if is_whole_file:
        content = bytearray(path.read_bytes())
        content[8 * 4096 : -2 * 4096] = bytes(len(content) - 10 * 4096)
        path.write_bytes(content)
    else:
        change(path, "UPDATE compacted SET lines = x'00' WHERE run = (SELECT run FROM runs WHERE id = 'run')")
    run(read())


def test_a_full_disk_loses_nothing_that_was_read(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Runs can end, but not start or continue. With free space everything is stored, and the next run starts."""

    async def scenario() -> None:
        async with opened(path) as log:
            await log.begin("run", START)
            with full_disk(path):
                await log.append("run", Fragment("intro", token_urlsafe(50_000)))
                with pytest.raises(UnavailableError):
                    await log.begin("other", START)
                with pytest.raises(UnavailableError):
                    await log.append("run", Fragment("intro", "more"))
                await log.append("run", END)
                seen = await rest(log)
            await log.begin("other", START)
            await log.forget("other")
            killed = copy(path, path.with_name("killed.db"))
        async with opened(killed) as log:
            assert await log.unfinished() == []
            assert [entry.json for entry in await rest(log)] == [entry.json for entry in seen]
            assert events_in(seen)[-1] == END

    run(scenario())
    assert caplog.text.count("full") == 1


def test_only_its_owner_can_read_the_file(path: Path) -> None:
    """Requests contain allergies."""

    async def scenario() -> None:
        async with log_of(SqliteEventLog(path, REQUESTS)):
            for each in path.parent.iterdir():
                assert each.stat().st_mode & 0o077 == 0
            assert path.parent.stat().st_mode & 0o077 == 0

    run(scenario())


def test_streams_end_with_the_store(path: Path) -> None:
    """The stream of an unfinished run ends without an end."""

    async def scenario() -> list[LogEntry]:
        log = SqliteEventLog(path, REQUESTS)
        await log.begin("run", START)
        reading = asyncio.create_task(rest(log, EventId("0", 0)))
        await asyncio.sleep(0)
        await log.aclose()
        return await reading

    assert events_in(run(scenario())) == [START]

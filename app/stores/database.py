"""The SQLite file of a store, for one thread.

Events of an active run are in `blocks`, as they were appended. At its end they are compressed into one row.
"""

import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes
from typing import Any, Literal

import orjson

from app.stores import ExpiredRunError, LogFullError, Rewrite, RunExistsError, UnknownRunError
from app.stores.clock import Clock
from app.stores.encoding import LETTERS, Decoder, EncodedEntry
from app.stores.schema import APPLICATION_ID, MIGRATIONS, NO_CALLS_UNDER_WAY
from chains.errors import ConfigError
from chains.parts.events import PartEnd

ROW_BYTES = 150  # of a run beyond its events
BUSY_S = 2  # until a file that another program has locked is given up
SWEEP = 100  # expired runs per transaction
GRACE_S = 600.0

SELECT_RUNS = "SELECT run, id, epoch, epoch_lengths, rewrites, bytes, began_at, ended_at FROM runs"

Execute = Callable[..., sqlite3.Cursor]
Synchronous = Literal["normal", "full"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds that a finished run is kept, bytes and number of all runs, and number of expired ids.

    Runs that have expired are deleted once the clock can be trusted, after `grace_s` seconds.
    """

    keep_s: float
    all_bytes: int
    limit: int
    expired_limit: int
    grace_s: float = GRACE_S


@dataclass(frozen=True, slots=True)
class Block:
    """The events of a run from number `first` on, as lines."""

    run: int
    first: int
    lines: bytes

    @property
    def ends_a_part(self) -> bool:
        return b"\n" + LETTERS[PartEnd] in b"\n" + self.lines


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run's row, and its events in blocks of lines, the first number with each. Times are those of the system."""

    run: int
    id: str
    epoch: str
    epoch_lengths: Mapping[str, int]
    rewrites: Sequence[Rewrite]
    size: int  # in bytes
    began_at: float
    ended_at: float | None
    blocks: Sequence[tuple[int, bytes]] = ()

    def entries(self, decoder: Decoder) -> list[EncodedEntry]:
        return [entry for first, lines in self.blocks for entry in decoder.entries(self.epoch, first, lines)]


class Database:
    """One process's connection to the file. Every method raises `sqlite3.Error`."""

    def __init__(self, connection: sqlite3.Connection, lock: sqlite3.Connection | None, bounds: Bounds) -> None:
        self._connection, self._lock, self._bounds = connection, lock, bounds
        self._clock = Clock(bounds.grace_s)
        self._unwritten = self._old_unfinished()  # in this process; a younger run may be rewritten when it is old
        self._expired: list[str] = []
        self._count, size = connection.execute("SELECT count(*), coalesce(sum(bytes), 0) FROM runs").fetchone()
        self._bytes = size + connection.execute("SELECT coalesce(sum(length(lines)), 0) FROM blocks").fetchone()[0]

    @property
    def is_full(self) -> bool:
        return self._bytes > self._bounds.all_bytes

    def begin(self, run_id: str, client: str, epoch: str, began_at: float, lines: bytes) -> int:
        """Stores a new run and returns its number. Raises `RunExistsError` and `LogFullError`."""
        with self.transaction() as execute:
            self._expire_old()
            if execute("SELECT 1 FROM runs WHERE id = ?", (run_id,)).fetchone():
                raise RunExistsError
            if self._count >= self._bounds.limit:
                self._expire_oldest(client)
            self._make_room(client)
            if self.is_full:
                raise LogFullError
            execute("DELETE FROM expired_runs WHERE id = ?", (run_id,))
            row = (run_id, client, epoch, "{}", ROW_BYTES, began_at)
            run = execute(
                "INSERT INTO runs (id, client, epoch, epoch_lengths, bytes, began_at) VALUES (?, ?, ?, ?, ?, ?)", row
            ).lastrowid
            assert run  # noqa: S101  it was inserted
            self._count, self._bytes = self._count + 1, self._bytes + ROW_BYTES
            self._add(Block(run, 1, lines))
        return run

    def append(self, blocks: Sequence[Block]) -> None:
        with self.transaction():
            for block in blocks:
                self._add(block)
            self._reset_takeovers(block.run for block in blocks if block.ends_a_part)
            if self.is_full:
                self._make_room(self._busiest_of({block.run for block in blocks}))

    def end(self, run: int, ended_at: float, lines: bytes) -> None:
        """Replaces the events of a run by all of them, and keeps it for its time."""
        with self.transaction() as execute:
            self._replace(run, lines)
            execute("UPDATE runs SET ended_at = ?, rewrites = '[]', takeovers = 0 WHERE run = ?", (ended_at, run))

    def begin_epoch(self, run: int, epoch: str, epoch_lengths: Mapping[str, int], lines: bytes) -> int:
        """Continues a run in another epoch that begins with these events. Returns how often, since a part has ended."""
        with self.transaction() as execute:
            self._replace(run, lines)
            values = (epoch, orjson.dumps(epoch_lengths).decode(), run)
            execute("UPDATE runs SET epoch = ?, epoch_lengths = ?, ended_at = NULL WHERE run = ?", values)
            execute("UPDATE runs SET takeovers = takeovers + 1 WHERE run = ?", (run,))
            return execute("SELECT takeovers FROM runs WHERE run = ?", (run,)).fetchone()[0]

    def reset_takeovers(self, run: int) -> None:
        """Says that the run has left its process alive."""
        with self.transaction():
            self._reset_takeovers([run])

    def _reset_takeovers(self, runs: Iterable[int]) -> None:
        rows = [(run,) for run in runs]
        self._connection.executemany("UPDATE runs SET takeovers = 0 WHERE run = ? AND takeovers > 0", rows)

    def set_rewrites(self, run: int, rewrites: Sequence[Rewrite]) -> None:
        values = (orjson.dumps(rewrites).decode(), run)
        with self.transaction() as execute:
            execute("UPDATE runs SET rewrites = ? WHERE run = ?", values)

    def load(self, run_id: str) -> StoredRun:
        """Raises `UnknownRunError` and `ExpiredRunError`."""
        execute = self._connection.execute
        row = execute(f"{SELECT_RUNS} WHERE id = ?", (run_id,)).fetchone()
        if row and not self._is_expired(*row[-2:]):
            return _stored_run(row, self._events(row[0]))
        if row or execute("SELECT 1 FROM expired_runs WHERE id = ?", (run_id,)).fetchone():
            raise ExpiredRunError
        raise UnknownRunError

    def unfinished(self) -> list[str]:
        """Returns the ids of runs without an end, oldest first, except those that have expired."""
        rows = self._connection.execute("SELECT id, began_at FROM runs WHERE ended_at IS NULL ORDER BY run").fetchall()
        return [run_id for run_id, began_at in rows if not self._is_expired(began_at)]

    def runs(self) -> list[StoredRun]:
        """Returns all runs without their events, newest first."""
        rows = self._connection.execute(f"{SELECT_RUNS} ORDER BY run DESC").fetchall()
        return [_stored_run(row) for row in rows if not self._is_expired(*row[-2:])]

    def forget(self, run_id: str) -> None:
        with self.transaction() as execute:
            self._drop(run_id)
            execute("DELETE FROM expired_runs WHERE id = ?", (run_id,))

    def secret(self) -> bytes:
        with self.transaction() as execute:
            if row := execute("SELECT secret FROM secrets").fetchone():
                return row[0]
            execute("INSERT INTO secrets VALUES (?)", (secret := token_bytes(32),))
            return secret

    def take_expired(self) -> list[str]:
        """Returns the ids of the runs that have expired since the last call."""
        expired = self._expired
        self._expired = []
        return expired

    def close(self) -> None:
        self._connection.close()
        if self._lock:
            self._lock.close()

    @contextmanager
    def transaction(self) -> Generator[Execute]:
        """Runs the statements of the block, all or none of them."""
        before = self._bytes, self._count
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection.execute
            self._connection.execute("COMMIT")
        except BaseException:
            self._bytes, self._count = before
            if self._connection.in_transaction:  # SQLite has rolled back by itself if the disk is full
                self._connection.execute("ROLLBACK")
            raise

    def _add(self, block: Block) -> None:
        self._connection.execute("INSERT INTO blocks VALUES (?, ?, ?)", (block.run, block.first, block.lines))
        self._bytes += len(block.lines)

    def _replace(self, run: int, lines: bytes) -> None:
        compressed = zlib.compress(lines)
        self._bytes += ROW_BYTES + len(compressed) - self._delete_events(run)
        self._connection.execute("INSERT INTO compacted VALUES (?, ?)", (run, compressed))
        self._connection.execute("UPDATE runs SET bytes = ? WHERE run = ?", (ROW_BYTES + len(compressed), run))

    def _delete_events(self, run: int) -> int:
        """Returns the bytes of the run so far."""
        execute = self._connection.execute
        (size,) = execute("SELECT bytes FROM runs WHERE run = ?", (run,)).fetchone()
        (live,) = execute("SELECT coalesce(sum(length(lines)), 0) FROM blocks WHERE run = ?", (run,)).fetchone()
        execute("DELETE FROM blocks WHERE run = ?", (run,))
        execute("DELETE FROM compacted WHERE run = ?", (run,))
        return size + live

    def _events(self, run: int) -> list[tuple[int, bytes]]:
        execute = self._connection.execute
        compacted = execute("SELECT lines FROM compacted WHERE run = ?", (run,)).fetchall()
        blocks = execute("SELECT first, lines FROM blocks WHERE run = ? ORDER BY first", (run,)).fetchall()
        return [*((1, _decompressed(lines)) for (lines,) in compacted), *blocks]

    def _is_expired(self, began_at: float, ended_at: float | None = None) -> bool:
        return (ended_at or began_at) < self._since

    def _expire_old(self) -> None:
        if not self._clock.is_trusted():
            return
        execute = self._connection.execute
        old = "SELECT id FROM runs WHERE ended_at < ? ORDER BY ended_at LIMIT ?"
        ended = execute(old, (self._since, SWEEP)).fetchall()
        for (run_id,) in (*ended, *self._old_unfinished().intersection(self._unwritten)):
            self._expire(run_id)

    def _old_unfinished(self) -> set[tuple[str]]:
        """Runs that nobody could finish in time, because their composition is not served."""
        statement = "SELECT id FROM runs WHERE ended_at IS NULL AND began_at < ?"
        return set(self._connection.execute(statement, (self._since,)).fetchall())

    @property
    def _since(self) -> float:
        """The time before which runs that ended have expired."""
        return time.time() - self._bounds.keep_s

    def _busiest_of(self, runs: Iterable[int]) -> str:
        """Returns the client with the most finished runs of those that wrote these runs."""
        execute, count = self._connection.execute, "SELECT count(*) FROM runs WHERE client = ? AND ended_at IS NOT NULL"
        of_run = "SELECT client FROM runs WHERE run = ?"
        clients = {client for run in runs for (client,) in execute(of_run, (run,)).fetchall()}
        if len(clients) < 2:  # counting many runs takes a while
            return "".join(clients)
        return max(clients, key=lambda client: execute(count, (client,)).fetchone())

    def _make_room(self, client: str) -> None:
        while self.is_full and self._expire_oldest(client):
            pass

    def _expire_oldest(self, client: str) -> bool:
        """Drops the client's oldest finished run, or the oldest of all. Returns whether there was one."""
        oldest = "SELECT id FROM runs WHERE ended_at IS NOT NULL {} ORDER BY ended_at LIMIT 1"
        own = self._connection.execute(oldest.format("AND client = ?"), (client,)).fetchone()
        row = own or self._connection.execute(oldest.format("")).fetchone()
        if row:
            self._expire(row[0])
        return bool(row)

    def _expire(self, run_id: str) -> None:
        self._expired.append(run_id)
        self._drop(run_id)
        number = self._connection.execute("INSERT INTO expired_runs (id) VALUES (?)", (run_id,)).lastrowid or 0
        self._connection.execute("DELETE FROM expired_runs WHERE number <= ?", (number - self._bounds.expired_limit,))

    def _drop(self, run_id: str) -> None:
        row = self._connection.execute("SELECT run FROM runs WHERE id = ?", (run_id,)).fetchone()
        if row:
            self._bytes -= self._delete_events(row[0])
            self._count -= 1
            self._connection.execute("DELETE FROM runs WHERE run = ?", row)


def _stored_run(row: Sequence[Any], blocks: Sequence[tuple[int, bytes]] = ()) -> StoredRun:
    run, run_id, epoch, epoch_lengths, rewrites, size, began_at, ended_at = row
    decoded = [Rewrite(tuple(each["parts"]), each["after"]) for each in orjson.loads(rewrites)]
    return StoredRun(run, run_id, epoch, orjson.loads(epoch_lengths), decoded, size, began_at, ended_at, blocks)


def open_database(
    path: Path, bounds: Bounds, synchronous: Synchronous = "normal", *, is_locked: bool = True
) -> Database:
    """Opens the file, and creates or migrates it. With `is_locked` no other process can lock it.

    Raises `ConfigError`, in one line, if the file cannot be used.
    """
    try:
        return _open(path, bounds, synchronous, is_locked=is_locked)
    except OSError as error:
        raise _unusable(path, f"{error.strerror}. Name another file, or make this one writable") from None
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise _unusable(path, "another program writes this file. Stop that one, or name another file") from None
        raise _unusable(path, f"{error}. Name another file, or make room for this one and make it writable") from None
    except sqlite3.DatabaseError as error:
        raise _unusable(path, f"{error}. Restore a backup, or move the file away") from None


def _open(path: Path, bounds: Bounds, synchronous: Synchronous, *, is_locked: bool) -> Database:
    with ExitStack() as opened:
        _create(path)
        lock = opened.enter_context(closing(_lock(path))) if is_locked else None
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
        opened.enter_context(closing(connection))
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        _migrate(connection, path)
        if is_locked:  # fails now, not at the first run, if another program writes the file
            connection.executescript("BEGIN IMMEDIATE; COMMIT;")
            with suppress(sqlite3.DatabaseError):  # the disk is full, or a page is damaged: runs can still be read
                connection.execute(NO_CALLS_UNDER_WAY)
        database = Database(connection, lock, bounds)
        opened.pop_all()
        return database


def _create(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise _unusable(path, f"{path.parent} is not a folder. Name another file") from None
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # requests may tell of allergies


def _lock(path: Path) -> sqlite3.Connection:
    """Locks the file for this process. SQLite locks on every system, and until the process ends, however it does."""
    file = path.with_name(f"{path.name}.lock")
    _create(file)
    lock = sqlite3.connect(file, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        lock.execute("PRAGMA journal_mode = MEMORY")  # nothing is ever written
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        raise _unusable(path, "another server uses this file. Stop that one, or name another file") from None
    return lock


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (version or tables):
        raise _unusable(path, "this is another program's file. Name another one")
    if version > len(MIGRATIONS):
        raise _unusable(path, "a newer Sizzle wrote this file. Install that one, or name another file")
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        header = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number};"
        connection.executescript(f"BEGIN IMMEDIATE; {script} {header} COMMIT;")


def _unusable(path: Path, reason: str) -> ConfigError:
    return ConfigError(f"SIZZLE_STORE: {path}: {reason}.")


def _decompressed(lines: bytes) -> bytes:
    try:
        return zlib.decompress(lines)
    except zlib.error as error:
        raise sqlite3.DatabaseError(f"a run is damaged: {error}") from None

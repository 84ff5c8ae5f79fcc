"""The runs in a store, readable even while servers write it; this module reads an SQLite file."""

import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from app.stores import LogEntry
from app.stores.database import Bounds, Database, open_database
from app.stores.encoding import Decoder
from chains.errors import ConfigError
from chains.parts.composition import Request


class ArchivedRun(NamedTuple):
    """A run without its events. `began_at` is a time of the system, `size` in bytes."""

    id: str
    began_at: float
    size: int


class Archive(Protocol):
    """The runs in a store."""

    def runs(self, limit: int | None = None) -> list[ArchivedRun]:
        """Returns the newest runs, newest first."""
        ...

    def ids(self, beginning: str) -> list[str]:
        """Returns the ids with this prefix."""
        ...

    def entries(self, run_id: str) -> Sequence[LogEntry]:
        """Raises `UnknownRunError` and `ExpiredRunError`."""
        ...

    def delete(self, run_id: str) -> None: ...


class FileArchive:
    """Reads a file. `requests` has the class of each composition's requests."""

    def __init__(self, database: Database, requests: Mapping[str, type[Request]]) -> None:
        self._database, self._decoder = database, Decoder(requests)

    def runs(self, limit: int | None = None) -> list[ArchivedRun]:
        return [ArchivedRun(run.id, run.began_at, run.size) for run in self._database.runs()[:limit]]

    def ids(self, beginning: str) -> list[str]:
        return [run.id for run in self._database.runs() if run.id.startswith(beginning)]

    def entries(self, run_id: str) -> Sequence[LogEntry]:
        return self._database.load(run_id).entries(self._decoder)

    def delete(self, run_id: str) -> None:
        self._database.forget(run_id)


@contextmanager
def open_archive(
    path: Path, requests: Mapping[str, type[Request]], keep_s: float, *, is_writable: bool = False
) -> Generator[FileArchive]:
    """Raises `ConfigError` if the file cannot be used, or is to be written while a server uses it."""
    if not path.exists():
        raise ConfigError(f"SIZZLE_STORE: {path}: there is no such file. `sizzle serve` creates it.")
    database = open_database(path, Bounds(keep_s, 0, 0, 0), is_locked=is_writable)
    try:
        yield FileArchive(database, requests)
    except sqlite3.Error as error:
        raise ConfigError(f"SIZZLE_STORE: {path}: {error}.") from None
    finally:
        database.close()

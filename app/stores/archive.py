"""The runs in an SQLite file, also while a server writes it."""

import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from app.stores import LogEntry
from app.stores.database import Bounds, Database, StoredRun, open_database
from app.stores.encoding import Decoder
from chains.errors import ConfigError
from chains.parts.composition import Request


class Archive:
    """Reads a file. `requests` has the class of each composition's requests."""

    def __init__(self, database: Database, requests: Mapping[str, type[Request]]) -> None:
        self._database, self._decoder = database, Decoder(requests)

    def runs(self) -> list[StoredRun]:
        """Returns all runs without their events, newest first."""
        return self._database.runs()

    def entries(self, run_id: str) -> Sequence[LogEntry]:
        """Raises `UnknownRunError` and `ExpiredRunError`."""
        return self._database.load(run_id).entries(self._decoder)

    def delete(self, run_id: str) -> None:
        self._database.forget(run_id)


@contextmanager
def open_archive(
    path: Path, requests: Mapping[str, type[Request]], keep_s: float, *, is_writable: bool = False
) -> Generator[Archive]:
    """Raises `ConfigError` if the file cannot be used, or is to be written while a server uses it."""
    if not path.exists():
        raise ConfigError(f"SIZZLE_STORE: {path}: there is no such file. `sizzle serve` creates it.")
    database = open_database(path, Bounds(keep_s, 0, 0, 0), is_locked=is_writable)
    try:
        yield Archive(database, requests)
    except sqlite3.Error as error:
        raise ConfigError(f"SIZZLE_STORE: {path}: {error}.") from None
    finally:
        database.close()

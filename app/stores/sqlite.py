"""Event logs in an SQLite file. The logs of active runs are in memory, too.

- Readers of an active run read memory, so they never wait for the disk.
- One thread stores what all runs appended in the last `FLUSH_S` seconds, in one transaction.
- The beginning and the end of a run are stored before anybody can read them.
- After a crash a log may lack the last events that its readers have seen. A new epoch says how many it has.
- If the disk is full, events stay in memory and are stored as soon as there is room.
"""

import asyncio
import logging
import sqlite3
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from app.metrics import store_flush
from app.stores import (
    MAX_BATCH,
    EventId,
    FencedError,
    LogEntry,
    LogFullError,
    MemoryUsage,
    Rewrite,
    RunEnd,
    RunEvent,
    RunExistsError,
    RunStart,
    UnavailableError,
)
from app.stores.database import GRACE_S, Block, Bounds, StoredRun, Synchronous, open_database
from app.stores.encoding import Decoder, encode
from app.stores.log import Log
from app.stores.sqlite_ledger import SqliteLedger
from chains.errors import ConfigError
from chains.parts.composition import Request

logger = logging.getLogger(__name__)

T = TypeVar("T")

FLUSH_S = 0.1
RETRY_S = 1.0  # after the disk was full
SYNCHRONOUS: dict[str, Synchronous] = {"": "normal", "synchronous=normal": "normal", "synchronous=full": "full"}
CACHED = 64  # finished logs


def parse_url(url: str) -> tuple[Path, Synchronous]:
    """Returns the path and the durability in `sqlite:///<path>?synchronous=full`. Raises `ConfigError`."""
    address, _, query = url.partition("?")
    path = unquote(urlsplit(address).path).lstrip("/")
    synchronous = SYNCHRONOUS.get(query)
    if not path or not synchronous:
        raise ConfigError(f"SIZZLE_STORE: {url}: expected sqlite:///<path> or sqlite:///<path>?synchronous=full.")
    return Path(path if path[1:2] == ":" else f"/{path}"), synchronous  # C: on Windows


@dataclass(slots=True)
class Run:
    """A log and its row in the file, of which the first `stored` entries are stored. An ephemeral run has no row."""

    log: Log
    row: int | None
    stored: int
    is_failing: bool = False  # the last attempt to store events has failed
    ended_at: float | None = None


class SqliteEventLog:
    """The logs in the file at `path`, which no other process can open at the same time.

    Each log has at most `max_bytes` in memory, all together about `all_bytes` in the file. The oldest finished logs
    make room for new ones. A log expires `keep_s` seconds after its end. `requests` has the class of each composition's
    requests. Raises `ConfigError` if the file cannot be used. What has expired is deleted once the clock can be
    trusted, after `grace_s` seconds.
    """

    outlives_process = True

    def __init__(
        self,
        path: Path,
        requests: Mapping[str, type[Request]],
        *,
        keep_s: float = 30 * 86_400,
        max_bytes: int = 4 * 1024 * 1024,
        all_bytes: int = 1024 * 1024 * 1024,
        limit: int = 1_000_000,
        expired_limit: int = 100_000,
        synchronous: Synchronous = "normal",
        grace_s: float = GRACE_S,
    ) -> None:
        self._path, self._decoder = path, Decoder(requests)
        self._keep_s, self._max_bytes = keep_s, max_bytes
        bounds = Bounds(keep_s, all_bytes, limit, expired_limit, grace_s)
        self._database = open_database(path, bounds, synchronous)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._active: dict[str, Run] = {}
        self._finished = OrderedDict[str, Run]()  # those that were read last
        self._unstored: dict[str, Run] = {}
        self._flushing: asyncio.Task[None] | None = None
        self._flush_lock = asyncio.Lock()
        self._is_failing = self._is_closed = False
        self._secret = b""
        self.ledger = SqliteLedger(self._database, self._in_thread)

    async def begin(self, run_id: str, start: RunStart, *, ephemeral: bool = False) -> None:
        if run_id in self._active:
            raise RunExistsError
        log = Log(MemoryUsage())
        log.append(start)
        row = None if ephemeral else await self._insert(run_id, log)
        self._active[run_id] = Run(log, row, 1)

    async def _insert(self, run_id: str, log: Log) -> int:
        if self._unstored:
            await self._flush()  # so that they count
        try:
            client, lines = log.client.name, encode(log.entries)
            return await self._in_thread(self._database.begin, run_id, client, log.epoch, time.time(), lines)
        except asyncio.CancelledError:  # nobody will write it
            self._thread.submit(self._database.forget, run_id)
            raise

    async def append(self, run_id: str, event: RunEvent) -> None:
        run = self._active.get(run_id) or await self._find(run_id)
        if isinstance(event, RunEnd):
            return await self._end(run_id, run, event)
        if run.log.is_released:
            raise FencedError
        if run.is_failing:
            raise UnavailableError
        if run.log.usage.bytes > self._max_bytes:
            raise LogFullError
        run.log.append(event)
        if run.row is not None and run_id not in self._unstored:
            self._unstored[run_id] = run
            self._flush_soon()
        return None

    async def reopen(self, run_id: str) -> None:
        run = await self._find(run_id)
        if not run.log.ended:
            raise ValueError("the run has not ended: it can't be reopened")
        await self._begin_epoch(run_id, run, run.log.reopened())

    async def add_rewrite(self, run_id: str, rewrite: Rewrite) -> None:
        run = await self._find(run_id)
        run.log.rewrites.append(rewrite)
        if run.row is not None:
            await self._in_thread(self._database.set_rewrites, run.row, run.log.rewrites)

    async def rewrites(self, run_id: str) -> list[Rewrite]:
        log = (await self._find(run_id)).log
        return [] if log.ended else [*log.rewrites]

    async def take_over(self, run_id: str) -> int:
        run = await self._find(run_id)
        if run.log.ended:
            raise ValueError("the run has ended: it can't be taken over")
        run.log.begin_epoch()
        takeovers = await self._begin_epoch(run_id, run, run.log)
        run.log.is_released = False
        return takeovers

    async def release(self, run_id: str) -> None:
        run = await self._find(run_id)
        run.log.is_released = True
        await self._flush()
        if run.row is not None:
            await self._in_thread(self._database.reset_takeovers, run.row)

    async def unfinished(self) -> list[str]:
        own = {run_id for run_id, run in self._active.items() if not run.log.is_released}
        return [run_id for run_id in await self._in_thread(self._database.unfinished) if run_id not in own]

    async def secret(self) -> bytes:
        self._secret = self._secret or await self._in_thread(self._database.secret)
        return self._secret

    def follow(self, run_id: str, last: EventId | None = None) -> AsyncGenerator[list[LogEntry]]:
        run = self._active.get(run_id)
        return run.log.follow(last) if run else self._follow(run_id, last)

    async def read(self, run_id: str, after: int = 0) -> list[LogEntry]:
        return (await self._find(run_id)).log.entries[after : after + MAX_BATCH]

    async def is_complete(self, run_id: str, last: EventId) -> bool:
        return (await self._find(run_id)).log.is_complete(last)

    async def forget(self, run_id: str) -> None:
        async with self._flush_lock:
            run = self._active.pop(run_id, None)
            self._finished.pop(run_id, None)
            self._unstored.pop(run_id, None)
            if not run or run.row is not None:
                await self._in_thread(self._database.forget, run_id)

    async def is_reachable(self) -> bool:
        return not self._is_failing

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if self._flushing:
            self._flushing.cancel()
            await asyncio.wait([self._flushing])
        with suppress(UnavailableError):
            await self._flush()
        for run in self._active.values():
            run.log.close()
        await self._in_thread(self._database.close)
        self._thread.shutdown()

    async def _end(self, run_id: str, run: Run, end: RunEnd) -> None:
        async with self._flush_lock:
            entry = run.log.next_entry(end)
            if run.log.is_released:
                raise FencedError
            run.ended_at = time.time()
            try:
                await self._store_end(run, [*run.log.entries, entry])
            except UnavailableError:
                self._unstored[run_id] = run
                self._flush_soon()
            else:
                self._finish(run_id, run)
            run.log.add(entry)

    async def _store_end(self, run: Run, entries: Sequence[LogEntry]) -> None:
        if run.row is not None:
            await self._in_thread(self._database.end, run.row, run.ended_at, encode(entries))

    def _finish(self, run_id: str, run: Run) -> None:
        """Moves a stored run to the finished ones; an ephemeral one stays until it is forgotten."""
        self._unstored.pop(run_id, None)
        if run.row is not None:
            self._active.pop(run_id, None)
            self._remember(run_id, run)

    async def _begin_epoch(self, run_id: str, run: Run, log: Log) -> int:
        """Stores the log's new epoch. Returns how many there were in a row."""
        takeovers = 1
        async with self._flush_lock:
            if run.row is not None:
                lines = encode(log.entries)
                values = run.row, log.epoch, log.epoch_lengths, lines
                takeovers = await self._in_thread(self._database.begin_epoch, *values)
            self._unstored.pop(run_id, None)
            self._finished.pop(run_id, None)
            self._active[run_id] = Run(log, run.row, len(log.entries))
        return takeovers

    async def _find(self, run_id: str) -> Run:
        if run := self._active.get(run_id):
            return run
        run = self._finished.get(run_id)
        if run and run.ended_at and run.ended_at + self._keep_s > time.time():
            self._finished.move_to_end(run_id)
            return run
        run = self._loaded(await self._in_thread(self._database.load, run_id))
        if run.log.ended and run_id not in self._active:
            self._remember(run_id, run)
            return run
        return self._active.setdefault(run_id, run)

    def _loaded(self, stored: StoredRun) -> Run:
        entries = stored.entries(self._decoder)
        age_s = time.time() - stored.began_at
        log = Log.loaded(stored.epoch, stored.epoch_lengths, entries, age_s, MemoryUsage())
        log.rewrites = [*stored.rewrites]
        log.is_released = not log.ended
        return Run(log, stored.run, len(entries), ended_at=stored.ended_at)

    def _remember(self, run_id: str, run: Run) -> None:
        self._finished[run_id] = run
        if len(self._finished) > CACHED:
            self._finished.popitem(last=False)

    async def _follow(self, run_id: str, last: EventId | None) -> AsyncGenerator[list[LogEntry]]:
        async with aclosing((await self._find(run_id)).log.follow(last)) as batches:
            async for batch in batches:
                yield batch

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = asyncio.create_task(self._flush_regularly(), name="flush to SQLite")

    async def _flush_regularly(self) -> None:
        try:
            while self._unstored:
                await asyncio.sleep(RETRY_S if self._is_failing else FLUSH_S)
                with suppress(UnavailableError):
                    await self._flush()
        finally:
            self._flushing = None

    async def _flush(self) -> None:
        """Stores all events so far, even if the caller is cancelled meanwhile. Raises `UnavailableError`."""
        await asyncio.shield(self._flush_all())

    async def _flush_all(self) -> None:
        async with self._flush_lock:
            runs = self._unstored
            self._unstored = {}
            lengths = [len(run.log.entries) for run in runs.values()]
            try:
                with store_flush.labels("sqlite").time():
                    await self._store(runs.values())
            except UnavailableError:
                self._unstored = {**runs, **self._unstored}
                for run in runs.values():
                    run.is_failing = True
                raise
            for (run_id, run), length in zip(runs.items(), lengths, strict=True):
                run.stored, run.is_failing = length, False
                if run.ended_at:
                    self._finish(run_id, run)

    async def _store(self, runs: Collection[Run]) -> None:
        active = [(run.row, run) for run in runs if run.row is not None and not run.ended_at]
        blocks = [Block(row, run.stored + 1, encode(run.log.entries[run.stored :])) for row, run in active]
        if blocks:
            await self._in_thread(self._database.append, blocks)
        for run in runs:
            if run.ended_at:
                await self._store_end(run, run.log.entries)

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        except sqlite3.Error as error:
            if not self._is_failing:
                logger.error("%s: %s", self._path, error)
            self._is_failing = True
            raise UnavailableError from None
        self._is_failing = False
        for run_id in self._database.take_expired():
            self._finished.pop(run_id, None)
        return result

"""All runs that are followed in this process are read through one connection."""

# pyright: reportUnknownMemberType=false
# (redis-py leaves some keyword arguments untyped)
import asyncio
import logging
import zlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from time import perf_counter
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.stores import EventId, EventLogError, LogEntry, RunEnd, UnavailableError
from app.stores.encoding import Decoder
from app.stores.redis.connection import BLOCKING_ANSWER_S, Address, DirectConnection
from app.stores.redis.meta import RunMeta
from app.stores.redis.writers import Batch

logger = logging.getLogger(__name__)

GATHER_S = 0.005
BLOCK_MS = 500
MAX_ENTRIES = 100  # of a stream, per call
SILENCE_S = 5.0  # after which a run's log is looked up, because it may have expired
CHECK_S = 0.5  # so often silent runs are looked for
RETRY_S = 0.05

Entry = tuple[bytes, Mapping[bytes, bytes]]  # of a stream
Streams = Mapping[bytes, list[tuple[bytes, list[bytes]]]]


def entry_id(text: bytes) -> tuple[int, int]:
    """Returns the number of an entry's last event, and the number of its epoch."""
    last, _, number = text.partition(b"-")
    return int(last), int(number)


def events_of(entry: Entry, number: int, epoch: str, decoder: Decoder) -> list[LogEntry]:
    """Returns the events that a log in this epoch has of an entry: no later epoch's, and no earlier one's end."""
    last, entry_number = entry_id(entry[0])
    if entry_number > number:
        return []
    lines = entry[1].get(b"lines") or zlib.decompress(entry[1][b"zlib"])
    entries: list[LogEntry] = [*decoder.entries(epoch, last - lines.count(b"\n"), lines)]
    if entry_number < number and entries[-1].kind is RunEnd:
        entries.pop()
    return entries


class Tail:
    """The events of a followed run from its start in one epoch, and in those that follow unless it ends first."""

    def __init__(self, key: str, meta: RunMeta, decoder: Decoder) -> None:
        self.key, self._decoder = key, decoder
        self.number, self.epoch = meta.number, meta.epoch
        self.least = meta.last  # events that the log had when a reader came, who may have them already
        self.entries: list[LogEntry] = []
        self.cursor = b"0-0"
        self.is_broken = False  # the log is not what it was
        self.followers = 0
        self.checked_at = perf_counter()
        self._changed = asyncio.Event()

    @property
    def last(self) -> int:
        return self.entries[-1].id.seq if self.entries else 0

    @property
    def known(self) -> EventId:
        """The last event that is known to be in the log."""
        return EventId(self.epoch, max(self.last, self.least))

    @property
    def is_over(self) -> bool:
        return self.is_broken or (bool(self.entries) and self.entries[-1].kind is RunEnd)

    def add(self, entries: Iterable[Entry]) -> None:
        """Adds what was read from the stream."""
        for entry in entries:
            if not self.is_over and entry_id(entry[0]) > entry_id(self.cursor):
                self.cursor = entry[0]
                self._add(entry)
        self._notify()

    def add_batch(self, batch: Batch) -> None:
        """Adds what this process has written itself."""
        self.entries += batch.entries
        self.cursor = b"%d-%d" % (self.last, self.number)
        self._notify()

    def break_off(self) -> None:
        """Ends the stream without an end. A client that reconnects gets the rest."""
        self.is_broken = True
        self._notify()

    async def wait_for_more(self, count: int) -> None:
        if len(self.entries) <= count and not self.is_broken:
            await self._changed.wait()

    def _add(self, entry: Entry) -> None:
        if (number := entry_id(entry[0])[1]) > self.number:  # another process has taken the run over
            self.number, self.epoch = number, entry[1][b"epoch"].decode()
        events = events_of(entry, self.number, self.epoch, self._decoder)
        events = [event for event in events if event.id.seq > self.last]  # a compact entry has all of them
        if events and events[0].id.seq != self.last + 1:
            self.is_broken = True
        else:
            self.entries += events

    def _notify(self) -> None:
        self.checked_at = perf_counter()
        self._changed.set()
        self._changed.clear()


class Readers:
    """Reads the tails. `find` looks a run up; `is_own` tells whether this process writes all that a tail lacks."""

    def __init__(
        self, address: Address, redis: Redis, decoder: Decoder,
        find: Callable[[str], Awaitable[RunMeta]], is_own: Callable[[str, Tail], bool],
    ) -> None:  # fmt: skip
        self._address, self._redis, self._decoder = address, redis, decoder
        self._find, self._is_own = find, is_own
        self._tails = defaultdict[str, dict[int, Tail]](dict)  # by run, and by the epoch in which the first reader came
        self._task: asyncio.Task[None] | None = None
        self._more = asyncio.Event()
        self._check_at = 0.0
        self._connection_id: int | None = None  # while it blocks
        self._unblocking = set[asyncio.Task[None]]()

    @contextmanager
    def tail(self, run_id: str, meta: RunMeta) -> Generator[Tail]:
        """The run's tail, shared by all who follow it in this process."""
        tails = self._tails[run_id]
        tail = tails.get(meta.number)
        if not tail:
            tail = tails[meta.number] = Tail(f"{self._address.prefix}:log:{run_id}", meta, self._decoder)
            self.wake()
        tail.least = max(tail.least, meta.last)
        tail.followers += 1
        try:
            yield tail
        finally:
            tail.followers -= 1
            if not tail.followers:
                del tails[meta.number]
            if not tails:
                self._tails.pop(run_id, None)

    def add_batch(self, batch: Batch) -> None:
        """Passes on what this process has written, so that it need not be read."""
        for tail in self._tails.get(batch.writer.run_id, {}).values():
            if tail.number == batch.writer.number and tail.last == batch.entries[0].id.seq - 1:
                tail.add_batch(batch)
            elif not tail.is_over:
                self.wake()

    def wake(self) -> None:
        """Reads on, because there is more to read than before."""
        self._more.set()
        if not self._task or self._task.done():
            self._task = asyncio.create_task(self._read(), name="readers")
        elif self._connection_id is not None:
            task = asyncio.create_task(self._unblock(self._connection_id))
            self._unblocking.add(task)
            task.add_done_callback(self._unblocking.discard)

    async def aclose(self) -> None:
        for _, tail in self._open_tails():
            tail.break_off()
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _unblock(self, connection_id: int) -> None:
        with suppress(RedisError):
            await self._redis.client_unblock(connection_id)

    async def _read(self) -> None:
        # without further attempts, so it learns of an outage
        async with aclosing(self._address.direct_connection(BLOCKING_ANSWER_S, attempts=1)) as connection:
            while True:
                with suppress(RedisError, UnavailableError):
                    await self._read_from(connection)
                self._connection_id = None
                await asyncio.sleep(RETRY_S)

    async def _read_from(self, connection: DirectConnection) -> None:
        connection_id: int = await connection.call("CLIENT", "ID")
        await self._check(self._open_tails())  # the server may have lost events
        while True:
            self._more.clear()
            tails = self._foreign_tails()
            if not tails:
                await self._more.wait()
                continue
            started_at = perf_counter()
            self._connection_id = connection_id
            cursors = [_first_cursor(each) for each in tails.values()]
            command = "XREAD", "COUNT", MAX_ENTRIES, "BLOCK", BLOCK_MS, "STREAMS", *tails, *cursors
            streams = cast(Streams, await connection.call(*command) or {})
            self._connection_id = None
            for key, page in streams.items():
                entries = [(name, dict(zip(fields[::2], fields[1::2], strict=True))) for name, fields in page]
                for tail in tails[key.decode()]:
                    _add(tail, entries)
            if started_at > self._check_at:
                self._check_at = started_at + CHECK_S
                await self._check(self._open_tails(SILENCE_S))
            if streams and (delay := started_at + GATHER_S - perf_counter()) > 0:
                await asyncio.sleep(delay)

    def _foreign_tails(self) -> Mapping[str, list[Tail]]:
        """Returns the tails that lack events of other processes, by stream."""
        tails = defaultdict[str, list[Tail]](list)
        for run_id, tail in self._open_tails():
            if not self._is_own(run_id, tail):
                tails[tail.key].append(tail)
        return tails

    async def _check(self, tails: Iterable[tuple[str, Tail]]) -> None:
        """Breaks off the tails of runs that are gone, or whose logs lack events that were read.

        Raises `UnavailableError`. Until then no more is read, because what follows a loss would be taken for the rest.
        """
        for run_id, tail in tails:
            tail.checked_at, known = perf_counter(), tail.known
            try:
                meta = await self._find(run_id)
            except UnavailableError:
                raise
            except EventLogError:
                tail.break_off()
            else:
                if not tail.is_over and not meta.continues(known):
                    tail.break_off()

    def _open_tails(self, silent_s: float = 0) -> list[tuple[str, Tail]]:
        since = perf_counter() - silent_s
        return [
            (run_id, tail)
            for run_id, tails in self._tails.items()
            for tail in tails.values()
            if not tail.is_over and tail.checked_at <= since
        ]


def _first_cursor(tails: Sequence[Tail]) -> bytes:
    return tails[0].cursor if len(tails) == 1 else min((tail.cursor for tail in tails), key=entry_id)


def _add(tail: Tail, entries: Iterable[Entry]) -> None:
    """Entries that this version cannot read break off their own tail only."""
    try:
        tail.add(entries)
    except (EventLogError, LookupError, ValueError, zlib.error) as error:
        logger.warning("%s has entries that cannot be read: %s.", tail.key, type(error).__name__)
        tail.break_off()

"""Event logs in Redis or Valkey. Any process reads any run; one writes it at a time."""

# pyright: reportUnknownMemberType=false
# (redis-py leaves some keyword arguments untyped)
import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from secrets import token_bytes, token_hex
from time import perf_counter
from typing import Any, cast
from zlib import compress

import msgspec
import orjson
from redis.exceptions import RedisError, ResponseError

from app.clients import Client
from app.stores import (
    MAX_BATCH,
    EventEntry,
    EventId,
    EventLogError,
    ExpiredRunError,
    FencedError,
    LogEntry,
    Rewrite,
    RunEnd,
    RunEvent,
    RunExistsError,
    RunStart,
    RunStatus,
)
from app.stores.encoding import LETTERS, Decoder, encode
from app.stores.redis.clock import ServerClock
from app.stores.redis.connection import ANSWER_S, Address, DirectPool, answering, check_server
from app.stores.redis.ledger import RedisLedger
from app.stores.redis.meta import RunMeta, meta_of
from app.stores.redis.readers import Entry, Readers, Tail, entry_id, events_of
from app.stores.redis.scripts import CHANGED, ENDED, FENCED, GROUP, ORPHANED, Scripts, check_admission
from app.stores.redis.writers import ENTRY_BYTES, PENDING_BYTES, Outbox, Writer
from chains.parts.composition import Request

logger = logging.getLogger(__name__)

FLUSH_S = 1.0  # for what this process has appended; a log is read or changed without it during an outage
CLOSE_S = 2.0  # for the last events, if the server does not answer
COMPACT_AFTER_S = 1.0
NODE_BYTES = 4096 + 512  # of a stream with one entry, and of the run's hash
PAGE = 256  # entries of a stream
RENEWALS = 4  # per lease
_MAX_NUMBER = 2**60  # of an epoch
_DECODE_REWRITE = msgspec.json.Decoder(Rewrite).decode  # ignores other fields


class Claim(Enum):
    """What became of a worker's claim on a run."""

    RENEWED = 1
    CHANGED = CHANGED  # renewed, and parts have to be regenerated
    ORPHANED = ORPHANED  # renewed, but the only reader's process has died
    LOST = FENCED


class RedisEventLog:
    """At most `limit` logs of at most `max_bytes` each, and of about `all_bytes` in total.

    `requests` has the class of each composition's requests. The oldest finished logs make room for new ones. A log
    expires `keep_s` seconds after its end; the ids of the last `expired_limit` expired logs are remembered. Ephemeral
    runs are lost if this process does not renew its claim on them for `lease_s`.
    """

    outlives_process = True

    def __init__(
        self,
        url: str,
        requests: Mapping[str, type[Request]],
        *,
        keep_s: float = 7 * 24 * 3600,
        max_bytes: int = 4 * 1024 * 1024,
        all_bytes: int = 1024 * 1024 * 1024,
        limit: int = 1_000_000,
        expired_limit: int = 100_000,
        lease_s: float = 2,
    ) -> None:
        self.address = Address.parse(url)
        self.redis = self.address.client()
        self._pool, self._writing = DirectPool(self.address), self.address.direct_connection(ANSWER_S, attempts=2)
        keep_ms = round(keep_s * 1000)
        bounds = keep_ms, expired_limit, all_bytes
        self.scripts = Scripts(self.redis, self._pool, self._writing, self.address.prefix, *bounds)
        self.ledger = RedisLedger(self.redis, self.address.prefix)
        self._decoder = Decoder(requests)
        self._max_bytes, self._all_bytes, self._limit = max_bytes, all_bytes, limit
        self._name, self._lease_ms, self._owns_runs = token_hex(8), round(lease_s * 1000), False
        self.clock = ServerClock(lease_s / RENEWALS)
        self._writers: dict[str, Writer] = {}
        self._readers = Readers(self.address, self.redis, self._decoder, self._find, self._is_own)
        self._outbox = Outbox(self.scripts, self._readers.add_batch, self._readers.wake)
        self._secret: bytes | None = None
        self._compactions = set[asyncio.Task[None]]()

    async def check(self) -> None:
        """Waits for the server. Raises `ConfigError` if it can't be used."""
        await check_server(self.address, self._all_bytes)

    async def is_reachable(self) -> bool:
        """Whether the server answers within a second."""
        try:
            async with asyncio.timeout(1):
                await self.redis.ping()
        except (RedisError, TimeoutError):
            return False
        return True

    async def begin(self, run_id: str, start: RunStart, *, ephemeral: bool = False) -> None:
        """No other process takes the run over unless this one releases it."""
        epoch, size = await self._begin(run_id, start, "")
        self._writers[run_id] = Writer(run_id, 1, 0, epoch, 1, size, perf_counter(), 1)

    async def check_room(self, client: Client, limit: int, client_limit: int | None) -> None:
        """Raises `LogFullError` if `limit` runs have not ended, `TooManyRunsError` if `client_limit` of this client."""
        check_admission(await self._call("room", client.name, limit, "" if client_limit is None else client_limit))

    async def submit(
        self, run_id: str, start: RunStart, limit: int, client_limit: int | None = None, *, ephemeral: bool = False
    ) -> None:
        """Begins a log for the worker that takes the run.

        Raises `LogFullError` if `limit` runs have not ended, `TooManyRunsError` if `client_limit` of this client.
        """
        self._owns_runs |= ephemeral
        await self._begin(run_id, start, limit, client_limit, self._name if ephemeral else "")

    async def append(self, run_id: str, event: RunEvent) -> None:
        writer = self._writers.get(run_id) or await self._no_writer(run_id)
        writer.add(event, self._max_bytes)
        self._outbox.add(writer)
        if writer.has_ended or writer.pending_bytes > PENDING_BYTES:
            await self._outbox.logged(writer)
        if writer.has_ended:
            self.leave(run_id)
            self._compact_soon(run_id)

    def leave(self, run_id: str) -> None:
        """Forgets that this process wrote the run, which has ended or is written elsewhere."""
        self._writers.pop(run_id, None)

    async def reopen(self, run_id: str) -> None:
        answer = await self._call("reopen", run_id, token_hex(4))
        if answer[0] == CHANGED:
            raise ValueError("the run has not ended: it can't be reopened")
        self._writers[run_id] = Writer.of(run_id, meta_of(answer))

    async def take_over(self, run_id: str) -> int:
        await self._flushed(run_id)
        return (await self.take(run_id, "", "")).takes

    async def take(self, run_id: str, job: str, worker: str, *, drops_orphan: bool = False) -> RunMeta:
        """Takes over the run of a job. Raises `FencedError` if the worker has lost its claim.

        An ephemeral run whose process seems to have died is left alone (`FencedError`), or with `drops_orphan` dropped,
        as if it had ended.
        """
        answer = await self._call("take", run_id, token_hex(4), job, worker, int(drops_orphan))
        if answer[0] == ENDED:
            raise ValueError("the run has ended: it can't be taken over")
        if answer[0] == FENCED:
            raise FencedError
        meta = meta_of(answer)
        self._writers[run_id] = Writer.of(run_id, meta)
        return meta

    async def renew(self, worker: str, run_ids: Iterable[str], taking: Iterable[str] = ()) -> dict[str, Claim]:
        """Renews the worker's claims on runs that this process writes, and returns what became of each.

        Also renews its claims on runs that it is still taking, and this process's claim on its ephemeral runs.
        """
        writers = [writer for run_id in run_ids if (writer := self._writers.get(run_id)) and not writer.error]
        claims = dict.fromkeys(run_ids, Claim.LOST)
        owner = self._name if self._owns_runs else ""
        runs = [(each.run_id, each.term, each.rewrites) for each in writers] + [(run_id, "", 0) for run_id in taking]
        arguments = [each for run in runs for each in run]
        asked_at = perf_counter()
        *answers, now_ms = await self._call("renew", worker, owner, self._lease_ms, *arguments)
        self.clock.compare(now_ms / 1000, asked_at, perf_counter())
        return claims | {writer.run_id: Claim(answer) for writer, answer in zip(writers, answers, strict=False)}

    async def release(self, run_id: str) -> None:
        """Queues the run again, with all that was appended."""
        await self._flushed(run_id)
        if writer := self._writers.pop(run_id, None):
            self._readers.wake()
            await self._call("release", run_id, writer.term)

    async def end(self, run_id: str, status: RunStatus, message: str | None = None) -> None:
        """Writes the end instead of the run's writer. A finished run is unchanged.

        Raises `ExpiredRunError` if the log is too damaged, which then is dropped.
        """
        line = LETTERS[RunEnd] + EventEntry(EventId("0", 0), RunEnd(status, 0, message), 0).json
        line = line.replace(b'"total_ms":0', b'"total_ms":@total_ms').replace(b'"at_ms":0', b'"at_ms":@at_ms')
        await self._flushed(run_id)
        answer = await self._call("end", run_id, line)
        if answer[0] != ENDED:
            meta_of(answer)
            if writer := self._writers.get(run_id):
                writer.error = FencedError()
            self._readers.wake()
            self._compact_soon(run_id)

    async def compact(self, run_id: str) -> None:
        """Compresses the events of a run that has ended, about sixfold. Its readers read on."""
        meta = await self._find(run_id)
        entries = list[LogEntry]()
        while meta.has_ended and (page := await self._read(run_id, meta, len(entries))):
            entries += page
        if meta.has_ended and len(entries) == meta.last:
            lines = compress(encode(entries))
            size = max(len(lines), NODE_BYTES) + ENTRY_BYTES
            await self._call("compact", run_id, meta.number, meta.last, lines, size)

    def _compact_soon(self, run_id: str) -> None:
        """A moment later, because the readers of other processes still read the last events."""

        async def compact() -> None:
            await asyncio.sleep(COMPACT_AFTER_S)
            with suppress(EventLogError):
                await self.compact(run_id)

        task = asyncio.create_task(compact(), name="compaction")
        self._compactions.add(task)
        task.add_done_callback(self._compactions.discard)

    async def meta(self, run_id: str) -> RunMeta:
        """Returns everything about the run except its events."""
        return await self._find(run_id)

    async def rewrites(self, run_id: str) -> list[Rewrite]:
        with answering():
            key = f"{self.address.prefix}:rewrites:{run_id}"
            rewrites = cast(list[bytes], await self.redis.lrange(key, 0, -1))
        return [_DECODE_REWRITE(each) for each in rewrites]

    async def add_rewrite(self, run_id: str, rewrite: Rewrite) -> None:
        meta, rewrites = await self._find(run_id), await self.rewrites(run_id)
        await self.request_rewrite(run_id, meta, len(rewrites), rewrite, 0)
        self.accept_rewrites(run_id, len(rewrites) + 1)

    def accept_rewrites(self, run_id: str, count: int) -> int:
        """Says how many rewrites this process has begun to write, and returns how many it had begun before.

        While there are more in the store, the end is refused.
        """
        if not (writer := self._writers.get(run_id)):
            return count
        accepted, writer.rewrites = writer.rewrites, max(writer.rewrites, count)  # an earlier list may come late
        return accepted

    async def request_rewrite(
        self, run_id: str, seen: RunMeta, rewrites: int, rewrite: Rewrite, limit: int, client_limit: int | None = None
    ) -> bool:
        """Adds a rewrite, and reopens and queues a finished run. Returns False if the run is not as it was `seen`.

        Raises `LogFullError` if `limit` runs have not ended, `TooManyRunsError` if `client_limit` of its client.
        """
        line = orjson.dumps({"parts": rewrite.parts, "after": rewrite.after, "token": token_hex(4)})
        of_client = "" if client_limit is None else client_limit
        arguments = seen.number, int(seen.has_ended), rewrites, line, token_hex(4), limit, of_client
        answer = await self._call("rewrite", run_id, *arguments)
        check_admission(answer[0])
        return answer[0] != CHANGED and bool(meta_of(answer))

    async def unfinished(self) -> list[str]:
        with suppress(ResponseError):  # there is no queue yet
            await self.redis.xgroup_create(f"{self.address.prefix}:queue", GROUP, "0", mkstream=True)
        waiting: list[bytes] = await self._call("unfinished")
        return [run_id for each in waiting if (run_id := each.decode()) not in self._writers]

    async def waiting_count(self) -> int:
        """How many runs wait in the queue for a worker."""
        queue = f"{self.address.prefix}:queue"
        with answering():
            groups = {group["name"]: group["pending"] for group in await self.redis.xinfo_groups(queue)}
            return int(await self.redis.xlen(queue)) - int(groups.get(GROUP.encode(), 0))

    async def secret(self) -> bytes:
        if self._secret is None:
            key = f"{self.address.prefix}:secret"
            with answering():
                if not await self.redis.exists(key):  # a full server refuses SET
                    await self.redis.set(key, token_bytes(32), nx=True)
                self._secret = cast(bytes, await self.redis.get(key))
        return self._secret

    async def follow(self, run_id: str, last: EventId | None = None) -> AsyncGenerator[list[LogEntry]]:
        meta = await self._current(run_id)
        after = meta.resume_index(last)
        if meta.has_ended:
            while after < meta.last:
                entries = await self._read(run_id, meta, after)
                if not entries:
                    raise ExpiredRunError
                after += len(entries)
                for start in range(0, len(entries), MAX_BATCH):
                    yield entries[start : start + MAX_BATCH]
            return
        with self._readers.tail(run_id, meta) as tail:
            while True:
                if entries := tail.entries[after : after + MAX_BATCH]:
                    after += len(entries)
                    yield entries
                elif tail.is_over:
                    return
                else:
                    await tail.wait_for_more(after)

    async def read(self, run_id: str, after: int = 0) -> list[LogEntry]:
        return (await self._read(run_id, await self._current(run_id), after))[:MAX_BATCH]

    async def is_complete(self, run_id: str, last: EventId) -> bool:
        meta = await self._current(run_id)
        return meta.has_ended and meta.resume_index(last) == meta.last

    async def forget(self, run_id: str) -> None:
        self._writers.pop(run_id, None)
        await self._call("forget", run_id)

    async def aclose(self) -> None:
        for task in self._compactions:
            task.cancel()
        await asyncio.gather(*self._compactions, return_exceptions=True)
        await self._outbox.aclose(CLOSE_S)
        await self._readers.aclose()
        await self._pool.aclose()
        await self._writing.aclose()
        await self.redis.aclose()

    async def _call(self, name: str, *arguments: str | bytes | int) -> Any:
        with answering():
            return await self.scripts.call(name, *arguments)

    async def _begin(
        self, run_id: str, start: RunStart, limit: int | str, client_limit: int | None = None, owner: str = ""
    ) -> tuple[str, int]:
        """Returns the epoch and the log's size."""
        epoch, lines = token_hex(4), encode([EventEntry(EventId("0", 1), start, 0)])
        size, most = len(lines) + ENTRY_BYTES, "" if client_limit is None else client_limit
        bounds, of_client = (self._limit, limit, owner, self._lease_ms), (start.client.name, most)
        answer = await self._call("begin", run_id, epoch, lines, size, *bounds, *of_client, start.composition)
        check_admission(answer)
        if answer == 0:
            raise RunExistsError
        return epoch, size

    async def _find(self, run_id: str) -> RunMeta:
        return meta_of(await self._call("find", run_id))

    async def _current(self, run_id: str) -> RunMeta:
        """What this process has appended counts, too."""
        await self._flushed(run_id)
        return await self._find(run_id)

    async def _flushed(self, run_id: str) -> None:
        """Waits until everything that this process has appended is in the log, or can't be, but not for long."""
        if writer := self._writers.get(run_id):
            with suppress(EventLogError, TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._outbox.logged(writer)

    async def _read(self, run_id: str, meta: RunMeta, after: int) -> list[LogEntry]:
        """Returns the events after number `after`, or at least the first `MAX_BATCH` of them."""
        key, start, found = f"{self.address.prefix}:log:{run_id}", after, list[LogEntry]()
        while len(found) < MAX_BATCH:
            with answering():
                page = await self.redis.xrange(key, f"({start}-{_MAX_NUMBER}", count=PAGE)
            entries = cast(Sequence[Entry], page)
            for entry in entries:
                events = events_of(entry, meta.number, meta.epoch, self._decoder)
                found += [event for event in events if event.id.seq > after]
                start, _ = entry_id(entry[0])
            if len(entries) < PAGE:
                break
        return found

    async def _no_writer(self, run_id: str) -> Writer:
        meta = await self._find(run_id)
        if meta.has_ended:
            raise ValueError("the run has ended: no events can be appended")
        raise FencedError

    def _is_own(self, run_id: str, tail: Tail) -> bool:
        """Whether this process writes everything that the tail lacks."""
        writer = self._writers.get(run_id)
        return bool(writer and not writer.error and writer.number == tail.number and tail.last >= writer.logged)

"""Event logs in memory, bounded in number and size."""

import asyncio
from collections.abc import AsyncGenerator
from secrets import token_bytes

from app.clients import Client
from app.stores import (
    MAX_BATCH,
    EventId,
    ExpiredRunError,
    FencedError,
    LogEntry,
    LogFullError,
    MemoryUsage,
    Rewrite,
    RunEnd,
    RunEvent,
    RunExistsError,
    RunStart,
    UnknownRunError,
)
from app.stores.ledger import MemoryLedger
from app.stores.log import Log


class MemoryEventLog:
    """At most `limit` logs of at most `max_bytes` each, and of about `all_bytes` in total.

    The client's own oldest finished logs make room for its new ones, then the oldest of all. If none has finished, no
    new log can begin. A log expires `keep_s` seconds after its end; the ids of the last `expired_limit` expired logs
    are remembered.
    """

    outlives_process = False

    def __init__(
        self,
        *,
        keep_s: float = 900,
        max_bytes: int = 4 * 1024 * 1024,
        all_bytes: int = 256 * 1024 * 1024,
        limit: int = 1000,
        expired_limit: int = 10_000,
    ) -> None:
        self._keep_s, self._limit, self._expired_limit = keep_s, limit, expired_limit
        self._max_bytes, self._all_bytes, self._usage = max_bytes, all_bytes, MemoryUsage()
        self._logs: dict[str, Log] = {}
        self._ended: dict[str, asyncio.TimerHandle] = {}  # oldest first
        self._expired: dict[str, None] = {}
        self._secret = token_bytes(32)
        self.ledger = MemoryLedger()

    async def begin(self, run_id: str, start: RunStart, *, ephemeral: bool = False) -> None:
        if run_id in self._logs:
            raise RunExistsError
        if len(self._logs) >= self._limit and self._ended:
            self._expire(self._oldest(start.client))
        self._make_room(start.client)
        if self._usage.bytes > self._all_bytes:
            raise LogFullError
        self._expired.pop(run_id, None)
        self._logs[run_id] = log = Log(MemoryUsage(total=self._usage))
        log.append(start)

    async def append(self, run_id: str, event: RunEvent) -> None:
        log = self._logs.get(run_id) or self._log(run_id)
        if log.is_released:
            raise FencedError
        is_end = isinstance(event, RunEnd)
        if log.usage.bytes > self._max_bytes and not is_end:
            raise LogFullError
        log.append(event)
        if self._usage.bytes > self._all_bytes:
            self._make_room(log.client)
        if is_end:
            self._ended[run_id] = asyncio.get_running_loop().call_later(self._keep_s, self._expire, run_id)

    async def reopen(self, run_id: str) -> None:
        log = self._log(run_id)
        if not log.ended:
            raise ValueError("the run has not ended: it can't be reopened")
        self._ended.pop(run_id).cancel()
        self._logs[run_id] = log.reopened()

    async def add_rewrite(self, run_id: str, rewrite: Rewrite) -> None:
        self._log(run_id).rewrites.append(rewrite)

    async def rewrites(self, run_id: str) -> list[Rewrite]:
        log = self._log(run_id)
        return [] if log.ended else [*log.rewrites]

    async def take_over(self, run_id: str) -> int:
        log = self._log(run_id)
        if log.ended:
            raise ValueError("the run has ended: it can't be taken over")
        log.is_released = False
        if len(log.entries) > 1:
            log.begin_epoch()
        return 1  # no other process has had it

    async def release(self, run_id: str) -> None:
        self._log(run_id).is_released = True

    async def unfinished(self) -> list[str]:
        return [run_id for run_id, log in self._logs.items() if log.is_released]

    async def secret(self) -> bytes:
        return self._secret

    def follow(self, run_id: str, last: EventId | None = None) -> AsyncGenerator[list[LogEntry]]:
        return self._log(run_id).follow(last)

    async def read(self, run_id: str, after: int = 0) -> list[LogEntry]:
        return self._log(run_id).entries[after : after + MAX_BATCH]

    async def is_complete(self, run_id: str, last: EventId) -> bool:
        return self._log(run_id).is_complete(last)

    async def forget(self, run_id: str) -> None:
        if log := self._logs.pop(run_id, None):
            log.usage.release()
        if timer := self._ended.pop(run_id, None):
            timer.cancel()

    async def is_reachable(self) -> bool:
        return True

    async def aclose(self) -> None:
        for timer in self._ended.values():
            timer.cancel()

    def _log(self, run_id: str) -> Log:
        if run_id in self._expired:
            raise ExpiredRunError
        if run_id not in self._logs:
            raise UnknownRunError
        return self._logs[run_id]

    def _make_room(self, client: Client) -> None:
        while self._usage.bytes > self._all_bytes and self._ended:
            self._expire(self._oldest(client))

    def _oldest(self, client: Client) -> str:
        """Returns the client's oldest finished run, or the oldest of all."""
        own = (run_id for run_id in self._ended if self._logs[run_id].client == client)
        return next(own, next(iter(self._ended)))

    def _expire(self, run_id: str) -> None:
        self._ended.pop(run_id).cancel()
        self._logs.pop(run_id).usage.release()
        self._expired[run_id] = None
        if len(self._expired) > self._expired_limit:
            del self._expired[next(iter(self._expired))]

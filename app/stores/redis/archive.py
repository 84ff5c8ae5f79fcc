"""The runs in Redis, readable even while servers and workers write them."""

# pyright: reportUnknownMemberType=false
# (redis-py leaves some keyword arguments untyped)

import asyncio
from collections.abc import Awaitable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar, cast

from redis.exceptions import RedisError

from app.stores import LogEntry, UnavailableError
from app.stores.archive import ArchivedRun
from app.stores.redis.log import RedisEventLog
from chains.errors import ConfigError

T = TypeVar("T")


class RedisArchive:
    """Reads the logs of a deployment."""

    def __init__(self, log: RedisEventLog, runner: asyncio.Runner) -> None:
        self._log, self._runner = log, runner

    def runs(self, limit: int | None = None) -> list[ArchivedRun]:
        return self._run(self._runs(limit))

    def ids(self, beginning: str) -> list[str]:
        return [run_id for run_id in self._run(self._ids(None)) if run_id.startswith(beginning)]

    def entries(self, run_id: str) -> Sequence[LogEntry]:
        return self._run(self._entries(run_id))

    def delete(self, run_id: str) -> None:
        self._run(self._log.forget(run_id))

    async def _ids(self, ended: int | None) -> list[str]:
        """The runs that have not ended, and this many of those that ended last."""
        prefix, redis = self._log.address.prefix, self._log.redis
        jobs = cast(Sequence[tuple[bytes, Mapping[bytes, bytes]]], await redis.xrange(f"{prefix}:queue"))
        unfinished = [run_id for _, fields in jobs if (run_id := fields.get(b"run"))]
        last = -1 if ended is None else ended - 1
        finished = cast(Sequence[bytes], await redis.zrevrange(f"{prefix}:ended", 0, last))
        return [run_id.decode() for run_id in dict.fromkeys((*unfinished, *finished))]

    async def _runs(self, limit: int | None) -> list[ArchivedRun]:
        runs = [run for run_id in await self._ids(limit) if (run := await self._archived(run_id))]
        return sorted(runs, key=lambda run: run.began_at, reverse=True)[:limit]

    async def _archived(self, run_id: str) -> ArchivedRun | None:
        """None if the run has expired in the meantime."""
        key = f"{self._log.address.prefix}:run:{run_id}"
        began_ms, size = cast(Sequence[bytes | None], await self._log.redis.hmget(key, "began_ms", "bytes"))
        return ArchivedRun(run_id, int(began_ms) / 1000, int(size)) if began_ms and size else None

    async def _entries(self, run_id: str) -> list[LogEntry]:
        entries = list[LogEntry]()
        while page := await self._log.read(run_id, len(entries)):
            entries += page
        return entries

    def _run(self, work: Awaitable[T]) -> T:
        async def answer() -> T:
            return await work

        return self._runner.run(answer())


@contextmanager
def open_redis_archive(log: RedisEventLog) -> Generator[RedisArchive]:
    """Raises `ConfigError` if the server cannot be used."""
    with asyncio.Runner() as runner:
        try:
            runner.run(log.check())
            yield RedisArchive(log, runner)
        except (UnavailableError, RedisError):
            raise ConfigError(f"SIZZLE_STORE: {log.address.label} does not answer.") from None
        finally:
            runner.run(log.aclose())

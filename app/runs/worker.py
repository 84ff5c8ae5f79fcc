"""A worker takes queued runs and writes them.

It renews its leases four times per lease. If it dies, or stops for longer than a lease, another worker takes its runs
over: it keeps the parts that have ended and begins the others again. A worker that has lost a run closes its calls and
writes nothing more.
"""

import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from secrets import token_hex
from time import perf_counter
from uuid import UUID

from redis.exceptions import RedisError

from app.clients import working_for
from app.models import Served
from app.runs.live import LiveRun, Stopping, Writing
from app.runs.remaining import requested, unfinished, whole
from app.runs.runs import Runs
from app.stores import EventLogError, RunEnd, UnavailableError, UnknownRunError
from app.stores.redis.log import Claim, RedisEventLog
from app.stores.redis.queue import Job, RunQueue
from chains.errors import OUR_SIDE
from chains.messages import Message
from chains.translations import Language

logger = logging.getLogger(__name__)

JOBS_AT_ONCE = 8
MAX_TAKES = 10  # of a run whose workers die, perhaps because of it, before a part ends
LEFT_RUNS = 1000  # so many are not logged again
RENEWALS = 4  # per lease
RETRY_S = 0.2


class Worker:
    """Writes at most `limit` runs at a time. `runs` reads their states."""

    def __init__(
        self, served: Mapping[str, Served], runs: Runs, log: RedisEventLog,
        *, limit: int = 64, lease_s: float = 2, drain_s: float = 10,
    ) -> None:  # fmt: skip
        self._served, self._runs, self._log = served, runs, log
        self._limit, self._lease_s, self._drain_s = limit, lease_s, drain_s
        self.name = f"{socket.gethostname()}-{os.getpid()}-{token_hex(3)}"
        self._queue = RunQueue(log.address, log.redis, self.name, lease_s)
        self._live: dict[str, LiveRun] = {}
        self._taking = set[str]()
        self._left = deque[str](maxlen=LEFT_RUNS)  # to other workers
        self._tasks = set[asyncio.Task[None]]()  # short ones, such as taking a run
        self._changed = asyncio.Event()  # a run or a short task has ended
        self._loops = list[asyncio.Task[None]]()
        self.is_closing = False
        self._claims_from = 0.0

    @asynccontextmanager
    async def working(self) -> AsyncGenerator[None]:
        """Takes runs within the block. Afterwards it finishes those that end in time, and releases the others."""
        await self._queue.open()
        claiming, *loops = self._loops = [
            asyncio.create_task(loop, name="worker") for loop in (self._claim(), self._renew(), self._follow_hints())
        ]
        try:
            yield
        finally:
            self.close()
            await asyncio.gather(claiming, return_exceptions=True)
            await self._drain()
            for task in loops:
                task.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await self._queue.aclose()

    def close(self) -> None:
        """Takes no more runs."""
        self.is_closing = True
        self._queue.close()
        self._changed.set()

    @property
    def is_ready(self) -> bool:
        """Whether it takes runs and renews its leases."""
        return not self.is_closing and not any(loop.done() for loop in self._loops)

    @property
    def _room(self) -> int:
        return 0 if self.is_closing else max(0, self._limit - len(self._live) - len(self._tasks))

    async def _claim(self) -> None:
        """Takes runs as they are queued."""
        has_missed = False  # jobs, because a connection broke
        while not self.is_closing:
            if not self._room:
                self._changed.clear()
                await self._changed.wait()
                continue
            try:
                if has_missed:
                    self._take_all(await self._queue.pending_jobs())
                    has_missed = False
                self._take_all(await self._queue.next_jobs(min(self._room, JOBS_AT_ONCE)))
            except RedisError:
                has_missed = True
                await asyncio.sleep(RETRY_S)

    async def _renew(self) -> None:
        """Renews the leases, and takes runs whose leases have expired."""
        while True:
            await asyncio.sleep(self._lease_s / RENEWALS)
            started_at = perf_counter()
            try:
                self._heed(await self._log.renew(self.name, [*self._live]))
                now = perf_counter()
                if now - started_at > self._lease_s / RENEWALS:  # others could not renew theirs either
                    self._claims_from = now + self._lease_s / 2
                if self._room and now > self._claims_from:
                    self._take_all(await self._queue.expired_jobs(self._room), is_expired=True)
            except (UnavailableError, RedisError):
                self._claims_from = perf_counter() + self._lease_s / 2

    async def _follow_hints(self) -> None:
        while True:
            with suppress(RedisError):
                async for hint in self._queue.hints():
                    claim = Claim.LOST if hint.kind == "stop" else Claim.CHANGED
                    self._heed({hint.run_id: claim})
            await asyncio.sleep(RETRY_S)

    def _heed(self, claims: Mapping[str, Claim]) -> None:
        for run_id, claim in claims.items():
            run = self._live.get(run_id)
            if run and claim is Claim.LOST:
                run.fence()
            if run and claim is Claim.CHANGED:
                self._start(self._try_rewrite(run_id, run))

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._changed.set())

    def _take_all(self, jobs: Iterable[Job], *, is_expired: bool = False) -> None:
        """Takes runs that are not taken here already. One that was lost to another process may be taken again."""
        for job in jobs:
            run = self._live.get(job.run_id)
            # a run of ours whose claim expired before its first renewal is still ours
            is_ours = run is not None and (not is_expired or isinstance(run.phase, Writing))
            if job.run_id not in self._taking and not is_ours:
                self._taking.add(job.run_id)
                self._start(self._take(job))

    async def _take(self, job: Job) -> None:
        try:
            if earlier := self._live.get(job.run_id):  # this process was stopped for longer than a lease
                earlier.fence()
                await earlier.ended.wait()
            await self._write(job)
        except UnknownRunError:
            await self._leave(job)
        except (EventLogError, ValueError):  # it has ended, or somebody else has taken it, or will
            pass
        except Exception:
            logger.exception("run %s failed", job.run_id)
            with suppress(EventLogError, ValueError):
                await self._fail(job.run_id, "en")
        finally:
            self._taking.discard(job.run_id)

    async def _write(self, job: Job) -> None:
        """Writes what is left of the run."""
        run_id = UUID(job.run_id)
        state = await self._runs.state(run_id)  # a run that cannot be read is not taken
        meta = await self._log.take(job.run_id, job.id, self.name)
        if self.is_closing:
            return await self._log.release(job.run_id)
        if meta.takes > MAX_TAKES:
            logger.error("Run %s is given up: %d workers died with it.", job.run_id, meta.takes - 1)
            return await self._fail(job.run_id, state.request.language)
        if meta.last != state.length:
            state = await self._runs.state(run_id)
        served, rewrites = self._served[state.composition], await self._log.rewrites(job.run_id)
        composition, is_new = served.composition, meta.last == 1 and not meta.is_reopened
        if meta.is_reopened:
            state.stop_others({part for rewrite in rewrites for part in rewrite.parts})
        remainder = whole(composition, state.request) if is_new else unfinished(composition, state, rewrites)
        run = self._live[job.run_id] = LiveRun(
            self._log, composition, state,
            on_finished=partial(self._finish, job.run_id),
            on_rewrites=lambda: self._rewrite(job.run_id, run),
        )  # fmt: skip
        self._log.accept_rewrites(job.run_id, len(rewrites))
        with working_for(state.client):
            run.write(remainder.events(served.chain, {"run_id": run_id}), remainder.parts)
        return None

    async def _leave(self, job: Job) -> None:
        if job.run_id not in self._left:
            self._left.append(job.run_id)
            logger.warning("Run %s is left to other workers: its composition is not served here.", job.run_id)
        with suppress(RedisError):  # otherwise its lease expires
            await self._queue.hand_back([job.id])

    async def _fail(self, run_id: str, language: Language) -> None:
        self._log.accept_rewrites(run_id, len(await self._log.rewrites(run_id)))
        await self._log.append(run_id, RunEnd("failed", 0, Message(OUR_SIDE).in_language(language)))

    async def _try_rewrite(self, run_id: str, run: LiveRun) -> None:
        with suppress(EventLogError):  # tried again at the next renewal
            await self._rewrite(run_id, run)

    async def _rewrite(self, run_id: str, run: LiveRun) -> None:
        """Begins the rewrites that other processes have asked for since. A run that is being stopped ends without."""
        rewrites = await self._log.rewrites(run_id)
        state = await self._runs.state(UUID(run_id))
        if run.is_over:  # its end is refused, and then this is called again
            return
        new = rewrites[self._log.accept_rewrites(run_id, len(rewrites)) :]
        if isinstance(run.phase, Stopping):
            return
        served = self._served[state.composition]
        with working_for(state.client):
            for rewrite in new:
                remainder = requested(served.composition, state, rewrite)
                run.write(remainder.events(served.chain, {"run_id": UUID(run_id)}), remainder.parts)

    def _finish(self, run_id: str) -> None:
        self._log.leave(run_id)
        self._live.pop(run_id, None)
        self._changed.set()

    async def _drain(self) -> None:
        """Waits for runs that end in time, and releases the others."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._drain_s):
                while self._live or self._tasks:
                    self._changed.clear()
                    await self._changed.wait()
        runs = [*self._live.values()]
        for run in runs:
            run.release()
        for run in runs:
            await run.ended.wait()

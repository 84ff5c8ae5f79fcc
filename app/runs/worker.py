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
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from math import inf
from secrets import token_hex
from time import perf_counter
from typing import TypeVar
from uuid import UUID

from redis.exceptions import RedisError

from app.admission import booking
from app.clients import working_for
from app.models import Served
from app.runs.live import LiveRun, Stopping, Writing
from app.runs.remaining import requested, unfinished, whole
from app.runs.runs import Runs
from app.stores import EventLogError, UnavailableError, UnknownRunError
from app.stores.redis.log import RENEWALS, Claim, RedisEventLog
from app.stores.redis.meta import RunMeta
from app.stores.redis.queue import Job, RunQueue
from chains.errors import OUR_SIDE
from chains.messages import Message
from chains.translations import Language

logger = logging.getLogger(__name__)

T = TypeVar("T")

JOBS_AT_ONCE = 8
LOOKS = 20  # per lease, for runs whose leases have expired
TAKEOVERS_AT_ONCE = 4
MAX_TAKES = 10  # of a run whose workers die, possibly because of it, before a part ends
REPORTED_RUNS = 1000  # this many are not logged again
RETRY_S = 0.05
END_S = 5  # for the ends of runs when the worker stops
RESTART_S = 0.5  # until a task that has failed starts again


class Worker:
    """Writes at most `limit` runs at a time. `runs` reads their states."""

    def __init__(
        self, served: Mapping[str, Served], runs: Runs, log: RedisEventLog,
        *, limit: int = 64, lease_s: float = 2, drain_s: float = 10,
    ) -> None:  # fmt: skip
        self._served, self._runs, self._log = served, runs, log
        self._limit, self._lease_s, self._drain_s = limit, lease_s, drain_s
        self.name = f"{socket.gethostname()}-{os.getpid()}-{token_hex(3)}"
        self._queue = RunQueue(log, self.name, lease_s)
        self.live: dict[str, LiveRun] = {}
        self._taking = set[str]()
        self._reported = deque[str](maxlen=REPORTED_RUNS)
        self._tasks = set[asyncio.Task[None]]()  # short ones, such as taking a run
        self._changed = asyncio.Event()  # a run or a short task has ended
        self.is_closing = False
        self._claims_from = self._looks_from = self._failed_at = -inf

    @asynccontextmanager
    async def working(self) -> AsyncGenerator[None]:
        """Takes runs within the block. Afterwards it finishes those that end in time, and releases the others."""
        await self._queue.open()
        self._wait_for_renewals()  # the server may have come back at this moment
        claiming, *loops = [
            asyncio.create_task(self._restarted(loop), name="worker")
            for loop in (self._claim, self._renew, self._take_over, self._follow_hints)
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
        return not self.is_closing and perf_counter() > self._failed_at + 2 * RESTART_S

    @property
    def _room(self) -> int:
        return 0 if self.is_closing else max(0, self._limit - len(self.live) - len(self._tasks))

    async def _restarted(self, loop: Callable[[], Awaitable[None]]) -> None:
        """Runs a loop until it ends, and starts it again if it fails. The leases of all runs depend on it."""
        while True:
            try:
                return await loop()
            except Exception as error:  # noqa: BLE001  of any kind, also a mistake of ours
                self._failed_at = perf_counter()
                self._report(loop.__name__, "A task of the worker failed and starts again: %s.", type(error).__name__)
                await asyncio.sleep(RESTART_S)

    def _report(self, subject: str, text: str, *details: object) -> None:
        """Logs something once, although it may be tried again and again."""
        if (reported := f"{subject} {text}") not in self._reported:
            self._reported.append(reported)
            logger.error(text, *details)

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
                self._wait_for_renewals()
                await asyncio.sleep(RETRY_S)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease_s / RENEWALS)
            self._apply(await self._answer_of(self._log.renew(self.name, [*self.live], [*self._taking])) or {})

    async def _take_over(self) -> None:
        """Takes runs whose leases have expired, a few at a time, because other workers look for them, too."""
        while True:
            await asyncio.sleep(self._lease_s / LOOKS)
            while self._room and self._trusts_claims and perf_counter() > self._looks_from:
                jobs = await self._answer_of(self._queue.expired_jobs(min(self._room, TAKEOVERS_AT_ONCE)))
                if not (taking := self._take_all(jobs or [], is_expired=True)):
                    break
                await asyncio.wait(taking)

    async def _answer_of(self, answer: Awaitable[T]) -> T | None:
        """Returns the store's answer, or None without one. Claims are trusted again later if it is late or missing."""
        asked_at = perf_counter()
        try:
            return await answer
        except (UnavailableError, RedisError):
            self._wait_for_renewals()
            return None
        finally:
            if perf_counter() - asked_at > self._lease_s / RENEWALS or self._log.clock.has_jumped:
                self._wait_for_renewals()

    def _wait_for_renewals(self) -> None:
        """Waits until other processes, which could not renew their claims during an outage either, have done so.

        When the store's clock has jumped, they only seem to have expired.
        """
        self._claims_from = perf_counter() + self._lease_s / 2

    @property
    def _trusts_claims(self) -> bool:
        return perf_counter() > self._claims_from

    @property
    def _trusts_owners(self) -> bool:
        """Web processes that were out of reach need a whole lease at most to renew the claims on their runs."""
        return perf_counter() > self._claims_from + self._lease_s / 2

    async def _follow_hints(self) -> None:
        while True:
            with suppress(RedisError):
                async for hint in self._queue.hints():
                    claim = Claim.LOST if hint.kind == "stop" else Claim.CHANGED
                    self._apply({hint.run_id: claim})
            await asyncio.sleep(RETRY_S)

    def _apply(self, claims: Mapping[str, Claim]) -> None:
        for run_id, claim in claims.items():
            run = self.live.get(run_id)
            if run and claim is Claim.LOST:
                run.fence()
            if run and claim is Claim.ORPHANED and self._trusts_owners:
                run.forget()
            if run and claim is Claim.CHANGED:
                self._start(self._try_rewrite(run_id, run))

    def _start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._changed.set())
        return task

    def _take_all(self, jobs: Iterable[Job], *, is_expired: bool = False) -> list[asyncio.Task[None]]:
        """Takes runs that are not taken here already. One that was lost to another process may be taken again."""
        tasks = list[asyncio.Task[None]]()
        for job in jobs:
            run = self.live.get(job.run_id)
            # a run of ours whose claim expired before its first renewal is still ours
            is_ours = run is not None and (not is_expired or isinstance(run.phase, Writing))
            if job.run_id not in self._taking and not is_ours:
                self._taking.add(job.run_id)
                tasks.append(self._start(self._take(job)))
        return tasks

    async def _take(self, job: Job) -> None:
        try:
            if earlier := self.live.get(job.run_id):  # this process was stopped for longer than a lease
                earlier.fence()
                await earlier.ended.wait()
            await self._write(job)
        except UnknownRunError:
            await self._leave(job)
        except EventLogError:  # somebody else has taken it, or will
            pass
        except Exception as error:  # noqa: BLE001  of any kind, because its log is damaged, or a mistake of ours
            self._report(job.run_id, "Run %s cannot be continued: %s.", job.run_id, type(error).__name__)
            await self._count(job)
        finally:
            self._taking.discard(job.run_id)

    async def _write(self, job: Job) -> None:
        """Writes what is left of the run."""
        run_id = UUID(job.run_id)
        state = await self._runs.state(run_id)  # a run that cannot be read is not taken
        if not (meta := await self._acquire(job)):
            return None
        if meta.takes > MAX_TAKES:
            return await self._give_up(job.run_id, state.request.language)
        if meta.last != state.length:
            state = await self._runs.state(run_id)
        served, rewrites = self._served[state.composition], await self._log.rewrites(job.run_id)
        if self.is_closing:
            return await self._log.release(job.run_id)
        composition, is_new = served.composition, meta.last == 1 and not meta.is_reopened
        if meta.is_reopened:
            state.stop_others({part for rewrite in rewrites for part in rewrite.parts})
        remainder = whole(composition, state.request) if is_new else unfinished(composition, state, rewrites)
        run = self.live[job.run_id] = LiveRun(
            self._log, composition, state,
            on_finished=partial(self._finish, job.run_id),
            on_rewrites=lambda: self._rewrite(job.run_id, run),
        )  # fmt: skip
        self._log.accept_rewrites(job.run_id, len(rewrites))
        with working_for(state.client), booking(len(remainder.parts)):
            run.write(remainder.events(served.chain, {"run_id": run_id}), remainder.parts)
        return None

    async def _acquire(self, job: Job) -> RunMeta | None:
        """Takes the run, unless it has ended."""
        with suppress(ValueError):
            return await self._log.take(job.run_id, job.id, self.name, drops_orphan=self._trusts_owners)
        return None

    async def _count(self, job: Job) -> None:
        """Gives up a run that cannot be continued, after as many attempts as a run whose workers die."""
        with suppress(EventLogError):
            meta = await self._acquire(job)
            self._log.leave(job.run_id)
            if meta and meta.takes > MAX_TAKES:
                await self._give_up(job.run_id, "en")

    async def _leave(self, job: Job) -> None:
        """Hands the run back, and looks for others a little later, so that workers that serve it find it first."""
        self._looks_from = perf_counter() + self._lease_s / RENEWALS
        text = "Run %s is left to other workers: its composition is not served here."
        self._report(job.run_id, text, job.run_id)
        with suppress(RedisError):  # otherwise its lease expires
            await self._queue.hand_back([job.id])

    async def _give_up(self, run_id: str, language: Language) -> None:
        """Ends a run, so that its readers do not wait for it any longer."""
        logger.error("Run %s is given up: %d workers died with it, or could not continue it.", run_id, MAX_TAKES)
        await self._log.end(run_id, "failed", Message(OUR_SIDE).in_language(language))
        self._log.leave(run_id)

    async def _try_rewrite(self, run_id: str, run: LiveRun) -> None:
        with suppress(EventLogError):  # tried again at the next renewal
            await self._rewrite(run_id, run)

    async def _rewrite(self, run_id: str, run: LiveRun) -> None:
        """Begins the rewrites that other processes requested since. A run that is being stopped ends without."""
        rewrites = await self._log.rewrites(run_id)
        state = await self._runs.state(UUID(run_id))
        if run.is_over:  # its end is refused, and then this is called again
            return
        new = rewrites[self._log.accept_rewrites(run_id, len(rewrites)) :]
        if isinstance(run.phase, Stopping):
            return
        served = self._served[state.composition]
        for rewrite in new:
            remainder = requested(served.composition, state, rewrite)
            with working_for(state.client), booking(len(remainder.parts)):
                run.write(remainder.events(served.chain, {"run_id": UUID(run_id)}), remainder.parts)

    def _finish(self, run_id: str) -> None:
        self._log.leave(run_id)
        self.live.pop(run_id, None)
        self._changed.set()

    async def _drain(self) -> None:
        """Waits for runs that end in time, and releases the others."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._drain_s):
                while self.live or self._tasks:
                    self._changed.clear()
                    await self._changed.wait()
        runs = [*self.live.values()]
        for run in runs:
            run.release()
        with suppress(TimeoutError):  # an end that the store does not take is written by the next worker
            async with asyncio.timeout(END_S):
                for run in runs:
                    await run.ended.wait()
                await asyncio.gather(*self._tasks, return_exceptions=True)  # what they have taken, they release

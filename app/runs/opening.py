"""Opens what the server needs for its runs: the store, the models and, where runs are dispatched, a worker."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.models import Models, open_models
from app.runs.budget import Budget
from app.runs.observer import Observer
from app.runs.runs import Runs
from app.settings import Settings
from app.stores import EventLog
from app.stores.memory import MemoryEventLog
from chains.errors import ConfigError
from chains.parts.composition import Request
from chains.parts.requests import run_request

if TYPE_CHECKING:
    from app.runs.worker import Worker
    from app.stores.redis.log import RedisEventLog

MEMORY_BYTES, STORED_BYTES = 256 * 1024 * 1024, 1024 * 1024 * 1024
NEEDS_REDIS = "needs a store that several processes share: SIZZLE_STORE=redis://…"


@dataclass(frozen=True, slots=True)
class OpenRuns:
    """The runs, the models that write them, and the worker if there is one in this process."""

    models: Models
    runs: Runs
    log: EventLog
    budget: Budget
    store: str  # its kind
    worker: "Worker | None" = None

    async def is_ready(self) -> bool:
        """Whether the store answers, and the worker works. A process that is being stopped is not ready."""
        if self.runs.is_closing:
            return False
        is_reachable = self.store != "redis" or await self.log.is_reachable()
        return is_reachable and (self.worker is None or self.worker.is_ready)

    async def waiting_runs(self) -> int:
        """How many runs wait for a worker of any process; 0 if the store does not answer."""
        return await self.runs.waiting_count()

    def close(self) -> None:
        """Begins no more runs; active ones continue."""
        self.runs.close()
        if self.worker:
            self.worker.close()


def is_shared(settings: Settings) -> bool:
    """Whether several processes can use the store."""
    return settings.store_kind == "redis"


@asynccontextmanager
async def open_runs(settings: Settings) -> AsyncGenerator[OpenRuns]:
    """Raises `ConfigError` if the store cannot be used."""
    if is_shared(settings):
        async with _open_shared_runs(settings) as opened:
            yield opened
        return
    if not settings.worker:
        raise ConfigError(f"SIZZLE_WORKER=false (--no-worker) {NEEDS_REDIS}")
    log = _own_log(settings)
    async with (
        aclosing(log),
        _budget(settings, log).open() as budget,
        open_models(settings, observer=Observer(budget)) as models,
        aclosing(Runs(models.served, log, settings.max_runs, models.admission)) as runs,
    ):
        await runs.resume()
        yield OpenRuns(models, runs, log, budget, settings.store_kind)


async def check_store(settings: Settings) -> None:
    """Waits for a shared store. Raises `ConfigError` if it cannot be used."""
    if is_shared(settings):
        async with aclosing(shared_log(settings)) as log:
            await log.check()


def shared_log(settings: Settings) -> "RedisEventLog":
    """Raises `ConfigError`."""
    try:
        from app.stores.redis.log import RedisEventLog
    except ImportError:
        raise ConfigError("SIZZLE_STORE=redis://… needs the extra redis: pip install '.[redis]'") from None
    return RedisEventLog(
        settings.store,
        _requests(settings),
        keep_s=settings.keep_s,
        all_bytes=settings.keep_bytes or STORED_BYTES,
        lease_s=settings.lease_s,
    )


@asynccontextmanager
async def _open_shared_runs(settings: Settings) -> AsyncGenerator[OpenRuns]:
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(aclosing(shared_log(settings)))
        from app.runs.dispatched import DispatchedRuns
        from app.runs.worker import Worker
        from app.stores.redis.limits import SharedHealth, SharedQuotas, SharedRequestsPerMinute

        await log.check()
        prefix = log.address.prefix

        def pace(provider: str, limit: int) -> SharedRequestsPerMinute:
            return SharedRequestsPerMinute(log.redis, f"{prefix}:pace:{provider}", limit)

        quotas = SharedQuotas(log.redis, prefix)
        budget = await stack.enter_async_context(_budget(settings, log).open())
        models = await stack.enter_async_context(open_models(settings, pace, Observer(budget), quotas))
        await stack.enter_async_context(SharedHealth(log.redis, prefix, models.health).sharing())
        runs = DispatchedRuns(models.served, log, settings.max_runs, models.admission)
        worker = Worker(
            models.served, runs, log,
            limit=settings.worker_runs, lease_s=settings.lease_s, drain_s=settings.drain_s,
        ) if settings.worker else None  # fmt: skip
        if worker:
            runs.own = worker.live
            await stack.enter_async_context(worker.working())
        else:
            await stack.enter_async_context(runs.owning(settings.lease_s))
        yield OpenRuns(models, runs, log, budget, settings.store_kind, worker)


def _budget(settings: Settings, log: EventLog) -> Budget:
    return Budget(log.ledger, settings.daily_budget_usd, settings.client_daily_budget_usd)


def _own_log(settings: Settings) -> EventLog:
    """Returns the log of a store that only this process uses. Raises `ConfigError`."""
    if settings.store_kind == "memory":
        all_bytes = settings.keep_bytes or MEMORY_BYTES
        return MemoryEventLog(keep_s=settings.keep_s, all_bytes=all_bytes, limit=2 * settings.max_runs)
    from app.stores.sqlite import SqliteEventLog, parse_url

    path, synchronous = parse_url(settings.store)
    all_bytes = settings.keep_bytes or STORED_BYTES
    return SqliteEventLog(
        path, _requests(settings), keep_s=settings.keep_s, all_bytes=all_bytes, synchronous=synchronous
    )


def _requests(settings: Settings) -> dict[str, type[Request]]:
    return {name: run_request(each) for name, each in settings.load_compositions().items()}

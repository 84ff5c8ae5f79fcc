"""The Lua scripts. Each looks at the run's hash before it writes, so a call is atomic and may be repeated."""

# pyright: reportUnknownMemberType=false
# (redis-py leaves some keyword arguments untyped)
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError, NoScriptError

from app.stores import LogFullError, TooManyRunsError
from app.stores.redis.connection import DirectConnection, DirectPool

EXPIRED, UNKNOWN, ENDED, FENCED, CHANGED, FULL, ORPHANED, MANY = -1, -2, -3, -4, -5, -6, -7, -8
GROUP = "workers"  # of the queue
NAMES = (
    "room",
    "begin",
    "append",
    "find",
    "reopen",
    "rewrite",
    "take",
    "claim",
    "renew",
    "release",
    "end",
    "forget",
    "unfinished",
    "compact",
)
WITHOUT_MEMORY = ("find", "claim", "renew", "release", "end", "forget", "compact")  # may run when the memory is full


def _script(name: str) -> str:
    folder = files("app.stores.redis").joinpath("lua")
    texts = [folder.joinpath(f"{each}.lua").read_text(encoding="utf-8") for each in ("common", name)]
    return "\n".join(["#!lua flags=allow-oom" if name in WITHOUT_MEMORY else "#!lua", *texts])


def check_admission(answer: int) -> None:
    """Raises `LogFullError` and `TooManyRunsError` if a script has refused a run."""
    if answer == FULL:
        raise LogFullError
    if answer == MANY:
        raise TooManyRunsError


class Scripts:
    """Calls the scripts with the keys and arguments that all of them take."""

    def __init__(
        self, redis: Redis, pool: DirectPool, writing: DirectConnection,
        prefix: str, keep_ms: int, expired_limit: int, all_bytes: int,
    ) -> None:  # fmt: skip
        self._pool, self._writing = pool, writing
        self._scripts = {name: redis.register_script(_script(name)) for name in NAMES}
        self._keys = [f"{prefix}:{name}" for name in ("ended", "expired", "totals", "queue")]
        self._arguments: list[str | int] = [prefix, keep_ms, expired_limit, all_bytes]

    async def call(self, name: str, *arguments: str | bytes | int) -> Any:
        try:
            return await self._pool.call(*self._command(name, arguments))
        except (NoScriptError, ConnectionError):
            return await self._with_retries(name, arguments)

    async def append(self, *arguments: str | bytes | int) -> list[int]:
        """The most frequent call, one at a time."""
        try:
            return await self._writing.call(*self._command("append", arguments))
        except NoScriptError:
            return await self._with_retries("append", arguments)

    def _command(self, name: str, arguments: Sequence[str | bytes | int]) -> list[str | bytes | int]:
        return ["EVALSHA", self._scripts[name].sha, len(self._keys), *self._keys, *self._arguments, *arguments]

    async def _with_retries(self, name: str, arguments: Sequence[str | bytes | int]) -> Any:
        """Loads the script if the server does not have it, and waits for a server that is being started again."""
        return await self._scripts[name](keys=self._keys, args=[*self._arguments, *arguments])

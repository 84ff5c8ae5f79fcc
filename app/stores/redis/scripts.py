"""The Lua scripts. Each looks at the run's hash before it writes, so a call is atomic and may be repeated."""

# pyright: reportUnknownMemberType=false
# (redis-py leaves some keyword arguments untyped)
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from app.stores import LogFullError, TooManyRunsError
from app.stores.redis.connection import DirectConnection

EXPIRED, UNKNOWN, ENDED, FENCED, CHANGED, FULL, ORPHANED, MANY = -1, -2, -3, -4, -5, -6, -7, -8
NAMES = (
    "room",
    "begin",
    "append",
    "find",
    "reopen",
    "rewrite",
    "take",
    "renew",
    "release",
    "end",
    "forget",
    "unfinished",
    "compact",
)
WITHOUT_MEMORY = ("find", "renew", "release", "end", "forget", "compact")  # may run when the memory is full


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
        self, redis: Redis, direct: DirectConnection, prefix: str, keep_ms: int, expired_limit: int, all_bytes: int
    ) -> None:
        self._direct = direct
        self._scripts = {name: redis.register_script(_script(name)) for name in NAMES}
        self._keys = [f"{prefix}:{name}" for name in ("ended", "expired", "totals", "queue")]
        self._arguments: list[str | int] = [prefix, keep_ms, expired_limit, all_bytes]

    async def call(self, name: str, *arguments: str | bytes | int) -> Any:
        return await self._scripts[name](keys=self._keys, args=[*self._arguments, *arguments])

    async def append(self, *arguments: str | bytes | int) -> list[int]:
        """The most frequent call, one at a time."""
        sha, keys = self._scripts["append"].sha, self._keys
        try:
            return await self._direct.call("EVALSHA", sha, len(keys), *keys, *self._arguments, *arguments)
        except NoScriptError:
            return await self.call("append", *arguments)  # loads it

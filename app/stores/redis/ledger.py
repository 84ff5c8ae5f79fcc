"""Accounts in Redis, which all processes share. Each day has a hash of accounts and one of sums."""

# pyright: reportUnknownMemberType=false
# (redis-py leaves some keyword arguments untyped)
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import cast

from redis.asyncio import Redis

from app.stores.ledger import DAYS, Account, Cap, Spending, Spent
from app.stores.redis.connection import answering

DAY_S = 86_400
SEPARATOR = "\x1f"  # within a field: client, model, what is counted

# a call that is repeated because its reply was lost changes nothing
# KEYS: accounts, sums, this call. ARGV: client, cost, cap in all, cap of the client, seconds to keep, the cost's fields
RESERVE = """#!lua
if redis.call('EXISTS', KEYS[3]) == 1 then return 1 end
local function exceeds(name, cap)
  return cap ~= '' and (tonumber(redis.call('HGET', KEYS[2], name) or '0') + tonumber(ARGV[2])) > tonumber(cap)
end
if exceeds('total', ARGV[3]) or exceeds('client:' .. ARGV[1], ARGV[4]) then return 0 end
for at = 6, 7 do redis.call('HINCRBY', KEYS[1], ARGV[at], ARGV[2]) end
for _, name in ipairs({'total', 'client:' .. ARGV[1], 'reserved', 'reserved:' .. ARGV[1]}) do
  redis.call('HINCRBY', KEYS[2], name, ARGV[2])
end
for _, key in ipairs({KEYS[1], KEYS[2]}) do redis.call('EXPIRE', key, ARGV[5]) end
redis.call('SET', KEYS[3], 1, 'EX', 60)
return 1"""

# even while the memory is full, because it mostly gives back what was reserved; a repeated batch changes nothing
# KEYS: accounts, sums, batch. ARGV: seconds to keep, then for each number its field, the names of its sums of the day
# and of the client, or '' if it has none, and the number
ADD = """#!lua flags=allow-oom
if not redis.call('SET', KEYS[3], 1, 'NX', 'EX', 3600) then return 0 end
for at = 2, #ARGV, 4 do
  redis.call('HINCRBY', KEYS[1], ARGV[at], ARGV[at + 3])
  for sum = at + 1, at + 2 do
    if ARGV[sum] ~= '' then redis.call('HINCRBY', KEYS[2], ARGV[sum], ARGV[at + 3]) end
  end
end
for _, key in ipairs({KEYS[1], KEYS[2]}) do redis.call('EXPIRE', key, ARGV[1]) end
return 1"""


class RedisLedger:
    """Adds with scripts, so that no two processes spend the same dollar."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis, self._prefix = redis, prefix
        self._reserve, self._add = redis.register_script(RESERVE), redis.register_script(ADD)

    async def reserve(self, account: Account, nano_usd: int, cap: Cap) -> bool:
        caps = ["" if each is None else each for each in cap]
        fields = [_field(account, name) for name in ("nano_usd", "reserved_nano_usd")]
        arguments = [account.client, nano_usd, *caps, DAYS * DAY_S, *fields]
        keys = [*self._keys(account.day), f"{self._prefix}:spending:reservation:{token_hex(8)}"]
        with answering():
            return bool(await self._reserve(keys=keys, args=arguments))

    async def add(self, amounts: Mapping[Account, Spending], batch: str) -> None:
        with answering():
            for day in {account.day for account in amounts}:
                numbers = [each for account in amounts if account.day == day for each in _numbers(account, amounts)]
                keys = [*self._keys(day), f"{self._prefix}:spending:batch:{batch}:{day}"]
                await self._add(keys=keys, args=[DAYS * DAY_S, *numbers])

    async def spent(self, day: str, client: str) -> Spent:
        with answering():
            names = ["total", f"client:{client}", "reserved", f"reserved:{client}"]
            sums = await self._redis.hmget(self._keys(day)[1], names)
        return Spent(*(int(each or 0) for each in cast(list[bytes | None], sums)))

    async def rows(self) -> dict[Account, Spending]:
        today, accounts = datetime.now(UTC).date(), dict[Account, dict[str, int]]()
        with answering():
            for days_ago in reversed(range(DAYS)):
                day = (today - timedelta(days_ago)).isoformat()
                fields = cast(Mapping[bytes, bytes], await self._redis.hgetall(self._keys(day)[0]))
                for field, number in sorted(fields.items()):
                    client, model, name = field.decode().split(SEPARATOR)
                    accounts.setdefault(Account(day, client, model), {})[name] = int(number)
        return {account: Spending(**numbers) for account, numbers in accounts.items()}

    def _keys(self, day: str) -> list[str]:
        return [f"{self._prefix}:spending:{day}", f"{self._prefix}:spent:{day}"]


def _field(account: Account, name: str) -> str:
    return SEPARATOR.join((account.client, account.model, name))


def _numbers(account: Account, amounts: Mapping[Account, Spending]) -> list[str | int]:
    numbers: list[str | int] = []
    for name, number in amounts[account]._asdict().items():
        if number:
            numbers += [_field(account, name), *_sums(name, account.client), number]
    return numbers


def _sums(name: str, client: str) -> tuple[str, str]:
    match name:
        case "nano_usd":
            return "total", f"client:{client}"
        case "reserved_nano_usd":
            return "reserved", f"reserved:{client}"
        case _:
            return "", ""

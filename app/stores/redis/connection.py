"""The address of a Redis or Valkey server, connections to it, and the check of what it offers."""

# pyright: reportUnknownMemberType=false
# (redis-py leaves some keyword arguments untyped)
import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLError
from time import monotonic
from typing import Any, Self, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

import hiredis
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, RedisError, TimeoutError as NoAnswerError
from typing_extensions import override

from app.stores import UnavailableError
from chains.errors import ConfigError

logger = logging.getLogger(__name__)

DEFAULT_PREFIX = "sizzle"
MAX_CONNECTIONS = 16
DIRECT_CONNECTIONS = 8
ANSWER_S = 1.5
BLOCKING_ANSWER_S = 3.0  # longer than a call blocks
PING_S = 2.0  # a subscription is silent
START_TIMEOUT_S = 15.0  # a server that is started together with this process may need a while
MIN_VERSION = 7
MEMORY_FACTOR = 1.5  # of what is kept; the rest is for active runs and Redis itself

NO_ANSWER, LOADING = "does not answer", "is still loading its data"
EXPECTED = (
    "SIZZLE_STORE: expected redis://host:port/number, rediss:// or unix:///path, with parameters that redis-py has."
)

_FILES = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}
_PREFIX = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_PLACE = re.compile(r"unix://([^/]*@)?/.+|rediss?://([^/]*@)?[^/@]+(/\d*)?")


class TimedRedis(Redis):
    """Waits a limited time for an answer, twice: in between, a connection that was lost silently is replaced.

    redis-py's `socket_timeout` would do, but sends within `asyncio.wait_for`, which may lose a cancellation in
    Python 3.11: https://github.com/python/cpython/issues/86296. The keepalive is redis-py's default.
    """

    answer_s, attempts = ANSWER_S, 2

    @override
    async def execute_command(self, *args: Any, **options: Any) -> Any:
        for _ in range(self.attempts):
            with suppress(TimeoutError):
                async with asyncio.timeout(self.answer_s):
                    return cast(Any, await super().execute_command(*args, **options))
        raise NoAnswerError


class BlockingRedis(TimedRedis):
    """Has one connection, which is opened by the first call."""

    answer_s, attempts = BLOCKING_ANSWER_S, 1

    @override
    async def initialize(self) -> Self:
        try:
            async with asyncio.timeout(self.answer_s):
                await super().initialize()
        except TimeoutError:
            raise NoAnswerError from None
        return self


class DirectConnection:
    """One connection for frequent calls, one at a time, of which redis-py's pool, packing and metrics take 0.2 ms each.

    It is opened by the first call, and again after an error. Its calls raise `RedisError`.
    """

    def __init__(self, connection: AbstractConnection, answer_s: float, attempts: int) -> None:
        self._connection, self._answer_s, self._attempts = connection, answer_s, attempts

    async def call(self, *command: str | bytes | int) -> Any:
        packed: bytes = cast(Any, hiredis).pack_command(command)
        for _ in range(self._attempts - 1):
            with suppress(ConnectionError, NoAnswerError):
                return await self._answer(packed)
        return await self._answer(packed)

    async def aclose(self) -> None:
        await self._connection.disconnect()

    async def _answer(self, packed: bytes) -> Any:
        try:
            async with asyncio.timeout(self._answer_s):
                await self._connection.send_packed_command(packed)
                return cast(Any, await self._connection.read_response())
        except TimeoutError:
            await self._connection.disconnect(nowait=True)  # it may have been interrupted while it connected
            raise NoAnswerError from None
        except asyncio.CancelledError:
            await self._connection.disconnect(nowait=True)  # the next call would read the answer to this one
            raise


class DirectPool:
    """A few direct connections. A call waits for a free one."""

    def __init__(self, address: "Address", size: int = DIRECT_CONNECTIONS) -> None:
        self._connections = [address.direct_connection(ANSWER_S, attempts=2) for _ in range(size)]
        self._free = asyncio.LifoQueue[DirectConnection]()
        for connection in self._connections:
            self._free.put_nowait(connection)

    async def call(self, *command: str | bytes | int) -> Any:
        connection = await self._free.get()
        try:
            return await connection.call(*command)
        finally:
            self._free.put_nowait(connection)

    async def aclose(self) -> None:
        for connection in self._connections:
            await connection.aclose()


@dataclass(frozen=True, slots=True)
class Address:
    """A server, and the prefix of all keys there. Two deployments never share a prefix."""

    url: str
    prefix: str = f"{{{DEFAULT_PREFIX}}}"

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Takes `?prefix=` out of the URL; redis-py reads its other parameters. Raises `ConfigError`."""
        server, _, parameters = url.partition("?")
        query = dict(parse_qsl(parameters, keep_blank_values=True))
        prefix = query.pop("prefix", DEFAULT_PREFIX)
        if not _PREFIX.fullmatch(prefix):
            raise ConfigError("SIZZLE_STORE: prefix has to be 1 to 64 letters, digits or any of _ . : -")
        address = cls(f"{server}?{urlencode(query)}" if query else server, f"{{{prefix}}}")
        try:
            address.direct_connection(ANSWER_S, 1)
            if not _PLACE.fullmatch(server):
                raise ValueError
        except (RedisError, TypeError, ValueError):  # their texts may repeat the password
            raise ConfigError(EXPECTED) from None
        for name in query.keys() & _FILES:
            if not Path(query[name]).is_file():
                raise ConfigError(f"SIZZLE_STORE: {name}: there is no such file.")
        return address

    @property
    def label(self) -> str:
        """The server without a password."""
        parts = urlsplit(self.url)
        return parts.netloc.rpartition("@")[2] or parts.path

    def client(self) -> Redis:
        """A client that retries for some seconds, and whose calls wait for a free connection."""
        patient = Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.2), retries=20)
        # the usual pool refuses a call if all connections are in use
        pool = BlockingConnectionPool.from_url(
            self.url, max_connections=MAX_CONNECTIONS, timeout=None, protocol=3, socket_timeout=None, retry=patient
        )
        return TimedRedis.from_pool(pool)

    def blocking_client(self) -> Redis:
        """A client with one connection, for calls that block. It does not retry, so its user learns of an outage."""
        return BlockingRedis.from_url(
            self.url, protocol=3, single_connection_client=True, socket_timeout=None, retry=Retry(NoBackoff(), 0)
        )

    def direct_connection(self, answer_s: float, attempts: int) -> DirectConnection:
        pool = ConnectionPool.from_url(self.url, protocol=3, socket_timeout=None, retry=Retry(NoBackoff(), 0))
        return DirectConnection(pool.make_connection(), answer_s, attempts)


@asynccontextmanager
async def subscription(redis: Redis, channel: str) -> AsyncGenerator[AsyncGenerator[bytes]]:
    """Yields what is published on the channel from now on. If the connection is lost, even silently, that raises
    `RedisError`.
    """
    async with redis.pubsub() as pubsub:
        try:
            async with asyncio.timeout(ANSWER_S):
                await pubsub.subscribe(channel)
        except TimeoutError:
            raise NoAnswerError from None
        yield _messages(pubsub)


async def _messages(pubsub: PubSub) -> AsyncGenerator[bytes]:
    has_pinged = False
    while True:
        message = cast(Mapping[str, Any] | None, await pubsub.get_message(timeout=PING_S))
        if message and message["type"] == "message":
            yield message["data"]
        elif not message and has_pinged:
            raise NoAnswerError
        elif not message:
            await pubsub.ping()
        has_pinged = not message


async def check_server(address: Address, keep_bytes: int = 0, timeout_s: float = START_TIMEOUT_S) -> None:
    """Waits for the server. Raises `ConfigError` if it does not answer, or may lose or evict events.

    Warns if its memory is too small for `keep_bytes`.
    """
    try:
        async with aclosing(address.blocking_client()) as redis:  # not entered, because that connects only once
            info = await _info(redis, monotonic() + timeout_s)
    except RedisError as error:
        raise ConfigError(f"SIZZLE_STORE: {address.label} {_reason(error)}.") from None
    if int(str(info["redis_version"]).partition(".")[0]) < MIN_VERSION:
        raise ConfigError(f"SIZZLE_STORE: {address.label} has to be Redis {MIN_VERSION} or later, or Valkey.")
    if not info["aof_enabled"]:
        raise ConfigError(f"SIZZLE_STORE: {address.label} would lose runs when it stops: set appendonly yes.")
    if info["maxmemory_policy"] != "noeviction":
        raise ConfigError(f"SIZZLE_STORE: {address.label} may evict runs: set maxmemory-policy noeviction.")
    if 0 < info["maxmemory"] < keep_bytes * MEMORY_FACTOR:
        text = "%s has maxmemory %d: the oldest runs expire early. Set it to %g times SIZZLE_KEEP_BYTES (%d) or more."
        logger.warning(text, address.label, info["maxmemory"], MEMORY_FACTOR, keep_bytes)


async def _info(redis: Redis, deadline: float) -> Mapping[str, Any]:
    while True:
        try:
            info = cast(Mapping[str, Any], await redis.info())
            if not info["loading"]:  # otherwise it says that it has no append-only file
                return info
            if monotonic() > deadline:
                raise BusyLoadingError
        except (ConnectionError, NoAnswerError) as error:
            if _reason(error) not in (NO_ANSWER, LOADING) or monotonic() > deadline:
                raise
        await asyncio.sleep(0.1)


def _reason(error: RedisError) -> str:
    """What is wrong, without the server's own words."""
    if isinstance(error.__cause__ or error.__context__, SSLError):
        return "has a certificate that is not trusted: name its issuer's in ssl_ca_certs"
    match type(error).__name__:
        case "AuthenticationError" | "AuthenticationWrongNumberOfArgsError":
            return "rejects the user name or the password"
        case "NoPermissionError":
            return "does not permit this user the command INFO"
        case "BusyLoadingError":
            return LOADING
        case _:
            return NO_ANSWER


@contextmanager
def answering() -> Generator[None]:
    """Raises `UnavailableError` in place of Redis' errors, including the one for a full memory."""
    try:
        yield
    except RedisError as error:
        logger.warning("The store does not answer: %s.", type(error).__name__)
        raise UnavailableError from None

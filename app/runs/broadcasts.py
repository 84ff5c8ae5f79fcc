"""One completion that any number of readers follow, each from any piece on."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Literal
from uuid import uuid4

from app.clients import Client, current_client
from app.server.traffic import Traffic, TrafficTotal, Transport, total
from chains.completion import CompletionRequest, astream_completion, check_window
from chains.errors import OUR_SIDE, SizzleError
from chains.messages import Message
from chains.models.chat import ProviderChat
from chains.translations import Language

logger = logging.getLogger(__name__)

UNFOLLOWED_S = 10.0
STOPPED = Message("The server was stopped.")
MADE_ROOM = Message("The server stopped this answer to make room for another client: try again.")


class TooManyBroadcastsError(Exception):
    """The limit of broadcasts is reached."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the text, numbered from 1, and when the server received it, as `now_ms()`."""

    n: int
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class End:
    """How the completion ended; a failure has a user-facing message."""

    status: Literal["ok", "failed"]
    message: str | None = None


class Broadcast:
    """The pieces so far. It grows until it has an end, or until nobody has followed it for `unfollowed_s`."""

    def __init__(self, unfollowed_s: float = UNFOLLOWED_S) -> None:
        self.abandoned = asyncio.Event()
        self._unfollowed_s, self._followers = unfollowed_s, 0
        self.client = current_client()
        self._abandon_timer = self._start_abandon_timer()
        self.pieces: list[Piece] = []
        self.end: End | None = None
        self._changed = asyncio.Event()
        self._traffic: dict[Transport, list[Traffic]] = {}

    def append(self, text: str) -> None:
        self.pieces.append(Piece(len(self.pieces) + 1, text, now_ms()))
        self._notify()

    def close(self, end: End) -> None:
        self.end = end
        self._notify()

    @contextmanager
    def followed(self) -> Generator[None]:
        """Keeps the broadcast running within the block, and for `unfollowed_s` after it."""
        self._followers += 1
        self._abandon_timer.cancel()
        try:
            yield
        finally:
            self._followers -= 1
            if not self._followers:
                self._abandon_timer = self._start_abandon_timer()

    def _start_abandon_timer(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._unfollowed_s, self.abandoned.set)

    async def follow(self, after: int = 0) -> AsyncGenerator[Piece | End]:
        """Yields the pieces after number `after` as they arrive, then the end."""
        with self.followed():
            while True:
                while after < len(self.pieces):  # checked again after each yield, because it may have grown
                    yield self.pieces[after]
                    after += 1
                if self.end:
                    yield self.end
                    return
                await self.wait_for_more(after)

    async def wait_for_more(self, count: int) -> None:
        """Waits until there are more than `count` pieces, or the end."""
        while len(self.pieces) <= count and not self.end:
            await self._changed.wait()

    def count(self, transport: Transport, traffic: Traffic) -> None:
        """Adds a request over this transport, which may still be running."""
        self._traffic.setdefault(transport, []).append(traffic)

    def totals(self) -> dict[Transport, TrafficTotal]:
        """Returns the traffic of its readers so far, by transport."""
        return {transport: total(requests) for transport, requests in self._traffic.items()}

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Broadcasts:
    """At most `limit` broadcasts, each dropped `retention_s` after its end. Each has a deadline of `deadline_s`.

    If there is no room, the client with the most broadcasts loses its oldest, unless the new one's client would have
    more. A broadcast that nobody has followed for `unfollowed_s` is stopped and dropped.
    """

    def __init__(
        self,
        models: Mapping[str, ProviderChat],
        *,
        limit: int = 32,
        retention_s: float = 60,
        deadline_s: float = 300,
        unfollowed_s: float = UNFOLLOWED_S,
    ) -> None:
        self._model = next(iter(models.values()))
        self._limit, self._deadline_s, self._unfollowed_s = limit, deadline_s, unfollowed_s
        self.retention_s = retention_s
        self._broadcasts: dict[str, Broadcast] = {}
        self._tasks: set[asyncio.Task[End]] = set()

    def start(self, query: str, language: Language = "en") -> str:
        """Starts a completion and returns its id. A failure is reported in `language`.

        Raises `PromptTooLongError` and `TooManyBroadcastsError`.
        """
        request = CompletionRequest(query=query)
        check_window(self._model, request)
        self._make_room(current_client())
        name, broadcast = uuid4().hex, Broadcast(self._unfollowed_s)
        self._broadcasts[name] = broadcast
        task = asyncio.create_task(self._write(broadcast, request, language), name=f"broadcast {name}")
        task.add_done_callback(lambda _: self._end(name, broadcast, task, language))
        self._tasks.add(task)
        watching = asyncio.create_task(self._stop_abandoned(broadcast, task), name=f"followers of {name}")
        task.add_done_callback(lambda _: watching.cancel())
        return name

    def _make_room(self, client: Client) -> None:
        """Raises `TooManyBroadcastsError`."""
        if len(self._broadcasts) < self._limit:
            return
        counts = Counter(broadcast.client for broadcast in self._broadcasts.values())
        greediest, most = counts.most_common(1)[0]
        if counts[client] + 1 >= most:
            raise TooManyBroadcastsError
        owned = [name for name, broadcast in self._broadcasts.items() if broadcast.client == greediest]
        oldest = next((name for name in owned if self._broadcasts[name].end), owned[0])  # preferably one that has ended
        self._broadcasts.pop(oldest).abandoned.set()

    async def _stop_abandoned(self, broadcast: Broadcast, task: asyncio.Task[End]) -> None:
        await broadcast.abandoned.wait()
        task.cancel()

    def count_of(self, client: Client) -> int:
        """Returns the number of the client's broadcasts."""
        return sum(broadcast.client == client for broadcast in self._broadcasts.values())

    def __contains__(self, name: str) -> bool:
        return name in self._broadcasts

    def __getitem__(self, name: str) -> Broadcast:
        return self._broadcasts[name]

    async def aclose(self) -> None:
        """Cancels all completions and waits until their calls are closed."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, broadcast: Broadcast, request: CompletionRequest, language: Language) -> End:
        try:
            async with asyncio.timeout(self._deadline_s), aclosing(astream_completion(self._model, request)) as pieces:
                async for text in pieces:
                    broadcast.append(text)
        except TimeoutError:
            late = Message("The answer took longer than {seconds:g} seconds: try again.", seconds=self._deadline_s)
            return End("failed", late.in_language(language))
        except SizzleError as error:
            return End("failed", error.message_in(language))
        except Exception:  # nobody else would tell the readers
            logger.exception("a broadcast failed")
            return End("failed", Message(OUR_SIDE).in_language(language))
        return End("ok")

    def _end(self, name: str, broadcast: Broadcast, task: asyncio.Task[End], language: Language) -> None:
        self._tasks.discard(task)
        reason = STOPPED if name in self._broadcasts else MADE_ROOM
        broadcast.close(End("failed", reason.in_language(language)) if task.cancelled() else task.result())
        retention_s = 0 if broadcast.abandoned.is_set() else self.retention_s
        asyncio.get_running_loop().call_later(retention_s, self._broadcasts.pop, name, None)


def now_ms() -> float:
    """Returns a monotonic time in milliseconds, with two decimals."""
    return round(perf_counter() * 1000, 2)

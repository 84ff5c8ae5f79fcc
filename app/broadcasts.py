"""Broadcasts: one completion, written once, that any number of readers follow, each from any piece on."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Literal
from uuid import uuid4

from app.traffic import Spent, Traffic, Transport, spent
from chains.completion import astream_completion, check_window
from chains.errors import SizzleError
from chains.messages import Message
from chains.models.chat import ProviderChat
from chains.recipe.request import CompletionRequest, Language

logger = logging.getLogger(__name__)

UNFOLLOWED_S = 10.0
OUR_SIDE = Message("Something went wrong on our side: try again.")
STOPPED = Message("The server was stopped.")


class TooManyBroadcasts(Exception):
    """As many are kept as may be: one has to end first."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the text, numbered from 1, and when the server had it: `now_ms()`."""

    n: int
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class End:
    """How the completion came out; a failure has a message for people."""

    status: Literal["ok", "failed"]
    message: str | None = None


class Broadcast:
    """What was written so far. It grows until it has an end, or until nobody has followed it for `unfollowed_s`."""

    def __init__(self, unfollowed_s: float = UNFOLLOWED_S) -> None:
        self.abandoned = asyncio.Event()
        self._unfollowed_s, self._followers = unfollowed_s, 0
        self._abandonment = self._soon_abandoned()
        self.pieces: list[Piece] = []
        self.end: End | None = None
        self._growth = asyncio.Event()
        self._traffic: dict[Transport, list[Traffic]] = {}

    def append(self, text: str) -> None:
        self.pieces.append(Piece(len(self.pieces) + 1, text, now_ms()))
        self._tell()

    def close(self, end: End) -> None:
        self.end = end
        self._tell()

    @contextmanager
    def followed(self) -> Generator[None]:
        """Within the block, and for `unfollowed_s` after it, the broadcast goes on."""
        self._followers += 1
        self._abandonment.cancel()
        try:
            yield
        finally:
            self._followers -= 1
            if not self._followers:
                self._abandonment = self._soon_abandoned()

    def _soon_abandoned(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._unfollowed_s, self.abandoned.set)

    async def follow(self, after: int = 0) -> AsyncGenerator[Piece | End]:
        """The pieces after number `after`, as they come, and the end."""
        with self.followed():
            while True:
                while after < len(self.pieces):  # looked at again after each yield, during which it may have grown
                    yield self.pieces[after]
                    after += 1
                if self.end:
                    yield self.end
                    return
                await self.grown(after)

    async def grown(self, beyond: int) -> None:
        """Waits until there are more than `beyond` pieces, or the end."""
        while len(self.pieces) <= beyond and not self.end:
            await self._growth.wait()

    def count(self, transport: Transport, traffic: Traffic) -> None:
        """Counts a request over this transport, which may still be under way."""
        self._traffic.setdefault(transport, []).append(traffic)

    def spent(self) -> dict[Transport, Spent]:
        """What its readers have taken so far, by transport."""
        return {transport: spent(counted) for transport, counted in self._traffic.items()}

    def _tell(self) -> None:
        self._growth.set()
        self._growth = asyncio.Event()


class Broadcasts:
    """At most `limit` broadcasts, each dropped `kept_s` seconds after its end. One may take `deadline_s` seconds.

    One that nobody has followed for `unfollowed_s` is stopped and dropped.
    """

    def __init__(
        self,
        models: Mapping[str, ProviderChat],
        *,
        limit: int = 32,
        kept_s: float = 60,
        deadline_s: float = 300,
        unfollowed_s: float = UNFOLLOWED_S,
    ) -> None:
        self._model = next(iter(models.values()))
        self._limit, self._deadline_s, self._unfollowed_s = limit, deadline_s, unfollowed_s
        self.kept_s = kept_s
        self._kept: dict[str, Broadcast] = {}
        self._writing: set[asyncio.Task[End]] = set()

    def start(self, query: str, language: Language = "en") -> str:
        """Starts writing; a failure is said in `language`.

        Raises `PromptTooLongError` and `TooManyBroadcasts`.
        """
        asked = CompletionRequest(query=query)
        check_window(self._model, asked)
        if len(self._kept) >= self._limit:
            raise TooManyBroadcasts
        name, broadcast = uuid4().hex, Broadcast(self._unfollowed_s)
        self._kept[name] = broadcast
        writing = asyncio.create_task(self._write(broadcast, asked, language), name=f"broadcast {name}")
        writing.add_done_callback(lambda _: self._end(name, writing, language))
        self._writing.add(writing)
        watching = asyncio.create_task(self._stop_abandoned(name, writing), name=f"followers of {name}")
        writing.add_done_callback(lambda _: watching.cancel())
        return name

    async def _stop_abandoned(self, name: str, writing: asyncio.Task[End]) -> None:
        await self._kept[name].abandoned.wait()
        writing.cancel()

    def __contains__(self, name: str) -> bool:
        return name in self._kept

    def __getitem__(self, name: str) -> Broadcast:
        return self._kept[name]

    async def aclose(self) -> None:
        """Stops all writing and waits until the calls are closed."""
        writing = list(self._writing)
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)

    async def _write(self, broadcast: Broadcast, asked: CompletionRequest, language: Language) -> End:
        try:
            async with asyncio.timeout(self._deadline_s), aclosing(astream_completion(self._model, asked)) as pieces:
                async for text in pieces:
                    broadcast.append(text)
        except TimeoutError:
            late = Message("The answer took longer than {seconds:g} seconds: try again.", seconds=self._deadline_s)
            return End("failed", late.in_language(language))
        except SizzleError as error:
            return End("failed", error.message_in(language))
        except Exception:  # the last place that can tell the readers
            logger.exception("a broadcast failed")
            return End("failed", OUR_SIDE.in_language(language))
        return End("ok")

    def _end(self, name: str, writing: asyncio.Task[End], language: Language) -> None:
        self._writing.discard(writing)
        stopped = End("failed", STOPPED.in_language(language))
        self._kept[name].close(stopped if writing.cancelled() else writing.result())
        kept_s = 0 if self._kept[name].abandoned.is_set() else self.kept_s
        asyncio.get_running_loop().call_later(kept_s, self._kept.pop, name)


def now_ms() -> float:
    """This machine's time in milliseconds from some moment on, with two decimals. It never jumps."""
    return round(perf_counter() * 1000, 2)

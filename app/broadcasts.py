"""Broadcasts: one completion, written once, that any number of readers follow, each from any piece on."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
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
    """What was written so far. It grows until it has an end."""

    def __init__(self) -> None:
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

    async def follow(self, after: int = 0) -> AsyncGenerator[Piece | End]:
        """The pieces after number `after`, as they come, and the end."""
        while True:
            while after < len(self.pieces):  # looked at anew after each yield, during which it may have grown
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
    """At most `limit` broadcasts, each dropped `kept_s` seconds after its end. One may take `deadline_s` seconds."""

    def __init__(
        self, models: Mapping[str, ProviderChat], *, limit: int = 32, kept_s: float = 60, deadline_s: float = 300
    ) -> None:
        self._model = next(iter(models.values()))
        self._limit, self._deadline_s = limit, deadline_s
        self.kept_s = kept_s
        self._kept: dict[str, Broadcast] = {}
        self._writing: set[asyncio.Task[End]] = set()

    def start(self, query: str, language: Language = "en") -> str:
        """Starts writing, whether or not anybody reads; a failure is said in `language`.

        Raises `PromptTooLongError` and `TooManyBroadcasts`.
        """
        asked = CompletionRequest(query=query)
        check_window(self._model, asked)
        if len(self._kept) >= self._limit:
            raise TooManyBroadcasts
        name, broadcast = uuid4().hex, Broadcast()
        self._kept[name] = broadcast
        writing = asyncio.create_task(self._write(broadcast, asked, language), name=f"broadcast {name}")
        writing.add_done_callback(lambda _: self._end(name, writing, language))
        self._writing.add(writing)
        return name

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
        asyncio.get_running_loop().call_later(self.kept_s, self._kept.pop, name)


def now_ms() -> float:
    """This machine's time in milliseconds from some moment on, with two decimals. It never jumps."""
    return round(perf_counter() * 1000, 2)

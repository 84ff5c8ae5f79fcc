"""The server's event loop."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from typing_extensions import override

from app.server.loop import Loop

T = TypeVar("T")


class Told(Loop):
    """Notes what is called from its own thread."""

    def __init__(self) -> None:
        self.soon = 0

    @override
    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.Handle:
        self.soon += 1
        return super().call_soon(callback, *args, context=context)


def run_in(kind: type[Loop], coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs it in a thread of its own, because the browser's tests leave a loop running in this one."""

    def running() -> T:
        with asyncio.Runner(loop_factory=kind) as runner:
            return runner.run(coroutine)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(running).result()


def test_calls_from_the_loops_own_thread_keep_their_order() -> None:
    """Whether they were made for any thread or for this one; and they wake nobody."""
    called: list[int] = []

    async def calling() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Told)
        before = loop.soon
        loop.call_soon(called.append, 1)
        loop.call_soon_threadsafe(called.append, 2)
        loop.call_soon(called.append, 3)
        assert loop.soon - before == 3
        await asyncio.sleep(0)

    run_in(Told, calling())
    assert called == [1, 2, 3]


def test_a_call_from_another_thread_wakes_the_loop() -> None:
    """Though nothing else would: it waits for that call only."""

    async def waiting() -> str:
        loop, called = asyncio.get_running_loop(), asyncio.Event()
        asleep = threading.Timer(0.1, loop.call_soon_threadsafe, [called.set])
        asleep.start()
        async with asyncio.timeout(5):
            await called.wait()
        asleep.join()
        return "called"

    assert run_in(Loop, waiting()) == "called"

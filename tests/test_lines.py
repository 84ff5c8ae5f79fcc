"""Turns between callers in the line of a provider."""

import asyncio
from collections.abc import Callable

import pytest

from chains.models.lines import CallLine, RequestsPerMinute
from tests.servers import run


async def order_in(make: Callable[[Callable[[], str]], CallLine], calls: list[tuple[str, int]]) -> list[list[str]]:
    """The calls that begin at once, and the others in their order, each as its caller and rank."""
    started, caller, ends = list[str](), "", asyncio.Event()
    line = make(lambda: caller)

    async def call(name: str, rank: int) -> None:
        nonlocal caller
        caller = name
        async with line.place(rank):
            started.append(f"{name}{rank}")
            await ends.wait()

    tasks = [asyncio.create_task(call(name, rank)) for name, rank in calls]
    for _ in range(3):
        await asyncio.sleep(0)
    first = len(started)
    ends.set()
    await asyncio.gather(*tasks)
    return [started[:first], started[first:]]


def test_callers_take_turns_with_their_most_urgent_calls() -> None:
    calls = [("a", 0), ("a", 9), ("a", 1), ("b", 3), ("b", 2), ("c", 5)]
    order = run(order_in(lambda caller: CallLine(caller, slots=1), calls))
    assert order == [["a0"], ["a1", "b2", "c5", "a9", "b3"]]


def test_a_slot_waits_for_what_depends_on_the_call_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if another call joined the line just before."""
    monkeypatch.setattr("chains.models.lines.HANDOVER_S", 0.3)

    async def scenario() -> list[str]:
        line, began = CallLine(lambda: None, slots=1, hands_over=True), list[str]()

        async def call(name: str, rank: int, ends: asyncio.Event | None = None) -> None:
            async with line.place(rank):
                began.append(name)
                await ends.wait() if ends else None

        async with asyncio.TaskGroup() as calls, asyncio.timeout(20):
            calls.create_task(call("proposal", 0, proposed := asyncio.Event()))
            await asyncio.sleep(0.35)
            calls.create_task(call("another", 2))
            await asyncio.sleep(0.27)
            proposed.set()
            await asyncio.sleep(0.06)  # the other one joined the line longer ago than a slot is kept free
            calls.create_task(call("dependent", 1))
        return began

    assert run(scenario()) == ["proposal", "dependent", "another"]


@pytest.mark.parametrize(("is_polite", "slots"), [(True, 15), (False, 20)])
def test_a_polite_caller_with_many_calls_leaves_a_fourth_of_the_slots(is_polite: bool, slots: int) -> None:
    """A call of somebody else begins at once."""

    def line(caller: Callable[[], str]) -> CallLine:
        return CallLine(caller, slots=20, is_polite=lambda _: is_polite)

    first, later = run(order_in(line, [*[("a", 0)] * 30, ("b", 0)]))
    assert first == ["a0"] * slots + ["b0"] * is_polite
    assert len(first + later) == 31


def test_a_caller_with_many_calls_leaves_half_of_the_burst() -> None:
    async def scenario() -> tuple[list[float], float]:
        pace = RequestsPerMinute(420)  # a burst of 60
        return [await pace.take(leaves_room=True) for _ in range(31)], await pace.take()

    waits, other = run(scenario())
    assert waits[:30] == [0.0] * 30
    assert waits[30] == pytest.approx(1 / 6, abs=0.05)
    assert other == 0.0

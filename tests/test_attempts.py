"""Calls to providers: their rate, cooldowns, hedging and drafts."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack, aclosing

import pytest

from app.models import open_models
from chains.models.health import COOLDOWN_S, MAX_COOLDOWN_S, Health
from chains.models.lines import CallLine, RequestsPerMinute
from chains.parts.events import Alternate, Draft, Fragment, PartEnd, PartEvent, PartStart, Proposal
from chains.parts.markdown import MarkdownWriter
from chains.parts.stream import astream_parts
from chains.recipe.composition import RECIPE
from chains.recipe.request import RecipeRequest
from tests.client import wait_until
from tests.servers import PARTS, Finish, Gate, Provider, Refuse, Script, provider, run, settings_from

BEEF = RecipeRequest.model_validate({"ingredientsOnHand": "beef", "seed": 3})
DISHES = tuple({"name": name, "intro": f"{name}."} for name in ("Stew", "Pie", "Hash"))


class Pair:
    """Groq and Fireworks, each with its own script."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def serve(self, groq: dict[str, Script], fireworks: dict[str, Script]) -> None:
        self.groq: Provider = self._stack.enter_context(provider(groq))  # type: ignore[arg-type]
        self.fireworks: Provider = self._stack.enter_context(provider(fireworks))  # type: ignore[arg-type]

    async def write(self, *drafts: RecipeRequest | Draft, hedge_after_s: float | None = None) -> list[list[PartEvent]]:
        """The events of each draft, one after the other with the same models."""
        settings = settings_from(
            groq_api_key="k",
            fireworks_api_key="k",
            groq_base_url=self.groq.url,
            fireworks_base_url=self.fireworks.url,
            hedge_after_s=hedge_after_s,
        )
        async with open_models(settings) as models:
            batches: list[list[PartEvent]] = []
            for draft in drafts:
                async with aclosing(astream_parts(models.recipe.chain, draft)) as events:
                    batches.append([event async for event in events])
            return batches


@pytest.fixture
def pair() -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(stack)


def _of(events: list[PartEvent], part: str) -> list[PartEvent]:
    return [event for event in events if not isinstance(event, Proposal) and event.part == part]


def _text(events: list[PartEvent], part: str) -> str:
    text = ""
    for event in _of(events, part):
        text = "" if isinstance(event, PartStart) else text
        text += event.text if isinstance(event, Fragment) else ""
    return text


def test_a_slow_call_is_hedged_and_the_first_token_wins(pair: Pair) -> None:
    """The second model's text is the part's, in a further attempt, and the first call is closed."""
    pair.serve({}, {"intro": [["Good."], ["Good."], [Gate(), "Late."]]})  # type: ignore[dict-item]
    events = run(pair.write(BEEF, BEEF, BEEF, hedge_after_s=0.2))[2]
    first, second, *_, end = _of(events, "intro")
    assert isinstance(first, PartStart)
    assert isinstance(second, PartStart)
    assert isinstance(end, PartEnd)
    assert [(first.attempt, first.provider), (second.attempt, second.provider)] == [(1, "fireworks"), (2, "groq")]
    assert [_text(events, "intro"), end.status] == ["intro one, intro two.", "ok"]
    assert wait_until(lambda: pair.fireworks.closed == ["intro"], seconds=1)


def test_hedging_stays_within_a_tenth_of_the_calls(pair: Pair) -> None:
    """None of the first nine calls is hedged, however slow they are."""
    gate = Gate()
    pair.serve({}, {"intro": [gate, "Slow."]})

    async def write() -> list[list[PartEvent]]:
        writing = asyncio.create_task(pair.write(BEEF, hedge_after_s=0.05))
        while not writing.done() and "intro" not in [call["step"] for call in pair.fireworks.calls]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.wait({writing}, timeout=0.3)
        gate.open()
        return await writing

    assert _text(run(write())[0], "intro") == "Slow."
    assert "intro" not in [call["step"] for call in pair.groq.calls]


def test_a_provider_that_keeps_failing_is_skipped(pair: Pair) -> None:
    """After three failures in a row it is skipped if there is another provider."""
    pair.serve({}, {part: [Refuse(503)] for part in ("intro", "nutrition", "sides", "steps")})
    first, second = run(pair.write(BEEF, BEEF))
    assert {end.status for end in first + second if isinstance(end, PartEnd)} == {"ok"}
    assert {start.provider for start in second if isinstance(start, PartStart)} == {"groq"}


def test_a_cooldown_ends_with_a_success_and_can_be_prolonged() -> None:
    """Success resets the count of failures. The cooldown is 30 s, or longer if the provider says so.

    The success of a request that was sent before the cooldown does not end it.
    """
    health = Health("Groq")
    before = time.monotonic()
    health.record_failure()
    health.record_failure()
    health.record_success(before)
    health.record_failure()
    health.record_failure()
    assert health.open_for_s == 0
    health.record_failure()
    assert COOLDOWN_S - 1 < health.open_for_s <= COOLDOWN_S
    health.record_success(before)
    assert health.open_for_s > 0
    health.record_success(time.monotonic())
    assert health.open_for_s == 0
    for _ in range(3):
        health.record_failure(retry_after=90)
    assert 89 < health.open_for_s <= 90


def test_a_cooldown_is_bounded() -> None:
    """A cooldown is never longer than five minutes."""
    health = Health("Groq")
    for _ in range(3):
        health.record_failure(retry_after=1e12)
    assert health.open_for_s <= MAX_COOLDOWN_S


def test_requests_are_spread_over_the_minute() -> None:
    """A seventh of a minute's requests are sent at once, the rest at an even rate."""

    async def acquire(number: int) -> list[float]:
        callers = itertools.count()
        line, began = CallLine(lambda: next(callers), pace=RequestsPerMinute(420)), time.monotonic()

        async def one() -> float:
            async with line.place(0):
                return time.monotonic() - began

        return sorted(await asyncio.gather(*(one() for _ in range(number))))

    moments = run(acquire(66))
    assert moments[59] < 0.1
    assert all(moments[60 + n] >= (n + 1) / 6 - 0.02 for n in range(6))


def test_only_the_missing_parts_of_a_draft_are_generated(pair: Pair) -> None:
    """Only the missing parts are generated, with the given dish and ingredients, as further attempts."""
    pair.serve({}, {})
    texts: dict[str, str] = {
        part: f"{part}." for part in PARTS if part not in ("ingredients", *RECIPE.dependents("ingredients"))
    }
    draft = Draft(BEEF, DISHES, 1, texts, {"ingredients": 1, "steps": 2})
    (events,) = run(pair.write(draft))
    assert {event.part for event in events if not isinstance(event, Proposal)} == {"ingredients", "steps"}
    starts = {start.part: start.attempt for start in events if isinstance(start, PartStart)}
    assert starts == {"ingredients": 2, "steps": 3}
    prompts = [call["body"]["messages"][-1]["content"] for call in pair.groq.calls + pair.fireworks.calls]
    assert len(prompts) == 2
    assert all("<recipe_name>Pie</recipe_name>" in prompt for prompt in prompts)


def test_a_chosen_dish_needs_no_proposal(pair: Pair) -> None:
    """With a given dish all parts except the alternates are generated, without a proposal."""
    pair.serve({}, {})
    (events,) = run(pair.write(Draft(BEEF, DISHES[:1])))
    assert Proposal(DISHES[:1], 0) in events
    assert {end.part for end in events if isinstance(end, PartEnd)} == set(PARTS) - {"alternates"}
    assert "proposal" not in [call["step"] for call in pair.groq.calls]


def test_a_retried_proposal_keeps_its_complete_recipes(pair: Pair) -> None:
    """Recipes that were complete are kept, and the next attempt adds the missing ones without repeating any."""
    pair.serve({"proposal": ['[{"name": "Stew", "intro": "Hot."}, {"name": "Pi', Finish(None)]}, {})
    (events,) = run(pair.write(BEEF))
    names = [option["name"] for option in [u for u in events if isinstance(u, Proposal)][-1].options]
    assert names == ["Stew", "Pepper Steak", "Beef Soup"]
    ideas: list[str] = []
    for event in _of(events, "alternates"):
        ideas = [] if isinstance(event, PartStart) else ideas
        ideas += [event.option["name"]] if isinstance(event, Alternate) else []
    assert len(ideas) == len(set(ideas)) == 2
    assert {end.status for end in events if isinstance(end, PartEnd)} == {"ok"}


def test_markdown_never_retracts_text() -> None:
    """A part that was not readable yet starts again silently; in a readable one a note says so."""
    writer = MarkdownWriter(RECIPE)
    text = "".join(
        map(
            writer.write,
            (
                Proposal(DISHES, 0),
                Fragment("intro", "Half"),
                Fragment("steps", "1. Hal"),
                PartStart("steps", 2, "groq", "m"),
                PartStart("intro", 2, "groq", "m"),
                Fragment("intro", "Whole."),
                PartEnd("intro", "ok"),
                PartEnd("ingredients", "ok"),
                Fragment("steps", "1. Whole."),
                PartEnd("steps", "ok"),
                Alternate("alternates", DISHES[1]),
                PartStart("alternates", 2, "groq", "m"),
                Alternate("alternates", DISHES[1]),
                *(PartEnd(part, "ok") for part in ("sides", "nutrition", "alternates")),
            ),
        )
    )
    assert "Half\n\n> That broke off. Once more from the beginning:\n\nWhole.\n" in text
    assert "## Steps\n\n1. Whole.\n" in text
    assert text.count("**Pie**") == 1


@pytest.mark.parametrize("at_the_end", [b"", b": ping\n\n", b'data: {"choices": []}\n\n'])
def test_a_complete_answer_is_not_requested_again(pair: Pair, at_the_end: bytes) -> None:
    """After a finish_reason an answer is complete, even if the connection then hangs or breaks."""
    last = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
    pair.serve({}, {"intro": ["All of it.", last, at_the_end, Gate()]})
    (events,) = run(pair.write(BEEF))
    assert _text(events, "intro") == "All of it."
    assert [start.attempt for start in _of(events, "intro") if isinstance(start, PartStart)] == [1]
    assert {end.status for end in events if isinstance(end, PartEnd)} == {"ok"}


def test_a_failed_rewrite_keeps_the_previous_text(pair: Pair) -> None:
    """If no attempt produces text, the previous text is sent again, and the part has failed."""
    pair.serve({"intro": [Refuse(503)]}, {"intro": [Refuse(503)]})
    texts: dict[str, str] = {part: f"{part}." for part in PARTS if part != "intro"}
    (events,) = run(pair.write(Draft(BEEF, DISHES, 1, texts, {"intro": 1}, {"intro": "As it was."})))
    end = _of(events, "intro")[-1]
    assert [_text(events, "intro"), isinstance(end, PartEnd) and end.status] == ["As it was.", "failed"]
    assert [start.attempt for start in _of(events, "intro") if isinstance(start, PartStart)] == [2, 3, 4]

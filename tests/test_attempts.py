"""How hard providers are asked: their pace, their rest, a second model for a slow beginning, and drafts."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, aclosing

import pytest

from app.models import open_models
from chains.models.health import COOLDOWN_S, MAX_COOLDOWN_S, Health, RequestsPerMinute
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
    """Groq and Fireworks, each with a script of its own."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def serve(self, groq: dict[str, Script], fireworks: dict[str, Script]) -> None:
        self.groq: Provider = self._stack.enter_context(provider(groq))  # type: ignore[arg-type]
        self.fireworks: Provider = self._stack.enter_context(provider(fireworks))  # type: ignore[arg-type]

    async def write(self, *drafts: RecipeRequest | Draft, hedge_after_s: float | None = None) -> list[list[PartEvent]]:
        """The updates of each, one after the other on the same models."""
        settings = settings_from(
            groq_api_key="k",
            fireworks_api_key="k",
            groq_base_url=self.groq.url,
            fireworks_base_url=self.fireworks.url,
            hedge_after_s=hedge_after_s,
        )
        async with open_models(settings) as models:
            told: list[list[PartEvent]] = []
            for draft in drafts:
                async with aclosing(astream_parts(models.recipe.chain, draft)) as updates:
                    told.append([update async for update in updates])
            return told


@pytest.fixture
def pair() -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(stack)


def _of(updates: list[PartEvent], part: str) -> list[PartEvent]:
    return [update for update in updates if not isinstance(update, Proposal) and update.part == part]


def _text(updates: list[PartEvent], part: str) -> str:
    text = ""
    for update in _of(updates, part):
        text = "" if isinstance(update, PartStart) else text
        text += update.text if isinstance(update, Fragment) else ""
    return text


def test_a_slow_beginning_is_hedged_and_the_first_to_write_goes_on(pair: Pair) -> None:
    """The second model's text is the part's, told as another attempt by its name, and the first call is closed."""
    pair.serve({}, {"intro": [["Good."], ["Good."], [Gate(), "Late."]]})  # type: ignore[dict-item]
    updates = run(pair.write(BEEF, BEEF, BEEF, hedge_after_s=0.2))[2]
    first, second, *_, end = _of(updates, "intro")
    assert isinstance(first, PartStart)
    assert isinstance(second, PartStart)
    assert isinstance(end, PartEnd)
    assert [(first.attempt, first.provider), (second.attempt, second.provider)] == [(1, "fireworks"), (2, "groq")]
    assert [_text(updates, "intro"), end.status] == ["intro one, intro two.", "ok"]
    assert wait_until(lambda: pair.fireworks.closed == ["intro"], seconds=1)


def test_hedging_stays_within_a_tenth_of_the_calls(pair: Pair) -> None:
    """Of the first nine calls none is made twice, however slow they are."""
    held = Gate()
    pair.serve({}, {"intro": [held, "Slow."]})

    async def write() -> list[list[PartEvent]]:
        writing = asyncio.create_task(pair.write(BEEF, hedge_after_s=0.05))
        while not writing.done() and "intro" not in [call["step"] for call in pair.fireworks.calls]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.wait({writing}, timeout=0.3)
        held.open()
        return await writing

    assert _text(run(write())[0], "intro") == "Slow."
    assert "intro" not in [call["step"] for call in pair.groq.calls]


def test_a_provider_that_keeps_failing_rests(pair: Pair) -> None:
    """After three failures in a row nobody asks it, while there is another one to ask."""
    pair.serve({}, {part: [Refuse(503)] for part in ("intro", "nutrition", "sides", "steps")})
    first, second = run(pair.write(BEEF, BEEF))
    assert {end.status for end in first + second if isinstance(end, PartEnd)} == {"ok"}
    assert {start.provider for start in second if isinstance(start, PartStart)} == {"groq"}


def test_a_rest_ends_with_an_answer_and_is_as_long_as_asked_for() -> None:
    """Two failures are none in a row when an answer came between; a third one begins a rest, for 30 s or for longer.

    An answer to what was asked before the rest does not end it.
    """
    health = Health("Groq")
    before = time.monotonic()
    health.failed()
    health.failed()
    health.answered(before)
    health.failed()
    health.failed()
    assert health.open_for_s == 0
    health.failed()
    assert COOLDOWN_S - 1 < health.open_for_s <= COOLDOWN_S
    health.answered(before)
    assert health.open_for_s > 0
    health.answered(time.monotonic())
    assert health.open_for_s == 0
    for _ in range(3):
        health.failed(retry_after=90)
    assert 89 < health.open_for_s <= 90


def test_no_rest_is_for_ever() -> None:
    """Whatever a provider asks for, after five minutes it is asked again."""
    health = Health("Groq")
    for _ in range(3):
        health.failed(retry_after=1e12)
    assert health.open_for_s <= MAX_COOLDOWN_S


def test_requests_are_spread_over_the_minute() -> None:
    """A seventh of a minute's requests go at once, the rest at an even pace."""

    async def acquire(number: int) -> list[float]:
        pace, began = RequestsPerMinute(420), time.monotonic()

        async def one() -> float:
            await pace.aacquire()
            return time.monotonic() - began

        return sorted(await asyncio.gather(*(one() for _ in range(number))))

    moments = run(acquire(66))
    assert moments[59] < 0.1
    assert all(moments[60 + n] >= (n + 1) / 6 - 0.02 for n in range(6))


def test_what_a_draft_has_is_kept_and_the_rest_is_written(pair: Pair) -> None:
    """Only the missing parts are asked for, from the dish and the ingredients that are there, as further attempts."""
    pair.serve({}, {})
    kept: dict[str, str] = {
        part: f"{part}." for part in PARTS if part not in ("ingredients", *RECIPE.dependents("ingredients"))
    }
    draft = Draft(BEEF, DISHES, 1, kept, {"ingredients": 1, "steps": 2})
    (updates,) = run(pair.write(draft))
    assert {update.part for update in updates if not isinstance(update, Proposal)} == {"ingredients", "steps"}
    starts = {start.part: start.attempt for start in updates if isinstance(start, PartStart)}
    assert starts == {"ingredients": 2, "steps": 3}
    prompts = [call["body"]["messages"][-1]["content"] for call in pair.groq.calls + pair.fireworks.calls]
    assert len(prompts) == 2
    assert all("<recipe_name>Pie</recipe_name>" in prompt for prompt in prompts)


def test_a_chosen_dish_needs_no_proposal(pair: Pair) -> None:
    """With the dish given, everything but the other ideas is written, and no proposal is asked for."""
    pair.serve({}, {})
    (updates,) = run(pair.write(Draft(BEEF, DISHES[:1])))
    assert Proposal(DISHES[:1], 0) in updates
    assert {end.part for end in updates if isinstance(end, PartEnd)} == set(PARTS) - {"alternates"}
    assert "proposal" not in [call["step"] for call in pair.groq.calls]


def test_a_proposal_goes_on_where_it_broke_off(pair: Pair) -> None:
    """Recipes that were complete before the break stay, and the next attempt fills the list; none comes twice."""
    pair.serve({"proposal": ['[{"name": "Stew", "intro": "Hot."}, {"name": "Pi', Finish(None)]}, {})
    (updates,) = run(pair.write(BEEF))
    names = [option["name"] for option in [u for u in updates if isinstance(u, Proposal)][-1].options]
    assert names == ["Stew", "Pepper Steak", "Beef Soup"]
    ideas: list[str] = []
    for update in _of(updates, "alternates"):
        ideas = [] if isinstance(update, PartStart) else ideas
        ideas += [update.option["name"]] if isinstance(update, Alternate) else []
    assert len(ideas) == len(set(ideas)) == 2
    assert {end.status for end in updates if isinstance(end, PartEnd)} == {"ok"}


def test_markdown_takes_nothing_back() -> None:
    """A part that nobody could read yet begins again unseen; in one that could be, a note says so."""
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
def test_what_has_come_to_its_end_is_not_asked_for_again(pair: Pair, at_the_end: bytes) -> None:
    """Behind the reason of its end an answer is whole, though the connection then hangs or breaks."""
    last = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
    pair.serve({}, {"intro": ["All of it.", last, at_the_end, Gate()]})
    (updates,) = run(pair.write(BEEF))
    assert _text(updates, "intro") == "All of it."
    assert [start.attempt for start in _of(updates, "intro") if isinstance(start, PartStart)] == [1]
    assert {end.status for end in updates if isinstance(end, PartEnd)} == {"ok"}


def test_a_rewritten_part_that_comes_to_nothing_keeps_what_it_held(pair: Pair) -> None:
    """Where no attempt writes a word, the former text is told once more, and the part has failed all the same."""
    pair.serve({"intro": [Refuse(503)]}, {"intro": [Refuse(503)]})
    kept: dict[str, str] = {part: f"{part}." for part in PARTS if part != "intro"}
    (updates,) = run(pair.write(Draft(BEEF, DISHES, 1, kept, {"intro": 1}, {"intro": "As it was."})))
    end = _of(updates, "intro")[-1]
    assert [_text(updates, "intro"), isinstance(end, PartEnd) and end.status] == ["As it was.", "failed"]
    assert [start.attempt for start in _of(updates, "intro") if isinstance(start, PartStart)] == [2, 3, 4]

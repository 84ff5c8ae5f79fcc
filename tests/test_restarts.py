"""A run whose process was killed is finished by the next process: what has ended stays, the rest begins again."""

import json
import resource
from collections.abc import Generator, Sequence
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import httpx
import pytest

from app.runs.live import STORE_UNAVAILABLE
from app.runs.runs import MAX_TAKEOVERS
from app.runs.state import RunState
from app.stores import LogEntry, RunEnd
from chains.errors import OUR_SIDE
from chains.parts.composition import Composition
from chains.parts.events import Fragment, Option
from chains.parts.requests import run_request
from chains.recipe.composition import RECIPE
from examples.trip import TRIP
from tests.client import REQUEST, ReceivedEvent, ask, follow, rewrite, start, statuses, wait_until, written
from tests.commands import sizzle
from tests.restarts import (
    COMPOSITIONS,
    REQUESTS,
    copy,
    ended,
    folded,
    killed_run,
    process,
    reached,
    read,
    starts,
    stored_events,
)
from tests.server_process import server_process
from tests.servers import PARTS, Gate, Provider, Refuse, Script, default_script, provider, run


@pytest.mark.parametrize("name", ["recipe", "trip"])
def test_a_run_killed_at_any_event_is_finished(tmp_path: Path, name: str) -> None:
    """A reader that resumes after any event loses nothing, reads nothing twice, and ends with what all others read."""
    composition = COMPOSITIONS[name]
    request = run_request(composition).model_validate(REQUESTS[name])

    async def killed_at(path: Path, count: int, scripted: Provider) -> bool:
        async with process(path / "runs.db", scripted) as runs:
            run_id = await runs.start(name, request)
            seen = await read(runs, run_id, count)
            left = copy(path / "runs.db", path / "left.db")
        async with process(left, scripted, key := f"k{count}") as runs:  # the first one's calls may still arrive
            after, whole = await read(runs, run_id, seen=seen), await read(runs, run_id)
        assert_goes_on(composition, seen, after, whole)
        calls = [call for call in scripted.calls if call["headers"]["authorization"] == f"Bearer {key}"]
        assert len(calls) <= len(composition.parts)
        return isinstance(seen[-1].event, RunEnd)

    count = 1
    with provider({}, [RECIPE, TRIP]) as scripted:
        (tmp_path / "1").mkdir()
        while not run(killed_at(tmp_path / str(count), count, scripted)):
            count += 2
            (tmp_path / str(count)).mkdir()
    assert count > 20


def assert_goes_on(
    composition: Composition, seen: Sequence[LogEntry], after: Sequence[LogEntry], whole: Sequence[LogEntry]
) -> None:
    new = after[len(seen) :]
    assert [entry.id.seq for entry in whole] == list(range(1, len(whole) + 1))
    if isinstance(seen[-1].event, RunEnd):
        assert [*after] == [*seen]
        return
    assert new == [*whole[new[0].id.seq - 1 :]]  # the rest, from an event that the reader had
    assert new[0].id.seq <= len(seen) + 1
    earlier = whole[: new[0].id.seq - 1]
    assert [entry.json for entry in earlier] == [entry.json for entry in seen[: len(earlier)]]
    assert {part for part, _ in starts(new)}.isdisjoint(ended(earlier))
    assert all(attempt > 1 for _, attempt in starts(new))
    reader, everybody = folded(composition, after), folded(composition, whole)
    assert everybody.status == "ok"
    assert {part.state for part in everybody.parts.values()} == {"ok"}
    assert [(part.state, part.text) for part in reader.parts.values()] == [
        (part.state, part.text) for part in everybody.parts.values()
    ]


PEPPER_STEAK = {"name": "Pepper Steak", "intro": "Quick."}
SOUP = {"name": "Soup", "intro": "Warm."}
STEW = {"name": "Stew", "intro": "Slow."}


@pytest.mark.parametrize(
    ("before", "after", "options"),
    [
        ([PEPPER_STEAK], [SOUP, STEW, PEPPER_STEAK], [PEPPER_STEAK, SOUP, STEW]),
        ([PEPPER_STEAK, SOUP], [PEPPER_STEAK, STEW], [PEPPER_STEAK, SOUP, STEW]),
        ([PEPPER_STEAK, SOUP, STEW], [{"name": "Salad", "intro": "Cold."}], [PEPPER_STEAK, SOUP, STEW]),
    ],
)
def test_a_proposal_cut_off_after_its_pick_is_completed(
    tmp_path: Path, before: list[Option], after: list[Option], options: list[Option]
) -> None:
    """The pick and all options that were read are kept, and so is what was made from the pick."""
    beginning = json.dumps(before).removesuffix("]")
    scripts: dict[str, Script | list[Script]] = {
        "proposal": [[beginning, Gate()], [json.dumps(after)]],
        "steps": [["1. ", Gate()], ["2."]],
    }
    state, calls = killed_run(tmp_path, scripts, ["intro", "sides"])
    assert [state.status, list(state.options), state.picked] == ["ok", options, 0]
    alternates = state.parts["alternates"]
    assert [alternates.state, alternates.attempt] == ["ok", 2]
    assert alternates.text == "".join(f"{each['name']}: {each['intro']}\n" for each in options[1:])
    assert sorted(call["step"] for call in calls) == ["proposal", "steps"]
    assert state.parts["steps"].text == "2."


def test_a_proposal_that_cannot_be_completed_keeps_what_it_had(tmp_path: Path) -> None:
    """Two options are enough; with fewer, only the other ideas are missing."""
    for before, status in ([PEPPER_STEAK], "cut_off"), ([PEPPER_STEAK, SOUP], "ok"):
        beginning = json.dumps(before).removesuffix("]")
        folder = tmp_path / status
        folder.mkdir()
        scripts: dict[str, Script | list[Script]] = {"proposal": [[beginning, Gate()], [Refuse(401)]]}
        state, _ = killed_run(folder, scripts, ["intro", "sides"])
        assert [state.parts["alternates"].state, state.options] == [status, tuple(before)]
        assert state.status == ("ok" if status == "ok" else "partial")
        assert {part.state for name, part in state.parts.items() if name != "alternates"} == {"ok"}


def test_a_proposal_without_a_pick_is_made_again(tmp_path: Path) -> None:
    """And everything that is made from it with it."""
    scripts: dict[str, Script | list[Script]] = {"proposal": [[Gate()], default_script("proposal")]}
    state, calls = killed_run(tmp_path, scripts, ["nutrition"])
    assert state.status == "ok"
    assert sorted(call["step"] for call in calls) == ["ingredients", "intro", "proposal", "sides", "steps"]


def test_a_rewrite_under_way_goes_on(tmp_path: Path) -> None:
    """With the parts that are made from it and that had not begun yet."""
    state, calls = killed_run(
        tmp_path,
        {"ingredients": [["old"], ["half", Gate()], ["new"]]},
        [],
        rewrite="ingredients",
        part_text=("ingredients", "half"),
    )
    assert [state.parts["ingredients"].text, state.parts["ingredients"].attempt] == ["new", 3]
    assert [call["step"] for call in calls] == ["ingredients", "steps"]
    assert [state.status, state.parts["steps"].attempt] == ["ok", 2]


def test_a_stopped_server_leaves_its_runs_to_the_next(tmp_path: Path) -> None:
    """It closes their calls and ends none of them."""
    request = run_request(RECIPE).model_validate(REQUESTS["recipe"])

    async def scenario(scripted: Provider) -> RunState:
        async with process(tmp_path / "runs.db", scripted) as runs:
            run_id = await runs.start("recipe", request)
            await reached(runs, run_id, ["intro"], ("nutrition", "Beef "), tmp_path / "runs.db")
        assert wait_until(lambda: scripted.closed == ["nutrition"], 5)  # the provider learns of it a moment later
        async with process(tmp_path / "runs.db", scripted) as runs:
            await read(runs, run_id)
            return await runs.state(run_id)

    with provider({"nutrition": [["Beef ", Gate()], ["Onions"]]}) as scripted:
        state = run(scenario(scripted))
    assert [state.status, state.parts["nutrition"].text, state.parts["nutrition"].attempt] == ["ok", "Onions", 2]


def test_keys_outlive_the_process(tmp_path: Path) -> None:
    """An idempotency key is that of the same run, and its owner's key still changes it."""
    request = run_request(RECIPE).model_validate(REQUESTS["recipe"])

    async def scenario(scripted: Provider) -> list[Any]:
        async with process(tmp_path / "runs.db", scripted) as runs:
            run_id = await runs.start("recipe", request, "key")
            await read(runs, run_id)
            own_key = await runs.key_of(run_id)
        async with process(tmp_path / "runs.db", scripted) as runs:
            await runs.check_key(run_id, own_key)
            return [await runs.start("recipe", request, "key") == run_id, await runs.rewrite(run_id, "intro")]

    with provider() as scripted:
        assert run(scenario(scripted)) == [True, 2]


def test_readers_of_a_server_that_is_killed_come_back_to_the_next(tmp_path: Path) -> None:
    """They read the rest under the address that they have; what had ended is not written again."""
    gate = Gate()
    scripts: dict[str, Script | list[Script]] = {"nutrition": [["Beef ", gate], ["Beef ", "is good."]]}
    with (
        provider(scripts) as scripted,
        server_process(tmp_path, GROQ_API_KEY="k", SIZZLE_GROQ_BASE_URL=scripted.url) as server,
    ):
        address = start(server.url, REQUEST, **{"Idempotency-Key": "key"})
        seen = list[ReceivedEvent]()
        with suppress(httpx.RemoteProtocolError):

            def kill_at_the_last_part(event: ReceivedEvent) -> None:
                seen.append(event)
                if {"nutrition"} == set(PARTS) - {each.fields["part"] for each in seen if each.name == "part_end"}:
                    assert wait_until(lambda: stored_events(tmp_path / "runs.db") == len(seen), 5)
                    server.kill()

            follow(address, seen=kill_at_the_last_part)
        server.start_again()
        rest = follow(address, seen[-1].id)
        assert start(server.url, REQUEST, **{"Idempotency-Key": "key"}) == address
        assert [event.seq for event in rest] == list(range(len(seen) + 1, len(seen) + len(rest) + 1))
        assert {event.fields["part"] for event in rest[:-1]} == {"nutrition"}
        assert [event.fields for event in follow(address)] == [event.fields for event in seen + rest]
        assert [statuses(rest), written(seen + rest)["nutrition"]] == [["ok"], "Beef is good."]
        assert len(scripted.calls) == len(PARTS) + 1
        assert rewrite(address, "nutrition").json()["attempt"] == 3
    gate.open()


def test_a_run_whose_processes_die_is_given_up(tmp_path: Path) -> None:
    """After ten of them the next start ends it with a message and makes no call. Those that were
    stopped do not count, nor do those that died before the last part ended.
    """
    never, later = Gate(), Gate()
    path = tmp_path / "0.db"

    async def scenario(scripted: Provider) -> None:
        nonlocal path
        async with process(path, scripted) as runs:
            run_id = await runs.start("recipe", run_request(RECIPE).model_validate(REQUESTS["recipe"]))
            await read(runs, run_id, 2)
        for number in range(1, 6 + MAX_TAKEOVERS):  # the process before was stopped
            async with process(path, scripted) as runs:
                assert (await runs.state(run_id)).status == "running"
                if number == 5:
                    later.open()
                    await reached(runs, run_id, ["nutrition"], None, path)
                path = copy(path, tmp_path / f"{number}.db")
        calls = len(scripted.calls)
        async with process(path, scripted) as runs:
            end = (await read(runs, run_id))[-1].event
        assert isinstance(end, RunEnd)
        assert [end.status, end.message, len(scripted.calls)] == ["failed", OUR_SIDE, calls]

    with provider({"proposal": [never], "nutrition": [later, "Beef is good."]}) as scripted:
        run(scenario(scripted))
        never.open()


def test_a_run_goes_on_when_a_disk_that_was_full_at_the_start_has_room(tmp_path: Path) -> None:
    """Until then it waits, as it was."""
    gate = Gate()

    async def scenario(scripted: Provider) -> None:
        async with process(tmp_path / "runs.db", scripted) as runs:
            run_id = await runs.start("recipe", run_request(RECIPE).model_validate(REQUESTS["recipe"]))
            async with aclosing(runs.follow(run_id)) as batches:
                async for seen in batches:
                    if any(isinstance(entry.event, Fragment) and entry.event.part == "steps" for entry in seen):
                        break
        gate.open()
        calls = len(scripted.calls)
        with small_files():
            starting = process(tmp_path / "runs.db", scripted)
            runs = await starting.__aenter__()
            assert (await runs.state(run_id)).status == "running"
            assert len(scripted.calls) == calls
        whole = await read(runs, run_id)
        await starting.__aexit__(None, None, None)
        assert isinstance(whole[-1].event, RunEnd)
        assert whole[-1].event.status == "ok"

    with provider({"steps": [[token_urlsafe(100_000), gate], ["Beef is good."]]}) as scripted:
        run(scenario(scripted))


@contextmanager
def small_files() -> Generator[None]:
    """No file of this process can have more than 40 KB within the block."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_server_that_finds_its_file_in_use_says_so_in_one_line(tmp_path: Path) -> None:
    with server_process(tmp_path) as server:
        path = tmp_path / "runs.db"
        done = sizzle("serve", "--port", "0", "--store", f"sqlite://{path}")
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == (
            f"sizzle: SIZZLE_STORE: {path}: another server uses this file. Stop that one, or name another file."
        )
        assert ask("GET", f"{server.url}/healthz").status_code == 200


def test_a_server_with_a_full_disk_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """The run ends with a message and stays readable, also after a restart; until there is room no other begins."""
    gates = Gate(), Gate()
    long: Script = [gates[0], *(["Beef is good. " * 300] * 10), gates[1], "The end."]
    with (
        provider({"nutrition": [long, ["Beef is good."]]}) as scripted,
        server_process(tmp_path, GROQ_API_KEY="k", SIZZLE_GROQ_BASE_URL=scripted.url) as server,
    ):
        address = start(server.url)
        assert wait_until(lambda: ask("GET", address).json()["parts"]["steps"]["state"] == "ok", 10)
        with server.full_disk():
            gates[0].open()
            assert wait_until(lambda: "full" in server.output, 10)
            refused = ask("POST", f"{server.url}/runs", json=REQUEST)
            assert [refused.status_code, refused.headers["Retry-After"]] == [503, "5"]
            health = ask("GET", f"{server.url}/healthz").json()
            assert [health["store"], health["store_answers"]] == ["sqlite", False]
            gates[1].open()
            before = follow(address)
            assert before[-1].fields | {"status": "failed", "message": refused.json()["detail"]} == before[-1].fields
            assert refused.json()["detail"] == STORE_UNAVAILABLE
            assert written(before)["nutrition"].startswith("Beef is good.")
        assert wait_until(lambda: stored_events(tmp_path / "runs.db") == len(before), 5)
        assert statuses(follow(start(server.url))) == ["ok"]
        server.kill()
        server.start_again()
        assert follow(address) == before

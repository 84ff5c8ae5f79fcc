"""Random schedules of faults: whatever fails, every reader reads what the model wrote, once and without a hole."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import ClassVar
from uuid import UUID

from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from app.runs.errors import RunError
from app.stores import LogEntry, RunEnd
from chains.parts.events import Fragment, PartEnd, PartStart
from tests.amounts import cases
from tests.conftest import StartRedis
from tests.nodes import LEASE_S, REQUESTS, TALK, Node, Pace, served_at
from tests.redis_servers import RedisServer, flaky

WORKERS = 2
PARTS = st.sampled_from(TALK.names)
ALWAYS = threading.Event()
ALWAYS.set()


@dataclass
class Story:
    """A run, and what its readers have read."""

    run_id: UUID
    topic: str
    is_cancelled: bool = False
    rewrites: int = 0
    readings: list[list[LogEntry]] = field(default_factory=list[list[LogEntry]])


class Faults(RuleBasedStateMachine):
    """Two web nodes that are always there, and workers that are stopped, killed, ended and woken."""

    server: ClassVar[RedisServer]
    stories = Bundle("stories")

    def __init__(self) -> None:
        super().__init__()
        self.pace, self.ends = Pace(), ExitStack()
        self.served = served_at(self.pace)
        url = self.server.url
        # of the workers, every eleventh script is executed, but its reply is lost
        self.url = self.ends.enter_context(flaky(self.server, url, cut_every=11, delays=(0, 0.01)))
        self.webs = [self.node(url, worker=False) for _ in range(2)]
        self.all, self.readers, self.dead = list[Story](), list[threading.Thread](), list[Node]()
        self.workers: list[Node] = []
        self.online = threading.Event()

    def node(self, url: str, *, worker: bool) -> Node:
        node = Node(url, self.served, worker=worker)
        self.ends.callback(node.close)
        return node

    @initialize()
    def begin(self) -> None:
        self.workers = [self.node(self.url, worker=True) for _ in range(WORKERS)]
        self.start(1)
        self.write(3)
        self.connect_readers()

    @rule(target=stories, cut=st.integers(1, 3))
    def start(self, cut: int) -> Story:
        topic = f"topic {len(self.all)}"
        request = REQUESTS["lecture"].model_validate({"topic": topic})
        story = Story(self.webs[0].call(self.webs[0].runs.start("lecture", request)), topic)
        self.all.append(story)
        self.follow(story, 0)
        self.follow(story, cut)
        return story

    def follow(self, story: Story, cut: int) -> None:
        """Reads the run from its start, and goes on at the other web node after each so many batches."""
        story.readings.append(reading := [])
        online = self.online if cut else ALWAYS
        thread = threading.Thread(target=read, args=(self.webs, story.run_id, cut, online, reading))
        thread.start()
        self.readers.append(thread)

    @rule(tokens=st.integers(1, 3))
    def write(self, tokens: int) -> None:
        self.pace.tokens += tokens
        threading.Event().wait(0.1 * LEASE_S)

    @rule()
    def connect_readers(self) -> None:
        """Those that are cut come back for a moment; meanwhile their runs may have been taken over."""
        self.online.set()
        threading.Event().wait(0.1 * LEASE_S)
        self.online.clear()

    @rule(number=st.integers(0, WORKERS - 1))
    def stop_or_wake(self, number: int) -> None:
        """Another worker takes its runs over. When it wakes, it still wants to write."""
        worker = self.workers[number]
        if worker.is_stopped:
            worker.wake()
        else:
            worker.stop()
        self.pass_time()

    @rule(number=st.integers(0, WORKERS - 1))
    def kill(self, number: int) -> None:
        self.workers[number].stop()
        self.dead.append(self.workers[number])
        self.workers[number] = self.node(self.url, worker=True)
        self.pass_time()

    def pass_time(self) -> None:
        """Leases expire, and what is left of the runs is written on."""
        threading.Event().wait(1.5 * LEASE_S)
        self.pace.tokens += 1

    @rule(number=st.integers(0, WORKERS - 1))
    def replace(self, number: int) -> None:
        """A rolling update: the worker hands its runs over."""
        if not self.workers[number].is_stopped:
            worker, self.workers[number] = self.workers[number], self.node(self.url, worker=True)
            worker.close()

    @rule(story=stories)
    def cancel(self, story: Story) -> None:
        web = self.webs[1]
        web.call(web.runs.cancel(story.run_id))
        story.is_cancelled = True

    @rule(story=stories, part=PARTS)
    def rewrite(self, story: Story, part: str) -> None:
        web = self.webs[1]
        with suppress(RunError):  # it is being written
            web.call(web.runs.rewrite(story.run_id, part))
            story.rewrites += 1

    @rule(story=stories)
    def look(self, story: Story) -> None:
        """Every text is the beginning of what the model was to write."""
        state = self.webs[1].call(self.webs[1].runs.state(story.run_id))
        for part, seen in state.parts.items():
            assert any(answer.startswith(seen.text) for answer in self.answers(story, part)) or not seen.text

    def answers(self, story: Story, part: str) -> list[str]:
        calls = len(self.pace.prompts[story.topic, part])
        return ["".join(self.pace.answer(story.topic, part, call)) for call in range(1, calls + 1)]

    def teardown(self) -> None:
        """All runs end. Then the dead wake, which must not change anything."""
        try:
            self.pace.tokens = float("inf")
            self.online.set()
            for worker in self.workers:
                worker.wake()
            for thread in self.readers:
                thread.join(30)
                assert not thread.is_alive()
            logs = [self.ended_log(story) for story in self.all]
            for node in self.dead:
                node.wake()
            threading.Event().wait(LEASE_S)
            assert logs == [self.ended_log(story) for story in self.all]
            for story, log in zip(self.all, logs, strict=True):
                self.judge(story, log)
        finally:
            for node in (*self.workers, *self.dead):
                node.wake()
            self.ends.close()

    def ended_log(self, story: Story) -> list[LogEntry]:
        return self.webs[0].call(whole_log(self.webs[0], story.run_id))

    def judge(self, story: Story, log: list[LogEntry]) -> None:
        """Compares the log with what the model was to write, and with what was read."""
        *events, end = log
        assert isinstance(end.event, RunEnd)
        assert [entry.id.seq for entry in log] == list(range(1, len(log) + 1))
        assert [entry.event for entry in log if entry.kind is RunEnd] == [end.event]
        for reading in story.readings:
            *seen, last = [(entry.id.seq, entry.kind, entry.json) for entry in reading]
            assert last[1] is RunEnd
            assert seen == [(entry.id.seq, entry.kind, entry.json) for entry in events[: len(seen)]]
        written = attempts(events)
        for part, texts in written.items():
            for text, status in texts:
                whole = [answer for answer in self.answers(story, part) if answer.startswith(text)]
                assert whole
                assert status != "ok" or text in whole
        if not story.is_cancelled:
            assert end.event.status == "ok"
            assert {part: texts[-1][1] for part, texts in written.items()} == dict.fromkeys(TALK.names, "ok")
            self.judge_talk(story, written)

    def judge_talk(self, story: Story, written: Mapping[str, list[tuple[str, str]]]) -> None:
        """It was made from an outline that is in the log as it was then."""
        prompt = self.pace.prompts[story.topic, "talk"][self.answers(story, "talk").index(written["talk"][-1][0])]
        assert any(f"<{text}>" in prompt for text, status in written["outline"] if status == "ok")


def attempts(log: Sequence[LogEntry]) -> Mapping[str, list[tuple[str, str]]]:
    """The text and the status of each attempt, by part."""
    written = defaultdict[str, list[tuple[str, str]]](list)
    for entry in log:
        match entry.event:
            case PartStart(part):
                written[part].append(("", "writing"))
            case Fragment(part, text):
                written[part][-1] = (written[part][-1][0] + text, "writing")
            case PartEnd(part, status):
                written[part][-1] = (written[part][-1][0], status)
            case _:
                pass
    return written


def read(webs: Sequence[Node], run_id: UUID, cut: int, online: threading.Event, reading: list[LogEntry]) -> None:
    for web in cycle(webs):
        online.wait()
        web.call(follow(web, run_id, cut, reading))
        if reading and reading[-1].kind is RunEnd:
            return


async def follow(web: Node, run_id: UUID, cut: int, reading: list[LogEntry]) -> None:
    """Reads on for so many batches, or without a cut to the end of the stream."""
    last = reading[-1].id if reading else None
    async with aclosing(web.runs.follow(run_id, last)) as batches:
        async for batch in batches:
            reading += batch
            cut -= 1
            if cut == 0:
                return


async def whole_log(web: Node, run_id: UUID) -> list[LogEntry]:
    """Waits for the end, also that of parts that are rewritten."""
    async with asyncio.timeout(20):
        while not (await web.log.meta(str(run_id))).has_ended:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    log: list[LogEntry] = []
    while page := await web.log.read(str(run_id), len(log)):
        log += page
    return log


def test_readers_read_what_was_written_whatever_fails(start_redis: StartRedis) -> None:
    """Workers are stopped, killed, woken and replaced; runs are read, cut, cancelled and rewritten."""

    class Schedule(Faults):
        server = start_redis("valkey")

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Schedule,
        settings=settings(
            deadline=None,
            max_examples=cases(6),
            stateful_step_count=12,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],  # another schedule takes other times
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )

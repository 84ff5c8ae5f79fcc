"""The targets for our server and the measurements, one row each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import mean

from benchmarks.figures import Spread, of, ratio, spread
from benchmarks.matrix import CROWD, TARGETS, Results
from benchmarks.schedule import csharp_plan, end, our_plan
from benchmarks.timeline import BOTH, PACES, PLACES, Timelines

CELLS = [cell.name for cell in TARGETS]
CPU_LIMITS = {
    "handwritten": (0.20, 0.50, 0.22, 0.60),
    "idiomatic": (0.07, 0.16, 0.05, 0.30),
    "floor": (4, 3, 3, 3),
}
TOTAL_LIMITS = {"500x8": 1.15, "500x32": 1.60, "80x8": 1.05}
FIRST_LIMITS = {"80": 0.20, "300": 0.45, "1000": 0.75}
END_LIMIT, END_LIMIT_BOTH = 0.96, 0.75
IDLE_FIRST_MS, IDLE_END = 15, 1.02
CROWD_GAP_MS, CROWD_MB = 1000, 1


@dataclass(frozen=True)
class Row:
    """A target: the measurement must be at most `limit`.

    `possible` describes the best value that the schedule allows, or that of the server called limit.
    """

    what: str
    limit: float
    measured: Spread
    possible: str = ""

    @property
    def met(self) -> bool:
        return self.measured.median <= self.limit


def cpu_rows(results: Results) -> Iterator[Row]:
    for other, limits in CPU_LIMITS.items():
        for cell, limit in zip(CELLS, limits, strict=True):
            measured = spread(ratio(results[cell]["ours"], results[cell][other], "cpu_us"))
            possible = spread(ratio(results[cell]["limit"], results[cell][other], "cpu_us"))
            yield Row(f"CPU per token over {other}, {cell}", limit, measured, f"{possible.median:.2f}")
    for cell, limit in TOTAL_LIMITS.items():
        yield Row(f"total over the critical path, {cell}", limit, of(results[cell]["ours"], "over_critical"))


def crowd_rows(results: Results, idle_mb: Mapping[str, float]) -> Iterator[Row]:
    rounds = results[CROWD.name]["ours"]
    yield Row(f"{CROWD.name}: failed recipes", 0, spread(measured.failed for measured in rounds))
    yield Row(f"{CROWD.name}: p99 gap, ms", CROWD_GAP_MS, of(rounds, "gap_p99_ms"))
    per_run = spread((measured.peak_mb - idle_mb["ours"]) / CROWD.recipes for measured in rounds)
    yield Row(f"{CROWD.name}: MB resident for each run", CROWD_MB, per_run)
    lumps = spread(measured.largest / CROWD.pace.tokens_per_s for measured in rounds)
    yield Row(f"{CROWD.name}: largest lump, seconds of the provider's pace", 0.5, lumps)


def schedule_rows(timelines: Timelines) -> Iterator[Row]:
    for rate in ("80", "300"):
        ours = timelines[rate, "ours"]
        late = spread((one.reading.first_s - one.pace.ttft_s) * 1e3 for one in ours)
        yield Row(f"idle server, {rate} tokens/s: first fragment over TTFT, ms", IDLE_FIRST_MS, late)
        over = spread(one.reading.total_s / end(our_plan(one.pace, one.reading.picked)) for one in ours)
        yield Row(f"idle server, {rate} tokens/s: end over the critical path", IDLE_END, over)
    for rate, limit in FIRST_LIMITS.items():
        possible = PACES[rate].ttft_s / csharp_plan(PACES[rate])["alternates"].last
        yield Row(f"first fragment over C# schedule, {rate}", limit, _first_ratio(timelines, rate), f"{possible:.2f}")
    for rate in FIRST_LIMITS:
        yield _end_row(timelines, rate, rate, END_LIMIT, "same models")
    yield _end_row(timelines, BOTH, "80", END_LIMIT_BOTH, "critical path on the fastest model")


def _end_row(timelines: Timelines, our_pace: str, csharp_pace: str, limit: float, how: str) -> Row:
    ours = [timeline.reading.total_s for timeline in timelines[our_pace, "ours"]]
    csharp = mean(timeline.reading.total_s for timeline in timelines[csharp_pace, "handwritten"])
    best = mean(end(our_plan(PACES[our_pace], place)) for place in PLACES) / end(csharp_plan(PACES[csharp_pace]))
    # the mean, because every position of the pick is equally likely
    measured = Spread(mean(ours) / csharp, min(ours) / csharp, max(ours) / csharp)
    return Row(f"end over C# schedule, {our_pace}, {how}", limit, measured, f"{best:.3f}")


def _first_ratio(timelines: Timelines, rate: str) -> Spread:
    pairs = zip(timelines[rate, "ours"], timelines[rate, "handwritten"], strict=True)
    return spread(ours.reading.first_s / csharp.reading.first_s for ours, csharp in pairs)

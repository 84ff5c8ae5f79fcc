"""`python -m benchmarks` measures all cells, the schedules and the profile, and writes RESULTS.md and its pictures.

With options it measures a part and writes no files.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import uvloop

from benchmarks.cells import Cell, Measured
from benchmarks.matrix import OTHERS, TARGETS, Results, gathered, run_rounds, warm_up
from benchmarks.plots import draw_cpu, draw_schedules
from benchmarks.processes import SERVERS, Process, all_processes
from benchmarks.profiling import profile
from benchmarks.report import cpu_table, profile_tables, report, schedule_text, targets_table
from benchmarks.targets import CPU_LIMITS, schedule_rows
from benchmarks.timeline import Timelines, run_timelines

HERE = Path(__file__).parent
PICTURED = "300"  # tokens a second
CELLS = (*TARGETS, *OTHERS)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ", ".join(cell.name for cell in CELLS)
    parser.add_argument("--quick", action="store_true", help="one round of the targets' cells")
    parser.add_argument("--only", metavar="CELL,…", help=f"these alone, of: {names}, schedule, profile")
    parser.add_argument("--servers", metavar="SERVER,…", default=",".join(SERVERS), help=f"of: {', '.join(SERVERS)}")
    parser.add_argument("--rounds", type=int, help="so many rounds of each cell")
    return parser.parse_args()


async def measure_all() -> None:
    began = time.perf_counter()
    with all_processes() as (provider, servers):
        profiled = await profiled_text(provider)
        idle_mb = await warm_up(servers, provider)
        timelines = await measured_timelines(servers, provider)
        results = await measured_cells(CELLS, servers, provider)
    draw_cpu(results, CPU_LIMITS["handwritten"], HERE / "cpu.png")
    # the second of the three recipes is picked in it
    draw_schedules(timelines[PICTURED, "handwritten"][1], timelines[PICTURED, "ours"][1], HERE / "schedule.png")
    minutes = (time.perf_counter() - began) / 60
    (HERE / "RESULTS.md").write_text(report(results, timelines, profiled, idle_mb, minutes), encoding="utf-8")


async def measure_some(cells: Sequence[Cell], names: Sequence[str], others: Sequence[str]) -> None:
    with all_processes(names) as (provider, servers):
        await warm_up(servers, provider)
        if cells:
            show(cpu_table(await measured_cells(cells, servers, provider)))
        if "schedule" in others:
            timelines = await measured_timelines(servers, provider)
            show(schedule_text(timelines), targets_table(schedule_rows(timelines)))
        if "profile" in others:
            show(await profiled_text(provider))


async def profiled_text(provider: Process) -> str:
    try:
        return profile_tables(await profile(provider))
    except RuntimeError as failure:
        return f"Not measured: {failure}\n"


async def measured_cells(cells: Sequence[Cell], servers: dict[str, Process], provider: Process) -> Results:
    rows = []
    async for row in run_rounds(cells, servers, provider):
        show(line(*row))
        _, _, name, measured = row
        if measured.failure:
            show(measured.failure, servers[name].last_words())
        rows.append(row)
    return gathered(rows)


async def measured_timelines(servers: dict[str, Process], provider: Process) -> Timelines:
    timelines: Timelines = {}
    async for pace, server, timeline in run_timelines(servers, provider):
        reading = timeline.reading
        show(f"schedule  {pace:10} {server:12} first {reading.first_s:.3f} s  end {reading.total_s:.3f} s")
        timelines.setdefault((pace, server), []).append(timeline)
    return timelines


def line(turn: int, cell: Cell, name: str, measured: Measured) -> str:
    return (
        f"{turn + 1}  {cell.name:12} {name:12} {measured.cpu_us:7.1f} µs/token  {measured.tokens_per_s:7.0f} tokens/s"
        f"  first +{measured.first_ms:6.1f} ms  total {measured.over_critical:5.2f}"
        f"  gap p99 {measured.gap_p99_ms:6.1f} ms  largest {measured.largest:3}  {measured.peak_mb:5.0f} MB"
        f"  failed {measured.failed}  (provider {measured.provider_us:.1f}, client {measured.client_us:.1f})"
    )


def show(*texts: str) -> None:
    print(*texts, sep="\n\n", flush=True)  # noqa: T201


def main(options: argparse.Namespace) -> None:
    rounds = options.rounds or (1 if options.quick else None)
    if not (options.quick or options.only or rounds or options.servers != ",".join(SERVERS)):
        uvloop.run(measure_all())
        return
    names = options.only.split(",") if options.only else [cell.name for cell in (TARGETS if options.quick else CELLS)]
    cells = [replace(cell, rounds=rounds or cell.rounds) for cell in CELLS if cell.name in names]
    uvloop.run(measure_some(cells, options.servers.split(","), names))


if __name__ == "__main__":
    main(arguments())

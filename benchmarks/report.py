"""Writes RESULTS.md: the targets and the measurements, all cells, both schedules, the profile, the machine."""

import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from statistics import mean, median

import psutil

from benchmarks.cells import Cell
from benchmarks.figures import of, ratio, spread
from benchmarks.matrix import OTHERS, SATURATED, TARGETS, Results
from benchmarks.processes import SERVERS
from benchmarks.profiling import Profile
from benchmarks.targets import Row, cpu_rows, crowd_rows, schedule_rows
from benchmarks.timeline import BOTH, PACES, Timeline, Timelines

LIBRARIES = (
    "langchain-core", "langchain-openai", "openai", "httpx2", "aiohttp", "msgspec", "orjson", "fastapi", "starlette",
    "sse-starlette", "uvicorn", "uvloop", "httptools", "pydantic",
)  # fmt: skip
CODES = {"add": "ingredients", "int": "intro", "ing": "nutrition", "sde": "sides", "ste": "steps", "alt": "alternates"}

HEAD = """# What was measured

Written by `make bench`. The figures are from one run on the machine named at the end, with all servers interleaved. The
load of the machine varies, so only ratios within a round are reliable; each is the **median of the rounds, with minimum
and maximum** in parentheses.

Each server is one process with uvicorn, uvloop and httptools that answers `POST /generate` on loopback. The provider
streams at a set pace, with one write per event, and sends nothing before the first token. A recipe is six calls of 200
tokens, including the proposal, with a TTFT of 250 ms unless stated otherwise. A cell is named *tokens/s per call* x
*concurrent recipes*. The text of every part of every recipe was compared with what the provider sent.
[TRIED.md](TRIED.md) lists the effect of each change to the token path.

| server | what it is |
|---|---|
| ours | `sizzle serve` with this provider instead of Groq and Fireworks |
| plain | ours with `SIZZLE_FAST=false`: without private API of LangChain and pydantic |
| idiomatic | idiomatic LCEL: stock runnables, `assign`, `RunnableParallel`, `astream_events`, FastAPI |
| handwritten | `AsyncOpenAI`, tasks, a queue, FastAPI; the C# project's schedule, proposal not streamed |
| floor | aiohttp, orjson, raw ASGI, our schedule; chunks that arrive together are joined |
| limit | the floor, with calls as LangChain runs and pieces (of a proposal: recipes) as `astream_events` events |
"""


CPU = """Microseconds of server CPU per token of the provider (divided by 1,000: CPU seconds per 1,000 tokens).
"""
CARRIED = "Tokens/s at unlimited pace, without a TTFT, 16 concurrent recipes.\n"
PROFILED = """500 tokens/s, 8 concurrent recipes: py-spy's samples by Python function, including its C code and
system calls.
"""


def report(results: Results, timelines: Timelines, profiled: str, idle_mb: Mapping[str, float], minutes: float) -> str:
    rows = [*cpu_rows(results), *crowd_rows(results, idle_mb), *schedule_rows(timelines)]
    return "\n".join((
        HEAD,
        "## Targets\n", targets_table(rows),
        "## CPU per token\n", CPU, cpu_table(results), "![CPU per token, the hand-written server = 1](cpu.png)\n",
        "## What one worker carries\n", CARRIED, carried(results),
        "## Every cell\n", cells_table(results, idle_mb),
        "## The schedule\n", "![Both schedules, one above the other](schedule.png)\n", schedule_text(timelines),
        "## Where ours spends its time\n", PROFILED, profiled,
        "## The machine\n", f"{machine()}\n\nThe run took {minutes:.0f} minutes.\n",
    ))  # fmt: skip


def targets_table(rows: Iterable[Row]) -> str:
    return table(
        ["what", "target", "measured", "at best", "met"],
        ([row.what, f"≤ {row.limit:g}", row.measured.text(), row.possible, _met(row)] for row in rows),
    )


def _met(row: Row) -> str:
    return "yes" if row.met else "**no**"


def cpu_table(results: Results) -> str:
    cells = [cell.name for cell in TARGETS if cell.name in results]
    rows = [[name, *(_cpu(results, cell, name) for cell in cells)] for name in SERVERS]
    over = [[f"ours / {name}", *(_ratio(results, cell, name) for cell in cells)] for name in SERVERS[1:]]
    return table(["", *cells], [*rows, *over])


def _cpu(results: Results, cell: str, name: str) -> str:
    return of(results[cell][name], "cpu_us").text(0) if name in results[cell] else ""


def _ratio(results: Results, cell: str, name: str) -> str:
    ratios = ratio(results[cell].get("ours", []), results[cell].get(name, []), "cpu_us")
    return spread(ratios).text(3) if ratios else ""


def carried(results: Results) -> str:
    rounds = results[SATURATED.name]
    return table(["server", "tokens/s"], ([name, of(rounds[name], "tokens_per_s").text(0)] for name in SERVERS))


CELL_COLUMNS = (
    "cell", "server", "CPU µs/token", "ours over it", "tokens/s", "first over TTFT, ms", "total / critical path",
    "p99 gap, ms", "largest fragment, tokens", "MB/run", "failed", "provider + client µs/token",
)  # fmt: skip


def cells_table(results: Results, idle_mb: Mapping[str, float]) -> str:
    """The medians, and the spread of what the targets are about."""
    rows = (
        _cell_row(cell, name, results, idle_mb[name])
        for cell in (*TARGETS, *OTHERS)
        for name in results.get(cell.name, ())
    )
    note = (
        "MB/run: peak resident memory in the cell minus that after the warm-up, per recipe, including what earlier "
        "cells left. “first” of the hand-written and the idiomatic server is high because their schedule shows nothing "
        "before the proposal is complete."
    )
    return table(CELL_COLUMNS, rows) + f"\n{note}\n"


def _cell_row(cell: Cell, name: str, results: Results, idle_mb: float) -> list[str]:
    rounds = results[cell.name][name]

    def middle(figure: str, digits: int) -> str:
        return f"{of(rounds, figure).median:,.{digits}f}"

    per_run = (of(rounds, "peak_mb").median - idle_mb) / cell.recipes
    rest = of(rounds, "provider_us").median + of(rounds, "client_us").median
    return [
        cell.name, name, of(rounds, "cpu_us").text(1), "" if name == "ours" else _ratio(results, cell.name, name),
        middle("tokens_per_s", 0), middle("first_ms", 0),
        middle("over_critical", 2).replace("nan", "–"), middle("gap_p99_ms", 1), middle("largest", 0), f"{per_run:.2f}",
        str(sum(measured.failed for measured in rounds)), f"{rest:.1f}",
    ]  # fmt: skip


SCHEDULE = f"""One recipe at a time, realistic lengths (proposal 110 tokens, ingredients 150, intro 120, nutrition 120,
sides 20, steps 300), TTFT 250 ms. Seconds from the request, averaged over the three positions of the pick. “C#” is
the hand-written server. “{BOTH}”: the fastest model streams proposal and ingredients at 800 tokens/s, the large one the
others at 80; the row “80” has every part on the large model.
"""
AGES = "Age of a fragment when it reaches the client, since its first token was due at the provider:"


def schedule_text(timelines: Timelines) -> str:
    pairs = [(pace, server) for pace in PACES for server in ("handwritten", "ours")]
    firsts = table(
        ["tokens/s", "schedule", "first visible", *CODES.values(), "end"],
        ([pace, _schedule(server), *_firsts(timelines[pace, server])] for pace, server in pairs),
    )
    ages = table(
        ["tokens/s", "schedule", "median, ms", "p99, ms", "most, ms"],
        ([pace, _schedule(server), *_ages(timelines[pace, server])] for pace, server in pairs),
    )
    return "\n".join((SCHEDULE, firsts, AGES, "", ages))


def _firsts(shown: Sequence[Timeline]) -> list[str]:
    parts = [f"{mean(one.first_s()[code] for one in shown):.2f}" for code in CODES]
    first, end = mean(one.reading.first_s for one in shown), mean(one.reading.total_s for one in shown)
    return [f"{first:.3f}", *parts, f"{end:.2f}"]


def _ages(shown: Sequence[Timeline]) -> list[str]:
    ages = sorted(age * 1e3 for one in shown for age in one.ages_s())
    return [f"{median(ages):.1f}", f"{ages[len(ages) * 99 // 100]:.1f}", f"{ages[-1]:.1f}"]


def _schedule(server: str) -> str:
    return "ours" if server == "ours" else "C#"


def profile_tables(profile: Profile) -> str:
    columns = zip(profile.libraries, profile.functions, strict=False)
    rows = ([library, f"{a:.1%}", f"`{function}`", f"{b:.1%}"] for (library, a), (function, b) in columns)
    share = f"\nOf all its CPU time {profile.kernel:.0%} was the kernel's.\n"
    return table(["library", "share", "function", "share"], rows) + share


def machine() -> str:
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    memory = psutil.virtual_memory().total / 2**30
    cores = ", ".join(f"{len(list(same))} cores of {name}" for name, same in groupby(names))
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return f"{cores}, {memory:.0f} GB, {platform.system()}. Python {platform.python_version()}, {versions}."


def _cpuinfo() -> list[str]:
    return Path("/proc/cpuinfo").read_text().splitlines()


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)

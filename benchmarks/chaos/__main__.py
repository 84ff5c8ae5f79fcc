"""`python -m benchmarks.chaos`: kills workers, web nodes, Redis and the embedded server while runs go on.

Every reader's text is compared with the log and with what the provider sent. It fails if anything was lost, repeated or
mixed up. Without options it takes about ten minutes and writes CHAOS.md; `--quick` takes two, and `--beside` one.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from pathlib import Path
from random import Random

from benchmarks.chaos import phases
from benchmarks.chaos.phases import PACE, Cluster, Phase, Stage
from benchmarks.cooks import ask
from benchmarks.processes import ROOT, running
from tests.redis_servers import RedisServer, binary

REPORT = Path(__file__).parent.parent / "CHAOS.md"
FAULTS = {"embedded": 50, "workers": 200, "stopped": 100, "hand-overs": 20, "web": 20, "redis": 20, "cancels": 40}
LONG_OUTAGE_S = 10
GOOD = ("exact", "cancelled")
TEXT = """# Chaos

Written by `make chaos`: a run begins every {every_s} s, and its parts of {length} tokens come at {rate:g} tokens/s
per call. The lease is {lease_s} s. Half of the readers are cut again and again and come back to any node; 8 % of the
runs are cancelled. Each reader's events have to come once and without a hole, and its texts have to be those of the
provider and of the log.

{cores} cores; the load average over the last quarter of an hour was {load:.1f}, and times grow with it.

| fault | times | runs | exact | cancelled | wrong | events | reconnects |
|---|---|---|---|---|---|---|---|
{rows}

{figures}
"""


async def chaos(faults: dict[str, int]) -> list[Phase]:
    async with staged() as (stage, redis):
        done = [show(await phases.embedded_kills(stage, faults["embedded"]))]
        async with Cluster(stage, redis) as cluster:
            done.append(show(await phases.worker_kills(cluster, faults["workers"])))
            done.append(show(await phases.stopped_writers(cluster, faults["stopped"])))
            done.append(show(await phases.hand_overs(cluster, faults["hand-overs"])))
            done.append(show(await phases.web_kills(cluster, faults["web"])))
            done.append(show(await phases.redis_kills(cluster, faults["redis"])))
            done.append(show(await phases.long_outage(cluster, LONG_OUTAGE_S)))
            done.append(show(await phases.cancels(cluster, faults["cancels"])))
        return done


async def upgrade(commit: str) -> list[Phase]:
    """Replaces the nodes of an older release by this one's, and takes the upgrade back."""
    with checked_out(commit) as older:
        async with staged() as (stage, redis), Cluster(stage, redis, older) as cluster:
            return [show(await phases.rolling_restart(cluster, tree)) for tree in (ROOT, older)]


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Yields a folder with the files of that commit, which has its name."""
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place, commit)
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, commit], cwd=ROOT, check=True)  # noqa: S603, S607
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)  # noqa: S603, S607


@asynccontextmanager
async def staged() -> AsyncIterator[tuple[Stage, RedisServer]]:
    """Runs the provider and Redis within the block."""
    program = binary("redis")
    if not program:
        sys.exit("Chaos needs Debian's package redis-server.")
    with tempfile.TemporaryDirectory() as place, running("provider", ["-m", "benchmarks.provider"]) as provider:
        folder = Path(place)
        await ask(provider.port, "POST", "/pace", asdict(PACE))
        with RedisServer(program, folder) as redis:
            yield Stage(provider, folder, Random(5)), redis  # noqa: S311


def show(phase: Phase) -> Phase:
    print(row(phase), *lines(phase), *problems(phase)[:10], sep="\n", flush=True)  # noqa: T201
    return phase


def row(phase: Phase) -> str:
    verdicts = Counter(run.verdict for run in phase.runs)
    counts = (phase.faults, len(phase.runs), verdicts["exact"], verdicts["cancelled"], len(problems(phase)))
    events, reconnects = sum(len(run.events) for run in phase.runs), sum(run.reconnects for run in phase.runs)
    return f"| {phase.name} | " + " | ".join(f"{count:,}" for count in (*counts, events, reconnects)) + " |"


def lines(phase: Phase) -> list[str]:
    return [f"- {phase.name}: {name} {figure}" for name, figure in phase.figures.items()]


def problems(phase: Phase) -> list[str]:
    return [f"{run.run_id}: {run.verdict}" for run in phase.runs if run.verdict not in GOOD]


def report(done: Sequence[Phase]) -> str:
    return TEXT.format(
        every_s=phases.EVERY_S,
        length=phases.LENGTH,
        rate=PACE.tokens_per_s,
        lease_s=phases.LEASE_S,
        cores=os.cpu_count(),
        load=os.getloadavg()[2],
        rows="\n".join(row(phase) for phase in done),
        figures="\n".join(line for phase in done for line in lines(phase)),
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a twentieth of the faults; writes no file")
    parser.add_argument("--beside", metavar="COMMIT", help="only upgrades from that commit and back; writes no file")
    options = parser.parse_args()
    faults = {name: max(3, count // 20) for name, count in FAULTS.items()} if options.quick else FAULTS
    done = asyncio.run(upgrade(options.beside) if options.beside else chaos(faults))
    if not options.quick and not options.beside:
        REPORT.write_text(report(done), encoding="utf-8")
    return 1 if any(problems(phase) for phase in done) else 0


if __name__ == "__main__":
    sys.exit(main())

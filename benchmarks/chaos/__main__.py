"""`python -m benchmarks.chaos`: kills workers, web nodes, Redis and the embedded server while runs go on.

Every reader's text is compared with the log and with what the provider sent. It fails if anything was lost, repeated or
mixed up. Without options it takes about ten minutes and writes CHAOS.md; `--quick` takes two.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random

from benchmarks.chaos import phases
from benchmarks.chaos.phases import PACE, Cluster, Phase, Stage
from benchmarks.cooks import ask
from benchmarks.processes import running
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
    program = binary("redis")
    if not program:
        sys.exit("Chaos needs Debian's package redis-server.")
    with tempfile.TemporaryDirectory() as place, running("provider", ["-m", "benchmarks.provider"]) as provider:
        folder = Path(place)
        await ask(provider.port, "POST", "/pace", asdict(PACE))
        stage = Stage(provider, folder, Random(5))  # noqa: S311
        done = [show(await phases.embedded_kills(stage, faults["embedded"]))]
        with RedisServer(program, folder) as redis:
            async with Cluster(stage, redis) as cluster:
                done.append(show(await phases.worker_kills(cluster, faults["workers"])))
                done.append(show(await phases.stopped_writers(cluster, faults["stopped"])))
                done.append(show(await phases.hand_overs(cluster, faults["hand-overs"])))
                done.append(show(await phases.web_kills(cluster, faults["web"])))
                done.append(show(await phases.redis_kills(cluster, faults["redis"])))
                done.append(show(await phases.long_outage(cluster, LONG_OUTAGE_S)))
                done.append(show(await phases.cancels(cluster, faults["cancels"])))
        return done


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
    is_quick = parser.parse_args().quick
    faults = {name: max(3, count // 20) for name, count in FAULTS.items()} if is_quick else FAULTS
    done = asyncio.run(chaos(faults))
    if not is_quick:
        REPORT.write_text(report(done), encoding="utf-8")
    return 1 if any(problems(phase) for phase in done) else 0


if __name__ == "__main__":
    sys.exit(main())

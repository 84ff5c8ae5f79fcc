"""Our server, writing its tasks to a file on a signal: `python -m benchmarks.watched FILE …` is `sizzle …`.

On SIGUSR1 it writes the number of tasks by coroutine to FILE.
"""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from app.cli.commands import main as sizzle


def tasks() -> Counter[str]:
    """Counts the tasks of this thread's loop by coroutine."""
    return Counter(getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks())


def main(file: Path) -> None:
    def write_tasks(*_: Any) -> None:
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(tasks()))
        os.replace(partial, file)  # so that readers never see a partial file

    signal.signal(signal.SIGUSR1, write_tasks)
    sizzle()


if __name__ == "__main__":
    main(Path(sys.argv.pop(1)))

"""Where ours spends its time: samples of the main thread, weighed by the CPU time it used since the last one.

`python -m benchmarks.profiled FILE …` is `sizzle …`. It samples from SIGUSR1 on, and writes to FILE when it ends.
"""

import json
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

INTERVAL_S = 0.001


class Sampler(threading.Thread):
    """Counts CPU seconds of the main thread by the Python function that it is in; C code counts for its caller."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seconds: Counter[tuple[str, str]] = Counter()
        self._main = threading.main_thread().ident
        self._over = threading.Event()

    def run(self) -> None:
        assert self._main is not None  # noqa: S101  the main thread runs
        clock = time.pthread_getcpuclockid(self._main)
        before = time.clock_gettime(clock)
        while not self._over.wait(INTERVAL_S):
            now = time.clock_gettime(clock)
            self.seconds[_place(sys._current_frames()[self._main])] += now - before
            before = now

    def stop(self) -> None:
        self._over.set()
        self.join()


def _place(frame: FrameType) -> tuple[str, str]:
    module = frame.f_globals.get("__name__", "?")
    if module.startswith(("asyncio.runners", "app.loop", "uvloop")):  # nothing of Python runs below the loop
        return "uvloop", "event loop, sockets, HTTP parser"
    return module.partition(".")[0], f"{module}.{frame.f_code.co_qualname}"


def main(file: Path) -> None:
    sampler = Sampler()
    sys.setswitchinterval(INTERVAL_S / 4)  # so that the sampler gets its turn in time
    from app.cli import main as sizzle

    signal.signal(signal.SIGUSR1, lambda *_: sampler.start())
    try:
        sizzle()
    finally:
        sampler.stop()
        file.write_text(json.dumps([[*place, seconds] for place, seconds in sampler.seconds.most_common()]))


if __name__ == "__main__":
    main(Path(sys.argv.pop(1)))

"""How often a process of its own collects garbage."""

import gc


def collect_less_often() -> None:
    """Tunes the garbage collector of a process that has imported what it needs.

    Skips the objects created so far, and collects less often, because finished runs leave few reference cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)

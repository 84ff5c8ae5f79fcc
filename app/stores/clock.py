"""Whether the system's clock is right, as far as this process can tell."""

import time

JUMP_S = 60.0


class Clock:
    """Trusts the system's clock once it has run without a jump for `grace_s` seconds.

    A clock that is wrong when the system starts, or that somebody sets forward, must not delete valid runs.
    """

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._offset_s = _offset_s()
        self._trusted_from = time.monotonic() + grace_s

    def is_trusted(self) -> bool:
        offset_s = _offset_s()
        if abs(offset_s - self._offset_s) > JUMP_S:
            self._trusted_from = time.monotonic() + self._grace_s
        self._offset_s = offset_s
        return time.monotonic() >= self._trusted_from


def _offset_s() -> float:
    return time.time() - time.monotonic()

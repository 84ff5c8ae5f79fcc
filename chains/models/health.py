"""The circuit breaker of a provider: a cooldown after failures.

Circuit breaker libraries (pybreaker, purgatory) raise when a circuit is open; here another model is chosen if there is
one.
"""

import logging
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from time import monotonic

logger = logging.getLogger(__name__)

FAILURES = 3  # in a row open the circuit
COOLDOWN_S, MAX_COOLDOWN_S = 30, 300


@dataclass
class Health:
    """A provider's circuit breaker: three failures in a row start a cooldown, during which others are preferred.

    What may be due to a prompt, such as an empty answer, counts as soon as two callers have had it.

    `on_change` is called when a cooldown begins here, or a success ends it.
    """

    label: str
    on_change: Callable[[], object] | None = field(default=None, repr=False, compare=False)
    _failures: int = 0
    _doubts: Counter[Hashable] = field(default_factory=Counter[Hashable])  # perhaps due to a prompt, by caller
    _open_since: float = 0.0
    _open_until: float = 0.0

    @property
    def open_for_s(self) -> float:
        """Seconds left of the cooldown; 0 if the circuit is closed."""
        return max(0.0, self._open_until - monotonic())

    def record_success(self, started: float) -> None:
        """Records the success of a request that started at this time of the monotonic clock.

        It is ignored if the current cooldown began later.
        """
        if started >= self._open_since:
            was_open = self.open_for_s > 0
            self._reset()
            self._open_until = 0.0
            if was_open:
                self._report()

    def record_failure(self, retry_after: float | None = None) -> None:
        """Records a failure, with the Retry-After delay in seconds if the provider sent one."""
        self._failures += 1
        self._check(retry_after)

    def record_suspicion(self, caller: Hashable) -> None:
        """Records a failure that the caller's prompt may have caused."""
        self._doubts[caller] += 1
        self._check(None)

    def _check(self, retry_after: float | None) -> None:
        failures = self._failures + (self._doubts.total() if len(self._doubts) > 1 else 0)
        if failures >= FAILURES and not self.open_for_s:
            cooldown_s = min(max(COOLDOWN_S, retry_after or 0), MAX_COOLDOWN_S)
            self.set_cooldown(cooldown_s)
            self._report()
            logger.warning("%s is skipped for %d s after %d failures in a row", self.label, cooldown_s, failures)

    def set_cooldown(self, seconds: float) -> None:
        """Begins a cooldown now; 0 ends it. Another process that shares the provider may say so."""
        self._open_since = monotonic()
        self._open_until = self._open_since + seconds
        if not seconds:
            self._reset()

    def _reset(self) -> None:
        self._failures = 0
        self._doubts.clear()

    def _report(self) -> None:
        if self.on_change:
            self.on_change()

"""The server's clock, as seen from this process."""

UNKNOWN_MS = 2**53


class ServerClock:
    """Compares the server's clock with this process's. A clock may differ; it has jumped if the difference changes."""

    def __init__(self, tolerance_s: float) -> None:
        self._tolerance_s = tolerance_s
        self._ahead_s: tuple[float, float] | None = None  # at least and at most, because an answer takes a while
        self.has_jumped = False  # between the last two comparisons

    def latest_ms(self, asked_at: float) -> int:
        """Returns the server's time at which it answers at the latest, unless its clock jumps or it stands still."""
        return round((asked_at + self._ahead_s[1] + self._tolerance_s) * 1000) if self._ahead_s else UNKNOWN_MS

    def compare(self, server_s: float, asked_at: float, answered_at: float) -> None:
        """Notes the server's time in an answer. The other two times are this process's."""
        before, self._ahead_s = self._ahead_s, (server_s - answered_at, server_s - asked_at)
        if before:
            least_s, most_s = self._ahead_s
            is_later = least_s > before[1] + self._tolerance_s
            self.has_jumped = is_later or most_s < before[0] - self._tolerance_s

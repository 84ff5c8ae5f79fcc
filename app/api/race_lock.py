"""The locks of races."""

from collections.abc import Generator
from contextlib import contextmanager

from app.clients import Client


class RaceLock:
    """Allows each client one race at a time in a process, or none if races would cost money without consent.

    A race makes one call at a time, so those of other clients hardly slow it down.
    """

    def __init__(self, is_open: bool) -> None:
        self.is_open = is_open
        self._racing: set[Client] = set()

    def is_held(self, client: Client) -> bool:
        return client in self._racing

    @contextmanager
    def hold(self, client: Client) -> Generator[None]:
        self._racing.add(client)
        try:
            yield
        finally:
            self._racing.remove(client)

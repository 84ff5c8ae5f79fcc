"""The lock of the race."""

import asyncio


class RaceLock:
    """Allows one race at a time in a process, or none if races would cost money without consent."""

    def __init__(self, is_open: bool) -> None:
        self.is_open = is_open
        self.lock = asyncio.Lock()

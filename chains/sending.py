"""When a call's request is sent: a hedge begins to wait then, not while the call waits for its turn."""

from collections.abc import Callable
from contextvars import ContextVar

_on_sent: ContextVar[Callable[[], None]] = ContextVar("_on_sent")


def watch_sending(on_sent: Callable[[], None]) -> None:
    """Has `on_sent` called when a request of the current context is sent."""
    _on_sent.set(on_sent)


def report_sent() -> None:
    """Reports that a request is being sent."""
    if on_sent := _on_sent.get(None):
        on_sent()

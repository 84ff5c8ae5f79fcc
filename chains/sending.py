"""Reports when a call's request is sent: a hedge waits from then on, not while the call waits for a slot."""

from collections.abc import Callable
from contextvars import ContextVar

_on_sent: ContextVar[Callable[[], None]] = ContextVar("_on_sent")


def watch_sending(on_sent: Callable[[], None]) -> None:
    """Calls `on_sent` when a request of the current context is sent."""
    _on_sent.set(on_sent)


def report_sent() -> None:
    """Reports that a request is being sent."""
    if on_sent := _on_sent.get(None):
        on_sent()

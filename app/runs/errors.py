"""Errors of runs, with user-facing messages.

RunError
├── CapacityError                 too many runs, or the server is shutting down
├── IdempotencyKeyReusedError     the key was sent with another request
├── WrongKeyError                 the run was started by somebody else
├── UnknownPartError              the run has no such part
└── PartBusyError                 the part is being generated, or lacks what it is made from
"""

from typing import LiteralString, Self

from app.admission import AT_CAPACITY, BUSY_RETRY_S
from chains.errors import SizzleError


class RunError(SizzleError):
    """Something cannot be done with a run; the message is user-facing."""


class CapacityError(RunError):
    """No run can be started now; retry after `retry_after` seconds."""

    def __init__(self, template: LiteralString, retry_after: int) -> None:
        super().__init__(template)
        self.retry_after = retry_after

    @classmethod
    def too_many_runs(cls) -> Self:
        return cls(AT_CAPACITY, BUSY_RETRY_S)


class IdempotencyKeyReusedError(RunError):
    """The idempotency key was sent with another request."""


class WrongKeyError(RunError):
    """The run was started by somebody else, or its key was not sent."""


class UnknownPartError(RunError):
    """The run has no such part."""


class PartBusyError(RunError):
    """The part is being generated, or lacks what it is made from."""

"""The number of the attempt at a part, which the logs of its calls to models contain."""

from contextvars import ContextVar

current_attempt = ContextVar("current_attempt", default=1)

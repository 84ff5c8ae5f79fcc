"""The stores of event logs, each of which must pass the contract."""

from collections.abc import Callable

import pytest

from app.eventlog import EventLog
from app.eventlog.memory import MemoryEventLog

MakeLog = Callable[..., EventLog]


@pytest.fixture(scope="session", params=[MemoryEventLog])
def make_log(request: pytest.FixtureRequest) -> MakeLog:
    """Makes an empty store with the given bounds: `keep_s`, `max_bytes`, `all_bytes`, `limit`, `expired_limit`."""
    return request.param

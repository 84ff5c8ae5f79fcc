"""What routes depend on: values of the running server, with their types.

Coroutine functions, because FastAPI calls any other in a thread.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import HTTPConnection

from app.api.race_lock import RaceLock
from app.clients import Client
from app.models import Models
from app.runs.broadcasts import Broadcasts
from app.runs.opening import OpenRuns
from app.runs.runs import Runs
from app.server.clients import client_of
from app.server.guard import Access
from app.server.root_path import root_path


def _state(name: str) -> Any:
    """Returns the dependency on a value in `app.state`."""

    async def read(connection: HTTPConnection) -> object:
        return getattr(connection.app.state, name)

    return Depends(read)


async def _client(connection: HTTPConnection) -> Client:
    return client_of(connection.scope)


async def _root_path(connection: HTTPConnection) -> str:
    return root_path(connection.scope)


ModelsDep = Annotated[Models, _state("models")]
AboutDep = Annotated[Mapping[str, object], _state("about")]
OpenRunsDep = Annotated[OpenRuns, _state("opened")]
RunsDep = Annotated[Runs, _state("runs")]
BroadcastsDep = Annotated[Broadcasts, _state("broadcasts")]
RaceLockDep = Annotated[RaceLock, _state("race_lock")]
AccessDep = Annotated[Access, _state("access")]
KeepAliveS = Annotated[float, _state("keep_alive_s")]  # seconds between comments on a silent stream
SendTimeoutS = Annotated[float, _state("send_timeout_s")]  # seconds that a reader may block a stream
ClientDep = Annotated[Client, Depends(_client)]  # who sent the request
RootPath = Annotated[str, Depends(_root_path)]

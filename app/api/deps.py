"""What routes depend on: values of the running server, with their types.

Coroutine functions, because FastAPI calls any other in a thread.
"""

from collections.abc import Mapping
from typing import Annotated, cast

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


async def _models(connection: HTTPConnection) -> Models:
    return cast(Models, connection.app.state.models)


async def _about(connection: HTTPConnection) -> Mapping[str, object]:
    return cast(Mapping[str, object], connection.app.state.about)


async def _open_runs(connection: HTTPConnection) -> OpenRuns:
    return cast(OpenRuns, connection.app.state.opened)


async def _runs(connection: HTTPConnection) -> Runs:
    return cast(Runs, connection.app.state.runs)


async def _broadcasts(connection: HTTPConnection) -> Broadcasts:
    return cast(Broadcasts, connection.app.state.broadcasts)


async def _race_lock(connection: HTTPConnection) -> RaceLock:
    return cast(RaceLock, connection.app.state.race_lock)


async def _access(connection: HTTPConnection) -> Access:
    return cast(Access, connection.app.state.access)


async def _client(connection: HTTPConnection) -> Client:
    return client_of(connection.scope)


async def _root_path(connection: HTTPConnection) -> str:
    return root_path(connection.scope)


async def _keep_alive_s(connection: HTTPConnection) -> float:
    return cast(float, connection.app.state.keep_alive_s)


async def _send_timeout_s(connection: HTTPConnection) -> float:
    return cast(float, connection.app.state.send_timeout_s)


ModelsDep = Annotated[Models, Depends(_models)]
AboutDep = Annotated[Mapping[str, object], Depends(_about)]
OpenRunsDep = Annotated[OpenRuns, Depends(_open_runs)]
RunsDep = Annotated[Runs, Depends(_runs)]
BroadcastsDep = Annotated[Broadcasts, Depends(_broadcasts)]
RaceLockDep = Annotated[RaceLock, Depends(_race_lock)]
AccessDep = Annotated[Access, Depends(_access)]
ClientDep = Annotated[Client, Depends(_client)]  # who sent the request
RootPath = Annotated[str, Depends(_root_path)]
KeepAliveS = Annotated[float, Depends(_keep_alive_s)]  # seconds between comments on a silent stream
SendTimeoutS = Annotated[float, Depends(_send_timeout_s)]  # seconds that a reader may block a stream

"""What routes depend on: values of the running server, with their types.

Coroutine functions, because FastAPI calls any other in a thread.
"""

from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from app.models import Models
from app.runs.broadcasts import Broadcasts
from app.runs.runs import Runs


async def _models(connection: HTTPConnection) -> Models:
    return cast(Models, connection.app.state.models)


async def _runs(connection: HTTPConnection) -> Runs:
    return cast(Runs, connection.app.state.runs)


async def _broadcasts(connection: HTTPConnection) -> Broadcasts:
    return cast(Broadcasts, connection.app.state.broadcasts)


async def _keep_alive_s(connection: HTTPConnection) -> float:
    return cast(float, connection.app.state.keep_alive_s)


async def _send_timeout_s(connection: HTTPConnection) -> float:
    return cast(float, connection.app.state.send_timeout_s)


ModelsDep = Annotated[Models, Depends(_models)]
RunsDep = Annotated[Runs, Depends(_runs)]
BroadcastsDep = Annotated[Broadcasts, Depends(_broadcasts)]
KeepAliveS = Annotated[float, Depends(_keep_alive_s)]  # seconds between comments on a silent stream
SendTimeoutS = Annotated[float, Depends(_send_timeout_s)]  # seconds that a reader may block a stream

"""`sizzle worker`."""

import asyncio
import atexit
from typing import Annotated

import typer

from app.cli.exposure import audience
from app.cli.serve import Compositions, Host, Open, Store, bound, set_environment, urls_of

Port = Annotated[
    int, typer.Option(min=0, max=65535, help="The port of /livez and /readyz; 0 lets the system pick one.")
]


def worker(
    store: Store = None,
    runs: Annotated[int | None, typer.Option(min=1, help="Maximum number of runs at a time; by default 64.")] = None,
    host: Host = "127.0.0.1",
    port: Port = 0,
    composition: Compositions = None,
    open_: Open = False,
) -> None:
    """Writes the runs that other processes start. Needs a store that they share: redis://…"""
    set_environment(
        store, composition, SIZZLE_WORKER_RUNS=str(runs) if runs else None, SIZZLE_OPEN="true" if open_ else None
    )
    import uvicorn

    from app.runs.opening import check_store
    from app.server.garbage import collect_less_often
    from app.server.logs import configure_logging
    from app.server.protocol import BoundedHttp
    from app.settings import read_settings, wants_traces
    from app.traces import start_tracing
    from app.worker import worker_app

    settings = read_settings().model_copy(update={"worker": True})
    configure_logging(settings.log_format, settings.log_level)
    if wants_traces():
        atexit.register(start_tracing())
    app = worker_app(settings)
    asyncio.run(check_store(settings))
    collect_less_often()
    users = audience(host)
    with bound(host, port) as sockets:
        typer.echo(f"Sizzle worker, ready when {urls_of(sockets[:1])}/readyz says so, {users}")
        uvicorn.Server(uvicorn.Config(app, http=BoundedHttp, log_config=None, access_log=False)).run(sockets=sockets)

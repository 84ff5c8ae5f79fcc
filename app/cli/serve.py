"""`sizzle serve`. Imports little, so that the page is served at once."""

import logging
import os
import re
import socket
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer
import uvicorn

from app.cli.exposure import audience
from app.server.network import is_loopback
from app.server.protocol import WS_MESSAGE_BYTES, BoundedHttp
from app.server.starting import PAGE, PROBES, StartingApp
from chains.errors import ConfigError

if TYPE_CHECKING:
    from fastapi import FastAPI

Host = Annotated[
    str,
    typer.Option(
        envvar="HOST", help="The address to listen on; 0.0.0.0 lets other machines in, which needs SIZZLE_TOKEN."
    ),
]
Port = Annotated[
    int, typer.Option(envvar="PORT", min=0, max=65535, help="The port to listen on; 0 lets the system pick one.")
]
RootPath = Annotated[
    str,
    typer.Option(
        metavar="PATH", help="Where a proxy shows the server, such as /sizzle. The proxy removes it from paths."
    ),
]

Open = Annotated[bool, typer.Option("--open", help="Let other machines in without a token (SIZZLE_OPEN).")]

Store = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Where runs are kept: sqlite:///…, memory://, redis://…; by default SIZZLE_STORE."
    ),
]
Compositions = Annotated[
    list[str] | None,
    typer.Option(metavar="MODULE:NAME", help="A composition to serve beside the recipe. Repeatable."),
]

GRACEFUL_SHUTDOWN_S = 3
WORKER_ANSWER_S = 60  # a process imports for seconds before it answers, and SIGHUP keeps the old one until it does
NOT_SHARED = "--workers {workers} needs a store that several processes share: --store redis://… (SIZZLE_STORE)"


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Number of processes. More than one needs redis://….")] = 1,
    composition: Compositions = None,
    store: Store = None,
    worker: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Whether this process writes runs, or only worker processes.")
    ] = True,
    root_path: RootPath = "",
    open_: Open = False,
) -> None:
    """Serves the page, POST /generate and runs."""
    root_path = f"/{root_path.strip('/')}".rstrip("/")
    set_environment(
        store, composition, SIZZLE_WORKER=None if worker else "false", SIZZLE_OPEN="true" if open_ else None
    )
    users = audience(host)
    if workers > 1:
        _check_sharing(workers)
    with listen(host, port) as listener:
        typer.echo(f"Sizzle: {url_of(listener)}, {users} (Ctrl-C stops it)")
        if workers == 1:
            _serve_at_once(listener, root_path, early=PAGE if is_loopback(host) else PROBES)
    if workers > 1:
        _serve_in_workers(host, port, workers, root_path)


def set_environment(store: str | None, compositions: list[str] | None, **settings: str | None) -> None:
    """Passes options on as settings, which every process of the server reads."""
    settings |= {"SIZZLE_STORE": store, "SIZZLE_COMPOSITIONS": ",".join(compositions or ()) or None}
    os.environ.update({name: value for name, value in settings.items() if value})


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens. Ends the command with one line if the address is not available."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
    except OSError as error:
        sys.exit(f"sizzle: {host}, port {port}: {error.strerror}. Choose another one with --host and --port.")


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _serve_at_once(listener: socket.socket, root_path: str, early: re.Pattern[str]) -> None:
    """Serves in this process. Raises what kept the application from starting, such as a `ConfigError`."""
    app = StartingApp(_load, _announce, on_failure=lambda: setattr(server, "should_exit", True), early=early)
    config = uvicorn.Config(
        app,
        http=BoundedHttp,
        ws_max_size=WS_MESSAGE_BYTES,
        root_path=root_path,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # a failure is one line
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    if app.failure:
        raise app.failure


def _load() -> "FastAPI":
    return import_module("app.main").served_app()


def _announce() -> None:
    logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)
    logging.getLogger("app").info("Sizzle is ready.")


def _check_sharing(workers: int) -> None:
    """Raises `ConfigError` if the processes cannot share a store."""
    import asyncio

    from app.runs.opening import check_store, is_shared
    from app.server.logs import configure_logging
    from app.settings import read_settings

    settings = read_settings()
    configure_logging(settings.log_format, settings.log_level)
    if not is_shared(settings):
        raise ConfigError(NOT_SHARED.format(workers=workers))
    settings.check()
    asyncio.run(check_store(settings))


def _serve_in_workers(host: str, port: int, workers: int, root_path: str) -> None:
    uvicorn.run(
        "app.main:served_app",
        factory=True,
        http=BoundedHttp,
        ws_max_size=WS_MESSAGE_BYTES,
        host=host,
        port=port,
        workers=workers,
        log_config=None,  # `served_app` configures it
        access_log=False,
        root_path=root_path,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
        timeout_worker_healthcheck=WORKER_ANSWER_S,
    )

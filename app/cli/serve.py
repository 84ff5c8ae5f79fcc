"""`sizzle serve`. Imports little, so that the page is served at once."""

import logging
import os
import re
import socket
import sys
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
import uvicorn
from uvicorn.supervisors import Multiprocess

from app.cli.exposure import audience
from app.server.network import address_of, is_loopback
from app.server.protocol import WS_MESSAGE_BYTES, BoundedHttp
from app.server.starting import PAGE, PROBES, StartingApp
from chains.errors import ConfigError

if TYPE_CHECKING:
    from fastapi import FastAPI

Host = Annotated[
    str,
    typer.Option(
        envvar="HOST", help="The address to listen on; 0.0.0.0 or :: lets other machines in, which needs SIZZLE_TOKEN."
    ),
]
Port = Annotated[
    int, typer.Option(envvar="PORT", min=0, max=65535, help="The port to listen on; 0 lets the system pick one.")
]


def _prefix(path: str) -> str:
    """Returns /sizzle for sizzle/."""
    path = f"/{path.strip('/')}".rstrip("/")
    if not re.fullmatch(r"(/[\w.~-]+)*", path, re.ASCII):
        raise typer.BadParameter("expected a path, such as /sizzle")
    return path


RootPath = Annotated[
    str,
    typer.Option(
        callback=_prefix,
        metavar="PATH",
        help="Where a proxy shows the server, such as /sizzle. The proxy removes it from paths.",
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

BACKLOG = 2048
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
    set_environment(
        store, composition, SIZZLE_WORKER=None if worker else "false", SIZZLE_OPEN="true" if open_ else None
    )
    users = audience(host, has_proxy=bool(root_path))
    if workers > 1:
        _check_sharing(workers)
    with bound(host, port, listens=workers == 1) as sockets:
        typer.echo(f"Sizzle: {urls_of(sockets)}, {users} (Ctrl-C stops it)")
        if workers == 1:
            _serve_at_once(sockets, root_path, early=PAGE if is_loopback(host) else PROBES)
        else:
            _serve_in_workers(sockets, workers, root_path)


def set_environment(store: str | None, compositions: list[str] | None, **settings: str | None) -> None:
    """Passes options on as settings, which every process of the server reads."""
    settings |= {"SIZZLE_STORE": store, "SIZZLE_COMPOSITIONS": ",".join(compositions or ()) or None}
    os.environ.update({name: value for name, value in settings.items() if value})


@contextmanager
def bound(host: str, port: int, *, listens: bool = True) -> Generator[list[socket.socket]]:
    """Yields sockets at the address: at `::` two, because that means every address, also those of IPv4.

    If it listens, those who connect now wait. Ends the command with one line if the address is not available.
    """
    with ExitStack() as opened:
        sockets, host = list[socket.socket](), str(address_of(host) or host)
        for each in ("::", "0.0.0.0") if host == "::" else (host,):  # noqa: S104  the user wants it
            try:
                sockets.append(opened.enter_context(_bound(each, port, listens=listens)))
            except OSError as error:
                sys.exit(f"sizzle: {each}, port {port}: {error.strerror}. Choose another one with --host and --port.")
            port = sockets[0].getsockname()[1]
        yield sockets


def _bound(host: str, port: int, *, listens: bool) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # so that each client has its own address
        sock.bind((host, port))
        if listens:
            sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def urls_of(sockets: Iterable[socket.socket]) -> str:
    addresses = [sock.getsockname()[:2] for sock in sockets]
    return " and ".join(f"http://{f'[{host}]' if ':' in host else host}:{port}" for host, port in addresses)


def _serve_at_once(sockets: list[socket.socket], root_path: str, early: re.Pattern[str]) -> None:
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
        server.run(sockets=sockets)
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


def _serve_in_workers(sockets: list[socket.socket], workers: int, root_path: str) -> None:
    """Serves in so many processes, which share their metrics."""
    config = uvicorn.Config(
        "app.main:served_app",
        factory=True,
        http=BoundedHttp,
        ws_max_size=WS_MESSAGE_BYTES,
        workers=workers,
        log_config=None,  # `served_app` configures it
        access_log=False,
        root_path=root_path,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
        timeout_worker_healthcheck=WORKER_ANSWER_S,
    )
    with TemporaryDirectory(prefix="sizzle-metrics-") as folder, suppress(KeyboardInterrupt):
        os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)
        Multiprocess(config, sockets).run()

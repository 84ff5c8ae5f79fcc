"""The command line. Each command is a module, and imports what it needs when it runs, so that `--help` is quick."""

import logging
import os
import sys
from errno import ENOSPC, EPIPE
from importlib.metadata import version as installed_version
from io import TextIOWrapper
from typing import Annotated

import typer
from typing_extensions import override

from app.cli.check import check
from app.cli.generate import generate
from app.cli.models import models
from app.cli.race import race
from app.cli.runs import runs
from app.cli.serve import serve
from app.cli.standin import standin
from app.cli.usage import usage
from app.cli.worker import worker
from app.server.langsmith import first_line, prepare_langsmith
from app.server.network import check_key_log
from chains.errors import ConfigError

# Libraries read these variables, and fail for some values. Our number of processes is `--workers`.
NOT_FOR_US = ("WEB_CONCURRENCY", "TERMINAL_WIDTH", "LANGCHAIN_HANDLER", "OTEL_PROPAGATORS", "OTEL_PYTHON_CONTEXT")

cli = typer.Typer(
    name="sizzle",
    help="Ingredients in, recipe out: fast language models write six parts in parallel.\n\n"
    "Without FIREWORKS_API_KEY or GROQ_API_KEY a rule-based stand-in answers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class _OneLine(logging.Formatter):
    """The first line of a message and the type of its exception: libraries quote keys and texts in the others."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        text = first_line(record.getMessage())
        error = record.exc_info[0] if record.exc_info else None
        return f"{text} ({error.__name__})" if error else text


def main() -> None:
    """The console script. Invalid settings end it with one line."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without a character shows ? instead
    sys.argv = [*map(_decoded, sys.argv)]
    for name in NOT_FOR_US:
        os.environ.pop(name, None)
    if logging.lastResort:  # writes the records of commands that configure no log
        logging.lastResort.setFormatter(_OneLine())
    try:
        check_key_log()
        prepare_langsmith()
        cli()
    except ConfigError as error:
        sys.exit(f"sizzle: {error}")
    except OSError as error:
        if error.errno not in (EPIPE, ENOSPC):
            raise
        # after `sizzle … | head`, or on a full disk, the rest of the output is discarded
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1 if error.errno == EPIPE else f"sizzle: {error.strerror}")


def _open_closed_streams() -> None:
    """Discards what is written to a stream that the caller has closed (`>&-`)."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  open for as long as the process


def _decoded(argument: str) -> str:
    """Returns an argument that the locale can't decode, such as Korean in the locale C, decoded as UTF-8."""
    is_decoded = not any("\udc80" <= character <= "\udcff" for character in argument)
    return argument if is_decoded else os.fsencode(argument).decode(errors="replace")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sizzle {installed_version('sizzle')}")
        raise typer.Exit


@cli.callback()
def sizzle(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options that come before a command."""


for command in (serve, worker, check, usage, generate, models, race, standin):
    cli.command()(command)
cli.add_typer(runs, name="runs")

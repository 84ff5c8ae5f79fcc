"""`sizzle runs`: lists, shows, exports and deletes the runs in an SQLite file or in Redis."""

import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from app.cli.serve import Store, set_environment
from chains.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from app.runs.state import RunState
    from app.settings import Settings
    from app.stores.archive import Archive, ArchivedRun
    from chains.parts.composition import Composition

runs = typer.Typer(help="Lists, shows, exports and deletes the runs that `sizzle serve` has stored.")

RunId = Annotated[str, typer.Argument(metavar="ID", help="A run's id, or its first characters.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@runs.callback(invoke_without_command=True)
def _default(context: typer.Context) -> None:  # pyright: ignore[reportUnusedFunction]
    if context.invoked_subcommand is None:
        list_runs()


@runs.command("list")
def list_runs(
    store: Store = None,
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest runs are listed.")] = 20,
    json: Json = False,
) -> None:
    """Lists the newest runs: when each began, its status, what it is, its size in bytes and its id."""
    with _opened(store) as (archive, compositions):
        rows = [_row(run, _state(archive, compositions, run.id)) for run in archive.runs(limit)]
    if json:
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 160).print(_table(rows))


@runs.command()
def show(run_id: RunId, store: Store = None, json: Json = False) -> None:
    """Prints a run as Markdown, or its state as JSON."""
    typer.echo(_text(run_id, store, is_json=json), nl=False)


@runs.command()
def export(
    run_id: RunId,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that ends in .md or .json.")],
    store: Store = None,
) -> None:
    """Writes a run to a file: Markdown, or its state as JSON."""
    if file.suffix not in {".md", ".json"}:
        raise typer.BadParameter(f"{file} ends neither in .md nor in .json", param_hint="FILE")
    text = _text(run_id, store, is_json=file.suffix == ".json")
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from None


@runs.command()
def delete(run_ids: Annotated[list[str], typer.Argument(metavar="ID...")], store: Store = None) -> None:
    """Deletes runs. Stop the server first if it keeps them in a file: it may still be writing them."""
    with _opened(store, is_writable=True) as (archive, _):
        found = [_find(archive, run_id) for run_id in run_ids]
        for run_id in found:
            archive.delete(run_id)
            typer.echo(f"Deleted {run_id}.")


@contextmanager
def _opened(
    store: str | None, *, is_writable: bool = False
) -> Generator[tuple["Archive", Mapping[str, "Composition"]]]:
    from app.settings import read_settings

    set_environment(store, None)
    settings = read_settings().with_own_store()
    if settings.store_kind == "memory":
        raise ConfigError("SIZZLE_STORE: memory: `sizzle runs` reads sqlite:///<path> and redis://… only.")
    compositions = settings.load_compositions()
    with _archive(settings, compositions, is_writable=is_writable) as archive:
        yield archive, compositions


def _archive(
    settings: "Settings", compositions: Mapping[str, "Composition"], *, is_writable: bool
) -> AbstractContextManager["Archive"]:
    from app.runs.opening import is_shared, shared_log
    from app.stores.archive import open_archive
    from app.stores.sqlite import parse_url
    from chains.parts.requests import run_request

    if is_shared(settings):
        log = shared_log(settings)
        from app.stores.redis.archive import open_redis_archive

        return open_redis_archive(log)
    requests = {name: run_request(each) for name, each in compositions.items()}
    path, _ = parse_url(settings.store)
    return open_archive(path, requests, settings.keep_s, is_writable=is_writable)


def _find(archive: "Archive", run_id: str) -> str:
    """Returns the one id with this prefix. Ends the command if there is not exactly one."""
    found = archive.ids(run_id)
    if len(found) != 1:
        raise typer.BadParameter(f"{len(found) or 'no'} runs begin with {run_id!r}", param_hint="ID")
    return found[0]


def _text(run_id: str, store: str | None, *, is_json: bool) -> str:
    from app.runs.markdown import run_markdown
    from app.stores import json_default

    with _opened(store) as (archive, compositions):
        run_id = _find(archive, run_id)
        state = _state(archive, compositions, run_id)
    if not state:
        raise ConfigError(f"Run {run_id}: its composition is not served (SIZZLE_COMPOSITIONS), or has changed.")
    if is_json:
        return orjson.dumps(state, default=json_default, option=orjson.OPT_INDENT_2).decode() + "\n"
    return run_markdown(compositions[state.composition], state)


def _state(archive: "Archive", compositions: Mapping[str, "Composition"], run_id: str) -> "RunState | None":
    """Returns the state of a run, or None if its composition is not served."""
    from app.runs.state import state_of
    from app.stores import RunStart, UnknownRunError

    entries = archive.entries(run_id)
    try:
        start = entries[0].event
    except UnknownRunError:
        return None
    if not isinstance(start, RunStart) or not set(start.parts) <= set(compositions[start.composition].names):
        return None
    state = state_of(start, compositions[start.composition])
    state.add(entries)
    return state


def _row(run: "ArchivedRun", state: "RunState | None") -> dict[str, object]:
    picked = state.options[state.picked or 0] if state and state.options else {}
    return {
        "run_id": run.id,
        "began_at": datetime.fromtimestamp(run.began_at).astimezone().isoformat(timespec="seconds"),
        "status": state.status if state else "unknown",
        "composition": state.composition if state else None,
        "title": next(iter(picked.values()), None),
        "bytes": run.size,
    }


def _table(rows: Sequence[Mapping[str, object]]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from app.cli.terminal import printable

    table = Table("Began", "Status", "Title", "Id", box=box.SIMPLE)
    table.add_column("Bytes", justify="right")
    for row in rows:
        title = Text(printable(str(row["title"] or row["composition"] or "")))
        began = str(row["began_at"])[:16].replace("T", " ")
        table.add_row(began, str(row["status"]), title, str(row["run_id"]), f"{row['bytes']:,}")
    return table

"""`sizzle usage`: what calls to models have used and cost."""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from app.cli.serve import Store, set_environment
from chains.errors import ConfigError
from chains.models.calls import NANO

if TYPE_CHECKING:
    from rich.table import Table

    from app.settings import Settings
    from app.stores.ledger import Account, Spending


def usage(
    store: Store = None,
    days: Annotated[int, typer.Option(min=1, max=92, help="How many days, today included.")] = 7,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Shows the calls to models, their tokens and cost, by day (UTC), client and model.

    Reserved is what calls under way may cost at most.
    """
    from app.settings import read_settings

    set_environment(store, None)
    accounts = asyncio.run(_accounts(read_settings().with_own_store()))
    since = (datetime.now(UTC).date() - timedelta(days - 1)).isoformat()
    rows = [_row(account, spending) for account, spending in accounts.items() if account.day >= since]
    if json:
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 160).print(_table(rows))


async def _accounts(settings: "Settings") -> "Mapping[Account, Spending]":
    from app.stores import UnavailableError
    from app.stores.database import Bounds, open_database
    from app.stores.sqlite import parse_url
    from app.stores.sqlite_ledger import accounts_in

    match settings.store_kind:
        case "sqlite":
            path, _ = parse_url(settings.store)
            if not path.exists():
                raise ConfigError(f"SIZZLE_STORE: {path}: there is no such file. `sizzle serve` creates it.")
            database = open_database(path, Bounds(settings.keep_s, 0, 0, 0), is_locked=False)
            try:
                return accounts_in(database)
            finally:
                database.close()
        case "redis":
            from app.runs.opening import shared_log

            async with aclosing(shared_log(settings)) as log:
                try:
                    return await log.ledger.rows()
                except UnavailableError:
                    raise ConfigError(f"SIZZLE_STORE: {log.address.label} does not answer.") from None
        case _:
            raise ConfigError("SIZZLE_STORE: memory:// keeps no usage: name a file or Redis.")


def _row(account: "Account", spending: "Spending") -> dict[str, object]:
    counts = spending._asdict()
    cost, reserved = counts.pop("nano_usd"), counts.pop("reserved_nano_usd")
    return {**account._asdict(), "cost_usd": (cost - reserved) / NANO, "reserved_usd": reserved / NANO, **counts}


def _table(rows: list[dict[str, object]]) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table("Day", "Client", "Model", box=box.SIMPLE)
    columns = {
        "calls": "Calls",
        "input_tokens": "Tokens in",
        "output_tokens": "Tokens out",
        "cost_usd": "US dollars",
        "reserved_usd": "Reserved",
    }
    for column in columns.values():
        table.add_column(column, justify="right")
    for row in rows:
        names = [str(row[name]) for name in ("day", "client", "model")]
        table.add_row(*names, *(_number(row[name]) for name in columns))
    table.show_footer = bool(rows)
    for place, name in enumerate(columns, 3):
        table.columns[place].footer = _number(sum(float(str(row[name])) for row in rows))
    return table


def _number(value: object) -> str:
    number = float(str(value))
    return f"{number:,.0f}" if number.is_integer() else f"{number:,.6f}"

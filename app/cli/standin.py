"""`sizzle standin`."""

import os
from typing import Annotated

import typer

from app.cli.exposure import audience
from app.cli.serve import Host, Open, Port, bound, urls_of


def standin(
    host: Host = "127.0.0.1",
    port: Port = 8001,
    ttft_ms: Annotated[float, typer.Option(min=0, help="Milliseconds to the first token.")] = 250,
    tokens_per_s: Annotated[float, typer.Option(min=0, help="Tokens a second; 0 for no limit.")] = 80,
    seed: Annotated[int, typer.Option(help="Changes the choice of dishes.")] = 0,
    open_: Open = False,
) -> None:
    """Serves the rule-based stand-in alone, as an OpenAI-compatible provider. Its API keys are Sizzle's tokens."""
    from app.server.protocol import ProviderHttp
    from app.settings import read_settings
    from app.standin.server import run

    if open_:
        os.environ["SIZZLE_OPEN"] = "true"
    users = audience(host, spends_money=False)
    tokens = read_settings().token_source()
    with bound(host, port) as sockets:
        run(
            sockets, f"{urls_of(sockets)}/v1, {users}", ttft_ms, tokens_per_s, seed,
            is_valid_key=lambda key: not tokens.current or tokens.current.knows(key), http=ProviderHttp,
        )  # fmt: skip

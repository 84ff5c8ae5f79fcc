"""The client of a connection, as pure ASGI middleware.

Whether `X-Forwarded-For` says where a client is depends on Uvicorn's `--forwarded-allow-ips`, by default 127.0.0.1.
"""

from typing import cast

from starlette.types import ASGIApp, Receive, Scope, Send

from app.clients import Client, working_for

CLIENT = "sizzle.client"  # the key of the client in a scope


def client_of(scope: Scope) -> Client:
    """Returns the client of a connection."""
    return cast(Client, scope[CLIENT]) if CLIENT in scope else Client.at((scope.get("client") or (None,))[0])


class Clients:
    """Puts the client of each connection into its scope and makes it the current one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        client = client_of(scope)
        with working_for(client):
            await self._app({**scope, CLIENT: client}, receive, send)
        return None

"""The client of a connection, as pure ASGI middleware.

Whether `X-Forwarded-For` says where a client is depends on Uvicorn's `--forwarded-allow-ips`, by default 127.0.0.1.
"""

import re
from collections.abc import Iterator
from typing import cast

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from app.clients import Client, working_for
from app.server.cors import is_foreign
from app.server.root_path import root_path
from app.server.tokens import TokenSource

CLIENT = "sizzle.client"  # the key of the client in a scope
COOKIE = "sizzle_session"


def client_of(scope: Scope) -> Client:
    """Returns the client of a connection."""
    return cast(Client, scope[CLIENT]) if CLIENT in scope else _at(scope)


class Clients:
    """Puts the client of each connection into its scope and makes it the current one."""

    def __init__(self, app: ASGIApp, tokens: TokenSource) -> None:
        self._app, self._tokens = app, tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        client = scope[CLIENT] = self._named(scope) or _at(scope)
        with working_for(client):
            await self._app(scope, receive, send)
        return None

    def _named(self, scope: Scope) -> Client | None:
        if not (tokens := self._tokens.current):
            return None
        connection = HTTPConnection(scope)
        if token := bearer_of(connection):
            return tokens.client_with(token)
        if is_foreign(connection.headers, ()):  # a page of the same host's other port has the cookie, too
            return None
        return next(filter(None, map(tokens.client_of_cookie, _cookies(connection))), None)


def cookie_name(scope: Scope) -> str:
    """Returns the name of the cookie of people who sign in; another one below each path.

    Over HTTPS no subdomain can set it (RFC 6265bis §4.1.3.2).
    """
    name = COOKIE + re.sub(r"[^\w-]", "_", root_path(scope), flags=re.ASCII)
    return f"__Host-{name}" if scope["scheme"] in ("https", "wss") else name


def _cookies(connection: HTTPConnection) -> Iterator[str]:
    """Returns all cookies of the name: over plain HTTP a subdomain can add one, which must not sign anybody out."""
    name = cookie_name(connection.scope)
    for header in connection.headers.getlist("cookie"):
        for pair in header.split(";"):
            key, _, value = pair.strip().partition("=")
            if key == name:
                yield value


def bearer_of(connection: HTTPConnection) -> str:
    """Returns the token in `Authorization` (RFC 6750 §2.1), or nothing."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _at(scope: Scope) -> Client:
    return Client.at((scope.get("client") or (None,))[0])

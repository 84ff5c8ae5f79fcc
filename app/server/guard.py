"""One guard in front of all routes and WebSockets, as pure ASGI middleware: who may send what."""

import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import LiteralString

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.admission import is_on_this_machine
from app.clients import Client
from app.server.clients import bearer_of, client_of
from app.server.cors import cors, host_of, is_foreign
from app.server.errors import HTTPError
from app.server.hosts import AllowedHosts, is_local
from app.server.root_path import route_path
from app.server.security_headers import SecurityHeaders
from app.server.tokens import TokenSource

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
WORKING_GETS = ("/completion",)
WITHOUT_TOKEN = ("/livez", "/readyz", "/sign-in", "/sign-out")
FORMS = ("/sign-in", "/sign-out")
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="Sizzle"'}
MAX_FAILURES, FAILURES_S = 10, 60  # of one address, with wrong tokens
MAX_ADDRESSES = 10_000

MISDIRECTED: LiteralString = "This server does not answer under this name. SIZZLE_ALLOWED_HOSTS can allow more."
CLOSED: LiteralString = "This server answers only its own machine, because it has no token: set SIZZLE_TOKEN."
FOREIGN: LiteralString = "Pages of other sites may not send this request. SIZZLE_CORS_ORIGINS can allow more origins."
NO_ROUTE: LiteralString = "There is nothing at this address. /docs lists the routes."
NOT_JSON: LiteralString = "The Content-Type must be application/json."
UNNAMED: LiteralString = "This server needs a token: send it as Authorization: Bearer TOKEN, or sign in at /sign-in."
UNKNOWN: LiteralString = "This token is not valid."
TOO_MANY: LiteralString = "Too many attempts with wrong tokens: try again in a minute."

Refuse = Callable[[HTTPConnection, HTTPError], Response]


class Failures:
    """Counts attempts with wrong tokens, by address."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, list[float]] = OrderedDict()  # the latest address last

    def is_full(self, client: Client) -> bool:
        return len(self._recent(client)) >= MAX_FAILURES

    def add(self, client: Client) -> None:
        self._times[client.name] = [*self._recent(client), monotonic()]
        self._times.move_to_end(client.name)
        if len(self._times) > MAX_ADDRESSES:
            self._times.popitem(last=False)

    def _recent(self, client: Client) -> list[float]:
        since = monotonic() - FAILURES_S
        return [at for at in self._times.get(client.name, ()) if at > since]


@dataclass(frozen=True, slots=True)
class Access:
    """Who may send what. `is_open` lets other machines in without a token."""

    tokens: TokenSource
    hosts: AllowedHosts
    origins: Collection[str] = ()  # of other sites whose pages may send everything
    is_open: bool = False
    shared: re.Pattern[str] | None = None  # paths that can be read without a token
    failures: Failures = field(default_factory=Failures)


def shared_paths(prefixes: Iterable[str]) -> re.Pattern[str]:
    """Returns the paths of runs, which nobody can guess: their pages, states and events."""
    return re.compile(rf"(?:{'|'.join(map(re.escape, prefixes))})/(?:r/[^/]+|runs/[^/]+(?:/events)?)")


def guarded(app: ASGIApp, access: Access, refuse: Refuse) -> ASGIApp:
    """Wraps the application in the middleware that refuses requests. Needs the client that `Clients` finds out.

    CORS is outside the guard, so that pages of allowed origins can read why they were refused.
    """
    return SecurityHeaders(HostGuard(cors(Guard(app, access, refuse), access.origins), access, refuse))


class HostGuard:
    """Refuses requests under a name that is not this server's: 421 (RFC 9110 §15.5.20)."""

    def __init__(self, app: ASGIApp, access: Access, refuse: Refuse) -> None:
        self._app, self._hosts, self._refuse = app, access.hosts, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            hosts = Headers(scope=scope).getlist("host") or [None]
            if len(hosts) > 1 or not self._hosts.allow(hosts[0], is_local=is_local(scope)):
                refusal = self._refuse(HTTPConnection(scope), HTTPError(421, MISDIRECTED))
                return await refuse(refusal, scope, receive, send)
        return await self._app(scope, receive, send)


class Guard:
    """Refuses what pages of other sites start, what needs a token, and bodies that are not JSON."""

    def __init__(self, app: ASGIApp, access: Access, refuse: Refuse) -> None:
        self._app, self._access, self._refuse = app, access, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            connection = HTTPConnection(scope)
            try:
                self._check(connection)
            except HTTPError as error:
                return await refuse(self._refuse(connection, error), scope, receive, send)
        return await self._app(scope, receive, send)

    def _check(self, connection: HTTPConnection) -> None:
        """Raises `HTTPError`."""
        access, scope, path = self._access, connection.scope, route_path(connection.scope)
        tokens = access.tokens.current
        if path.endswith("\n"):  # `$` in a pattern matches before it, so a route would, too
            raise HTTPError(404, NO_ROUTE)
        if not tokens and not access.is_open and not (is_local(scope) and is_on_this_machine(client_of(scope))):
            raise HTTPError(403, CLOSED)
        is_suspect = is_foreign(connection.headers, access.origins) or _may_be_foreign(connection)
        if is_suspect and not _only_reads(connection, path):
            raise HTTPError(403, FOREIGN)
        if tokens and not client_of(scope).is_named and not self._is_public(path, scope):
            raise self._no_token(connection)
        if path not in FORMS and _has_other_body(scope, connection.headers):
            raise HTTPError(415, NOT_JSON)

    def _is_public(self, path: str, scope: Scope) -> bool:
        if path in WITHOUT_TOKEN or path.startswith("/static/"):
            return True
        reads = scope.get("method") in ("GET", "HEAD")
        return bool(reads and self._access.shared and self._access.shared.fullmatch(path))

    def _no_token(self, connection: HTTPConnection) -> HTTPError:
        if not bearer_of(connection):
            return HTTPError(401, UNNAMED, CHALLENGE)
        client = client_of(connection.scope)
        if self._access.failures.is_full(client):
            return HTTPError(429, TOO_MANY, {"Retry-After": str(FAILURES_S)})
        self._access.failures.add(client)
        return HTTPError(401, UNKNOWN, CHALLENGE)


async def refuse(refusal: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Sends the refusal. Before its handshake, a WebSocket that is closed gets a 403 from the server."""
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close", "code": 1008})  # RFC 6455 §7.4.1
    return await refusal(scope, receive, send)


def is_navigation(headers: Headers) -> bool:
    """Whether a person follows a link, as far as the browser says."""
    return headers.get("sec-fetch-mode", "navigate") == "navigate" and "text/html" in headers.get("accept", "")


def _only_reads(connection: HTTPConnection, path: str) -> bool:
    """Whether the request neither starts work nor changes anything. A WebSocket, without a method, may do both."""
    return connection.scope.get("method") in SAFE_METHODS and path.rstrip("/") not in WORKING_GETS


def _may_be_foreign(connection: HTTPConnection) -> bool:
    """Whether a browser does not say which page a GET is for, and it is not known to be one of ours.

    For images and links browsers send no `Origin`, and over plain HTTP no `Sec-Fetch-Site`.
    """
    headers = connection.headers
    if connection.scope.get("method") not in SAFE_METHODS or "sec-fetch-site" in headers or bearer_of(connection):
        return False
    is_browser = headers.get("user-agent", "").startswith("Mozilla/")
    return is_browser and "origin" not in headers and host_of(headers.get("referer", "")) != headers.get("host")


def _has_other_body(scope: Scope, headers: Headers) -> bool:
    """Whether there is a body that is not JSON. Pages of other sites can send others without a CORS preflight."""
    if scope.get("method", "GET") in SAFE_METHODS:
        return False
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    is_empty = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
    return kind != "application/json" and bool(kind or not is_empty)

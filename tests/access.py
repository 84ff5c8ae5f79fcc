"""Servers that need a token, and the addresses of all their routes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from app.main import create_app
from tests.client import ask
from tests.servers import Provider, provider, serving, settings_from

TOKEN = "sizzle-canary-token-0123456789-abcdef"
RUN = "00000000-0000-4000-8000-000000000000"
VALUES = {"run_id": RUN, "part": "intro", "name": "fetch", "file_path": "index.html"}

OPEN: dict[str, Any] = {"open": True, "daily_budget_usd": 10_000}  # to clients of other machines

Route = tuple[str, str]  # a method and a path


@dataclass(frozen=True)
class Guarded:
    """A server that needs `TOKEN`, over a scripted provider."""

    app: FastAPI
    url: str
    provider: Provider

    def ask(self, method: str, path: str, token: str = TOKEN, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return ask(method, self.url + path, headers=headers | more.pop("headers", {}), **more)

    def routes(self) -> set[Route]:
        """All routes, from the application and from the documents of those that are mounted."""
        mounted = {(m, p) for mount in ("/v1", "/chains") for m, p in self._documented(mount)}
        return set(_routes_of(self.app)) | mounted | {("GET", "/chains/recipe/playground/"), ("GET", "/static/x.css")}

    def _documented(self, mount: str) -> Iterator[Route]:
        yield "GET", f"{mount}/openapi.json"
        for path, operations in self.ask("GET", f"{mount}/openapi.json").json()["paths"].items():
            for method in operations:
                yield method.upper(), _filled(mount + path)


@contextmanager
def guarded(**settings: Any) -> Iterator[Guarded]:
    with provider() as scripted:
        keys = {"groq_api_key": "sk-groq-1", "groq_base_url": scripted.url}
        app = create_app(settings_from(**{"token": TOKEN, **keys, **settings}))
        with serving(app) as url:
            yield Guarded(app, url, scripted)


def _routes_of(app: FastAPI) -> Iterator[Route]:
    for route in app.routes:
        contexts: Any = getattr(route, "effective_route_contexts", lambda only=route: [only])
        for each in contexts():
            for method in getattr(each, "methods", None) or ():
                yield method, _filled(each.path)


def _filled(path: str) -> str:
    return re.sub(r"{(\w+)(?::\w+)?}", lambda name: VALUES.get(name[1], "x"), path)

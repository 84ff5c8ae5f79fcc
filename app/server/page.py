"""The pages of compositions and their assets, without what takes long to import."""

from html import escape
from importlib.resources import files
from pathlib import Path

from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from app.server.root_path import root_path

WEB = Path(str(files("app") / "web"))
_HEAD = """<base href="{base}/">
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <link rel="icon" href="static/favicon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="static/style.css">"""


class Assets(StaticFiles):
    """Static files without the HTML pages, which have their own routes. Always whole: a server may ignore `Range`."""

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)

    @override
    async def get_response(self, path: str, scope: Scope) -> Response:
        if path.lower().endswith(".html"):
            raise HTTPException(404)
        return await super().get_response(path, scope)


def page_response(
    page: str | Path, scope: Scope, status: int = 200, *, headers: dict[str, str] | None = None,
    background: BackgroundTask | None = None,
) -> HTMLResponse:  # fmt: skip
    """Returns a page, or the page in a file, with what all pages have in their head.

    Its links are relative to where the server is, which `--root-path` says.
    """
    text = page if isinstance(page, str) else page.read_text("utf-8")
    text = text.replace("<!-- head -->", _HEAD.format(base=escape(root_path(scope))), 1)
    return HTMLResponse(text, status, headers, background=background)


def composition_page(template: str, description: str = "", title: str = "") -> str:
    """Returns a composition's page with its description as JSON. Without one, the page asks the server for it."""
    page, sheet = ((WEB / file).read_text("utf-8") for file in (template, "sheet.html"))
    element = f'  <script type="application/json" id="composition">{_escaped(description)}</script>'
    page = page.replace("<!-- title -->", escape(title))
    return page.replace("<!-- sheet -->", sheet + (element if description else ""))


def _escaped(json: str) -> str:
    return json.replace("<", r"\u003c")  # so that no text ends the element

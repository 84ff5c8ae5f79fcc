"""The guard's refusals, in the format that the client expects: OpenAI's clients, browsers, or other programs."""

from urllib.parse import quote

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from app.api.openai_errors import ApiError
from app.server.errors import HTTPError, error_response
from app.server.guard import is_navigation
from app.server.languages import language_of
from app.server.root_path import root_path, route_path

RELOAD = '<!doctype html><meta charset="utf-8"><title>Sizzle</title><meta http-equiv="refresh" content="0">'


def refusal(connection: HTTPConnection, error: HTTPError) -> Response:
    """Returns the answer to a request that the guard refuses."""
    if route_path(connection.scope).startswith("/v1/"):
        code = "invalid_api_key" if error.status_code == 401 else None
        body = ApiError(error.status_code, error.message, code=code).body(language_of(connection))
        return JSONResponse(body, error.status_code, error.headers)
    if error.status_code == 401 and connection.scope.get("method") == "GET" and is_navigation(connection.headers):
        return _to_sign_in(connection)
    return error_response(connection, error.status_code, error.message, error.headers)


def _to_sign_in(connection: HTTPConnection) -> Response:
    """Sends a browser to the page where people sign in.

    From another site's link it arrives without its strict cookie, so the page first reloads itself from our own.
    """
    if connection.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        return HTMLResponse(RELOAD, 401)
    url = connection.url
    here = quote(f"{url.path}?{url.query}" if url.query else url.path, safe="/")
    return RedirectResponse(f"{root_path(connection.scope)}/sign-in?next={here}", 303)

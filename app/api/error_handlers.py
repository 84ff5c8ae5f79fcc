"""Exception handlers: errors as JSON, and a 404 page for browsers."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Mount

from app.admission import RefusedError
from app.api.web import missing_page, wants_page
from app.server.disconnect import client_closed_request
from app.server.errors import (
    HTTPError,
    InvalidFieldError,
    detail_response,
    error_response,
    provider_error,
    validation_error,
)
from app.server.guard import NO_ROUTE
from app.server.languages import language_of
from chains.errors import OUR_SIDE, SizzleError
from chains.messages import Message
from chains.translations import KOREAN_STATUS

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
NOTHING = Message(NO_ROUTE)
FASTAPI_UNREADABLE = "There was an error parsing the body"  # nested too deeply, not UTF-8, or a number too long
UNREADABLE = InvalidFieldError("body", Message("The body is not valid JSON."), Message("A JSON object in UTF-8."))


def add_error_handlers(app: FastAPI) -> None:
    """Adds handlers that answer every error with JSON."""
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, validation_error)
    app.add_exception_handler(InvalidFieldError, validation_error)
    app.add_exception_handler(SizzleError, provider_error)
    app.add_exception_handler(RefusedError, refused)
    app.add_exception_handler(ClientDisconnect, client_closed_request)
    app.add_exception_handler(Exception, internal_error)


async def http_error(request: Request, error: Exception) -> Response:
    """Answers with JSON. A 405 lists all methods of the address, and OPTIONS returns that list."""
    assert isinstance(error, HTTPException)  # noqa: S101  registered for this class only
    if (error.status_code, error.detail) == (400, FASTAPI_UNREADABLE):
        return detail_response([UNREADABLE.in_language(language_of(request))], 400)
    if error.status_code == 405:
        return _wrong_method(request)
    if isinstance(error, HTTPError):
        return error_response(request, error.status_code, error.message, error.headers)
    if error.detail == HTTPStatus.NOT_FOUND.phrase:
        return missing_page(request) if wants_page(request) else error_response(request, 404, NOTHING, error.headers)
    korean = KOREAN_STATUS.get(error.status_code) if language_of(request) == "ko" else None
    return detail_response(korean or error.detail, error.status_code, error.headers)


async def refused(request: Request, error: Exception) -> Response:
    """Answers 429 or 503 with `Retry-After`."""
    assert isinstance(error, RefusedError)  # noqa: S101  registered for this class only
    return error_response(request, error.status, error.message, error.headers)


def _wrong_method(request: Request) -> Response:
    allowed = ", ".join(allowed_methods(request))
    if request.method == "OPTIONS":
        return Response(status_code=204, headers={"Allow": allowed})
    return error_response(request, 405, Message("This address answers {methods}.", methods=allowed), {"Allow": allowed})


async def internal_error(request: Request, error: Exception) -> JSONResponse:
    """Answers 500 without details. Starlette raises the error again afterwards, for the server's log."""
    return error_response(request, 500, Message(OUR_SIDE))


def allowed_methods(request: Request) -> list[str]:
    """All methods that the address knows."""
    routes = [route for route in request.app.router.routes if not isinstance(route, Mount)]
    scopes = {method: {**request.scope, "method": method} for method in METHODS}
    found = [
        method for method, scope in scopes.items() if any(route.matches(scope)[0] is Match.FULL for route in routes)
    ]
    reads = ["GET", "HEAD"] if "GET" in found or not found else []  # mounts serve files only
    return [*reads, *(method for method in found if method not in reads)]

"""Errors as JSON, and a page for people who try an address: the one place where an HTTP status becomes an answer."""

from dataclasses import asdict
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Mount

from app.disconnect import gone
from app.pages import missing_page, wants_page
from app.refusals import BadInput, bad_input, failed_call
from chains.errors import SizzleError

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
OUR_SIDE = "Something went wrong on our side: try again."
NO_ROUTE = "There is nothing at this address. /docs lists the routes."
FASTAPIS_UNREADABLE = "There was an error parsing the body"  # too deep, not UTF-8, too long a number
UNREADABLE = BadInput("body", "This is not JSON that can be read.", "A JSON object in UTF-8.")


def add_error_handlers(app: FastAPI) -> None:
    """Has every error answered as JSON."""
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, bad_input)
    app.add_exception_handler(BadInput, bad_input)
    app.add_exception_handler(SizzleError, failed_call)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, our_fault)


async def http_error(request: Request, error: Exception) -> Response:
    """The error as JSON; 405 lists all methods that the address knows, and OPTIONS is answered with that list."""
    assert isinstance(error, HTTPException)  # noqa: S101  registered for nothing else
    if (error.status_code, error.detail) == (400, FASTAPIS_UNREADABLE):
        return JSONResponse({"detail": [asdict(UNREADABLE)]}, 400)
    if error.status_code == 405:
        return _wrong_method(request)
    is_unexplained = error.detail == HTTPStatus.NOT_FOUND.phrase
    if is_unexplained and wants_page(request):
        return missing_page(request)
    return JSONResponse({"detail": NO_ROUTE if is_unexplained else error.detail}, error.status_code, error.headers)


def _wrong_method(request: Request) -> Response:
    allowed = ", ".join(_allowed_methods(request))
    if request.method == "OPTIONS":
        return Response(status_code=204, headers={"Allow": allowed})
    return JSONResponse({"detail": f"This address answers {allowed}."}, 405, {"Allow": allowed})


async def our_fault(_: Request, error: Exception) -> JSONResponse:
    """500 without the error's own words. Starlette raises the error again afterwards, for the server's log."""
    return JSONResponse({"detail": OUR_SIDE}, 500)


def _allowed_methods(request: Request) -> list[str]:
    routes = [route for route in request.app.router.routes if not isinstance(route, Mount)]
    scopes = {method: {**request.scope, "method": method} for method in METHODS}
    found = [
        method for method, scope in scopes.items() if any(route.matches(scope)[0] is Match.FULL for route in routes)
    ]
    reads = ["GET", "HEAD"] if "GET" in found or not found else []  # files, the only content of a mount, can be read
    return [*reads, *(method for method in found if method not in reads)]

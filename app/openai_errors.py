"""Errors in OpenAI's form, with a hint for addresses that other clients of OpenAI's API ask for."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from chains.errors import SizzleError

HINT = "There are POST /v1/chat/completions, GET /v1/models and GET /v1/models/<id>."
BASE_URL_HINT = "The base URL for OpenAI's clients ends in /v1: ask /v1{path}."
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

outside = APIRouter(include_in_schema=False)  # the addresses of a client whose base URL lacks /v1


@dataclass(eq=False)
class ApiError(Exception):
    """An answer in OpenAI's form for errors."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None

    @property
    def body(self) -> dict[str, Any]:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


async def in_openais_form(request: Request, error: Exception) -> JSONResponse:
    api_error = _api_error(request, error)
    headers = error.headers if isinstance(error, HTTPException) else None
    return JSONResponse(api_error.body, api_error.status, headers)


def _api_error(request: Request, error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case SizzleError():
            return ApiError(502, str(error))
        case RequestValidationError():
            problem = error.errors()[0]
            names = [str(place) for place in problem["loc"][1:] if isinstance(place, str)] or ["body"]
            wrong = problem["msg"].removeprefix("Value error, ").removesuffix(".")
            return ApiError(400, f"{'.'.join(names)}: {wrong}.", names[0], "invalid_value")
        case HTTPException(status_code=status, detail=detail):
            is_unknown = status in (404, 405)
            hint = f" {HINT}" if is_unknown else ""
            code = "unknown_url" if is_unknown else None
            return ApiError(
                status, f"{detail.removesuffix('.')} ({request.method} {request.url.path}).{hint}", code=code
            )
        case _:
            raise error


def _hint_at(path: str) -> Callable[[], Awaitable[JSONResponse]]:
    async def hint() -> JSONResponse:
        error = ApiError(404, f"{BASE_URL_HINT.format(path=path)} {HINT}", code="unknown_url")
        return JSONResponse(error.body, error.status)

    return hint


for _path in ("/chat/completions", "/completions", "/responses", "/embeddings", "/models"):
    outside.add_api_route(_path, _hint_at(_path), methods=METHODS)

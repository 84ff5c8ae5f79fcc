"""Errors in OpenAI's format, with hints for other addresses of OpenAI's API."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, LiteralString

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from app.admission import RefusedError
from app.api.error_handlers import allowed_methods
from app.api.openapi import Responses
from app.runs.budget import RETRY_S, BudgetError
from app.server.errors import HTTPError
from app.server.languages import language_of
from chains.errors import SizzleError
from chains.messages import Message
from chains.translations import KOREAN_STATUS, Language
from chains.validation import validation_message

HINT = Message("Available: POST /v1/chat/completions, GET /v1/models and GET /v1/models/<id>.")
BASE_URL_HINT: LiteralString = "The base URL for OpenAI's clients ends in /v1: use /v1{path}."
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "message": {"type": "string", "description": "What went wrong, as a user-facing message."},
                "type": {"enum": ["invalid_request_error", "requests", "server_error"]},
                "param": {"type": ["string", "null"], "description": "The invalid parameter."},
                "code": {"type": ["string", "null"]},
            },
            "required": ["message", "type", "param", "code"],
        }
    },
    "required": ["error"],
}

hints = APIRouter(include_in_schema=False)  # for clients whose base URL lacks /v1


@dataclass(eq=False)
class ApiError(Exception):
    """An error in OpenAI's format."""

    status: int
    message: Message
    param: str | None = None
    code: str | None = None

    def body(self, language: Language) -> dict[str, Any]:
        usual = "server_error" if self.status >= 500 else "invalid_request_error"
        kind = "requests" if self.status == 429 else usual
        message = self.message.in_language(language)
        return {"error": {"message": message, "type": kind, "param": self.param, "code": self.code}}


async def openai_error_response(request: Request, error: Exception) -> Response:
    headers = error.headers if isinstance(error, HTTPException | RefusedError) else None
    if isinstance(error, HTTPException) and error.status_code == 405:
        headers = {"Allow": ", ".join(allowed_methods(request))}
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
    api_error = _api_error(request, error)
    headers = {"Vary": "Accept-Language", **(headers or {})}
    return JSONResponse(api_error.body(language_of(request)), api_error.status, headers)


def _api_error(request: Request, error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case BudgetError(status=status, retry_after=seconds) if seconds > RETRY_S:  # used up for today
            return ApiError(status, error.message, code="insufficient_quota")
        case RefusedError(status=status):
            return ApiError(status, error.message, code="rate_limit_exceeded" if status == 429 else None)
        case SizzleError():
            return ApiError(502, error.message)
        case RequestValidationError():
            problem = error.errors()[0]
            names = [str(place) for place in problem["loc"][1:] if isinstance(place, str)] or ["body"]
            wrong = validation_message(problem, language_of(request))
            message = Message("{field}: {wrong}.", field=".".join(names), wrong=wrong)
            return ApiError(400, message, names[0], "invalid_value")
        case HTTPException(status_code=status, detail=detail):
            language, is_unknown = language_of(request), status in (404, 405)
            if isinstance(error, HTTPError):
                detail = error.message.in_language(language)
            elif language == "ko":
                detail = KOREAN_STATUS.get(status, detail)
            message = Message(
                "{wrong} ({method} {path}).{hint}",
                wrong=detail.removesuffix("."),
                method=request.method,
                path=request.url.path,
                hint=f" {HINT.in_language(language)}" if is_unknown else "",
            )
            return ApiError(status, message, code="unknown_url" if is_unknown else None)
        case _:
            raise error


def api_errors(*statuses: int) -> Responses:
    """Returns the error responses with these statuses, for the `responses` of a route."""
    content = {"application/json": {"schema": ERROR}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def _hint_at(path: str) -> Callable[[Request], Awaitable[JSONResponse]]:
    async def hint(request: Request) -> JSONResponse:
        language = language_of(request)
        address = Message(BASE_URL_HINT, path=path).in_language(language)
        message = Message("{message}", message=f"{address} {HINT.in_language(language)}")
        return JSONResponse(ApiError(404, message, code="unknown_url").body(language), 404)

    return hint


for _path in ("/chat/completions", "/completions", "/responses", "/embeddings", "/models"):
    hints.add_api_route(_path, _hint_at(_path), methods=METHODS)

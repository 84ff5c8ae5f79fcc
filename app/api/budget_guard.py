"""Refuses requests that start work while there is no budget left, as pure ASGI middleware."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.error_handlers import refused
from app.api.openai_errors import openai_error_response
from app.runs.budget import Budget, BudgetError
from app.server.clients import client_of
from app.server.guard import FORMS, WORKING_GETS
from app.server.root_path import route_path


class BudgetGuard:
    """Answers 503 if the server has used up its budget, and 429 if the client has, whatever the route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _starts_work(scope):
            budget: Budget = scope["app"].state.opened.budget
            try:
                await budget.check(client_of(scope).name)
            except BudgetError as error:
                return await (await refusal(Request(scope), error))(scope, receive, send)
        return await self._app(scope, receive, send)


def _starts_work(scope: Scope) -> bool:
    path = route_path(scope).rstrip("/")
    if scope["method"] == "GET":
        return path in WORKING_GETS
    return scope["method"] == "POST" and path not in FORMS


async def refusal(request: Request, error: BudgetError) -> Response:
    """Returns the answer, in OpenAI's format for its clients."""
    if route_path(request.scope).startswith("/v1/"):
        return await openai_error_response(request, error)
    return await refused(request, error)

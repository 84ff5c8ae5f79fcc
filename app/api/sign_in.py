"""The page where people sign in with a token. It works without JavaScript."""

import logging
import re
from html import escape
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.api.deps import AccessDep, ClientDep, RootPath
from app.clients import Client
from app.server.clients import cookie_name
from app.server.guard import FAILURES_S, TOO_MANY, UNKNOWN
from app.server.languages import language_of
from app.server.page import WEB, page_response
from app.server.tokens import COOKIE_S
from chains.messages import Message
from chains.translations import Language

logger = logging.getLogger(__name__)

WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "title": "Sign in",
        "lead": "This server is private. The person who runs it gives out tokens.",
        "label": "Your token",
        "sign_in": "Sign in",
        "signed_in": "You are signed in as {name}.",
        "cook": "Cook something",
        "sign_out": "Sign out",
    },
    "ko": {
        "title": "로그인",
        "lead": "아무나 쓸 수 있는 서버가 아니에요. 토큰은 운영하는 사람에게서 받을 수 있어요.",
        "label": "토큰",
        "sign_in": "로그인",
        "signed_in": "{name} 이름으로 로그인했어요.",
        "cook": "레시피 만들러 가기",
        "sign_out": "로그아웃",
    },
}
REFUSALS = {401: Message(UNKNOWN), 429: Message(TOO_MANY)}
MAX_FORM = 4096  # bytes
OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")  # browsers read \ as /

Next = Annotated[str, Query()]

router = APIRouter(include_in_schema=False)


@router.get("/sign-in")
async def page(request: Request, access: AccessDep, client: ClientDep, root: RootPath) -> Response:
    """Shows the form, or who is signed in."""
    return _page(request, client) if access.tokens.current else RedirectResponse(f"{root}/", 303)


@router.post("/sign-in")
async def sign_in(request: Request, access: AccessDep, client: ClientDep, root: RootPath, next: Next = "") -> Response:
    """Exchanges a token for a cookie."""
    tokens = access.tokens.current
    found = tokens.client_with(_token_in(await request.body()))
    if not found and access.failures.is_full(client):
        return _page(request, client, 429)
    if not found:
        access.failures.add(client)
        return _page(request, client, 401)
    logger.info("Signed in.", extra={"client": found.name, "address": client.name})
    response = RedirectResponse(next if OWN_PATH.fullmatch(next) else f"{root}/", 303)
    response.set_cookie(cookie_name(request.scope), tokens.cookie_for(found.name), COOKIE_S, **_scope_of(request, root))
    return response


@router.post("/sign-out")
async def sign_out(request: Request, root: RootPath) -> Response:
    response = RedirectResponse(f"{root}/sign-in", 303)
    response.delete_cookie(cookie_name(request.scope), **_scope_of(request, root))
    return response


def _scope_of(request: Request, root: str) -> dict[str, Any]:
    """Returns where browsers send the cookie."""
    is_secure = request.url.scheme == "https"  # then its name begins with __Host-, which needs the path /
    return {"path": "/" if is_secure else f"{root}/", "secure": is_secure, "httponly": True, "samesite": "strict"}


def _token_in(form: bytes) -> str:
    """Returns nothing for a form that is longer than any token, because parsing it would take a second."""
    fields = parse_qs(form.decode("ascii", "replace")) if len(form) <= MAX_FORM else {}
    return fields.get("token", [""])[0].strip()


def _page(request: Request, client: Client, status: int = 200) -> HTMLResponse:
    language, refusal = language_of(request), REFUSALS.get(status)
    content = (WEB / "sign-in.html").read_text("utf-8").format(
        language=language,
        hidden_form="hidden" if client.is_named else "",
        hidden_sign_out="" if client.is_named else "hidden",
        invalid='aria-invalid="true"' if refusal else "",
        error=refusal.in_language(language) if refusal else "",
        **{name: text.format(name=escape(client.name)) for name, text in WORDS[language].items()},
    )  # fmt: skip
    headers = {"Vary": "Accept-Language, Cookie", "Cache-Control": "no-store"}
    headers |= {"Retry-After": str(FAILURES_S)} if status == 429 else {}
    return page_response(content, request.scope, status, headers=headers)

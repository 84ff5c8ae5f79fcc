"""The page of playgrounds, and the 404 page."""

from html import escape

from fastapi import Request
from fastapi.responses import HTMLResponse

from app.compositions import place_of
from app.server.languages import language_of
from app.server.page import WEB, page_response
from chains.parts.composition import Composition
from chains.translations import Language

WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "title": "There is nothing here",
        "text": "The address may have been mistyped, or what it led to is gone.",
        "link": "Cook something instead",
    },
    "ko": {
        "title": "여기에는 아무것도 없어요",
        "text": "주소를 잘못 적었거나, 있던 것이 사라졌을 수 있어요.",
        "link": "레시피 만들러 가기",
    },
}


def playgrounds_page(composition: Composition) -> str:
    """Returns the page that links to the playground of a composition and of each of its parts."""
    path = f"{place_of(composition).prefix}/".removeprefix("/")  # relative to the root of the server
    titles = {composition.name: f"{composition.title_in('en')}: the whole as Markdown, in reading order."}
    titles |= {part.name: f"{part.title_in('en')}." for part in composition.reading_order}
    links = (
        f'<li><h3><a href="{path}chains/{name}/playground/">{name}</a></h3><p>{escape(text)}</p></li>'
        for name, text in titles.items()
    )
    page = (WEB / "chains.html").read_text("utf-8").replace("<!-- prefix -->", path)
    return page.replace("<!-- links -->", f'<ul class="links" role="list">{"".join(links)}</ul>')


def wants_page(request: Request) -> bool:
    """Whether a browser navigates to the address."""
    return request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", "")


def missing_page(request: Request) -> HTMLResponse:
    """Returns the 404 page in the browser's language."""
    language = language_of(request)
    page = (WEB / "missing.html").read_text("utf-8").format(language=language, **WORDS[language])
    return page_response(page, request.scope, 404, headers={"Vary": "Accept, Accept-Language"})

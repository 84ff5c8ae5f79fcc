"""Connections to the providers."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.client import ask, events_named, read, wait_until
from tests.conftest import Serve, ServeScripts
from tests.servers import Refuse, chunk, serving


def test_opening_the_page_opens_connections_to_the_providers(serve: Serve) -> None:
    """Several connections with the provider's key are opened, but not again for the next visitor."""
    seen: list[tuple[int, str]] = []

    async def models(request: Request) -> JSONResponse:
        assert request.client
        seen.append((request.client.port, request.headers["authorization"]))
        return JSONResponse({"data": []})

    with serving(Starlette(routes=[Route("/v1/models", models)])) as provider:
        url = serve(groq_api_key="k-1", groq_base_url=f"{provider}/v1")
        for _ in range(3):
            assert ask("GET", url).status_code == 200
        assert wait_until(lambda: len(seen) == 3, seconds=2)
        assert len({port for port, _ in seen}) == 3
        assert {key for _, key in seen} == {"Bearer k-1"}


def test_a_provider_without_a_list_of_models_works(serve_scripts: ServeScripts) -> None:
    """The page is served and a recipe is written anyway."""
    url, _ = serve_scripts()
    assert ask("GET", url).status_code == 200
    assert events_named(read(url), "end")[0]["status"] == "ok"


@pytest.mark.parametrize("late_s", [0.03, 3600], ids=["soon", "never"])
def test_a_late_end_of_a_body_delays_nothing(serve: Serve, late_s: float) -> None:
    """The end of the body after `[DONE]` is waited for only briefly, so that the connection can be reused."""
    ports: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        yield chunk({"content": "Onions."}) + chunk({}, "stop") + b"data: [DONE]\n\n"
        await asyncio.sleep(late_s)

    async def completions(request: Request) -> StreamingResponse:
        assert request.client
        ports.append(request.client.port)
        return StreamingResponse(body(), media_type="text/event-stream")

    app = Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"])])
    with serving(app) as provider:
        url = serve(groq_api_key="k-1", groq_base_url=f"{provider}/v1")
        for _ in range(3):
            assert ask("GET", f"{url}/completion", params={"query": "What goes with beef?"}).text == "Onions."
        assert len(set(ports)) == (1 if late_s < 1 else 3)


def test_a_compressed_body_is_refused(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """A small body could become a huge one, so compression is not requested; the log says what arrived."""
    bomb = gzip.compress(chunk({"content": "x" * 1000}) * 100_000)

    async def completions(request: Request) -> Response:
        assert request.headers["accept-encoding"] == "identity"
        return Response(bomb, headers={"Content-Encoding": "gzip"}, media_type="text/event-stream")

    with serving(Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"])])) as provider:
        url = serve(groq_api_key="k-1", groq_base_url=f"{provider}/v1")
        refused = ask("GET", f"{url}/completion", params={"query": "What goes with beef?"})
    assert refused.status_code == 502
    assert "an invalid response" in refused.json()["detail"]
    assert "a compressed body" in caplog.text


@pytest.mark.parametrize(
    "headers", [{"Content-Encoding": "none"}, {"Content-Encoding": "identity, utf-8"}, {"X-Padding": "x" * 20_000}]
)
def test_odd_headers_of_an_answer_do_not_matter(serve: Serve, headers: dict[str, str]) -> None:
    """Only what is compressed is refused, and some proxies send long headers."""

    async def completions(_: Request) -> Response:
        body = chunk({"content": "Onions."}) + chunk({}, "stop")
        return Response(body, headers=headers, media_type="text/event-stream")

    with serving(Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"])])) as provider:
        url = serve(groq_api_key="k-1", groq_base_url=f"{provider}/v1")
        assert ask("GET", f"{url}/completion", params={"query": "What goes with beef?"}).text == "Onions."


@pytest.mark.parametrize("sent", ["one by one", "all at once"])
def test_an_answer_faster_than_its_reader_is_complete(serve: Serve, sent: str) -> None:
    """It waits at the sender while a block is processed."""
    words = [f"{number} " for number in range(4000)]
    events = [chunk({"content": word}) for word in words] + [chunk({}, "stop"), b"data: [DONE]\n\n"]
    whole = b"".join(events)

    async def body() -> AsyncIterator[bytes]:
        for block in events if sent == "one by one" else [whole]:
            yield block

    async def completions(request: Request) -> Response:
        return StreamingResponse(body(), media_type="text/event-stream")

    with serving(Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"])])) as provider:
        url = serve(groq_api_key="k-1", groq_base_url=f"{provider}/v1")
        assert ask("GET", f"{url}/completion", params={"query": "Count."}).text == "".join(words)


def test_a_redirect_is_not_followed(serve_scripts: ServeScripts) -> None:
    """Its key is for the configured address; the message names the setting."""
    url, provider = serve_scripts({"completion": [Refuse(308)]})
    refused = ask("GET", f"{url}/completion", params={"query": "What goes with beef?"})
    assert [refused.status_code, refused.json()["detail"]] == [502, "Groq has moved (308): check its base URL."]
    assert len(provider.calls) == 1

"""Connections to the providers."""

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.client import read, told, wait_until
from tests.conftest import Serve, ServeScripts
from tests.servers import serving


def test_opening_the_page_opens_connections_to_the_providers(serve: Serve) -> None:
    """Several at once, with the provider's key, and not again for the next one who opens it."""
    seen: list[tuple[int, str]] = []

    async def models(request: Request) -> JSONResponse:
        assert request.client
        seen.append((request.client.port, request.headers["authorization"]))
        return JSONResponse({"data": []})

    with serving(Starlette(routes=[Route("/v1/models", models)])) as provider:
        url = serve(groq_api_key="k-1", groq_base_url=f"{provider}/v1")
        for _ in range(3):
            assert httpx.get(url).status_code == 200
        assert wait_until(lambda: len(seen) == 3, seconds=2)
        assert len({port for port, _ in seen}) == 3
        assert {key for _, key in seen} == {"Bearer k-1"}


def test_a_provider_that_knows_no_list_of_models_is_no_trouble(serve_scripts: ServeScripts) -> None:
    """The page is served and a recipe written all the same."""
    url, _ = serve_scripts()
    assert httpx.get(url).status_code == 200
    assert told(read(url), "end")[0]["status"] == "ok"

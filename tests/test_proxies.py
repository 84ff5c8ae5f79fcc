"""Streams through a real nginx that compresses and buffers arrive piece by piece, complete, and can be resumed."""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from tests.client import REQUEST, ReceivedEvent, ask, decoded, start, wait_until
from tests.conftest import ServeScripts
from tests.needs import program
from tests.servers import Gate, serving

NAME = "cook.example"
CONFIG = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on;
    gzip_types *;
    gzip_min_length 0;
    gzip_proxied any;
    server {{
        listen unix:{folder}/socket;
        location {prefix}/ {{
            proxy_pass {url}/;
            proxy_set_header Host $http_host;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


@pytest.fixture(autouse=True)
def _nginx_is_there() -> None:
    program("nginx")


@contextmanager
def behind_nginx(url: str, prefix: str = "") -> Iterator[httpx.Client]:
    """A client of an nginx that shows the server below the prefix, over a Unix socket."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "nginx.conf")
        config.write_text(CONFIG.format(folder=folder, url=url, prefix=prefix), encoding="utf-8")
        nginx = subprocess.Popen([program("nginx"), "-p", folder, "-c", config])  # noqa: S603
        try:
            assert wait_until(Path(folder, "pid").exists, seconds=10)
            transport = httpx.HTTPTransport(uds=f"{folder}/socket")
            with httpx.Client(transport=transport, base_url=f"http://{NAME}", timeout=20) as client:
                yield client
        finally:
            nginx.terminate()
            nginx.wait()


CHAT = {"model": "sizzle", "stream": True, "messages": [{"role": "user", "content": "beef, onions"}]}
STREAMS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "plain text": ("GET", "/completion", {"params": {"query": "beef"}}),
    "completion events": (
        "GET",
        "/completion",
        {"params": {"query": "beef"}, "headers": {"Accept": "text/event-stream"}},
    ),
    "chat completions": ("POST", "/v1/chat/completions", {"json": CHAT}),
    "chain": ("POST", "/chains/recipe/stream", {"json": {"input": REQUEST}}),
    "generate": ("POST", "/generate", {"json": REQUEST}),
}


@pytest.mark.parametrize("name", STREAMS)
def test_text_arrives_piece_by_piece(serve_scripts: ServeScripts, name: str) -> None:
    """The first words arrive while the provider waits, and all of the text arrives."""
    method, path, more = STREAMS[name]
    gate = Gate()
    script = ["First 소금 ", gate, "and last."]
    url, _ = serve_scripts({"completion": script, "intro": script}, allowed_hosts=NAME)
    with behind_nginx(url) as client, client.stream(method, path, **more) as answer:
        text = ""
        for piece in answer.iter_text():
            text += piece
            if "First 소금" in text:
                gate.open()
    assert "last." in text
    assert answer.headers["cache-control"] == "no-store, no-transform"


def test_a_run_is_resumed_exactly(serve_scripts: ServeScripts) -> None:
    """A reader that is cut anywhere gets the rest with the id of its last event."""
    gate = Gate()
    url, _ = serve_scripts({"steps": ["First ", gate, "and last."]}, allowed_hosts=NAME)
    path = start(url).removeprefix(url)
    with behind_nginx(url) as client:
        with client.stream("GET", f"{path}/events") as answer:
            body = b""
            for piece in answer.iter_bytes():
                body += piece
                if b"First" in body:
                    break
        gate.open()
        first = decoded(body)
        rest = client.get(f"{path}/events", headers={"Last-Event-ID": first[-1].id}).content
    whole: list[ReceivedEvent] = decoded(ask("GET", f"{url}{path}/events").content)
    assert first + decoded(rest) == whole
    assert whole[-1].name == "end"


PAGE = {"Accept": "text/html"}
PAGES = [
    "/",
    "/trip/",
    "/r/x",
    "/race",
    "/examples/",
    "/examples/fetch",
    "/chains",
    "/trip/chains",
    "/docs",
    "/nothing/here",
]


def test_everything_works_below_a_prefix() -> None:
    """Every address that a page or an answer gives leads to something below the prefix of `--root-path`."""
    settings = Settings(compositions=("examples.trip:TRIP",), drain_s=0, standin_ttft_ms=0, allowed_hosts=(NAME,))
    app = create_app(settings)
    with serving(app, root_path="/sizzle") as url, behind_nginx(url, "/sizzle") as client:
        links = {
            urljoin(f"/sizzle{page}", link)
            for page in PAGES
            for link in links_of(client.get(f"/sizzle{page}", headers=PAGE))
        }
        links |= {client.post("/sizzle/runs", json=REQUEST).headers["location"]}
        links |= {client.get("/sizzle/trip").headers["location"], client.get("/sizzle/examples").headers["location"]}
        assert len(links) > 30
        assert {link: client.get(link, follow_redirects=True).status_code for link in links} == dict.fromkeys(
            links, 200
        )
        assert client.get("/sizzle/openapi.json").json()["servers"] == [{"url": "/sizzle"}]


def links_of(answer: httpx.Response) -> list[str]:
    """Returns the addresses of a page's links, scripts and styles, as a browser resolves them."""
    (base,) = re.findall('<base href="(.*?)">', answer.text)
    return [urljoin(base, link) for link in re.findall('<(?:a|link|script|img).*? (?:href|src)="(.*?)"', answer.text)]

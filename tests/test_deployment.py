"""What deploy/ ships does what it says, as far as that can be seen without Docker."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
import yaml
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from app.cli import cli
from app.main import create_app
from app.settings import Settings
from tests.client import NO_TLS, wait_until
from tests.deployment import DEPLOY, ROOT, caddy, nginx, trusting
from tests.servers import Gate, serving, settings_from

FOREIGN_SETTINGS = {
    "HOST": "sizzle serve",
    "PORT": "sizzle serve",
    "FORWARDED_ALLOW_IPS": "Uvicorn",
    "REDIS_PASSWORD": "compose.yaml itself",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "OpenTelemetry",
}


def test_the_requirements_are_the_constraints_with_hashes() -> None:
    """Every package of the deployment is pinned as everywhere else, and neither file names a registry."""
    text, constraints = ((path).read_text() for path in (DEPLOY / "requirements.txt", ROOT / "constraints.txt"))
    pins, *hashes = zip(*(block.split("    --hash=", 1) for block in re.split(r"\n(?=\S)", text)), strict=True)
    assert {pin.removesuffix(" \\\n") for pin in pins} <= set(constraints.splitlines())
    assert all(each.startswith("sha256:") for each in hashes[0])
    assert not re.search("://|--(extra-)?index|--find-links", text + constraints)
    assert {"opentelemetry-sdk", "redis", "setuptools", "uvicorn"} <= {re.split("[= ]", pin)[0] for pin in pins}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def test_only_the_proxy_can_be_reached_from_other_machines(compose: dict[str, Any]) -> None:
    services, networks = compose["services"], compose["networks"]
    published = {name: each["ports"] for name, each in services.items() if "ports" in each}
    assert published.pop("proxy") == ["80:80", "443:443"]
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert networks["front"]["internal"]
    assert services["redis"]["networks"] == ["back"]
    assert networks["back"] == {"internal": True}


def test_the_proxy_knows_the_addresses_of_the_nodes(compose: dict[str, Any]) -> None:
    services = compose["services"]
    in_front = {name: each["networks"]["front"] for name, each in services.items() if "front" in each["networks"]}
    addresses = {name: each["ipv4_address"] for name, each in in_front.items()}
    (subnet,) = (each["subnet"] for each in compose["networks"]["front"]["ipam"]["config"])
    assert all(ip_address(each) in ip_network(subnet) for each in addresses.values())
    proxy = addresses.pop("proxy")
    assert {services[name]["environment"]["FORWARDED_ALLOW_IPS"] for name in addresses} == {proxy}
    servers = re.findall(r"server (\S+):8000 max_fails=0;", compose["configs"]["upstream"]["content"])
    assert servers == [*addresses.values()]


def test_commands_and_settings_of_the_containers_exist(compose: dict[str, Any]) -> None:
    """The command line is parsed by the program itself; every variable is a setting of ours or of what is named."""
    commands = [each["command"] for each in compose["services"].values() if each.get("image") == "sizzle"]
    assert commands == [["serve", "--no-worker"]] * 2 + [["worker", "--host", "127.0.0.1", "--port", "8000"]]
    for command, *arguments in [*commands, *_unit_commands()]:
        _parse(command, arguments)
    example = re.findall(r"^(\w+)=", (DEPLOY / "env.example").read_text(), re.MULTILINE)
    variables = {*example, *(name for each in compose["services"].values() for name in each.get("environment", ()))}
    ours = {f"SIZZLE_{name}".upper() for name in Settings.model_fields} | {"GROQ_API_KEY", "FIREWORKS_API_KEY"}
    assert variables - ours <= FOREIGN_SETTINGS.keys()


def test_the_redis_of_the_containers_keeps_everything_and_needs_a_password(compose: dict[str, Any]) -> None:
    lines = compose["configs"]["redis"]["content"].splitlines()
    assert {"appendonly yes", "maxmemory-policy noeviction", "user default off"} <= set(lines)
    (user,) = (line for line in lines if line.startswith("user sizzle"))
    rights = user.partition("resetchannels")[2]
    assert rights in (ROOT / "docs" / "operations.md").read_text()


def test_the_health_check_of_the_image_says_whether_the_server_is_ready() -> None:
    (check,) = re.findall(r"HEALTHCHECK .*\\\n +CMD (.*)", (DEPLOY / "Dockerfile").read_text())
    command = [sys.executable, *json.loads(check)[1:]]
    with serving(create_app(settings_from(standin_ttft_ms=0))) as url:
        port = url.rpartition(":")[2]
        assert subprocess.run(command, env={"PORT": port}).returncode == 0  # noqa: S603
    gone = subprocess.run(command, env={"PORT": port}, stderr=subprocess.PIPE, text=True)  # noqa: S603
    assert gone.returncode == 1
    assert "Connection refused" in gone.stderr


def test_the_image_runs_as_nobody_and_gets_signals() -> None:
    stage = (DEPLOY / "Dockerfile").read_text().split("FROM ")[-1]
    assert re.search(r"^USER 10001:10001$", stage, re.MULTILINE)
    commands = re.findall(r"^(?:ENTRYPOINT|CMD) (.*)$", stage, re.MULTILINE)
    assert [json.loads(each) for each in commands] == [["sizzle"], ["serve"]]
    _parse("serve", [])


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
@pytest.mark.parametrize("unit", ["sizzle.service", "sizzle-worker.service"])
def test_systemd_accepts_the_units(unit: str, tmp_path: Path) -> None:
    """With this Python in place of the program, which has to exist."""
    path = tmp_path / unit
    path.write_text((DEPLOY / unit).read_text().replace("/opt/sizzle/bin/sizzle", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)  # noqa: S603, S607
    assert [done.returncode, [line for line in done.stderr.splitlines() if unit in line]] == [0, []]


@dataclass
class Echo:
    """A server that says what reached it."""

    node: str = ""  # host:port
    streams: int = 0  # that are open


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    echo, gate = Echo(), Gate()

    async def say(request: Request) -> Response:
        with suppress(ClientDisconnect):
            await request.body()
        names = ("host", "x-forwarded-for", "x-forwarded-proto")
        return JSONResponse({"path": request.url.path, **{name: request.headers.get(name) for name in names}})

    async def hold(_: Request) -> Response:
        async def wait() -> AsyncIterator[bytes]:
            echo.streams += 1
            try:
                yield b"first"
                await gate.passed()
            finally:
                echo.streams -= 1

        return StreamingResponse(wait())

    async def refuse(_: Request) -> Response:
        return JSONResponse({}, 503)

    routes = [
        Route("/hold", hold),
        Route("/full", refuse, methods=["POST"]),
        Route("/{path:path}", say, methods=["GET", "POST"]),
    ]
    with serving(Starlette(routes=routes)) as url:
        echo.node = url.removeprefix("http://")
        yield echo
        gate.open()


def test_nginx_says_who_asks_and_bounds_what_a_client_may_send(echo: Echo, tmp_path: Path) -> None:
    """Also on a node that answers 503 to everything, the answer is that 503."""
    with nginx(tmp_path, [echo.node]) as url, httpx.Client(base_url=url, verify=trusting(tmp_path)) as client:
        host = url.removeprefix("https://")
        seen = client.get("/a?b=c", headers={"X-Forwarded-For": "8.8.8.8", "X-Forwarded-Proto": "http"}).json()
        assert seen == {"path": "/a", "host": host, "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "https"}
        assert client.get("/a", headers={"X": "a" * 30_000}).status_code == 400
        assert client.get(f"/{'a' * 30_000}").status_code == 414
        assert client.post("/a", content=b"a" * 1_048_577).status_code == 413
        assert client.post("/a", content=b"a" * 1_048_576).status_code == 200
        assert client.get("/metrics").status_code == 404
        assert [client.post("/full").status_code for _ in range(3)] == [503, 503, 503]
        with ExitStack() as streams:
            statuses = [streams.enter_context(client.stream("GET", "/hold")).status_code for _ in range(66)]
            assert echo.streams == 64
        assert statuses == [200] * 64 + [429] * 2
        assert wait_until(lambda: echo.streams == 0, seconds=10)  # nobody's calls go on after they have left
        assert client.get("/a").status_code == 200
    log = (tmp_path / "access.log").read_text()
    assert '"GET /a" 200' in log
    assert "b=c" not in log


def test_nginx_sends_people_to_https_and_removes_a_prefix(echo: Echo, tmp_path: Path) -> None:
    with nginx(tmp_path, [echo.node], "/sizzle") as url, httpx.Client(verify=trusting(tmp_path)) as client:
        assert client.get(f"{url}/a").json()["path"] == "/a"
        plain = re.search(r"listen (127.0.0.1:\d+);", (tmp_path / "nginx.conf").read_text())
        assert plain
        moved = client.post(f"http://{plain[1]}/sizzle/runs?a=b")
        assert [moved.status_code, moved.headers["location"]] == [308, f"{url}/runs?a=b"]


def test_nginx_asks_the_other_node_if_one_refuses(echo: Echo, tmp_path: Path) -> None:
    """A node that is gone, and one that answers 503, cost no request, not even a POST."""
    with serving(Starlette()) as url:
        gone = url.removeprefix("http://")

    async def refuse(_: Request) -> Response:
        return JSONResponse({}, 503)

    with serving(Starlette(routes=[Route("/a", refuse, methods=["POST"])])) as stopping:
        for node in (gone, stopping.removeprefix("http://")):
            with (
                nginx(tmp_path, [node, echo.node]) as url,
                httpx.Client(base_url=url, verify=trusting(tmp_path)) as client,
            ):
                assert {client.post("/a", content=b"a").status_code for _ in range(6)} == {200}


def test_caddy_passes_pieces_on_and_bounds_what_a_client_may_send(echo: Echo, tmp_path: Path) -> None:
    with caddy(tmp_path, [echo.node]) as url, httpx.Client(base_url=url, verify=NO_TLS) as client:
        seen = client.get("/a", headers={"X-Forwarded-For": "8.8.8.8"}).json()
        assert [seen["host"], seen["x-forwarded-for"]] == [url.removeprefix("http://"), "127.0.0.1"]
        with client.stream("GET", "/hold") as answer:
            pieces = answer.iter_bytes()
            assert next(pieces) == b"first"
            assert echo.streams == 1
        assert wait_until(lambda: echo.streams == 0, seconds=10)
        assert client.get("/a", headers={"X": "a" * 70_000}).status_code == 431
        assert client.post("/a", content=b"a" * 1_100_000).status_code in (413, 502)  # older versions say 502
        assert client.get("/metrics").status_code == 404


def _unit_commands() -> Iterator[list[str]]:
    for unit in DEPLOY.glob("*.service"):
        for command in re.findall(r"^ExecStart=/opt/sizzle/bin/sizzle (.*)$", unit.read_text(), re.MULTILINE):
            yield command.split()


def _parse(command: str, arguments: list[str]) -> None:
    """Raises what Typer raises for a wrong command line."""
    group: Any = typer.main.get_command(cli)
    group.commands[command].make_context(command, [*arguments])


def test_every_file_of_the_folder_is_known() -> None:
    """A new one needs a check here."""
    assert {path.name for path in DEPLOY.iterdir() if path.name not in (".env", "tls")} == {
        "Caddyfile", "Dockerfile", "Dockerfile.dockerignore", "compose.yaml", "env.example", "nginx.conf",
        "requirements.txt", "sizzle-worker.service", "sizzle.service", "upstream.conf",
    }  # fmt: skip

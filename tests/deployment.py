"""The proxies of deploy/ with the shipped configuration: only addresses, paths and ports are replaced."""

import os
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.client import wait_until
from tests.needs import program
from tests.redis_servers import free_port

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
OPENSSL = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
    "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout privkey.pem -out fullchain.pem"
)
NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr crit;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/*.conf;
}}
"""


def replaced(text: str, replacements: dict[str, str]) -> str:
    for old, new in replacements.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def make_certificate(folder: Path) -> None:
    """Writes `fullchain.pem` and `privkey.pem` for localhost and 127.0.0.1."""
    subprocess.run([program("openssl"), *OPENSSL.split()[1:]], cwd=folder, check=True, capture_output=True)  # noqa: S603


@contextmanager
def nginx(folder: Path, nodes: Sequence[str], prefix: str = "") -> Iterator[str]:
    """An nginx in front of the nodes, which are `host:port`. Yields its address, with the prefix."""
    http, https = free_port(), free_port()
    make_certificate(folder)
    site = {
        "    listen [::]:80;\n": "",
        "    listen [::]:443 ssl http2;\n": "",
        "listen 80;": f"listen 127.0.0.1:{http};",
        "listen 443 ssl": f"listen 127.0.0.1:{https} ssl",
        "/etc/nginx/tls": str(folder),
        "/var/log/nginx": str(folder),
        "https://$host$": f"https://$host:{https}$",
    }
    if prefix:
        site |= {"location / {": f"location {prefix}/ {{", "http://sizzle;": "http://sizzle/;"}
    line = "    server 127.0.0.1:8000 max_fails=0;\n"
    upstream = {line * 2: "".join(line.replace("127.0.0.1:8000", node) for node in (nodes[0], nodes[-1]))}
    for name, replacements in {"nginx.conf": site, "upstream.conf": upstream}.items():
        (folder / name).write_text(replaced((DEPLOY / name).read_text(), replacements))
    (folder / "main").write_text(NGINX.format(folder=folder))
    command = [program("nginx"), "-p", str(folder), "-c", str(folder / "main")]
    subprocess.run([*command, "-t", "-q"], check=True)  # noqa: S603
    with _running(command, f"http://127.0.0.1:{http}/"):
        yield f"https://127.0.0.1:{https}{prefix}"


@contextmanager
def caddy(folder: Path, nodes: Sequence[str]) -> Iterator[str]:
    """A Caddy in front of the nodes, without TLS. Yields its address."""
    url = f"http://127.0.0.1:{free_port()}"
    names = {"DOMAIN": url, "NODES": " ".join(nodes), "CADDY_ADMIN": f"unix/{folder}/admin", "HOME": str(folder)}
    command = [program("caddy"), "run", "--config", str(DEPLOY / "Caddyfile"), "--adapter", "caddyfile"]
    with _running(command, f"{url}/metrics", os.environ | names):
        yield url


def trusting(folder: Path) -> ssl.SSLContext:
    """What a client needs to trust the nginx of this folder."""
    return ssl.create_default_context(cafile=folder / "fullchain.pem")


@contextmanager
def _running(command: Sequence[str], answers: str, environment: dict[str, str] | None = None) -> Iterator[None]:
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        assert wait_until(lambda: _answers(answers), seconds=20), command
        yield
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, verify=False).status_code > 0  # noqa: S501
    except httpx.HTTPError:
        return False

"""HEAD: the headers of the GET, without a body and without a call to a provider."""

import pytest

from tests.client import ask, start
from tests.conftest import ServeScripts

PATHS = ["/", "/healthz", "/static/style.css", "/race", "/examples/", "/chains", "/v1/models", "/v1/models/sizzle"]


@pytest.mark.parametrize("path", PATHS)
def test_head_answers_like_get_without_a_body(sizzle_url: str, path: str) -> None:
    head, get = ask("HEAD", sizzle_url + path), ask("GET", sizzle_url + path)
    assert [head.status_code, head.content] == [200, b""]
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize(("accept", "kind"), [("*/*", "text/plain"), ("text/event-stream", "text/event-stream")])
def test_head_of_a_completion_calls_no_model(serve_scripts: ServeScripts, accept: str, kind: str) -> None:
    url, provider = serve_scripts()
    answer = ask("HEAD", f"{url}/completion?query=beef", headers={"Accept": accept})
    assert [answer.status_code, answer.content, provider.calls] == [200, b"", []]
    assert answer.headers["content-type"].startswith(kind)
    assert ask("HEAD", f"{url}/completion").status_code == 422


def test_head_of_a_run_and_its_events(sizzle_url: str) -> None:
    address = start(sizzle_url)
    assert [ask("HEAD", address + path).status_code for path in ("", "/events")] == [200, 200]


def test_head_where_there_is_no_get_is_a_405(sizzle_url: str) -> None:
    assert [ask("HEAD", f"{sizzle_url}{path}").status_code for path in ("/generate", "/runs")] == [405, 405]

"""What Prometheus reads."""

from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from chains import Composition, Part, Request
from tests.client import NO_TLS, follow, start, wait_until
from tests.conftest import ServeScripts
from tests.servers import Refuse

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def _samples(url: str) -> Samples:
    answer = httpx.get(f"{url}/metrics", verify=NO_TLS, timeout=30)
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.text)
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


def _of(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0)


class CountedRequest(Request):
    topic: str


COUNTED = Composition(
    name="counted", request=CountedRequest, system="You count.", parts=(Part("tally", "{topic}: count them."),)
)


def test_calls_and_runs_are_counted_by_part_and_model(serve_scripts: ServeScripts) -> None:
    """The metrics are those of the process, in which other tests may run; this composition is nobody else's."""
    scripts = {"tally": [[Refuse(500)], ["One, ", "two."]]}
    url, _ = serve_scripts(scripts, compositions=("tests.test_metrics:COUNTED",))
    before = _samples(url)
    follow(start(f"{url}/counted", {"topic": "sheep"}))
    after = _samples(url)

    def added(name: str, **labels: Any) -> float:
        return _of(after, name, **labels) - _of(before, name, **labels)

    tally = {"part": "tally", "model": "groq-gpt-oss-120b"}
    assert added("sizzle_calls_total", **tally, outcome="failed", failure="ProviderOverloadedError") == 1
    assert added("sizzle_calls_total", **tally, outcome="ok", failure="") == 1
    assert added("sizzle_call_retries_total", **tally) == 1
    assert added("sizzle_call_time_to_first_token_seconds_count", **tally) == 1
    assert added("sizzle_call_duration_seconds_count", **tally) == 2
    assert added("sizzle_cost_usd_total", model="groq-gpt-oss-120b") > 0
    assert added("sizzle_tokens_total", model="groq-gpt-oss-120b", direction="input") > 0
    assert added("sizzle_runs_total", composition="counted", status="ok") == 1
    assert added("sizzle_run_time_to_first_token_seconds_count", composition="counted") == 1
    assert _of(after, "sizzle_circuit_breaker_open", provider="groq") == 0
    assert _of(after, "sizzle_store_up", store="memory") == 1
    ended = ("sizzle_active_runs", frozenset({("composition", "counted")}))
    assert wait_until(lambda: _samples(url)[ended] == 0, 10)

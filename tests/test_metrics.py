"""What Prometheus reads."""

from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.client import NO_TLS, follow, start
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


def test_calls_and_runs_are_counted_by_part_and_model(serve_scripts: ServeScripts) -> None:
    """The metrics are those of the process, so what a run adds to them is compared."""
    url, _ = serve_scripts({"steps": [[Refuse(500)], ["Cook ", "it."]]})
    before = _samples(url)
    follow(start(url))
    after = _samples(url)

    def added(name: str, **labels: Any) -> float:
        return _of(after, name, **labels) - _of(before, name, **labels)

    steps = {"part": "steps", "model": "groq-gpt-oss-120b"}
    assert added("sizzle_calls_total", **steps, outcome="failed", failure="ProviderOverloadedError") == 1
    assert added("sizzle_calls_total", **steps, outcome="ok", failure="") == 1
    assert added("sizzle_call_retries_total", **steps) == 1
    assert added("sizzle_call_time_to_first_token_seconds_count", **steps) == 1
    assert added("sizzle_call_duration_seconds_count", **steps) == 2
    assert added("sizzle_cost_usd_total", model="groq-gpt-oss-120b") > 0
    assert added("sizzle_tokens_total", model="groq-gpt-oss-120b", direction="input") > 0
    assert added("sizzle_runs_total", composition="recipe", status="ok") == 1
    assert added("sizzle_run_time_to_first_token_seconds_count", composition="recipe") == 1
    assert _of(after, "sizzle_circuit_breaker_open", provider="groq") == 0
    assert _of(after, "sizzle_store_up", store="memory") == 1
    assert _of(after, "sizzle_active_runs") == 0

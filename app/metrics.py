"""Metrics for Prometheus, counted per call and per run, never per token.

Processes that share an address write them to files of PROMETHEUS_MULTIPROC_DIR, from which each can answer for all.
All label values are bounded: names in the registry, parts of compositions, kinds of failures.
"""

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead  # pyright: ignore[reportUnknownVariableType]

from chains.models.calls import NANO, Call, CallEnd

FIRST_TOKEN_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 15)
DURATION_S = (0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 30, 60, 120)
TOKENS_PER_S = (10, 25, 50, 100, 200, 400, 800, 1600, 3200)
FLUSH_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

REGISTRY = CollectorRegistry()  # of our own, so that a program that embeds Sizzle keeps its metrics apart
_CALL = ("part", "model")


def _last_seen(name: str, help_text: str, *labels: str) -> Gauge:
    """A gauge of what is the same for all processes."""
    return Gauge(name, help_text, labels, registry=REGISTRY, multiprocess_mode="mostrecent")


calls = Counter("sizzle_calls", "Calls to models.", (*_CALL, "outcome", "failure"), registry=REGISTRY)
retries = Counter("sizzle_call_retries", "Calls after the first one of a part.", _CALL, registry=REGISTRY)
call_first_token = Histogram(
    "sizzle_call_time_to_first_token_seconds",
    "From a call to its first text.",
    _CALL,
    buckets=FIRST_TOKEN_S,
    registry=REGISTRY,
)
call_duration = Histogram(
    "sizzle_call_duration_seconds", "From a call to its end.", _CALL, buckets=DURATION_S, registry=REGISTRY
)
call_speed = Histogram(
    "sizzle_call_tokens_per_second",
    "Tokens per second from the first text to the end.",
    _CALL,
    buckets=TOKENS_PER_S,
    registry=REGISTRY,
)
tokens = Counter("sizzle_tokens", "Tokens of all calls.", ("model", "direction"), registry=REGISTRY)
cost = Counter("sizzle_cost_usd", "What calls have cost, as far as prices are known.", ("model",), registry=REGISTRY)
runs = Counter("sizzle_runs", "Runs that have ended.", ("composition", "status"), registry=REGISTRY)
run_first_token = Histogram(
    "sizzle_run_time_to_first_token_seconds",
    "From the start of a run to its first text.",
    ("composition",),
    buckets=FIRST_TOKEN_S,
    registry=REGISTRY,
)
run_duration = Histogram(
    "sizzle_run_duration_seconds",
    "From the start of a run to its end.",
    ("composition",),
    buckets=DURATION_S,
    registry=REGISTRY,
)
active_runs = Gauge(
    "sizzle_active_runs", "Runs that are written.", ("composition",), registry=REGISTRY, multiprocess_mode="livesum"
)
waiting_runs = _last_seen("sizzle_waiting_runs", "Runs in the queue of all processes.")
circuit_open = _last_seen("sizzle_circuit_breaker_open", "1 while a provider is skipped.", "provider")
store_up = _last_seen("sizzle_store_up", "1 if the store answers.", "store")
store_flush = Histogram(
    "sizzle_store_flush_seconds", "To store new events.", ("store",), buckets=FLUSH_S, registry=REGISTRY
)


def readable() -> CollectorRegistry:
    """Returns the metrics of this process, or of all processes that share its address."""
    if not (folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR")):
        return REGISTRY
    for file in Path(folder).glob("gauge_live*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:  # it was killed
            mark_process_dead(pid, folder)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, folder)
    return registry


def count_call(call: Call, end: CallEnd, nano_usd: int | None) -> None:
    """Counts a call at its end."""
    calls.labels(call.part, call.model, end.outcome, end.failure).inc()
    tokens.labels(call.model, "input").inc(end.tokens.input)
    tokens.labels(call.model, "output").inc(end.tokens.output)
    cost.labels(call.model).inc((nano_usd or 0) / NANO)
    if call.attempt > 1:
        retries.labels(call.part, call.model).inc()
    call_duration.labels(call.part, call.model).observe(end.seconds)
    if end.ttft_s is not None:
        call_first_token.labels(call.part, call.model).observe(end.ttft_s)
        if end.tokens.output > 1 and end.seconds > end.ttft_s:
            call_speed.labels(call.part, call.model).observe((end.tokens.output - 1) / (end.seconds - end.ttft_s))


def count_run(composition: str, status: str, seconds: float, ttft_s: float | None) -> None:
    """Counts a run at its end."""
    runs.labels(composition, status).inc()
    run_duration.labels(composition).observe(seconds)
    if ttft_s is not None:
        run_first_token.labels(composition).observe(ttft_s)

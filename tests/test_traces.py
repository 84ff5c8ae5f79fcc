"""Spans of OpenTelemetry, as an exporter gets them."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.client import NO_TLS, follow, start, wait_until
from tests.conftest import Serve, ServeScripts
from tests.redis_servers import RedisServer
from tests.server_process import server_process
from tests.servers import PARTS, Refuse, provider, serving

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
_exporter = InMemorySpanExporter()


class Collector:
    """Records what is sent to it, as a collector of traces and as LangSmith."""

    def __init__(self) -> None:
        self.received: list[tuple[str, bytes]] = []

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self._receive, methods=["GET", "POST", "PATCH"])])

    async def _receive(self, request: Request) -> Response:
        self.received.append((request.url.path, await request.body()))
        return JSONResponse({})

    def bodies(self, path: str) -> bytes:
        return b"".join(body for at, body in self.received if at.startswith(path))


def test_what_leaves_the_process_has_no_text_and_no_password(tmp_path: Path) -> None:
    """Neither what `OTEL_…` nor what `LANGSMITH_…` let the server send."""
    collector = Collector()
    with provider({"completion": ["Answered."]}) as scripted, serving(collector.app()) as url:
        settings = {
            "GROQ_API_KEY": "sk-canary",
            "SIZZLE_GROQ_BASE_URL": scripted.url.replace("http://", "http://user:canary@"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "LANGSMITH_TRACING": "true",
            "LANGSMITH_ENDPOINT": url,
            "LANGSMITH_API_KEY": "ls-key",
            "LANGSMITH_DISABLE_RUN_COMPRESSION": "true",
        }
        with server_process(tmp_path, **settings) as server:
            httpx.get(f"{server.url}/completion?query=whispered", verify=NO_TLS, timeout=30)
            assert wait_until(lambda: b"gen_ai.request.model" in collector.bodies("/v1/traces"), 10)
            assert wait_until(lambda: b"openai/gpt-oss-20b" in collector.bodies("/runs"), 10)
            output = server.output
    sent = b"".join(body for _, body in collector.received) + output.encode()
    assert [word for word in (b"whispered", b"Answered", b"canary") if word in sent] == []


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """What a program that embeds Sizzle sets. A process can do so once."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(_exporter))
        trace.set_tracer_provider(provider)
    _exporter.clear()
    yield _exporter
    _exporter.clear()


def _attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def _assert_attempts(failed: ReadableSpan, answered: ReadableSpan, part: ReadableSpan) -> None:
    """The first call of the steps was refused, the second one was answered."""
    assert {span.parent and span.parent.span_id for span in (failed, answered)} == {
        part.context and part.context.span_id
    }
    request = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "groq", "gen_ai.request.model": "openai/gpt-oss-120b",
        "gen_ai.request.stream": True, "sizzle.part": "steps",
    }  # fmt: skip
    assert _attributes(failed).items() >= {**request, "sizzle.attempt": 1, "error.type": "HttpStatusError 500"}.items()
    assert not failed.status.is_ok
    used = {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 10, "sizzle.attempt": 2}
    assert _attributes(answered).items() >= {**request, **used}.items()
    assert _attributes(answered)["gen_ai.response.finish_reasons"] == ("stop",)
    first_s = _attributes(answered)["gen_ai.response.time_to_first_chunk"]
    assert isinstance(first_s, float)
    assert first_s > 0


def test_a_run_is_one_trace_with_a_span_for_each_part_and_call(
    serve_scripts: ServeScripts, exporter: InMemorySpanExporter
) -> None:
    """It continues the client's trace. No span has a text of anybody."""
    usage = {"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 10}}
    steps = ["Cook whispered.", f"data: {json.dumps(usage)}\n\n".encode()]
    url, _ = serve_scripts({"steps": [[Refuse(500)], steps]})
    body, headers = {"ingredientsOnHand": "whispered beef"}, {"traceparent": TRACEPARENT}
    started = httpx.post(f"{url}/runs", json=body, headers=headers, verify=NO_TLS, timeout=30)
    assert started.status_code == 201, started.text
    run_id = started.json()["run_id"]
    follow(f"{url}/runs/{run_id}")
    spans = exporter.get_finished_spans()
    httpx.get(f"{url}/completion?query=whispered", headers=headers, verify=NO_TLS, timeout=30)

    assert {f"{span.context.trace_id:032x}" for span in spans if span.context} == {TRACE}
    (run,) = [span for span in spans if span.name == "invoke_workflow recipe"]
    parts = {span.name.removeprefix("part "): span for span in spans if span.name.startswith("part ")}
    calls = [span for span in spans if span.name.startswith("chat ")]
    assert set(parts) == set(PARTS)
    assert {span.parent and span.parent.span_id for span in parts.values()} == {run.context and run.context.span_id}
    assert len(calls) == len(PARTS) + 1
    assert _attributes(run) | {"sizzle.run.id": run_id, "sizzle.run.status": "ok"} == _attributes(run)
    assert "whispered" not in "".join(span.to_json() for span in exporter.get_finished_spans())
    of_steps = (span for span in calls if _attributes(span)["sizzle.part"] == "steps")
    _assert_attempts(*sorted(of_steps, key=lambda span: span.start_time or 0), part=parts["steps"])


def test_a_worker_continues_the_trace_of_the_request_that_started_its_run(
    serve: Serve, redis_server: RedisServer, exporter: InMemorySpanExporter
) -> None:
    """The events do not reveal the trace."""
    with provider() as scripted:
        settings = {"store": redis_server.url, "groq_api_key": "k", "groq_base_url": scripted.url}
        web, _ = serve(worker=False, **settings), serve(**settings)
        run = start(web, None, traceparent=TRACEPARENT)
        follow(run)
        read = httpx.get(f"{run}/events", verify=NO_TLS).text + httpx.get(run, verify=NO_TLS).text
        assert wait_until(lambda: "invoke_workflow recipe" in [span.name for span in exporter.get_finished_spans()], 5)
    spans = exporter.get_finished_spans()
    assert {f"{span.context.trace_id:032x}" for span in spans if span.context} == {TRACE}
    assert len([span for span in spans if span.name.startswith("chat ")]) == len(PARTS)
    assert TRACE not in read

"""Spans of OpenTelemetry: one trace for a run, with a span for each part and one for each call to a model.

The attributes of calls follow the semantic conventions for generative AI; no span has a prompt or a text. Without a
tracer provider, which `start_tracing` or a program that embeds Sizzle sets, spans are not recorded.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from chains.errors import ConfigError
from chains.models.calls import NANO, Call, CallEnd

# https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/#gen-ai-provider-name
PROVIDERS = {"mistral": "mistral_ai", "azure": "azure.ai.openai"}

TRACEPARENT = "traceparent"  # the name of a header

_tracer = trace.get_tracer("sizzle")
_traceparent = TraceContextTextMapPropagator()


def start_tracing() -> Callable[[], None]:
    """Sends spans where the variables `OTEL_*` say. Returns what sends the last ones. Raises `ConfigError`."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise ConfigError("OTEL_EXPORTER_OTLP_ENDPOINT needs the extra otel: pip install '.[otel]'") from None
    # the environment's name goes first
    resource = Resource.create({SERVICE_NAME: "sizzle", **OTELResourceDetector().detect().attributes})
    try:
        provider = TracerProvider(resource=resource)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except ValueError as error:
        raise ConfigError(f"A variable OTEL_…: {error}") from None
    trace.set_tracer_provider(provider)
    return provider.shutdown


@contextmanager
def continued(traceparent: str | None) -> Generator[None]:
    """Within the block, spans belong to the trace that this `traceparent` names (W3C Trace Context), if any."""
    if not traceparent:
        yield
        return
    token = context.attach(_traceparent.extract({TRACEPARENT: traceparent}))
    try:
        yield
    finally:
        context.detach(token)


def traceparent() -> str | None:
    """Returns what lets another process continue the current trace, if there is one."""
    headers = dict[str, str]()
    _traceparent.inject(headers)
    return headers.get(TRACEPARENT)


def trace_id() -> str | None:
    """Returns the id of the current trace, if it is known."""
    current = trace.get_current_span().get_span_context()
    return f"{current.trace_id:032x}" if current.is_valid else None


class RunSpan:
    """The span of a run, which ends with the run."""

    def __init__(self, run_id: str, composition: str, parent: str | None = None) -> None:
        """`parent` is the `traceparent` of the request that started the run. A current trace precedes it."""
        attributes = {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": composition}
        with continued(None if trace_id() else parent):
            self._span = _tracer.start_span(f"invoke_workflow {composition}", attributes=attributes)
        self._span.set_attribute("sizzle.run.id", run_id)

    @contextmanager
    def current(self) -> Generator[None]:
        """Within the block, and in tasks created there, spans are its children."""
        with trace.use_span(self._span, end_on_exit=False):
            yield

    def end(self, status: str, ttft_s: float | None = None, cost_usd: float | None = None) -> None:
        self._span.set_attribute("sizzle.run.status", status)
        _set(self._span, {"gen_ai.response.time_to_first_chunk": ttft_s, "sizzle.cost_usd": cost_usd})
        if status == "failed":
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


@contextmanager
def part_span(part: str) -> Generator[None]:
    """Spans the work on a part, from when all that it needs is there, over all attempts."""
    with _tracer.start_as_current_span(f"part {part}", attributes={"sizzle.part": part}, record_exception=False):
        yield


def start_call(call: Call) -> Callable[[CallEnd, int | None], None]:
    """Begins the span of a call. Returns what ends it, with the cost in billionths of a dollar."""
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDERS.get(call.provider, call.provider),
        "gen_ai.request.model": call.model_id,
        "gen_ai.request.max_tokens": call.max_tokens,
        "gen_ai.request.stream": True,
        "sizzle.part": call.part,
        "sizzle.attempt": call.attempt,
    }
    span = _tracer.start_span(f"chat {call.model_id}", kind=SpanKind.CLIENT, attributes=attributes)

    def end(ended: CallEnd, nano_usd: int | None) -> None:
        if ended.tokens.input or ended.tokens.output:
            span.set_attribute("gen_ai.usage.input_tokens", ended.tokens.input)
            span.set_attribute("gen_ai.usage.output_tokens", ended.tokens.output)
        if ended.finish_reason:
            span.set_attribute("gen_ai.response.finish_reasons", [ended.finish_reason])
        cost_usd = None if nano_usd is None else nano_usd / NANO
        _set(span, {"gen_ai.response.time_to_first_chunk": ended.ttft_s, "sizzle.cost_usd": cost_usd})
        if ended.outcome == "failed":
            span.set_attribute("error.type", ended.detail)
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    return end


def _set(span: Span, numbers: Mapping[str, float | None]) -> None:
    for name, number in numbers.items():
        if number is not None:
            span.set_attribute(name, number)

"""Whether and when a provider is called again after a refusal, as in the official OpenAI SDK for Python."""

import math

import httpx2
import pytest
from hypothesis import example, given, strategies as st
from openai import OpenAI

from chains.errors import ProviderOverloadedError
from chains.models.failures import to_provider_error
from chains.models.transport import HttpStatusError
from tests.client import events_named, read
from tests.conftest import Serve
from tests.faults import GOOD, faults, refusal

SDK = OpenAI(api_key="none")
SECONDS = st.one_of(
    st.integers(-5, 300).map(str),
    st.floats().map(str),
    st.sampled_from(
        ["", " 1 ", "1.5", "1e3", "9" * 400, "1" + "0" * 400, "inf", "-inf", "nan", "soon", "1_0", "120.1"]
    ),
    st.sampled_from(
        ["Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT", "Fri, 99 Foo 2100", "2100-01-01"]
    ),
    st.text("0123456789.:eE+-_ GMTOct", max_size=12),
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "retry-after": SECONDS,
        "retry-after-ms": SECONDS,
        "x-should-retry": st.sampled_from(["true", "false", "1", ""]),
    },
)


RETRY_AFTER = [
    "0",
    "-0",
    "-1",
    "-0.001",
    "0.5",
    ".5",
    "1.",
    "1e2",
    "1E3",
    "+7",
    "++7",
    "0x10",
    "1,5",
    "1_000",
    "120",
    "120.0001",
    "121",
    "1e308",
    "1e309",
    "-1e309",
    ".9e999",
    "inf",
    "+Inf",
    "INFINITY",
    "nan",
    "1m2.5s",
    "250ms",
    "30s",
    "1741305600",
    "1741305600000",
    "2026-01-01T00:00:00Z",
    "00:01:00",
    "infinite",
    "none",
    "null",
    "true",
]
DATES = [
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Wednesday, 21-Oct-15 07:28:00 GMT",
    "Wed Oct 21 07:28:00 2015",
    "Fri, 01 Jan 2100 00:00:00 +0900",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Fri, 01 Jan 99999 00:00:00 GMT",
    "Fri, 01 Jan 2100 99:99:99 GMT",
    "Fri, 00 Jan 2100 00:00:00 GMT",
    "Fri, 01 Jan 2100 00:00:00 +99999999999999999999",
    "Fri, 01 Jan",
    "GMT",
    ", , ,",
]
WAITS = [
    *({name: text} for name in ("retry-after", "retry-after-ms") for text in (*RETRY_AFTER, *DATES, "", "\t3 ")),
    *({"retry-after": "2", "x-should-retry": text} for text in ("true", "false", "TRUE", "True", "1", "0", "no", "")),
    {"retry-after": "500", "x-should-retry": "true"},
    {"retry-after": "1", "retry-after-ms": "999999"},
    {"retry-after": "500", "retry-after-ms": "10"},
    {"retry-after": "500", "retry-after-ms": "nan"},
    {"retry-after": "3", "retry-after-ms": "-1"},
    {"x-ratelimit-reset": "1741305600000"},
    {"x-ratelimit-reset-requests": "1741305600", "x-ratelimit-remaining-requests": "0"},
    {"x-ratelimit-reset-tokens-minute": "11.38", "x-ratelimit-remaining-tokens-minute": "0"},
    {"ratelimit-reset": "30", "ratelimit-remaining": "0"},
]


@pytest.mark.parametrize("status", [400, 429, 503])
@pytest.mark.parametrize("headers", WAITS, ids=str)
def test_a_known_spelling_of_a_wait_means_the_same_as_to_the_sdk(status: int, headers: dict[str, str]) -> None:
    assert_same_as_sdk(status, headers)


@given(st.sampled_from([400, 401, 404, 408, 409, 422, 425, 429, 499, 500, 502, 503, 524, 529, 599]), HEADERS)
@example(503, {"retry-after": "9" * 400})
@example(429, {"retry-after-ms": "soon", "retry-after": "2"})
@example(400, {"x-should-retry": "true", "retry-after": "121"})
def test_the_same_answers_are_retried_as_by_the_sdk(status: int, headers: dict[str, str]) -> None:
    """The same answers are retried on the same model, after the same delay."""
    assert_same_as_sdk(status, headers)


def assert_same_as_sdk(status: int, headers: dict[str, str]) -> None:
    failure = to_provider_error("Groq", HttpStatusError(status, headers), written=False)
    assert (failure.retryable and failure.same_model_may_retry) == SDK._should_retry(
        httpx2.Response(status, headers=headers)
    )
    delay = SDK._parse_retry_after_header(httpx2.Headers(headers))
    if isinstance(failure, ProviderOverloadedError) and delay is not None and math.isfinite(delay):
        assert failure.retry_after == pytest.approx(max(0.0, delay), abs=2, rel=1e-9)
    if isinstance(failure, ProviderOverloadedError) and (delay is None or not math.isfinite(delay)):
        assert failure.retry_after is None


@pytest.mark.parametrize(
    ("status", "headers", "calls"),
    [
        (503, ["x-should-retry: false"], 1),
        (429, ["Retry-After: 121"], 1),
        (429, ["retry-after-ms: 50"], 2),
        (429, ["Retry-After: 0.05"], 2),
        (409, [], 2),
        (400, ["x-should-retry: true"], 2),
        (400, [], 1),
    ],
)
def test_the_only_provider_is_called_again_if_it_allows_that(
    serve: Serve, status: int, headers: list[str], calls: int
) -> None:
    with faults({"intro": [refusal(status, *headers), GOOD]}) as server:
        url = serve(groq_api_key="k", groq_base_url=server.url("groq"), run_deadline_s=30)
        events = read(url)
    assert len(server.of("intro")) == calls
    assert events_named(events, "end")[0]["status"] == ("ok" if calls == 2 else "partial")


@pytest.mark.parametrize("header", ["x-should-retry: false", "Retry-After: 121"])
def test_after_x_should_retry_false_the_next_provider_is_called(serve: Serve, header: str) -> None:
    """If that one fails, too, there is no third attempt."""
    with faults({"intro": [refusal(503, header)]}) as server:
        url = serve(
            groq_api_key="k",
            groq_base_url=server.url("groq"),
            fireworks_api_key="k",
            fireworks_base_url=server.url("fireworks"),
        )
        read(url)
    assert server.providers_of("intro") == ["fireworks", "groq"]


LIMITS = [
    ({"remaining-tokens": "0", "reset-tokens": "7.66s"}, 7.66),
    ({"remaining-requests": "0", "reset-requests": "2m59.56s"}, 179.56),
    ({"remaining-requests": "0", "reset-requests": "120ms"}, 0.12),
    ({"remaining-requests": "0", "reset-requests": "1h0m0.5s", "remaining-tokens": "0", "reset-tokens": "2s"}, 3600.5),
    ({"remaining-requests": "5", "reset-requests": "2m59.56s", "remaining-tokens": "0", "reset-tokens": "0s"}, 0),
    ({"remaining-requests": "5", "reset-requests": "2m59.56s"}, None),
    ({"reset-tokens": "7.66s"}, None),
    ({"remaining-tokens": "0", "reset-tokens": ""}, None),
    ({"remaining-tokens": "0", "reset-tokens": "soon"}, None),
    ({"remaining-tokens": "0", "reset-tokens": "-1s"}, None),
    ({"remaining-tokens": "0", "reset-tokens": "9" * 400 + "s"}, None),
]


@pytest.mark.parametrize(("limits", "delay"), LIMITS)
def test_a_429_without_retry_after_uses_the_reset_of_its_limits(limits: dict[str, str], delay: float | None) -> None:
    """The SDKs ignore those headers. A Retry-After has precedence."""
    headers = {f"x-ratelimit-{name}": text for name, text in limits.items()}

    def retry_after(status: int, **more: str) -> float | None:
        failure = to_provider_error("Groq", HttpStatusError(status, headers | more), written=False)
        assert isinstance(failure, ProviderOverloadedError)
        return failure.retry_after

    assert retry_after(429) == (None if delay is None else pytest.approx(delay))
    assert retry_after(429, **{"retry-after": "3"}) == 3
    assert retry_after(503) is None


@pytest.mark.parametrize(("reset", "calls"), [("50ms", 2), ("2m0.01s", 1)])
def test_a_provider_is_called_again_when_its_limit_is_reset(serve: Serve, reset: str, calls: int) -> None:
    headers = ["x-ratelimit-remaining-tokens: 0", f"x-ratelimit-reset-tokens: {reset}"]
    with faults({"intro": [refusal(429, *headers), GOOD]}) as server:
        url = serve(groq_api_key="k", groq_base_url=server.url("groq"), run_deadline_s=30)
        events = read(url)
    assert len(server.of("intro")) == calls
    assert events_named(events, "end")[0]["status"] == ("ok" if calls == 2 else "partial")

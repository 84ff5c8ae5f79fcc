"""How a streamed answer is read, however it is divided into blocks."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from chains.models.answers import MAX_CHARACTERS
from chains.models.sse import LONGEST_EVENT
from tests.answers import BEEF, CANARY, DONE, STOP, Answer, choice, event, failed, ok, read, usage

WHOLE = {"object": "chat.completion", "choices": [{"index": 0, "message": {"content": "Beef."}, **STOP}]}

BODIES: dict[str, tuple[bytes, Answer]] = {
    # the end of an answer
    "OpenRouter says stop twice, the second time with the usage": (
        BEEF
        + choice("", **STOP)
        + event(choices=[{"index": 0, "delta": {"content": ""}, **STOP}], usage={"completion_tokens": 7})
        + DONE,
        ok(tokens=7),
    ),
    "stop in every chunk, as Gemini's proxies do": (choice("Be", **STOP) + choice("ef.", **STOP) + DONE, ok()),
    "text after a reason, and no other reason": (choice("Be", **STOP) + choice("ef."), Answer("Beef.", None, False)),
    "text after a reason, then [DONE]": (choice("Be", **STOP) + choice("ef.") + DONE, ok(reason=None)),
    "white space after a reason": (BEEF + choice(**STOP) + choice("\n"), ok("Beef.\n")),
    "only [DONE]": (BEEF + DONE, ok(reason=None)),
    "[DONE] with more after it": (BEEF + choice(**STOP) + b"data: [DONE] thanks\n\n", ok()),
    "neither a reason nor [DONE]": (BEEF, Answer("Beef.", None, is_complete=False)),
    "the limit after text": (BEEF + choice(finish_reason="length") + DONE, ok(reason="length")),
    "the usage in every chunk": (
        event(choices=[{"delta": {"content": "Beef."}}], usage={"completion_tokens": 1}) + usage(2) + usage(3) + DONE,
        ok(reason=None, tokens=3),
    ),
    "Groq's usage": (
        BEEF + event(choices=[{"delta": {}, **STOP}], x_groq={"usage": {"completion_tokens": 9}}) + DONE,
        ok(tokens=9),
    ),
    "a usage of zero, and one with the names of the Responses API": (
        BEEF + choice(**STOP) + usage(0) + event(usage={"input_tokens": 3, "output_tokens": 7}) + usage(0),
        ok(tokens=7),
    ),
    "a usage that is none": (BEEF + choice(**STOP) + usage("many") + usage(-1) + usage(10**30), ok()),
    # odd chunks in a good answer
    "a choice without a delta": (
        BEEF + event(choices=[{"index": 0, "content_filter_results": {}}]) + choice(**STOP),
        ok(),
    ),
    "a delta that is null": (BEEF + event(choices=[{"index": 0, "delta": None, **STOP}]) + DONE, ok()),
    "no choices": (event(id="c", choices=[]) + BEEF + event(id="c", choices=None) + choice(**STOP), ok()),
    "events that are no chunk": (
        b"data: null\n\ndata: 5\n\ndata: []\n\n" + BEEF + b'data: "x"\n\n' + DONE,
        ok(reason=None),
    ),
    "an index that counts the chunks, as in Foundry Local's and TGI's": (
        b"".join(choice(text, index=number) for number, text in enumerate(["Be", "e", "f."])) + choice(index=3, **STOP),
        ok(),
    ),
    "an index that begins with 1": (choice("Beef.", index=1) + choice(index=1, **STOP), ok()),
    "several choices in a chunk": (
        event(choices=[{"index": 0, "delta": {"content": "Beef."}}, {"index": 1, "delta": {"content": "Pork."}}])
        + choice(**STOP),
        ok(),
    ),
    "halves of an emoji in two chunks": (
        b'data: {"choices": [{"delta": {"content": "Be\\ud83e"}}]}\n\n'
        + b'data: {"choices": [{"delta": {"content": "\\udd69"}}]}\n\n'
        + choice("f.")
        + choice(**STOP),
        ok("Be🥩f."),
    ),
    "a number as content": (choice("Use ") + choice(5) + choice(**STOP), ok("Use 5")),
    "Perplexity's chunks, which also have the message so far": (
        event(choices=[{"delta": {"content": "Be"}, "message": {"content": "Be"}}])
        + event(choices=[{"delta": {"content": "ef."}, "message": {"content": "Beef."}, **STOP}])
        + event(choices=[{"delta": {}, "message": {"content": "Beef."}, **STOP}]),
        ok(),
    ),
    "such chunks without an end": (
        event(choices=[{"delta": {"content": "Be"}, "message": {"content": "Be"}}]),
        Answer("Be", None, is_complete=False),
    ),
    "the whole message after its deltas": (BEEF + event(choices=[{"message": {"content": "Beef."}, **STOP}]), ok()),
    "parts of all kinds": (
        choice([{"text": "Be"}, {"type": "reference", "reference_ids": [1]}, {"type": "image_url", "image_url": {}}])
        + choice({"type": "output_text", "text": "ef"})
        + choice([{"type": "redacted_thinking", "text": "Hm."}, {"type": "text", "text": None}, "."])
        + choice(**STOP),
        ok(),
    ),
    "parts in lists of their own, and parts without a type": (
        choice([[{"type": "text", "text": "Be"}], None, [{"thinking": "Hm."}, {"text": "Hm.", "thought": True}]])
        + choice([{"text": "ef."}])
        + choice(**STOP),
        ok(),
    ),
    "the text of a choice without a delta": (
        event(choices=[{"text": "Be", "finish_reason": None}]) + event(choices=[{"text": "ef.", **STOP}]) + DONE,
        ok(),
    ),
    "Together's chunks, whose choices also have the text of their deltas": (
        choice("Be", text="Be") + choice("ef.", text="ef.") + choice("", text="", **STOP),
        ok(),
    ),
    "a delta with empty fields for all that it lacks": (
        event(choices=[{"delta": {"content": "Beef.", "refusal": None, "tool_calls": None, "annotations": []}}])
        + choice("", **STOP),
        ok(),
    ),
    "Azure's filter that failed": (
        BEEF
        + event(choices=[{"content_filter_results": {"error": {"code": "content_filter_error"}}}])
        + choice(**STOP),
        ok(),
    ),
    "a refusal": (
        event(choices=[{"delta": {"refusal": "I can't."}}]) + choice(**STOP) + DONE,
        Answer("", "stop", is_complete=False),
    ),
    "a reason without text": (choice("") + choice(**STOP) + DONE, Answer("", "stop", is_complete=False)),
    "a usage without text": (usage(7) + DONE, Answer("", None, is_complete=False, tokens=7)),
    "tool calls without text": (
        event(choices=[{"delta": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f"}}]}}])
        + choice(finish_reason="tool_calls")
        + DONE,
        ok("", reason="tool_calls"),
    ),
    "a list of chunks": (event(choices=[]) + b"data: [" + BEEF[6:-2] + b"," + choice(**STOP)[6:-2] + b"]\n\n", ok()),
    "a list of parts as content, thinking among them": (
        choice([{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Beef."}])
        + choice(**STOP),
        ok(),
    ),
    "a number that is none": (
        b'data: {"choices": [{"delta": {"content": "Beef."}}], "cost": NaN}\n\n' + DONE,
        ok(reason=None),
    ),
    "a number of 5,000 digits": (
        b'data: {"choices": [{"delta": {"content": "Beef."}}], "cost": ' + b"9" * 5000 + b"}\n\n" + DONE,
        ok(reason=None),
    ),
    # anything after the end
    "an error after the end": (BEEF + choice(**STOP) + event(error={"code": 500}) + DONE, ok()),
    "half an event after the end": (BEEF + choice(**STOP) + b'data: {"choices": [{"del\n\n', ok()),
    "a reason for an error after the end": (BEEF + choice(**STOP) + choice(finish_reason="error"), ok()),
    # how events are sent
    "a byte order mark": (b"\xef\xbb\xbf" + BEEF + choice(**STOP), ok()),
    "a byte order mark after blank lines": (b"\n\n\xef\xbb\xbf" + BEEF + choice(**STOP), ok()),
    "carriage returns": ((BEEF + choice(**STOP) + DONE).replace(b"\n", b"\r"), ok()),
    "an event without the blank line after it": (BEEF + choice(**STOP).rstrip(), ok()),
    "half an event at the end": (BEEF + choice(**STOP)[:20], Answer("Beef.", None, is_complete=False)),
    "fields, comments and empty events between": (
        b": ping\n\nretry: 5\n\ndata:\n\nevent: x\n\nid: 1\n" + BEEF + b"event: message\n" + choice(**STOP),
        ok(),
    ),
    "[DONE] with spaces, quotes or small letters": (BEEF + b'data:  "[done]" \n\n', ok(reason=None)),
    "JSON without a field's name": (b": ping\n\n" + BEEF[6:] + choice(**STOP)[6:], ok()),
    "lines of a log before, between and within events": (
        b"[INFO] ready\n\n" + BEEF[:-1] + b"[WARN] slow\n\n{oops}\n\n" + choice(**STOP)[:-1] + b'{"a": 1}\n\n' + DONE,
        ok(),
    ),
    "a document before the events": (
        b'{"status": "starting"}\n\n' + BEEF + choice(**STOP) + DONE,
        ok(),
    ),
    "a comment of a page before the events": (b"<!-- proxy -->\r\n\r\n" + BEEF + choice(**STOP) + DONE, ok()),
    "events whose names contain that of a failure": (
        b"event: error_count\n" + BEEF + b"event: no_errors\ndata: {}\n\n" + choice(**STOP) + DONE,
        ok(),
    ),
    # not a stream
    "a whole completion": (json.dumps(WHOLE, indent=1).encode(), ok()),
    "a whole completion without a reason": (
        json.dumps({"choices": [{"message": {"content": "Beef."}, "finish_reason": None}]}).encode(),
        ok(reason=None),
    ),
    "a whole text completion": (json.dumps({"choices": [{"text": "Beef.", **STOP}]}).encode(), ok()),
    "lines of JSON": ((BEEF + choice(**STOP)).replace(b"data: ", b"").replace(b"\n\n", b"\n"), ok()),
    "lines of JSON with blank lines between them": ((BEEF + choice(**STOP)).replace(b"data: ", b""), ok()),
    "lines of JSON without an end": (BEEF[6:-1], Answer("Beef.", None, is_complete=False)),
    "lines of Ollama's own API": (
        b'{"message": {"role": "assistant", "content": "Beef."}, "done": false}\n{"done": true}\n',
        failed("StreamFailure"),
    ),
    "a document with an error": (json.dumps({"error": {"code": 429, "message": CANARY}}).encode(), failed(429)),
    "a document that is something else": (b'{"hello": "world"}', failed("ValueError")),
    "events of another protocol": (
        event(type="content_block_delta", delta={"type": "text_delta", "text": "Beef."}) + DONE,
        failed("ValueError"),
    ),
    "events of another protocol before a limit": (
        event(type="ping") + choice("") + choice(finish_reason="length"),
        Answer("", "length", is_complete=False),
    ),
    "a page": (b"\n<!doctype html><p>Hello", failed("ValueError")),
    "a text": (b"no healthy upstream\n\nTry again.", failed("ValueError")),
    "a list with Google's error": (b'[{"error": {"code": 503, "status": "UNAVAILABLE"}}]', failed(503)),
    # failures in the stream
    "OpenRouter's": (
        BEEF + choice(finish_reason="error", error={"code": 502, "message": CANARY}),
        failed(502, "Beef."),
    ),
    "a reason that is an error": (
        BEEF + choice(finish_reason=f"error: Bearer {CANARY}"),
        failed("StreamFailure", "Beef."),
    ),
    "an abort": (BEEF + choice(finish_reason="abort") + DONE, failed("StreamFailure", "Beef.")),
    "vLLM's": (
        BEEF + event(object="error", message=CANARY, type="BadRequestError", code=400) + choice(**STOP),
        failed(400, "Beef."),
    ),
    "FastAPI's": (BEEF + event(detail=CANARY) + choice(**STOP), failed("StreamFailure", "Beef.")),
    "an error event": (
        BEEF + b'event: error\ndata: {"message": "x", "status_code": 503}\n\n' + choice(**STOP),
        failed(503, "Beef."),
    ),
    "an error event that is no JSON": (
        BEEF + b"event: error\ndata: overloaded\n\n" + choice(**STOP),
        failed("ValueError", "Beef."),
    ),
    "OpenAI's by its code": (
        BEEF + event(error={"code": "rate_limit_exceeded", "message": CANARY}),
        failed(429, "Beef."),
    ),
    "Anthropic's by its type": (event(type="error", error={"type": "overloaded_error"}), failed(503)),
    "Google's by its status": (event(error={"status": "RESOURCE_EXHAUSTED"}), failed(429)),
    "an error in an error": (event(error={"error": {"code": "401"}}), failed(401)),
    "one that is a sentence": (event(error="Incorrect API key provided, or not found"), failed("StreamFailure")),
    "Bedrock's, which a field's name tells": (BEEF + event(throttlingException={"message": "x"}), failed(429, "Beef.")),
    "one without a success": (BEEF + event(ok=False, reason="busy") + choice(**STOP), failed(503, "Beef.")),
    "Groq's": (event(choices=[], x_groq={"error": {"code": 503}}), failed(503)),
    "llama.cpp's": (BEEF + b'error: {"code": 500, "message": "x"}\n\n', failed(500, "Beef.")),
    "a failure without a field's name": (BEEF + b'{"error": {"code": 503}}\n\n' + DONE, failed(503, "Beef.")),
    # thinking in the content
    "thinking in tags": (choice("<think>Draft.</think>\n\nBeef.") + choice(**STOP), ok()),
    "thinking whose tags are in pieces": (
        b"".join(map(choice, ["<", "thi", "nk>", "Dra", "ft.</th", "ink>", "\n", "Beef."])) + choice(**STOP),
        ok(),
    ),
    "thinking that is recognized by how it begins": (
        choice("Okay, ") + choice("the user wants beef.") + choice("</think>Beef.") + choice(**STOP),
        ok(),
    ),
    "thinking that is recognized at its end": (
        choice("A draft: pork.") + choice("\n</think>") + choice("\nBeef.") + choice(**STOP),
        ok(),
    ),
    "thinking of Mistral's": (choice("[THINK]Draft.[/THINK]Beef.") + choice(**STOP), ok()),
    "an answer that only begins like thinking": (choice("Let me see: beef.") + choice(**STOP), ok("Let me see: beef.")),
    "a tag that the text speaks of": (
        choice("Write `</think>` or <b>.") + choice(**STOP),
        ok("Write `</think>` or <b>."),
    ),
    "thinking up to the limit": (
        choice("<think>Draft.") + choice(finish_reason="length") + DONE,
        Answer("", "length", is_complete=False),
    ),
}


def _kind(name: str) -> Any:
    return pytest.param(*BODIES[name], id=name)


@pytest.mark.parametrize(("body", "answer"), [_kind(name) for name in BODIES])
def test_an_answer_is_the_same_wherever_its_body_is_split(body: bytes, answer: Answer) -> None:
    assert read(body) == answer
    splits = [read(body[:place], body[place:]) for place in range(0, len(body), 1 + len(body) // 400)]
    bytewise = read(*(body[place : place + 1] for place in range(len(body))))
    assert [each for each in [*splits, bytewise] if each != answer] == []


FAILURES: list[tuple[bytes, int | str]] = [
    (event(errors=[{"code": 429}], choices=[]), 429),
    (event(type="response.failed", response={"error": {"code": "rate_limit_exceeded"}}), 429),
    (event(type="Error", code=500), 500),
    (event(object="chat.completion.error", code=500), 500),
    (event(status="error", code=503), 503),
    (event(type="about:blank", title="Too Many Requests", status=429), 429),
    (event(status_code=503), 503),
    (event(code=500, choices=[]), 500),
    (event(throttlingException={"message": CANARY}), 429),
    (event(message=CANARY, __type="com.amazon#ThrottlingException"), 429),
    (event(errorMessage=CANARY), "StreamFailure"),
    (event(error={"message": CANARY, "http_status_code": 429}), 429),
    (event(error={"type": "authentication_error", "code": "invalid_request_error"}), 401),
    (event(choices=None, base_resp={"status_code": 1002, "status_msg": CANARY}), "StreamFailure"),
    (b'data: [{"error": {"code": 503}}]\n\n', 503),
    (event(error={"code": 503.0}), 503),
    (event(error=503), 503),
    (event(error="503"), 503),
    (event(error=f"Error code: 401 - {CANARY}"), 401),
    (event(error={"message": '{"error": {"code": 429}}'}), 429),
    (event(choices=[{"delta": {}, "error": "overloaded_error"}]), 503),
    (b'event: Error\ndata: {"code": 503}\n\n', 503),
    (b'event: exception\ndata: {"code": 503}\n\n', 503),
    (b"event: error\n\n", "StreamFailure"),
    (b"event: error\ndata: null\n\n", "StreamFailure"),
    (b'[{"error": {"code": 503}}]\n\n', 503),
    (choice(finish_reason={"type": "abort", "message": CANARY}), "StreamFailure"),
    (b'event: response.failed\ndata: {"response": {"error": {"code": "server_error"}}}\n\n', 500),
    (b"event: ThrottlingException \ndata: {}\n\n", "StreamFailure"),
    (choice(**STOP).replace(b"{}", b'{"error": {"code": 500}}'), 500),
    (event(Message=CANARY), "StreamFailure"),
    (event(fault={"faultstring": CANARY}), "StreamFailure"),
    (event(status="UNAVAILABLE", message=CANARY), 503),
    (event(error={"code": "insufficient_user_quota"}), 402),
    (event(error={"code": "Arrearage"}), 402),
    (event(error={"type": "incorrect_api_key_error"}), 401),
    (event(error={"code": "token_expired"}), 401),
    (event(error={"code": "account_deactivated"}), 403),
    (event(error={"code": "model_decommissioned"}), 404),
]


@pytest.mark.parametrize(("failure", "status"), FAILURES)
def test_a_failure_is_one_however_it_is_spelled(failure: bytes, status: int | str) -> None:
    assert read(BEEF + failure + choice(**STOP) + DONE) == failed(status, "Beef.")
    assert read(BEEF + choice(**STOP) + failure + DONE) == ok()


@pytest.mark.parametrize(
    "chunk",
    [
        {"code": 0, "msg": "success"},
        {"code": "200", "message": "ok"},
        {"success": True, "message": "x"},
        {"base_resp": {"status_code": 0}},
        {"status": "queued", "message": "position 3"},
        {"type": "ping", "message": "hello"},
        {"type": "info", "msg": "the model is loading"},
    ],
)
def test_a_chunk_that_reports_success_or_progress_is_no_failure(chunk: dict[str, Any]) -> None:
    assert read(event(**chunk) + BEEF + choice(**STOP)) == ok()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["choices", "delta", "content", "message", "error", "code", "finish_reason", "usage", "x_groq",
                         "tool_calls", "function", "name", "index", "type", "text", "object", "detail"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(JSON, max_size=4))
def test_no_json_raises_or_fails_an_answer_that_is_complete(events: list[Any]) -> None:
    strange = b"".join(f"data: {json.dumps(each)}\n\n".encode() for each in events)
    read(strange, strange)
    assert read(BEEF + choice(**STOP) + strange).text.startswith("Beef.")


def test_an_answer_beyond_its_limit_is_cut_off_there() -> None:
    """A provider that never ends uses bounded memory."""
    answer = read(*[choice("x" * 1_000_000)] * 20)
    assert [len(answer.text), answer.reason, answer.is_complete] == [MAX_CHARACTERS, "length", True]


def test_an_event_an_answer_and_a_document_are_bounded() -> None:
    assert read(b"data: " + b"x" * LONGEST_EVENT + b"x").failure == "ValueError"
    assert read(b"{" + b"x" * LONGEST_EVENT).failure == "ValueError"
    ping = b": " + b"x" * 1020 + b"\n\n"
    assert read(BEEF, *[ping * 1024] * 64).failure == "ValueError"

"""How a streamed answer is read, however it is divided into blocks."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, strategies as st

from chains.finish_reasons import finish_reason_of
from chains.models.answers import MAX_CHARACTERS, RETRACTED, AnswerReader
from chains.models.sse import LONGEST_EVENT
from chains.models.stream_failures import StreamFailure

CANARY = "sk-canary-7f3a9"
STOP = {"finish_reason": "stop"}
DONE = b"data: [DONE]\n\n"


def event(**fields: Any) -> bytes:
    return f"data: {json.dumps(fields, ensure_ascii=False)}\n\n".encode()


def choice(content: Any = None, /, **fields: Any) -> bytes:
    """A chunk with one choice; without content its delta is empty."""
    delta = {} if content is None else {"content": content}
    return event(choices=[{"index": 0, "delta": delta, "finish_reason": None, **fields}])


def usage(tokens: Any) -> bytes:
    return event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": 0})


@dataclass
class Answer:
    """The result of reading a body. `failure` is a status or the error's name."""

    text: str
    reason: str | None
    is_complete: bool
    tokens: int | None = None
    failure: int | str | None = None


def read(*blocks: bytes, starts_with_thinking: bool = False) -> Answer:
    reader = AnswerReader(10, starts_with_thinking=starts_with_thinking)
    texts: list[str] = []
    failure = None
    for block in blocks:
        shown, failure = reader.feed(block)
        _show(shown, texts)
        if failure or reader.is_over:
            break
    shown, broken = reader.close()
    _show(shown, texts)
    failure = None if reader.is_complete else failure or broken
    name = failure.status or "StreamFailure" if isinstance(failure, StreamFailure) else failure and "ValueError"
    counted = reader.ending("m").usage_metadata
    return Answer("".join(texts), reader.reason, reader.is_complete, counted and counted["output_tokens"], name)


def _show(shown: list[Any], texts: list[str]) -> None:
    for piece in shown:
        if piece is RETRACTED:
            texts.clear()
        elif isinstance(piece, str):
            texts.append(piece)


def ok(text: str = "Beef.", reason: str | None = "stop", tokens: int | None = None) -> Answer:
    return Answer(text, reason, is_complete=True, tokens=tokens)


def failed(failure: int | str, text: str = "", reason: str | None = None) -> Answer:
    return Answer(text, reason, is_complete=False, failure=failure)


BEEF = choice("Beef.")
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
    # not a stream
    "a whole completion": (json.dumps(WHOLE, indent=1).encode(), ok()),
    "a whole completion without a reason": (
        json.dumps({"choices": [{"message": {"content": "Beef."}, "finish_reason": None}]}).encode(),
        ok(reason=None),
    ),
    "a document with an error": (json.dumps({"error": {"code": 429, "message": CANARY}}).encode(), failed(429)),
    "a document that is something else": (b'{"hello": "world"}', failed("ValueError")),
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
    (event(throttlingException={"message": CANARY}), "StreamFailure"),
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
    ],
)
def test_a_chunk_that_reports_success_is_no_failure(chunk: dict[str, Any]) -> None:
    assert read(event(**chunk) + BEEF + choice(**STOP)) == ok()


THINKING = [
    "<reason>Draft.</reason>Beef.",
    "<analysis>Draft.</analysis>\nBeef.",
    "<mm:think>Draft.</mm:think>\n\nBeef.",
    "<ant_thinking>Draft.</ant_thinking>Beef.",
    "<|think|>Draft.<|/think|>Beef.",
    "<|thought_start|>Draft.<|thought_end|>Beef.",
    "<|thought_end|>Beef.",
    "<|inner_prefix|>Draft.<|inner_suffix|>Beef.",
    "<unused94>thought\nDraft.<unused95>Beef.",
    "[THOUGHT]Draft.[/THOUGHT]Beef.",
    "◁think▷Draft.◁/think▷Beef.",
    "<|channel>thought\nDraft.<channel|>Beef.",
    "<|channel|>commentary<|message|>Draft.<|end|><|start|>assistant<|channel|>final<|message|>Beef.",
    "<|channel|>final<|message|>Beef.",
    "<think>Draft.</think><response>Beef.</response>",
    "<think>Draft.</think><answer>Beef.</answer>",
    "<|begin_of_thought|>Draft.<|end_of_thought|><|begin_of_solution|>Beef.<|end_of_solution|>",
    "<|START_THINKING|>Draft.<|END_THINKING|><|START_RESPONSE|>Beef.<|END_RESPONSE|>",
    "<|start|>assistant<|channel|>analysis<|message|>Draft.<|end|>"
    "<|start|>assistant<|channel|>final<|message|>Beef.<|return|>",
    "analysisWe need a draft.assistantfinalBeef.",
    "Here is my thought process: Draft.\n\nHere is my response: Beef.",
    "<think>Draft.</think>Be<think>Another one.</think>ef.",
    "Beef.</s>",
    "Beef.<|im_end|>",
    "Beef.<|END_OF_TURN_TOKEN|>",
    "Beef.<｜end▁of▁sentence｜>",
    "<|im_start|>assistant\nBeef.",
    "<|start_header_id|>assistant<|end_header_id|>\n\nBeef.",
]


@pytest.mark.parametrize("text", THINKING)
def test_thinking_and_the_marks_of_an_answer_are_removed(text: str) -> None:
    assert read(choice(text), choice(**STOP)) == ok()
    assert read(*map(choice, text), choice(**STOP)) == ok()


@pytest.mark.parametrize(
    "text", ["Use <5 minutes, 2 < 3 eggs.", "I [think] so", "<b>Beef</b> [1] [THINLY]", "Beef <", "<-"]
)
def test_other_brackets_in_a_text_are_shown(text: str) -> None:
    assert read(choice(text), choice(**STOP)) == ok(text)
    assert read(*map(choice, text), choice(**STOP)) == ok(text)


def test_words_of_untagged_thinking_end_nothing_in_a_text() -> None:
    text = "Beef for two [1]. Here is my response: fry it."
    assert read(choice(text), choice(**STOP)) == ok(text)


REASONS = {
    "stop": ["stop", "eos", "eos_token", "COMPLETE", "end_turn", "STOP", "stop_sequence", True, "OTHER", "1"],
    "length": ["length", "max_tokens", "MAX_TOKENS", "model_length", "output_limit", "ERROR_LIMIT", "REASON_MAX_LEN",
               "maxPredictedTokensReached", {"type": "length", "length": 64}],
    "content_filter": ["content_filter", "SAFETY", "RECITATION", "refusal", "blocked", "violation", "ERROR_TOXIC"],
    "tool_calls": ["tool_calls", "function_call", "tool_use"],
    "error": ["error", "abort", "CANCELLED", "insufficient_system_resource", "exception", f"error: {CANARY}",
              "MALFORMED_FUNCTION_CALL", "TIME_LIMIT"],
    None: [None, "", "  ", "null", "NOT_FINISHED", {}, {"type": None}, [], 0, False],
}  # fmt: skip


@pytest.mark.parametrize(("word", "reason"), [(word, reason) for reason, words in REASONS.items() for word in words])
def test_a_provider_s_word_for_the_end_becomes_one_of_ours(word: object, reason: str | None) -> None:
    assert finish_reason_of(word) == reason


@given(
    st.none() | st.booleans() | st.floats() | st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text())
)
@pytest.mark.slow
def test_only_our_own_words_are_returned(word: object) -> None:
    assert finish_reason_of(word) in {None, "stop", "length", "content_filter", "tool_calls", "error"}


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


@pytest.mark.parametrize("size", [1, 3, 1000])
@given(st.text(alphabet="ab<>/think \n]THINK◁", max_size=60))
def test_text_without_a_whole_tag_is_shown_to_the_last_character(size: int, text: str) -> None:
    text = f"- {text.replace('<think>', '').replace('</think>', '')}"
    pieces = [choice(text[place : place + size]) for place in range(0, len(text), size)]
    assert read(*pieces, choice(**STOP)).text == text


def test_a_model_known_to_think_is_buffered_up_to_its_closing_tag() -> None:
    reader = AnswerReader(10, starts_with_thinking=True)
    assert reader.feed(choice("A draft.")) == ([], None)
    assert reader.feed(choice("</think>Beef.")) == (["Beef."], None)
    assert read(choice("Beef."), choice(**STOP), starts_with_thinking=True) == ok()


def test_an_answer_beyond_its_limit_is_cut_off_there() -> None:
    """A provider that never ends uses bounded memory."""
    answer = read(*[choice("x" * 1_000_000)] * 20)
    assert [len(answer.text), answer.reason, answer.is_complete] == [MAX_CHARACTERS, "length", True]


def test_an_event_an_answer_and_a_document_are_bounded() -> None:
    assert read(b"data: " + b"x" * LONGEST_EVENT + b"x").failure == "ValueError"
    assert read(b"{" + b"x" * LONGEST_EVENT).failure == "ValueError"
    ping = b": " + b"x" * 1020 + b"\n\n"
    assert read(BEEF, *[ping * 1024] * 64).failure == "ValueError"

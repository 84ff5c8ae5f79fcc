"""Why an answer ended: the only place that reads a provider's `finish_reason`.

Providers use different words for the same reason, and some send free text. All of them are mapped to `FinishReason`.
"""

from typing import Literal, LiteralString, cast

FinishReason = Literal["stop", "length", "content_filter", "tool_calls", "error"]

CUT_OFF: dict[FinishReason | None, LiteralString] = {
    "length": "Cut off at the limit of tokens set for it.",
    "content_filter": "Cut off by the provider's content filter.",
}
NO_REASON: LiteralString = "The provider did not say why its answer ended."

# Parts of the words in use, among them those of OpenAI, Azure, Gemini, Anthropic, Cohere, DeepSeek, TGI and vLLM.
# The order matters: Cohere has ERROR_TOXIC and ERROR_LIMIT.
_WORDS: tuple[tuple[FinishReason, tuple[str, ...]], ...] = (
    (
        "content_filter",
        ("filter", "safety", "recitation", "block", "prohibited", "spii", "toxic", "guardrail",
         "sensitive", "refus", "flagged", "violat", "harmful", "harm_", "unsafe", "policy", "censor", "moderat"),
    ),
    (
        "length",
        ("length", "max", "token_limit", "error_limit", "output_limit", "num_predict", "context", "truncat",
         "incomplete"),
    ),
    (
        "error",
        ("error", "abort", "cancel", "fail", "overload", "insufficient", "timeout", "timed", "time_limit", "malformed",
         "unavailable", "interrupt", "rate_limit", "exception", "crash", "disconnect",
         "shutdown", "preempt", "killed", "unload"),
    ),
    ("tool_calls", ("tool", "function")),
)  # fmt: skip
_LONGEST_WORD = 200  # characters that are looked at


def finish_reason_of(value: object) -> FinishReason | None:
    """Returns the reason, or None for an empty value. Unknown words are `stop`. SGLang sends objects with a `type`."""
    if isinstance(value, dict):
        fields = cast(dict[str, object], value)
        value = fields.get("type", bool(fields))
    if not isinstance(value, str):
        return "stop" if value else None
    word = value[:_LONGEST_WORD].strip().casefold().replace("-", "_").replace(" ", "_")
    if word in ("", "null", "none", "not_finished"):  # watsonx says so in each chunk
        return None
    for reason, marks in _WORDS:
        if any(mark in word for mark in marks):
            return reason
    return "stop"


def finish_reason_in(metadata: dict[str, object]) -> FinishReason | None:
    """Returns the reason in a message's `response_metadata`."""
    return cast(FinishReason | None, metadata.get("finish_reason"))

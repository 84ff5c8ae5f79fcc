"""Providers' words for the end of an answer become ours."""

import pytest
from hypothesis import given, strategies as st

from chains.finish_reasons import finish_reason_of
from tests.answers import CANARY

REASONS = {
    "stop": ["stop", "eos", "eos_token", "COMPLETE", "end_turn", "STOP", "stop_sequence", True, "OTHER", "1",
             "FINISH_REASON_STOP", "eosFound", "harmony_stop"],
    "length": ["length", "max_tokens", "MAX_TOKENS", "model_length", "output_limit", "ERROR_LIMIT", "REASON_MAX_LEN",
               "maxPredictedTokensReached", {"type": "length", "length": 64}],
    "content_filter": ["content_filter", "SAFETY", "RECITATION", "refusal", "blocked", "violation", "ERROR_TOXIC",
                       "unsafe", "content_policy", "censored", "moderated", "guardrail_intervened", "HARM_CATEGORY"],
    "tool_calls": ["tool_calls", "function_call", "tool_use"],
    "error": ["error", "abort", "CANCELLED", "insufficient_system_resource", "exception", f"error: {CANARY}",
              "MALFORMED_FUNCTION_CALL", "TIME_LIMIT", "modelUnloaded", "network_error"],
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

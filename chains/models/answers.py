"""Follows a streamed answer: its visible text, why it ended, and the tokens it took.

Only this module decides whether an answer is complete. It ends with a `finish_reason`, unless text follows it, or with
`[DONE]`. Everything after the end is ignored. Reason and usage are the last ones in the stream; LangChain would
concatenate the reasons and add up the usages of all chunks.
"""

from collections.abc import Mapping
from typing import Any, cast

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk

from chains.finish_reasons import FinishReason, finish_reason_of
from chains.models.calls import Tokens
from chains.models.sse import NotAStreamError, Piece, PieceDecoder
from chains.models.stream_failures import StreamFailure
from chains.models.thinking import ThinkingFilter
from chains.surrogates import PairJoiner, replaced

Json = Mapping[str, Any]
AnswerPiece = str | AIMessageChunk

AFTER_END_S = 3.0  # the usage and `[DONE]` follow the reason; if text follows, the answer continues
MAX_CHARACTERS = 8 * 1024 * 1024
MIN_CHARACTERS = 64 * 1024  # for answers with a low token limit
CHARACTERS_PER_TOKEN = 64  # at most; few tokens have more than 16
CHARACTERS_PER_ESTIMATED_TOKEN = 2  # as in Korean; English has four, but an estimate must not be too low
MOST_TOKENS = 2**53
LIST_LEVELS = 4  # of lists in the content
_OF_CHUNKS = {"choices", "usage", "x_groq"}  # fields
REASONING = ("reasoning", "reasoning_content")  # fields of a delta
RETRACTED = AIMessageChunk(content="", response_metadata={"retracted": True})  # all text before it was thinking


class AnswerReader:
    """Reads the body of one answer, in blocks of any size, without any I/O.

    `next_token_s` is the timeout for each piece of progress, in seconds. A text that is longer than `max_tokens` tokens
    can be is cut off with the reason `length`. With `starts_with_thinking`, text up to a closing tag is thinking.
    """

    def __init__(
        self, next_token_s: float, *, max_tokens: int | None = None, starts_with_thinking: bool = False
    ) -> None:
        self.reason: FinishReason | None = None
        self.has_output = self.has_refused = False
        self._next_token_s = next_token_s
        self._decoder, self._joiner = PieceDecoder(), PairJoiner()
        self._thinking = ThinkingFilter(starts_inside=starts_with_thinking)
        self._characters_left = self._character_limit = character_limit(max_tokens)
        self._reasoning_characters = 0
        self._has_progress = self._ends_with_text = self._is_at_limit = self._is_whole = self._has_failed = False
        self._is_foreign: bool | None = None  # whether all events are of another protocol
        self._usage: UsageMetadata | None = None

    @property
    def is_complete(self) -> bool:
        """Whether there is an answer and the provider has ended it."""
        has_ended = self._is_whole or (self._decoder.has_ended and not self._has_failed)
        return self.has_output and (self.reason is not None or has_ended)

    @property
    def is_over(self) -> bool:
        """Whether the rest of the body can be ignored."""
        return self._decoder.has_ended or self._is_at_limit

    @property
    def thinks_untagged(self) -> bool:
        """Whether the text began with thinking without an opening tag."""
        return self._thinking.is_untagged

    def tokens(self, prompt_tokens: int) -> Tokens:
        """Returns what the provider has counted. Otherwise estimates it from this prompt and the text so far."""
        if usage := self._usage:
            return Tokens(usage["input_tokens"] or prompt_tokens, usage["output_tokens"])
        characters = self._character_limit - self._characters_left + self._reasoning_characters
        return Tokens(prompt_tokens, characters // CHARACTERS_PER_ESTIMATED_TOKEN, is_estimated=True)

    def feed(self, block: bytes) -> tuple[list[AnswerPiece], Exception | None]:
        """Returns the pieces that this block completes, and the failure after them, if there is one."""
        return self._read(*self._decoder.feed(block))

    def close(self) -> tuple[list[AnswerPiece], Exception | None]:
        """Returns the buffered pieces at the end of the body."""
        shown, failure = ([], None) if self._has_failed else self._read(*self._decoder.close())
        text = self._thinking.feed(replaced(self._joiner.half)) + self._thinking.close(is_cut=self.reason == "length")
        self._see(text)
        if not self.has_output and (self._decoder.is_document or self._is_foreign):
            form = "a document" if self._decoder.is_document else "events"
            failure = failure or NotAStreamError(f"{form} without an answer")
        return [*shown, text] if text else shown, failure

    def timeout_s(self) -> float | None:
        """Returns the timeout for the next chunk in seconds, or None to keep the current one."""
        if not self._has_progress:
            return None
        self._has_progress = False
        if self.reason and not self._ends_with_text:
            return min(AFTER_END_S, self._next_token_s)
        return self._next_token_s

    def ending(self, model_name: str) -> AIMessageChunk:
        """Returns the last chunk of the message, which has the reason and the usage."""
        metadata = {"finish_reason": self.reason, "model_name": model_name, "model_provider": "openai"}
        return AIMessageChunk(content="", response_metadata=metadata, usage_metadata=self._usage)

    def _read(self, pieces: list[Piece], failure: Exception | None) -> tuple[list[AnswerPiece], Exception | None]:
        shown: list[AnswerPiece] = []
        try:
            for piece in pieces:
                if isinstance(piece, str):
                    self._add_text(self._joiner.feed(piece) if self._joiner.half else piece, shown)
                else:
                    self._add_chunk(piece, shown)
        except (StreamFailure, ValueError, RecursionError) as error:
            failure = error
        self._has_failed = failure is not None
        return shown, failure

    def _add_text(self, text: str, shown: list[AnswerPiece]) -> None:
        if not text or self._is_at_limit:
            return
        if self.reason and not text.isspace():
            self.reason = None
        self._has_progress = self._ends_with_text = True
        self._characters_left -= len(text)
        if self._characters_left < 0:
            text = text[: self._characters_left]
            self._is_at_limit, self.reason = True, "length"
        visible = self._thinking.feed(text)
        if self._thinking.has_retracted:
            shown.append(RETRACTED)
            self.has_output = False
        if visible:
            shown.append(visible)
            if not self.has_output:
                self._see(visible)

    def _see(self, text: str) -> None:
        self.has_output = self.has_output or bool(text.strip())

    def _add_chunk(self, chunk: Json, shown: list[AnswerPiece]) -> None:
        self._count(chunk)
        self._is_foreign = self._is_foreign is not False and chunk.keys().isdisjoint(_OF_CHUNKS)
        choice = _first(chunk.get("choices"))
        delta = self._delta(choice)
        text = self._joiner.feed(_text(delta.get("content")))
        self._add_text(text, shown)
        self._reasoning_characters += sum(len(each) for field in REASONING if isinstance(each := delta.get(field), str))
        if calls := _tool_calls(delta.get("tool_calls")):
            shown.append(AIMessageChunk(content="", tool_call_chunks=calls))
            self.has_output = True
        self.has_refused = self.has_refused or bool(delta.get("refusal"))
        self._has_progress = self._has_progress or any(value for field, value in delta.items() if field != "role")
        self._end(choice, has_text=bool(text))

    def _delta(self, choice: Json) -> Json:
        """Returns the delta, the message of a whole answer, or the text of a choice that has neither.

        Perplexity's chunks have both, the message so far. Together's have a delta and its text.
        """
        delta, message = choice.get("delta"), _mapping(choice.get("message"))
        has_text = self._characters_left < self._character_limit
        if isinstance(delta, Mapping):
            return cast(Json, delta)
        if not message:
            return {"content": choice.get("text")}
        if has_text and not self._is_whole:
            return {}
        self._is_whole = True
        return message

    def _end(self, choice: Json, *, has_text: bool) -> None:
        reason = finish_reason_of(choice.get("finish_reason"))
        if reason == "error":
            raise StreamFailure(None)
        if reason and not self._is_at_limit:
            self.reason, self._ends_with_text, self._has_progress = reason, has_text, True

    def _count(self, chunk: Json) -> None:
        places = (chunk, _mapping(chunk.get("x_groq")), _first(chunk.get("choices")))
        for usage in filter(None, (_mapping(place.get("usage")) for place in places)):
            self._usage = _usage_of(usage) or self._usage


def _first(choices: object) -> Json:
    return _mapping(cast(list[object], choices)[0]) if isinstance(choices, list) and choices else {}


def _mapping(value: object) -> Json:
    return cast(Json, value) if isinstance(value, Mapping) else {}


def _text(content: object, levels: int = LIST_LEVELS) -> str:
    """Returns the text of a delta's content. Some providers send a number or, with thinking in it, a list of parts.

    Raises `ValueError` for any other content, because ignoring it could lose text.
    """
    match content:
        case None | bool():
            return ""
        case str() | int() | float():
            return str(content)
        case list() if levels:
            return "".join(_text(part, levels - 1) for part in cast(list[object], content))
        case {"thinking": object()} | {"thought": True}:
            return ""
        case {"type": str(kind)} if "think" in kind or "reason" in kind:
            return ""
        case {"text": str(text)}:
            return text
        case {"type": str()}:  # an image, or Mistral's references
            return ""
        case _:
            raise ValueError("a part of the content is not text")


def _tool_calls(calls: object) -> list[ToolCallChunk]:
    """Returns the chunks of tool calls."""
    chunks: list[ToolCallChunk] = []
    for call in map(_mapping, cast(list[object], calls) if isinstance(calls, list) else []):
        function, index = _mapping(call.get("function")), call.get("index")
        texts = {"name": function.get("name"), "args": function.get("arguments"), "id": call.get("id")}
        fields = {field: text for field, text in texts.items() if isinstance(text, str)}
        if fields:
            chunks.append(tool_call_chunk(**fields, index=index if isinstance(index, int) else None))
    return chunks


def _usage_of(usage: Json) -> UsageMetadata | None:
    prompt = _tokens(usage.get("prompt_tokens", usage.get("input_tokens")))
    completion = _tokens(usage.get("completion_tokens", usage.get("output_tokens")))
    if not completion:  # a zero only says that nobody has counted
        return None
    reasoning = _tokens(_mapping(usage.get("completion_tokens_details")).get("reasoning_tokens"))
    cached = _tokens(_mapping(usage.get("prompt_tokens_details")).get("cached_tokens"))
    metadata = UsageMetadata(
        input_tokens=prompt or 0, output_tokens=completion, total_tokens=(prompt or 0) + completion
    )
    if reasoning is not None:
        metadata["output_token_details"] = OutputTokenDetails(reasoning=reasoning)
    if cached is not None:
        metadata["input_token_details"] = InputTokenDetails(cache_read=cached)
    return metadata


def _tokens(value: object) -> int | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS
    return int(cast(float, value)) if is_number else None


def character_limit(max_tokens: int | None) -> int:
    """Returns how many characters an answer of this many tokens may have, in case a provider ignores the limit."""
    if max_tokens is None:
        return MAX_CHARACTERS
    return min(MAX_CHARACTERS, max(MIN_CHARACTERS, CHARACTERS_PER_TOKEN * max_tokens))

"""A provider's model as LangChain knows it. The only place that names ChatOpenAI."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass
from time import monotonic
from typing import Any, ClassVar, LiteralString

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.load.serializable import SerializedConstructor
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_openai import ChatOpenAI
from pydantic import Field, SkipValidation
from typing_extensions import override

from chains._fast import Acceleration
from chains.attempt import current_attempt
from chains.errors import (
    EmptyResponseError,
    PromptTooLongError,
    ProviderError,
    ProviderRejectedError,
    TruncatedResponseError,
)
from chains.models.answers import RETRACTED, AnswerPiece, AnswerReader
from chains.models.calls import Call, CallEnd, CallObserver, Outcome, Price, Tokens
from chains.models.failures import log_label, to_provider_error
from chains.models.health import Health
from chains.models.lines import Admission, CallLine
from chains.models.registry import LimitField
from chains.models.sse import merged
from chains.models.timeouts import ReadTimeout
from chains.models.transport import ConnectFailedError, Endpoint, HttpStatusError, drain_body
from chains.sending import report_sent

logger = logging.getLogger(__name__)

BYTES_PER_TOKEN = 4  # of UTF-8; about as many in English and in Korean, with tokenizers of current models
MESSAGE_BYTES = 100  # of a message beyond its text, at most one token each
BROKEN_OFF: LiteralString = "The provider broke off before the end."


@dataclass(slots=True)
class _Progress:
    """A running call. Once it is sent it may cost something, unless the provider refuses it."""

    started_at: float
    first_at: float = 0.0
    may_cost: bool = False

    @property
    def ttft_s(self) -> float | None:
        return self.first_at - self.started_at if self.first_at else None


class ProviderChat(ChatOpenAI):
    """ChatOpenAI over aiohttp, with deadlines, our own decoder, and errors that never contain the provider's text.

    The SDK's client and decoder are slower, and its errors repeat the response body. An answer without a
    `finish_reason` is a `TruncatedResponseError`. A prompt that exceeds the context window is not sent.
    """

    label: str
    name_in_registry: str
    part: str  # empty for plain completions
    price: Price | None
    observer: CallObserver = Field(exclude=True)
    context_window: int  # tokens, like the next two; `limit` is that of an answer
    max_output: int
    limit: int
    first_token_s: float
    next_token_s: float
    flush_on: str
    health: Health = Field(exclude=True)
    endpoint: Endpoint = Field(exclude=True)
    untagged_thinkers: set[str] = Field(exclude=True)  # ids of models whose thinking has no opening tag
    limit_field: LimitField
    admission: SkipValidation[Admission] = Field(exclude=True)
    line: CallLine | None = Field(exclude=True)  # the provider's, if it has limits
    rank: int  # waiting calls with a lower rank go first
    acceleration: Acceleration = Field(exclude=True)
    dispatches_tokens: ClassVar[bool] = True  # `_agenerate` streams to the run's handlers

    @property
    def _part_field(self) -> dict[str, str]:
        return {"part": self.part} if self.part else {}

    @property
    def is_open(self) -> bool:
        """Whether the circuit breaker is open: the provider kept failing and is in its cooldown."""
        return self.health.open_for_s > 0

    @override
    def to_json(self) -> SerializedConstructor:
        """Returns what tracers report of a model: its name, because its headers have the key."""
        return {"lc": 1, "type": "constructor", "id": self.lc_id(), "kwargs": {"model": self.name_in_registry}}

    @override
    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, *, stop: Any = None, **kwargs: Any
    ) -> AIMessage:
        # `stream=False` makes LangChain call `_agenerate`, which reports tokens itself, even if a handler streams
        return await super().ainvoke(input, config, stop=stop, **{**kwargs, "stream": False})

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with aclosing(self._answer(messages, stop, **kwargs)) as pieces:
            async for piece in pieces:
                if piece is not RETRACTED:  # yielded text can't be retracted
                    yield self._generation(piece)

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        pieces: list[AnswerPiece] = []
        run = run_manager or AsyncCallbackManagerForLLMRun.get_noop_manager()
        async with (
            aclosing(self._answer(messages, stop, **kwargs)) as answer,
            aclosing(self._reported(answer, pieces)) as chunks,
        ):
            await self.acceleration.dispatch_tokens(run, chunks)
        return generate_from_stream(map(self._generation, merged(pieces)))

    async def _reported(
        self, answer: AsyncIterator[AnswerPiece], pieces: list[AnswerPiece]
    ) -> AsyncGenerator[AIMessageChunk]:
        """Yields the text of the answer in chunks for the handlers, and adds its pieces to `pieces`.

        Buffered text is flushed if the response breaks off, but not if the call is cancelled.
        """
        buffered, has_begun = "", False
        try:
            async for piece in answer:
                if piece is RETRACTED:
                    pieces.clear()
                    buffered = ""
                    yield RETRACTED
                    continue
                pieces.append(piece)
                buffered += piece if isinstance(piece, str) else ""
                if buffered and (self.flush_on in buffered or not has_begun):
                    text, buffered, has_begun = buffered, "", True
                    yield self.acceleration.text_chunk(text)
        except ProviderError:
            if buffered:
                yield self.acceleration.text_chunk(buffered)
            raise
        if buffered:
            yield self.acceleration.text_chunk(buffered)

    async def _answer(
        self, messages: list[BaseMessage], stop: list[str] | None, **kwargs: Any
    ) -> AsyncGenerator[AnswerPiece]:
        """Yields the pieces of the answer, which is always streamed, and its ending. Raises `ProviderError`."""
        limit = kwargs.get("max_tokens") or self.limit
        self.check_window(messages, limit)
        request = self._request(messages, stop, **kwargs)
        answer, failure = self._reader(limit), None
        async with self._observed(self._call(messages, limit), answer) as progress:
            try:
                async with self._response(request, progress) as reader:
                    while not answer.is_over and (block := await reader.read()):
                        pieces, broken = answer.feed(block)
                        progress.first_at = progress.first_at or (monotonic() if pieces else 0)
                        for piece in pieces:
                            yield piece
                        if broken:
                            raise broken
                        reader.reset(answer.timeout_s())
            except Exception as error:  # anything can go wrong with a provider's answer  # noqa: BLE001
                failure = self._provider_error(error, answer.has_output)
            pieces, broken = answer.close()
            for piece in pieces:
                yield piece
            # not within the `except`, where its context would contain the provider's words
            if failure := self._failure(answer, failure or broken):
                raise self._recorded(failure)
            if answer.thinks_untagged:
                self.untagged_thinkers.add(self.model_name)
            self.health.record_success(progress.started_at)
            yield answer.ending(self.model_name)

    def _call(self, messages: Sequence[BaseMessage], limit: int) -> Call:
        size = sum(len(message.text.encode(errors="replace")) + MESSAGE_BYTES for message in messages)
        provider = (self.metadata or {}).get("provider", "")
        return Call(
            provider, self.name_in_registry, self.model_name, self.part, current_attempt.get(), limit,
            most=Tokens(size, limit), price=self.price,
        )  # fmt: skip

    @asynccontextmanager
    async def _observed(self, call: Call, answer: AnswerReader) -> AsyncGenerator["_Progress"]:
        """Waits until the call may begin, then reports it to the observer, which may refuse it, and its end."""
        async with self.admission.call(self.rank), self.line.place(self.rank) if self.line else nullcontext():
            end = await self.observer.begin(call)
            progress, failure, outcome = _Progress(monotonic()), None, "cancelled"
            try:
                yield progress
                outcome = "ok"
            except ProviderError as error:
                failure, outcome = error, "failed"
                raise
            finally:
                end(self._end(call, answer, progress, outcome, failure))

    def _end(
        self, call: Call, answer: AnswerReader, progress: "_Progress", outcome: Outcome, failure: ProviderError | None
    ) -> CallEnd:
        tokens = answer.tokens(call.most.input // BYTES_PER_TOKEN) if progress.may_cost else Tokens(0, 0)
        kind = type(failure).__name__ if failure else ""
        return CallEnd(
            outcome, monotonic() - progress.started_at, progress.ttft_s, tokens,
            answer.reason, kind, failure.log_label or kind if failure else "",
        )  # fmt: skip

    def _request(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        max_tokens: int | None = None,
        stream_usage: bool = True,
        **more: Any,
    ) -> dict[str, Any]:
        """Returns the body of the request, with the fields that the provider accepts."""
        fields: dict[str, Any] = {
            "model": self.model_name,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            "reasoning_effort": self.reasoning_effort,
            "stop": stop,
            **more,
            "stream": True,
            "stream_options": {"include_usage": stream_usage} if self.stream_usage else None,
            **(self.extra_body or {}),
            **({self.limit_field: max_tokens} if max_tokens else {}),
        }
        return {name: value for name, value in fields.items() if value is not None}

    def _reader(self, limit: int) -> AnswerReader:
        is_thinker = self.model_name in self.untagged_thinkers
        return AnswerReader(self.next_token_s, max_tokens=limit, starts_with_thinking=is_thinker)

    @asynccontextmanager
    async def _response(self, request: Mapping[str, Any], progress: "_Progress") -> AsyncGenerator[ReadTimeout]:
        """Opens the body of the answer. Comments do not extend the timeout of a token."""
        report_sent()
        progress.may_cost = True
        first = asyncio.get_running_loop().time() + self.first_token_s
        try:
            async with asyncio.timeout_at(first):
                response = await self.endpoint.ask(request)
        except (ConnectFailedError, HttpStatusError):
            progress.may_cost = False
            raise
        async with response:
            coalesced = self.endpoint.http.coalescing.stream(response.content)
            with coalesced as body, ReadTimeout(body, first) as reader:
                yield reader
            await drain_body(response)

    def _failure(self, answer: AnswerReader, error: Exception | None) -> ProviderError | None:
        """Returns what is wrong with an answer that has ended. Errors after a complete answer do not matter."""
        if answer.is_complete:
            return None
        if error:
            return self._provider_error(error, answer.has_output)
        if answer.has_output:
            return TruncatedResponseError(BROKEN_OFF)
        if answer.reason == "length":
            return ProviderRejectedError(
                "{label} reached its token limit before it wrote text: raise the step's max_tokens.", label=self.label
            )
        if answer.reason == "content_filter" or answer.has_refused:
            return ProviderRejectedError(
                "{label}'s content filter blocked the whole answer: reword the request.", label=self.label
            )
        return EmptyResponseError("{label} sent an empty answer: try again.", label=self.label)

    def _provider_error(self, error: Exception, written: bool) -> ProviderError:
        if isinstance(error, ProviderError):
            return error
        failure = to_provider_error(self.label, error, written)
        failure.log_label = log_label(error)
        return failure

    def _recorded(self, failure: ProviderError) -> ProviderError:
        """Logs the failure, records it in the provider's health, and returns it."""
        label = failure.log_label or type(failure).__name__
        fields = {"provider": self.label, "model": self.model_name, "attempt": current_attempt.get(), "failure": label}
        logger.warning("%s (%s): %s", self.label, self.model_name, label, extra=fields | self._part_field)
        if failure.retryable and failure.may_be_prompted:
            self.health.record_suspicion(self.admission.caller())
        elif failure.retryable:
            self.health.record_failure(failure.retry_after)
        return failure

    def _generation(self, piece: AnswerPiece) -> ChatGenerationChunk:
        return self.acceleration.generation(self.acceleration.text_chunk(piece) if isinstance(piece, str) else piece)

    def check_window(self, messages: Sequence[BaseMessage], max_tokens: int | None = None) -> None:
        """Raises `PromptTooLongError` if the messages and an answer of `max_tokens` (default: the part's) don't fit."""
        prompt = sum(len(message.text.encode(errors="replace")) for message in messages) // BYTES_PER_TOKEN
        answer = max_tokens or self.limit
        if prompt + answer > self.context_window:
            raise PromptTooLongError(
                "The prompt is about {prompt:,} tokens long and the answer may take {answer:,}, "
                "but {model} holds {window:,}: use a larger model.",
                prompt=prompt,
                answer=answer,
                model=self.name_in_registry,
                window=self.context_window,
            )

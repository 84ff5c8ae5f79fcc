"""The models as LangChain knows them. The only place that names ChatOpenAI."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from ssl import SSLContext
from time import monotonic
from typing import Any, ClassVar, LiteralString, cast
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import httpx2
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import ConfigurableField, Runnable
from langchain_openai import ChatOpenAI
from pydantic import Field, SecretStr
from typing_extensions import override

from chains._fast import Acceleration
from chains.errors import (
    EmptyResponseError,
    PromptTooLongError,
    ProviderError,
    ProviderRejectedError,
    TruncatedResponseError,
)
from chains.models.answers import RETRACTED, AnswerPiece, AnswerReader
from chains.models.failures import log_label, to_provider_error
from chains.models.health import CallSlots, Health, RequestsPerMinute
from chains.models.registry import LimitField, PartSettings, Registry
from chains.models.sse import Chunk, merged
from chains.models.timeouts import ReadTimeout
from chains.models.transport import CONNECT_S, Endpoint, HttpClients, drain_body, trusted_authorities
from chains.sending import report_sent

logger = logging.getLogger(__name__)

BROKEN_OFF: LiteralString = "The provider broke off before the end."

LAST = 1000  # the rank of calls for which nothing else waits
MODEL_FIELD = ConfigurableField(
    id="model", name="Model", description="A model of the registry, or the one that the settings chose for the part."
)


class ProviderChat(ChatOpenAI):
    """ChatOpenAI over aiohttp, with deadlines, our own decoder, and errors that never contain the provider's text.

    The SDK's client and decoder are slower, and its errors repeat the response body. An answer without a
    `finish_reason` is a `TruncatedResponseError`. A prompt that exceeds the context window is not sent.
    """

    label: str
    name_in_registry: str
    context_window: int  # tokens, as is the next
    max_output: int
    first_token_s: float
    next_token_s: float
    flush_on: str
    health: Health = Field(exclude=True)
    endpoint: Endpoint = Field(exclude=True)
    untagged_thinkers: set[str] = Field(exclude=True)  # ids of models whose thinking has no opening tag
    limit_field: LimitField
    slots: CallSlots | None = Field(exclude=True)
    rank: int  # a lower one goes first where calls wait
    acceleration: Acceleration = Field(exclude=True)
    dispatches_tokens: ClassVar[bool] = True  # `_agenerate` streams to the run's handlers

    @override
    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """The request with the fields that the provider takes."""
        payload = cast(Chunk, super()._get_request_payload(input_, stop=stop, **kwargs))  # pyright: ignore[reportUnknownMemberType]
        if limit := payload.pop("max_completion_tokens", None):
            payload[self.limit_field] = limit
        if not self.stream_usage:
            payload.pop("stream_options", None)
        return payload

    @property
    def is_open(self) -> bool:
        """Whether the circuit breaker is open: the provider kept failing and is in its cooldown."""
        return self.health.open_for_s > 0

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
                if piece is not RETRACTED:  # what was yielded can't be taken back here
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
        """The text of the answer, in chunks as handlers are to get it. Its pieces are added to `pieces`.

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

    @override
    def _should_stream(self, *, async_api: bool, run_manager: Any = None, **kwargs: Any) -> bool:
        # not because of the handlers of the whole call: `_agenerate` dispatches its tokens to them
        return super()._should_stream(async_api=async_api, run_manager=None, **kwargs)

    async def _answer(
        self, messages: list[BaseMessage], stop: list[str] | None, stream_usage: bool = True, **kwargs: Any
    ) -> AsyncGenerator[AnswerPiece]:
        """The pieces of the answer, which is always streamed; its ending is the last. Raises `ProviderError`."""
        self.check_window(messages, kwargs.get("max_tokens"))
        options = {**kwargs, "stream": True, "stream_options": {"include_usage": stream_usage}}
        payload = self._get_request_payload(messages, stop=stop, **options)
        answer, failure, sent_at = self._reader(kwargs.get("max_tokens")), None, monotonic()
        try:
            async with self._response(payload) as patience:
                while not answer.is_over and (block := await patience.read()):
                    pieces, broken = answer.feed(block)
                    for piece in pieces:
                        yield piece
                    if broken:
                        raise broken
                    patience.reset(answer.timeout_s())
        except Exception as error:  # whatever becomes of a provider's answer  # noqa: BLE001
            failure = self._provider_error(error, answer.has_output)
        pieces, broken = answer.close()
        for piece in pieces:
            yield piece
        # not within the `except`: what is raised or logged there has the provider's words in its context
        if failure := self._failure(answer, failure or broken):
            raise self._recorded(failure)
        if answer.thinks_untagged:
            self.untagged_thinkers.add(self.model_name)
        self.health.answered(sent_at)
        yield answer.ending(self.model_name)

    def _reader(self, max_tokens: int | None) -> AnswerReader:
        is_thinker = self.model_name in self.untagged_thinkers
        limit = max_tokens or self.max_tokens
        return AnswerReader(self.next_token_s, max_tokens=limit, starts_with_thinking=is_thinker)

    @asynccontextmanager
    async def _response(self, payload: Chunk) -> AsyncGenerator[ReadTimeout]:
        """The answer's body, of which no token may be late, whatever comments come in its place."""
        async with self.slots.slot(self.rank) if self.slots else nullcontext():
            report_sent()
            first = asyncio.get_running_loop().time() + self.first_token_s
            async with asyncio.timeout_at(first):
                response = await self.endpoint.ask(payload)
            async with response:
                with ReadTimeout(response.content, first) as patience:
                    yield patience
                await drain_body(response)

    def _failure(self, answer: AnswerReader, error: Exception | None) -> ProviderError | None:
        """What is wrong with an answer that is at its end. Nothing can go wrong with one that is complete."""
        if answer.is_complete:
            return None
        if error:
            return self._provider_error(error, answer.has_output)
        if answer.has_output:
            return TruncatedResponseError(BROKEN_OFF)
        if answer.reason == "length":
            return ProviderRejectedError(
                "{label} used up its limit before it wrote a word: raise the step's max_tokens.", label=self.label
            )
        if answer.reason == "content_filter" or answer.has_refused:
            return ProviderRejectedError(
                "{label}'s content filter let no word through: change the wording of the request.", label=self.label
            )
        return EmptyResponseError("{label} ended its answer without a word: try again.", label=self.label)

    def _provider_error(self, error: Exception, written: bool) -> ProviderError:
        if isinstance(error, ProviderError):
            return error
        failure = to_provider_error(self.label, error, written)
        failure.log_label = log_label(error)
        return failure

    def _recorded(self, failure: ProviderError) -> ProviderError:
        """Logs the failure, records it in the provider's health, and returns it."""
        logger.warning("%s (%s): %s", self.label, self.model_name, failure.log_label or type(failure).__name__)
        if failure.retryable:
            self.health.failed(failure.retry_after)
        return failure

    def _generation(self, piece: AnswerPiece) -> ChatGenerationChunk:
        return self.acceleration.generation(self.acceleration.text_chunk(piece) if isinstance(piece, str) else piece)

    def check_window(self, messages: Sequence[BaseMessage], max_tokens: int | None = None) -> None:
        """Raises `PromptTooLongError` if the messages and an answer of `max_tokens` (default: the part's) don't fit."""
        # Four bytes of UTF-8 to a token: tokenizers of the models in use need about as many in English and Korean.
        prompt = sum(len(message.text.encode(errors="replace")) for message in messages) // 4
        answer = max_tokens or self.max_tokens or 0
        if prompt + answer > self.context_window:
            raise PromptTooLongError(
                "The prompt is about {prompt:,} tokens long and the answer may take {answer:,}, "
                "but {model} holds {window:,}: use a larger model.",
                prompt=prompt,
                answer=answer,
                model=self.name_in_registry,
                window=self.context_window,
            )


@dataclass(frozen=True)
class PartCall:
    """How a part's model is called: `role` names its list of models, a lower `rank` goes first where calls wait.

    Text is reported to handlers only when it contains `flush_on`; of JSON, partial objects are useless.
    """

    role: str
    max_tokens: int
    temperature: float
    rank: int
    flush_on: str = ""


@dataclass(frozen=True)
class ChatModels:
    """Makes models from the registry, called through `http`, each with the key of its provider.

    `usable` names the providers that can be called, `keys` and `proxies` are by provider.
    """

    registry: Registry
    usable: Collection[str]
    keys: Mapping[str, SecretStr]
    http: HttpClients
    proxies: Mapping[str, str]
    acceleration: Acceleration

    @cached_property
    def health(self) -> dict[str, Health]:
        """How each provider has been doing, by its name."""
        return {name: Health(provider.label) for name, provider in self.registry.providers.items()}

    @cached_property
    def _untagged_thinkers(self) -> set[str]:
        return set()

    @cached_property
    def _paces(self) -> dict[str, RequestsPerMinute]:
        limits = {name: provider.requests_per_minute for name, provider in self.registry.providers.items()}
        return {name: RequestsPerMinute(limit) for name, limit in limits.items() if limit}

    @cached_property
    def _slots(self) -> dict[str, CallSlots]:
        limits = {name: provider.max_concurrent_calls for name, provider in self.registry.providers.items()}
        return {name: CallSlots(limit) for name, limit in limits.items() if limit}

    @cached_property
    def _endpoints(self) -> dict[str, Endpoint]:
        return {
            name: Endpoint(self.http, provider, self._key(name).get_secret_value(), self.proxies.get(name))
            for name, provider in self.registry.providers.items()
        }

    @cached_property
    def _trusted(self) -> SSLContext:
        return trusted_authorities()

    def _sdk(self, provider: str) -> dict[str, Any]:
        """How the SDK reaches a provider for calls that are not asynchronous, without regard to the environment."""
        entry, client = self.registry.providers[provider], partial(httpx2.Client, verify=self._trusted, trust_env=False)
        address = urlsplit(entry.url(""))
        return {
            "base_url": urlunsplit(address._replace(query="")),
            "default_query": dict(parse_qsl(address.query)) or None,
            "default_headers": entry.headers(self._key(provider).get_secret_value()),
            "openai_proxy": "",
            "http_socket_options": (),  # else it warns of a proxy in the environment
            "timeout": httpx2.Timeout(None, connect=CONNECT_S),
            "http_client": client(proxy=self.proxies.get(provider)),
            "http_async_client": self._unused_client,
        }

    @cached_property
    def _unused_client(self) -> httpx2.AsyncClient:
        """What the SDK would make one of for each model."""
        return httpx2.AsyncClient(verify=self._trusted, trust_env=False)

    def for_parts(self, calls: Mapping[str, PartCall], chosen: Mapping[str, str]) -> dict[str, list[ProviderChat]]:
        """Each part's models: the chosen one, then those that are tried when it fails."""
        models = {
            part: [name, *self.registry.others(part, calls[part].role, name, self.usable)]
            for part, name in chosen.items()
        }
        return {part: [self._model(part, calls[part], name) for name in names] for part, names in models.items()}

    def configurable(
        self, calls: Mapping[str, PartCall], chosen: Mapping[str, str]
    ) -> dict[str, Runnable[LanguageModelInput, AIMessage]]:
        """Each part's model, with the configurable field `model`: the name of any usable model."""
        return {part: self._configurable(part, calls[part], name) for part, name in chosen.items()}

    def endpoints(self, models: Iterable[str]) -> list[Endpoint]:
        """Those of the providers of these models."""
        return [self._endpoints[name] for name in self.registry.providers_of(models)]

    def for_completions(self) -> dict[str, ProviderChat]:
        """The usable models as they answer a plain completion, by name, the preferred one first."""
        entry = self.registry.completion
        call = PartCall("", entry.max_tokens, entry.temperature, rank=LAST)
        return {name: self._model("", call, name) for name in self.registry.models_of(self.usable)}

    def _configurable(self, part: str, call: PartCall, chosen: str) -> Runnable[LanguageModelInput, AIMessage]:
        names = [name for name, model in self.registry.models.items() if model.provider in self.usable]
        others: dict[str, Any] = {name: partial(self._model, part, call, name) for name in names}
        # LangChain keeps one set of choices for all fields of the same id and annotation in a process
        field = MODEL_FIELD._replace(annotation=tuple(names))
        return self._model(part, call, chosen).configurable_alternatives(field, default_key="as set", **others)

    def _model(self, part: str, call: PartCall, name: str) -> ProviderChat:
        own = self.registry.parts.get(part, PartSettings())
        temperature = call.temperature if own.temperature is None else own.temperature
        model = self.registry.models[name]
        provider = self.registry.providers[model.provider]
        return ProviderChat(
            label=provider.label,
            metadata={"provider": model.provider, "model": name},
            name_in_registry=name,
            context_window=model.context_window,
            max_output=model.max_output,
            first_token_s=provider.first_token_s,
            next_token_s=provider.next_token_s,
            flush_on=call.flush_on,
            health=self.health[model.provider],
            endpoint=self._endpoints[model.provider],
            untagged_thinkers=self._untagged_thinkers,
            rate_limiter=self._paces.get(model.provider),
            slots=self._slots.get(model.provider),
            rank=call.rank,
            acceleration=self.acceleration,
            limit_field=provider.limit_field,
            extra_body={**provider.extra_body, **model.extra_body} or None,
            model=model.id,
            api_key=self._key(model.provider),
            temperature=temperature,
            max_completion_tokens=min(own.max_tokens or call.max_tokens, model.max_output),
            reasoning_effort=model.reasoning_effort,
            **self._sdk(model.provider),
            max_retries=0,
            stream_usage=provider.stream_usage,
            stream_chunk_timeout=None,
            use_responses_api=False,
        )

    def _key(self, provider: str) -> SecretStr:
        # always one: without it the SDK sends OPENAI_API_KEY to whatever base URL is set
        return self.keys.get(provider, SecretStr("none"))

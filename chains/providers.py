"""The models as LangChain knows them. The only place that names ChatOpenAI."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from time import monotonic
from typing import Any, cast

import aiohttp
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

from chains.deadline import Patience
from chains.errors import EmptyAnswer, PromptTooLong, ProviderError, Refused, Truncated
from chains.faults import in_our_words, kind
from chains.merging import (
    Chunk,
    Piece,
    PieceDecoder,
    content_of,
    finish_reason_of,
    is_answer,
    is_progress,
    merged,
)
from chains.pacing import Health, RequestsPerMinute
from chains.registry import Preferred, Registry
from chains.schema import Step
from chains.streaming import CUT_OFF
from chains.telling import generation_of, tell, text_chunk
from chains.transport import CONNECT_S, Endpoint, drain

logger = logging.getLogger(__name__)

BEHIND_END_S = 1.0  # for the number of tokens, which comes behind the reason of the end

MODEL_FIELD = ConfigurableField(
    id="model", name="Model", description="A model of the registry, or the one that the settings chose for the step."
)


class ProviderChat(ChatOpenAI):
    """ChatOpenAI that refuses what can't fit its window, and whose errors hold none of the provider's own words.

    A subclass, because it asks as `chains.transport` and reads as `chains.merging` does, whether it is asked for an
    answer whole or as a stream, where the SDK takes longer and has errors that repeat the provider's body word for
    word; and because it has deadlines that comments don't put off, and takes an answer without a `finish_reason` for
    what it is: `Truncated`.
    """

    label: str
    name_in_registry: str
    context_window: int  # tokens, as is the next
    max_output: int
    first_token_s: float
    next_token_s: float
    told_at: str
    health: Health = Field(exclude=True)
    endpoint: Endpoint = Field(exclude=True)

    @property
    def rests(self) -> bool:
        """Whether the provider kept failing, so that another one should be asked if there is one."""
        return self.health.rests_for > 0

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
                if generation := self._generation(piece):
                    yield generation

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        pieces: list[Piece] = []
        run = run_manager or AsyncCallbackManagerForLLMRun.get_noop_manager()
        async with (
            aclosing(self._answer(messages, stop, **kwargs)) as answer,
            aclosing(self._to_tell(answer, pieces)) as chunks,
        ):
            await tell(run, chunks)
        return generate_from_stream(filter(None, map(self._generation, merged(pieces))))

    async def _to_tell(self, answer: AsyncIterator[Piece], pieces: list[Piece]) -> AsyncGenerator[AIMessageChunk]:
        """The text of the answer, as often as handlers are to be told of it. Its pieces are added to `pieces`.

        What is held for `told_at` is told when the answer breaks off, but not when the call is cancelled.
        """
        untold, has_begun = "", False
        try:
            async for piece in answer:
                pieces.append(piece)
                untold += piece if isinstance(piece, str) else content_of(piece)
                if untold and (self.told_at in untold or not has_begun):
                    told, untold, has_begun = untold, "", True
                    yield text_chunk(told)
        except ProviderError:
            if untold:
                yield text_chunk(untold)
            raise
        if untold:
            yield text_chunk(untold)

    @override
    def _should_stream(self, *, async_api: bool, run_manager: Any = None, **kwargs: Any) -> bool:
        # not on account of the handlers of a call as a whole, which `_agenerate` tells of new text itself
        return super()._should_stream(async_api=async_api, run_manager=None, **kwargs)

    async def _answer(
        self, messages: list[BaseMessage], stop: list[str] | None, stream_usage: bool = True, **kwargs: Any
    ) -> AsyncGenerator[Piece]:
        """The pieces of the answer, which is always streamed. Raises what went wrong in our words."""
        self.check_window(messages, kwargs.get("max_tokens"))
        options = {**kwargs, "stream": True, "stream_options": {"include_usage": stream_usage}}
        payload = cast(Chunk, self._get_request_payload(messages, stop=stop, **options))  # pyright: ignore[reportUnknownMemberType]
        heard, decoder, failure, asked = _Heard(self.next_token_s), PieceDecoder(), None, monotonic()
        try:
            async with self._asked(payload) as patience:
                while not decoder.ended and (block := await patience.body.readany()):
                    patience.is_reading, within_s = False, None
                    pieces, broken = decoder.feed(block)
                    for piece in pieces:
                        within_s = heard.add(piece) or within_s
                        yield piece
                    if broken:
                        raise broken
                    patience.read_on(within_s)
        except (aiohttp.ClientError, OSError) as error:  # one of them is a `TimeoutError`
            if not (heard.is_answer and heard.reason):  # else only the number of tokens is lost
                failure = self._told(error, heard.is_answer)
        except Exception as error:  # whatever becomes of a provider's answer  # noqa: BLE001
            failure = self._told(error, heard.is_answer)
        # not within the `except`: what is raised or logged there has the provider's words in its context
        if failure := failure or self._ending(heard):
            raise self._noted(failure)
        self.health.answered(asked)

    @asynccontextmanager
    async def _asked(self, payload: Chunk) -> AsyncGenerator[Patience]:
        """The answer's body, of which no token may be late, whatever comments come in its place."""
        first = asyncio.get_running_loop().time() + self.first_token_s
        async with asyncio.timeout_at(first):
            response = await self.endpoint.ask(payload)
        async with response:
            with Patience(response.content, first) as patience:
                yield patience
            await drain(response)

    def _ending(self, heard: "_Heard") -> ProviderError | None:
        """What is wrong with an answer that came to its end."""
        if heard.is_answer:
            return None if heard.reason else Truncated(CUT_OFF[None])
        if heard.reason == "length":
            return Refused(f"{self.label} used up its limit before it wrote a word: raise the step's max_tokens.")
        if heard.reason == "content_filter":
            return Refused(f"{self.label}'s content filter let no word through: change the ingredients' wording.")
        return EmptyAnswer(f"{self.label} ended its answer without a word: try again.")

    def _generation(self, piece: Piece) -> ChatGenerationChunk | None:
        if isinstance(piece, str):
            return generation_of(text_chunk(piece))
        try:
            return self._convert_chunk_to_generation_chunk(piece, AIMessageChunk, {})  # pyright: ignore[reportUnknownMemberType]
        except Exception as error:  # it may repeat what it could not read  # noqa: BLE001
            failure = self._told(error, written=True)
        raise self._noted(failure)

    def _told(self, error: Exception, written: bool) -> ProviderError:
        failure = in_our_words(self.label, error, written)
        failure.kind = kind(error)
        return failure

    def _noted(self, failure: ProviderError) -> ProviderError:
        """The failure, which is told to the log, and to whoever is to know how the provider is doing."""
        logger.warning("%s (%s): %s", self.label, self.model_name, failure.kind or type(failure).__name__)
        if failure.passes:
            self.health.failed(failure.retry_after)
        return failure

    def check_window(self, messages: Sequence[BaseMessage], max_tokens: int | None = None) -> None:
        """Raises `PromptTooLong` if the messages and an answer of `max_tokens`, else the step's limit, don't fit."""
        # Four bytes of UTF-8 to a token: tokenizers of the models in use need about as many in English and Korean.
        prompt = sum(len(message.text.encode(errors="replace")) for message in messages) // 4
        answer = max_tokens or self.max_tokens or 0
        if prompt + answer > self.context_window:
            raise PromptTooLong(
                f"The prompt is about {prompt:,} tokens long and the answer may take {answer:,}, "
                f"but {self.name_in_registry} holds {self.context_window:,}: use a larger model."
            )


@dataclass
class _Heard:
    """What came of an answer: whether there was a word, and the reason of its end, if it was told."""

    next_token_s: float
    is_answer: bool = False
    reason: str | None = None

    def add(self, piece: Piece) -> float | None:
        """Notes the piece. Returns in how many seconds the next has to come; None if this one is no progress."""
        if isinstance(piece, str):  # as nearly each one is
            self.is_answer = self.is_answer or bool(piece.strip())
            return self.next_token_s if piece else None
        self.is_answer = self.is_answer or is_answer(piece)
        if reason := finish_reason_of(piece):
            self.reason = reason
            return BEHIND_END_S
        return self.next_token_s if is_progress(piece) else None


@dataclass(frozen=True)
class ChatModels:
    """Makes the steps' models from the registry: called through `http`, each with the key of its provider.

    `chosen` names a model for each step, `keys` holds keys by the provider's name, and `proxies` the addresses of those
    that are between us and a provider.
    """

    registry: Registry
    chosen: Mapping[Step, str]
    keys: Mapping[str, SecretStr]
    http: aiohttp.ClientSession
    proxies: Mapping[str, str]

    @cached_property
    def health(self) -> dict[str, Health]:
        """How each provider has been doing, by its name."""
        return {name: Health(provider.label) for name, provider in self.registry.providers.items()}

    @cached_property
    def _paces(self) -> dict[str, RequestsPerMinute]:
        limits = {name: provider.requests_per_minute for name, provider in self.registry.providers.items()}
        return {name: RequestsPerMinute(limit) for name, limit in limits.items() if limit}

    @cached_property
    def _endpoints(self) -> dict[str, Endpoint]:
        return {
            name: Endpoint(
                self.http, provider.base_url.rstrip("/"), self._key(name).get_secret_value(), self.proxies.get(name)
            )
            for name, provider in self.registry.providers.items()
        }

    @cached_property
    def _sdks(self) -> dict[str, Any]:
        """What the SDK makes the calls with that are not asynchronous. By default it has one for each address."""
        trusted = httpx2.create_ssl_context()
        return {
            "timeout": httpx2.Timeout(None, connect=CONNECT_S),
            "http_client": httpx2.Client(verify=trusted),
            "http_async_client": httpx2.AsyncClient(verify=trusted),  # for nothing, but it would make one for each
        }

    def as_chosen(self) -> dict[Step, ProviderChat]:
        """Each step's model."""
        return {step: self._model(self.registry.steps[step], name) for step, name in self.chosen.items()}

    def others(self, usable: Collection[str]) -> dict[Step, list[ProviderChat]]:
        """The models of each step's list that are asked when its own fails, all of `usable` providers."""
        return {
            step: [self._model(self.registry.steps[step], other) for other in self.registry.others(step, name, usable)]
            for step, name in self.chosen.items()
        }

    def choosable(self, usable: Collection[str]) -> dict[Step, Runnable[LanguageModelInput, AIMessage]]:
        """Each step's model, with the configurable field `model`: any model's name of one of the `usable` providers."""
        names = [name for name, model in self.registry.models.items() if model.provider in usable]
        return {step: self._choosable(step, names) for step in self.chosen}

    def endpoints(self) -> list[Endpoint]:
        """Those of the providers that write the steps."""
        return [self._endpoints[name] for name in self.registry.providers_of(self.chosen.values())]

    def completing(self, usable: Collection[str]) -> dict[str, ProviderChat]:
        """The models of the `usable` providers as they answer a plain completion, by name, the preferred one first."""
        return {name: self._model(self.registry.completion, name) for name in self.registry.models_of(usable)}

    def _choosable(self, step: Step, names: Collection[str]) -> Runnable[LanguageModelInput, AIMessage]:
        wanted = self.registry.steps[step]
        others: dict[str, Any] = {name: partial(self._model, wanted, name) for name in names}
        # LangChain keeps one set of choices for all fields of the same id and annotation in a process
        field = MODEL_FIELD._replace(annotation=tuple(names))
        as_chosen = self._model(wanted, self.chosen[step])
        return as_chosen.configurable_alternatives(field, default_key="as set", **others)

    def _model(self, wanted: Preferred, name: str) -> ProviderChat:
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
            told_at=wanted.told_at,
            health=self.health[model.provider],
            endpoint=self._endpoints[model.provider],
            rate_limiter=self._paces.get(model.provider),
            model=model.id,
            base_url=provider.base_url,
            api_key=self._key(model.provider),
            temperature=wanted.temperature,
            max_completion_tokens=min(wanted.max_tokens, model.max_output),
            reasoning_effort=model.reasoning_effort,
            http_socket_options=(),  # else it warns of a proxy in the environment
            **self._sdks,
            max_retries=0,
            stream_usage=True,
            stream_chunk_timeout=None,
            use_responses_api=False,
        )

    def _key(self, provider: str) -> SecretStr:
        # always one: without it the SDK sends OPENAI_API_KEY to whatever base URL is set
        return self.keys.get(provider, SecretStr("none"))

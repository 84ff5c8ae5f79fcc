"""The models as LangChain knows them. The only place that names ChatOpenAI."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import cached_property, partial
from time import monotonic
from typing import Any, cast

import httpx2
from langchain_core.callbacks import AsyncCallbackHandler, AsyncCallbackManagerForLLMRun
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
    answered,
    content_of,
    finish_reason_of,
    is_answer,
    is_progress,
    merged,
    pieces_of,
)
from chains.pacing import Health, RequestsPerMinute
from chains.registry import Preferred, Registry
from chains.schema import Step
from chains.streaming import CUT_OFF
from chains.transport import TIMEOUT

logger = logging.getLogger(__name__)

BEHIND_END_S = 1.0  # for the number of tokens, which comes behind the reason of the end

MODEL_FIELD = ConfigurableField(
    id="model", name="Model", description="A model of the registry, or the one that the settings chose for the step."
)


class ProviderChat(ChatOpenAI):
    """ChatOpenAI that refuses what can't fit its window, and whose errors hold none of the provider's own words.

    A subclass, because it asks and reads as `chains.merging` does, whether it is asked for an answer whole or as a
    stream, where the SDK takes longer and has errors that repeat the provider's body word for word; and because it has
    deadlines that comments don't put off, and takes an answer without a `finish_reason` for what it is: `Truncated`.
    """

    label: str
    name_in_registry: str
    context_window: int  # tokens, as is the next
    max_output: int
    first_token_s: float
    next_token_s: float
    health: Health = Field(exclude=True)

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
        async with aclosing(self._answer(messages, stop, **kwargs)) as answer:
            async for piece in answer:
                pieces.append(piece)
                text = piece if isinstance(piece, str) else content_of(piece)
                if run_manager and text:
                    await _tell(run_manager, text)
        return generate_from_stream(filter(None, map(self._generation, merged(pieces))))

    @override
    def _should_stream(self, *, async_api: bool, run_manager: Any = None, **kwargs: Any) -> bool:
        # not on account of the handlers of a call as a whole, which `_agenerate` tells of each token itself
        return super()._should_stream(async_api=async_api, run_manager=None, **kwargs)

    async def _answer(
        self, messages: list[BaseMessage], stop: list[str] | None, stream_usage: bool = True, **kwargs: Any
    ) -> AsyncGenerator[Piece]:
        """The pieces of the answer, which is always streamed. Raises what went wrong in our words."""
        self.check_window(messages, kwargs.get("max_tokens"))
        options = {**kwargs, "stream": True, "stream_options": {"include_usage": stream_usage}}
        payload = cast(Chunk, self._get_request_payload(messages, stop=stop, **options))  # pyright: ignore[reportUnknownMemberType]
        written, reason, failure, asked = False, None, None, monotonic()
        try:
            async with aclosing(self._in_time(payload)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, str):
                        written = written or bool(piece.strip())
                    else:
                        written = written or is_answer(piece)
                        reason = finish_reason_of(piece) or reason
                    yield piece
        except (TimeoutError, httpx2.HTTPError) as error:
            if not (written and reason):  # else only the number of tokens is lost
                failure = self._told(error, written)
        except Exception as error:  # whatever becomes of a provider's answer  # noqa: BLE001
            failure = self._told(error, written)
        # not within the `except`: what is raised or logged there has the provider's words in its context
        if failure := failure or self._ending(written, reason):
            raise self._noted(failure)
        self.health.answered(asked)

    async def _in_time(self, payload: Chunk) -> AsyncGenerator[Piece]:
        """The pieces as they come. Raises `TimeoutError` when no token does, whatever comments come in its place."""
        now = asyncio.get_running_loop().time
        patience = Patience(now() + self.first_token_s)
        try:
            response = await patience.wait(self._asked(payload))
            async with aclosing(pieces_of(response)) as pieces:
                while (piece := await patience.wait(anext(pieces, None))) is not None:
                    if isinstance(piece, str):  # as nearly each one is
                        patience.ends = now() + self.next_token_s if piece else patience.ends
                    elif finish_reason_of(piece):
                        patience.ends = now() + BEHIND_END_S
                    elif is_progress(piece):
                        patience.ends = now() + self.next_token_s
                    yield piece
        finally:
            patience.close()

    def _asked(self, payload: Chunk) -> Awaitable[httpx2.Response]:
        http, key = cast(httpx2.AsyncClient, self.http_async_client), cast(SecretStr, self.openai_api_key)
        return answered(http, cast(str, self.openai_api_base).rstrip("/"), key.get_secret_value(), payload)

    def _ending(self, written: bool, reason: str | None) -> ProviderError | None:
        """What is wrong with an answer that came to its end."""
        if not written and reason == "length":
            return Refused(f"{self.label} used up its limit before it wrote a word: raise the step's max_tokens.")
        if not written and reason == "content_filter":
            return Refused(f"{self.label}'s content filter let no word through: change the ingredients' wording.")
        if not written:
            return EmptyAnswer(f"{self.label} ended its answer without a word: try again.")
        return None if reason else Truncated(CUT_OFF[None])

    def _generation(self, piece: Piece) -> ChatGenerationChunk | None:
        if isinstance(piece, str):
            return _said(piece)
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


def _said(text: str) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=text))


async def _tell(run_manager: AsyncCallbackManagerForLLMRun, text: str) -> None:
    """Tells the handlers of new text one after the other, where the run manager makes a task for each of them."""
    run_id, parent_id = run_manager.run_id, run_manager.parent_run_id
    if not all(isinstance(handler, AsyncCallbackHandler) for handler in run_manager.handlers):
        await run_manager.on_llm_new_token(text, chunk=_said(text))
        return
    for handler in cast(list[AsyncCallbackHandler], run_manager.handlers):
        await handler.on_llm_new_token(text, run_id=run_id, parent_run_id=parent_id)


@dataclass(frozen=True)
class ChatModels:
    """Makes the steps' models from the registry: called through `http`, each with the key of its provider.

    `chosen` names a model for each step, `keys` holds keys by the provider's name.
    """

    registry: Registry
    chosen: Mapping[Step, str]
    keys: Mapping[str, SecretStr]
    http: httpx2.AsyncClient

    @cached_property
    def health(self) -> dict[str, Health]:
        """How each provider has been doing, by its name."""
        return {name: Health(provider.label) for name, provider in self.registry.providers.items()}

    @cached_property
    def _paces(self) -> dict[str, RequestsPerMinute]:
        limits = {name: provider.requests_per_minute for name, provider in self.registry.providers.items()}
        return {name: RequestsPerMinute(limit) for name, limit in limits.items() if limit}

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

    def addresses(self) -> list[tuple[str, str]]:
        """The base URLs of the providers that write the steps, each with its key."""
        providers = self.registry.providers_of(self.chosen.values())
        return [(self.registry.providers[name].base_url, self._key(name).get_secret_value()) for name in providers]

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
            health=self.health[model.provider],
            rate_limiter=self._paces.get(model.provider),
            model=model.id,
            base_url=provider.base_url,
            api_key=self._key(model.provider),
            temperature=wanted.temperature,
            max_completion_tokens=min(wanted.max_tokens, model.max_output),
            reasoning_effort=model.reasoning_effort,
            http_async_client=self.http,
            http_socket_options=(),  # else it warns of a proxy in the environment, though the client is ours
            timeout=TIMEOUT,
            max_retries=0,
            stream_usage=True,
            stream_chunk_timeout=None,
            use_responses_api=False,
        )

    def _key(self, provider: str) -> SecretStr:
        # always one: without it the SDK sends OPENAI_API_KEY to whatever base URL is set
        return self.keys.get(provider, SecretStr("none"))

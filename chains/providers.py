"""The models as LangChain knows them. The only place that names ChatOpenAI."""

import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import openai
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from typing_extensions import override

from chains.errors import EmptyAnswer, PromptTooLong, ProviderError
from chains.registry import Registry
from chains.schema import STEPS, Step

logger = logging.getLogger(__name__)

TIMEOUT = httpx2.Timeout(30, connect=5)  # seconds; between any two bytes, and to connect

_WHAT_TO_DO = {
    400: "did not accept the request (400): check the model's entry in the registry.",
    401: "did not accept the key (401): check the provider's API key in the settings.",
    402: "asks for payment (402): check the account's credit.",
    403: "did not allow the request (403): check what the API key may do.",
    404: "does not know the model (404): check the model's id in the registry.",
    408: "took too long (408): try again.",
    413: "found the request too large (413): lower the step's max_tokens or use another model.",
    429: "has had too many requests (429): wait a minute, or use another provider.",
}


class ProviderChat(ChatOpenAI):
    """ChatOpenAI that refuses what can't fit its window, and whose errors hold none of the provider's own words.

    A subclass, because the SDK's errors repeat the provider's body word for word, echoed keys included.
    """

    label: str
    name_in_registry: str
    context_window: int

    @override
    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        self._check_window(messages)
        written, reason = False, None
        try:
            async for chunk in super()._astream(messages, *args, **kwargs):
                written = written or bool(chunk.text.strip())
                reason = (chunk.generation_info or {}).get("finish_reason", reason)
                yield chunk
        except Exception as error:  # whatever the SDK makes of a provider's answer  # noqa: BLE001
            raise self._in_our_words(error, written) from None
        if not written:
            raise self._empty(reason)

    @override
    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        self._check_window(messages)
        try:
            result = await super()._agenerate(messages, *args, **kwargs)
        except Exception as error:  # as above  # noqa: BLE001
            raise self._in_our_words(error, written=False) from None
        if not result.generations[0].text.strip():
            raise self._empty((result.generations[0].generation_info or {}).get("finish_reason"))
        return result

    def _in_our_words(self, error: Exception, written: bool) -> ProviderError:
        logger.warning("%s (%s): %s", self.label, self.model_name, _kind(error))
        return ProviderError(f"{self.label} {_advice(error, written)}")

    def _empty(self, finish_reason: str | None) -> EmptyAnswer:
        logger.warning("%s (%s): no text, finish_reason %s", self.label, self.model_name, finish_reason)
        if finish_reason == "length":
            return EmptyAnswer(f"{self.label} used up its limit before it wrote a word: raise the step's max_tokens.")
        return EmptyAnswer(f"{self.label} ended its answer without a word: try again.")

    def _check_window(self, messages: list[BaseMessage]) -> None:
        # Four bytes of UTF-8 to a token: tokenizers of the models in use need about as many in English and Korean.
        prompt = sum(len(message.text.encode(errors="replace")) for message in messages) // 4
        answer = self.max_tokens or 0
        if prompt + answer > self.context_window:
            raise PromptTooLong(
                f"The prompt is about {prompt:,} tokens long and the answer may take {answer:,}, "
                f"but {self.name_in_registry} holds {self.context_window:,}: use a larger model."
            )


def _kind(error: Exception) -> str:
    status = f" {error.status_code}" if isinstance(error, openai.APIStatusError) else ""
    return type(error).__name__ + status


def _advice(error: Exception, written: bool) -> str:
    match error:
        case openai.APIStatusError(status_code=int(status)):
            return _WHAT_TO_DO.get(status, f"failed ({status}): try again.")
        case openai.APITimeoutError() | httpx2.TimeoutException():
            return "fell silent: try again." if written else "did not answer in time: try again."
        case openai.APIConnectionError() | httpx2.HTTPError():
            if written:
                return "broke the connection off: try again."
            return "could not be reached: check the network, the base URL and the API key's form."
        case _:
            return "failed or sent what can't be read: try again."


def chat_models(
    registry: Registry,
    chosen: Mapping[Step, str],
    keys: Mapping[str, SecretStr],
    http: httpx2.AsyncClient,
) -> dict[Step, ProviderChat]:
    """The model for each step, called through `http`, with the key of its provider (by the provider's name)."""
    return {step: _chat_model(registry, step, chosen[step], keys, http) for step in STEPS}


def _chat_model(
    registry: Registry, step: Step, name: str, keys: Mapping[str, SecretStr], http: httpx2.AsyncClient
) -> ProviderChat:
    model, wanted = registry.models[name], registry.steps[step]
    provider = registry.providers[model.provider]
    return ProviderChat(
        label=provider.label,
        metadata={"provider": model.provider, "model": name},
        name_in_registry=name,
        context_window=model.context_window,
        model=model.id,
        base_url=provider.base_url,
        # always a key: without one the SDK sends OPENAI_API_KEY to whatever base URL is set
        api_key=keys.get(model.provider, SecretStr("none")),
        temperature=wanted.temperature,
        max_completion_tokens=min(wanted.max_tokens, model.max_output),
        reasoning_effort=model.reasoning_effort,
        http_async_client=http,
        http_socket_options=(),  # else it warns of a proxy in the environment, though the client is ours
        timeout=TIMEOUT,
        max_retries=0,
        stream_usage=True,
        stream_chunk_timeout=None,
        use_responses_api=False,
    )

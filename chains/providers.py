"""The models as LangChain knows them. The only place that names ChatOpenAI."""

import logging
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx2
import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from typing_extensions import override

from chains.errors import PromptTooLong, ProviderError, SizzleError
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
        empty = True
        with self._speaking_for_the_provider(messages):
            async for chunk in super()._astream(messages, *args, **kwargs):
                empty = empty and not chunk.text
                yield chunk
            if empty:
                raise ProviderError(f"{self.label} ended its answer without a word: try again.")

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self._speaking_for_the_provider(messages):
            return await super()._agenerate(messages, stop, run_manager, **kwargs)

    @contextmanager
    def _speaking_for_the_provider(self, messages: list[BaseMessage]) -> Generator[None]:
        self._check_window(messages)
        try:
            yield
        except SizzleError:
            raise
        except Exception as error:  # whatever the SDK makes of a provider's answer  # noqa: BLE001
            logger.warning("%s (%s): %s", self.label, self.model_name, _kind(error))
            raise ProviderError(f"{self.label} {_advice(error)}") from None

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


def _advice(error: Exception) -> str:
    match error:
        case openai.APIStatusError(status_code=int(status)):
            return _WHAT_TO_DO.get(status, f"failed ({status}): try again.")
        case openai.APITimeoutError() | httpx2.TimeoutException():
            return "did not answer in time: try again."
        case openai.APIConnectionError() | httpx2.ConnectError():
            return "could not be reached: check the network and the base URL."
        case httpx2.HTTPError():
            return "broke the connection off: try again."
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
        timeout=TIMEOUT,
        max_retries=0,
        stream_usage=True,
        stream_chunk_timeout=None,
        use_responses_api=False,
    )

"""StrOutputParser without LangChain's switch to a thread for every chunk, which takes 0.15 ms."""

from collections.abc import AsyncIterator
from typing import cast

from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from typing_extensions import override

from chains.errors import ProviderError
from chains.finish_reasons import CUT_OFF, FinishReason, finish_reason_in


class TextParser(StrOutputParser):
    """The text of an answer, whole or chunk by chunk, parsed in the same thread."""

    @override
    async def _atransform(self, input: AsyncIterator[str | BaseMessage]) -> AsyncIterator[str]:
        async for chunk in cast(AsyncIterator[BaseMessage], input):
            if chunk.text:
                yield chunk.text

    @override
    async def aparse_result(self, result: list[Generation], *, partial: bool = False) -> str:
        return self.parse_result(result, partial=partial)


class WholeText(TextParser):
    """The text of an answer. Raises `ProviderError` at the end if it was cut off, except at an accepted limit."""

    accepts_limit: bool = False

    @override
    async def _atransform(self, input: AsyncIterator[str | BaseMessage]) -> AsyncIterator[str]:
        reason = None
        async for chunk in cast(AsyncIterator[BaseMessage], input):
            reason = finish_reason_in(chunk.response_metadata) or reason
            if chunk.text:
                yield chunk.text
        self._check(reason)

    @override
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> str:
        self._check(finish_reason_in(cast(ChatGeneration, result[0]).message.response_metadata))
        return super().parse_result(result, partial=partial)

    def _check(self, reason: FinishReason | None) -> None:
        if reason in CUT_OFF and not (reason == "length" and self.accepts_limit):
            raise ProviderError(CUT_OFF[reason])

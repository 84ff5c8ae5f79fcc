"""StrOutputParser as the chains use it: where LangChain's own hops to a thread for every chunk, 0.15 ms each."""

from collections.abc import AsyncIterator
from typing import cast

from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from typing_extensions import override

from chains.errors import ProviderError
from chains.streaming import CUT_OFF


class TextParser(StrOutputParser):
    """The text of an answer, whole or chunk by chunk, parsed where it is."""

    @override
    async def _atransform(self, input: AsyncIterator[str | BaseMessage]) -> AsyncIterator[str]:
        async for chunk in cast(AsyncIterator[BaseMessage], input):
            if chunk.text:
                yield chunk.text

    @override
    async def aparse_result(self, result: list[Generation], *, partial: bool = False) -> str:
        return self.parse_result(result, partial=partial)


class WholeText(TextParser):
    """The text of an answer, which raises `ProviderError` behind it if its end is not one of `ends`."""

    ends: frozenset[str] = frozenset({"stop"})

    @override
    async def _atransform(self, input: AsyncIterator[str | BaseMessage]) -> AsyncIterator[str]:
        reason = None
        async for chunk in cast(AsyncIterator[BaseMessage], input):
            reason = chunk.response_metadata.get("finish_reason", reason)
            if chunk.text:
                yield chunk.text
        self._check(reason)

    @override
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> str:
        self._check(cast(ChatGeneration, result[0]).message.response_metadata.get("finish_reason"))
        return super().parse_result(result, partial=partial)

    def _check(self, reason: str | None) -> None:
        if reason not in self.ends:
            raise ProviderError(CUT_OFF.get(reason, CUT_OFF[None]))

"""A composition as one Markdown text in reading order, streamed as early as the order allows."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from langchain_core.runnables import Runnable, RunnableLambda

from chains.parts.composition import Composition, Request, title_in
from chains.parts.events import Alternate, Fragment, Option, PartEnd, PartEvent, PartStart, Proposal, option_texts
from chains.parts.requests import whole_request
from chains.parts.stream import astream_parts
from chains.translations import Language

ONCE_MORE: dict[Language, str] = {
    "en": "That broke off. Once more from the beginning:",
    "ko": "중간에 끊겼어요. 처음부터 다시 씁니다:",
}


def markdown_chain(composition: Composition, chain: RunnableLambda[Any, Any]) -> Runnable[Any, str]:
    """Returns the chain with one Markdown text as its result, streamed in reading order."""

    async def write(request: Request | Mapping[str, Any]) -> AsyncIterator[str]:
        validated = composition.request.model_validate(request)
        writer = MarkdownWriter(composition, validated.language)
        # no callbacks from outside: LangServe's would log every token of every part, and their inputs, to the client
        async with aclosing(astream_parts(chain, validated, {"callbacks": []})) as events:
            async for event in events:
                if text := writer.write(event):
                    yield text

    # a generator function in a RunnableLambda streams, and its configurable fields are those of `chain`
    return RunnableLambda(write).with_types(input_type=whole_request(composition), output_type=str)


class MarkdownWriter:
    """Puts parts that are generated at the same time one after the other.

    Text is buffered until the parts before it have ended. Returned text can't be retracted: a later attempt begins with
    a note that the part starts again.
    """

    def __init__(self, composition: Composition, language: Language = "en") -> None:
        parts = composition.reading_order
        self._choice = composition.choice
        self._headings = {part.name: part.title_in(language) for part in parts}
        self._notice, self._once_more = title_in(composition.notice, language), ONCE_MORE[language]
        self._pending = dict.fromkeys(self._headings, "")  # text that is not returned yet
        self._waiting = list(self._headings)
        self._ended: set[str] = set()
        self._begun: set[str] = set()
        self._alternates: list[Option] = []
        self._title = ""
        if not self._choice:
            self._title = f"# {composition.title_in(language)}\n"
        self._is_opened = False

    def write(self, event: PartEvent) -> str:
        """Returns the text that the event makes readable, often an empty one."""
        match event:
            case Proposal(options, picked) if not self._title:
                name, *others = option_texts(options[picked])
                self._title = "\n\n".join([f"# {name}", *others]) + "\n"
            case PartStart(part, attempt) if attempt > 1 and not self._is_choice(part):
                # of a `Choice` the options of earlier attempts count, too
                self._pending[part] = f"\n\n> {self._once_more}\n\n" if part in self._begun else ""
            case Fragment(part, text):
                self._pending[part] += text
            case Alternate(part, option) if option not in self._alternates:
                self._alternates.append(option)
                self._pending[part] += _item(option)
            case PartEnd(part, status, message=message):
                self._pending[part] += f"\n\n> {message}" if message and status != "ok" else ""
                self._ended.add(part)
            case _:
                return ""
        return self._readable()

    def _is_choice(self, part: str) -> bool:
        return self._choice is not None and part == self._choice.name

    def _readable(self) -> str:
        if not self._title and len(self._ended) < len(self._pending):
            return ""  # without a pick nothing is readable before everything has ended
        text = "" if self._is_opened else self._title + self._heading()
        self._is_opened = True
        while self._waiting:
            part = self._waiting[0]
            ready = self._pending[part].rstrip("\n")  # newlines at the end may be followed by text or by the part's end
            self._pending[part] = self._pending[part][len(ready) :]
            text += ready
            if ready:
                self._begun.add(part)
            if part not in self._ended:
                break
            del self._waiting[0]
            text += "\n" + self._heading()
        return text

    def _heading(self) -> str:
        """Returns the next part's heading, or the notice after the last part."""
        if self._waiting:
            return f"\n## {self._headings[self._waiting[0]]}\n\n"
        return f"\n> {self._notice}\n" if self._title and self._notice else ""


def _item(option: Option) -> str:
    name, *others = option_texts(option)
    return f"- **{name}**: {' · '.join(others)}\n" if others else f"- **{name}**\n"

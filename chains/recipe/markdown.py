"""A recipe as one text: Markdown in reading order, streamed as far as it can be read."""

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any

from langchain_core.runnables import Runnable, RunnableLambda

from chains.parts.stream import astream_fragments
from chains.recipe.request import Fragment, Language, Part, PartEnd, PartStart, Proposal, Recipe, RecipeRequest, Update

HEADINGS: dict[Language, dict[Part, str]] = {
    "en": {
        "intro": "About this dish",
        "ingredients": "Ingredients",
        "steps": "Steps",
        "sides": "On the side",
        "nutrition": "Good to know",
        "alternates": "Other ideas",
    },
    "ko": {
        "intro": "요리 이야기",
        "ingredients": "재료",
        "steps": "만드는 법",
        "sides": "곁들이면 좋은 것",
        "nutrition": "알아 두면 좋은 것",
        "alternates": "다른 아이디어",
    },
}


ONCE_MORE: dict[Language, str] = {
    "en": "That broke off. Once more from the beginning:",
    "ko": "중간에 끊겼어요. 처음부터 다시 씁니다:",
}


NOTICE: dict[Language, str] = {
    "en": "Written by a machine, which can be wrong: check every ingredient for allergens, and that meat, fish and "
    "eggs are cooked through.",
    "ko": "기계가 쓴 레시피라 틀릴 수 있어요. 재료마다 알레르기 성분을 확인하고, "
    "고기와 생선, 달걀은 속까지 익혀 드세요.",
}


def titles_of(parts: Iterable[Part]) -> dict[Language, str]:
    """The titles of these parts in each language, with commas between."""
    named = list(parts)
    return {language: ", ".join(titles[part] for part in named) for language, titles in HEADINGS.items()}


def markdown_chain(chain: RunnableLambda[Any, Any]) -> Runnable[RecipeRequest, str]:
    """The recipe chain with its result as one Markdown text, streamed in reading order."""

    async def recipe(request: RecipeRequest | dict[str, Any]) -> AsyncIterator[str]:
        asked = RecipeRequest.model_validate(request)
        writer = MarkdownWriter(asked.language)
        # no callbacks from outside: LangServe's would log every token of every step, and their inputs, to the client
        async with aclosing(astream_fragments(chain, asked, {"callbacks": []})) as updates:
            async for update in updates:
                if text := writer.write(update):
                    yield text

    # a generator function in a RunnableLambda streams, and its configurable fields are those of `chain`
    return RunnableLambda(recipe).with_types(input_type=RecipeRequest, output_type=str)


class MarkdownWriter:
    """Puts the parts, which are written at the same time, one after the other.

    A part that is ready early is held back until those before it have ended; nothing is lost and nothing comes twice.
    What can be read already can't be taken back: an attempt behind it says that the part begins once more.
    """

    def __init__(self, language: Language = "en") -> None:
        self._headings, self._once_more = HEADINGS[language], ONCE_MORE[language]
        self._notice = NOTICE[language]
        self._held: dict[Part, str] = dict.fromkeys(self._headings, "")
        self._waiting = list(self._headings)
        self._ended: set[Part] = set()
        self._read: set[Part] = set()
        self._ideas: set[Recipe] = set()
        self._title = ""

    def write(self, update: Update) -> str:
        """What can be read now that could not be read before; often nothing."""
        match update:
            case Proposal(recipes, picked) if not self._title:
                self._title = f"# {recipes[picked].name}\n\n{recipes[picked].intro}\n"
                return self._title + self._heading() + self._readable()
            case PartStart(part, attempt) if attempt > 1 and part != "alternates":  # whose ideas still hold
                self._held[part] = f"\n\n> {self._once_more}\n\n" if part in self._read else ""
            case Fragment(part, text, recipe):
                self._held[part] += self._idea(recipe) if recipe else text
            case PartEnd(part, status, message=message):
                self._held[part] += f"\n\n> {message}" if message and status != "ok" else ""
                self._ended.add(part)
            case _:
                return ""
        if self._title:
            return self._readable()
        # without a dish there is nothing to read before everything has ended
        return self._heading() + self._readable() if len(self._ended) == len(self._held) else ""

    def _idea(self, recipe: Recipe) -> str:
        told = recipe in self._ideas
        self._ideas.add(recipe)
        return "" if told else f"- **{recipe.name}**: {recipe.intro}\n"

    def _readable(self) -> str:
        text = ""
        while self._waiting:
            part = self._waiting[0]
            told = self._held[part].rstrip("\n")  # newlines wait for what is behind them: text, or the part's end
            self._held[part] = self._held[part][len(told) :]
            text += told
            if told:
                self._read.add(part)
            if part not in self._ended:
                break
            del self._waiting[0]
            text += "\n" + self._heading()
        return text

    def _heading(self) -> str:
        """The next part's heading, or the notice after the last part of a recipe."""
        if self._waiting:
            return f"\n## {self._headings[self._waiting[0]]}\n\n"
        return f"\n> {self._notice}\n" if self._title else ""

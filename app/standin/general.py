"""Answers to prompts of any composition: JSON of the requested shape, lines, steps or a few sentences."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import cycle, islice
from random import Random

from pydantic import JsonValue

from app.standin import cook
from app.standin.amounts import HANGUL
from app.standin.foods import mentioned
from app.standin.pantry import Entry, Language, Words, load
from app.standin.task import PLACE, Task, read_task
from app.standin.wording import fill, joined

_DEEPEST = 4  # levels of JSON
_TEXT = re.compile(r"about|intro|descri|why|reason|summary|text|detail|note|sentence|설명|소개|이유", re.IGNORECASE)
_FOR_SUM = re.compile(r"\b(?:sum|total)$")
_THIS = Words("this", "이 주제")

_Write = Callable[[int], str]


class _Place(Entry):
    name: Words
    about: Words


class _List(Entry):
    words: tuple[str, ...]
    lines: tuple[Words, ...]
    labelled: bool = False
    labels: tuple[str, ...] = ()
    sum: Words | None = None


class _Phrases(Entry):
    """`data/general.toml`."""

    notice: Words
    sentences: tuple[Words, ...]
    of_subject: tuple[Words, ...]
    names: tuple[Words, ...]
    descriptions: tuple[Words, ...]
    suits: Words
    places: tuple[_Place, ...]
    lists: tuple[_List, ...]
    labels: dict[str, str]


@cache
def _phrases() -> _Phrases:
    return load(_Phrases, "general.toml")


@lru_cache(maxsize=512)
def reply(system: str, human: str, seed: int = 0) -> str:
    """Returns the answer to a prompt. The same seed gives the same answer."""
    task = read_task(system, human, _phrases().notice)
    rng = Random(f"{seed}|{system}|{human}")  # noqa: S311 - picks phrases
    if task.shape.kind == "json":
        return _json(task, rng)
    if task.shape.kind == "sentences":
        return f"{_sentences(task, rng)} {_phrases().notice.in_language(task.language)}"
    return f"{_lines(task, rng)}\n\n{_phrases().notice.in_language(task.language)}"


def _topics(task: Task) -> list[str]:
    return [topic for topic in task.topics if topic != task.subject] or [
        task.subject or _THIS.in_language(task.language)
    ]


@dataclass(frozen=True)
class _Author:
    """Fills in JSON. The phrases are in the order of their use."""

    language: Language
    topics: Sequence[str]
    places: Sequence[_Place]
    names: Sequence[Words]
    descriptions: Sequence[Words]

    def value(self, example: JsonValue, at: int, write: _Write, depth: int = _DEEPEST) -> JsonValue:
        """Returns a value like the example, a different one for each `at`, with texts by `write`."""
        if isinstance(example, bool) or example is None or not depth:
            return example
        if isinstance(example, dict):
            writers = self._writers(example)
            return {name: self.value(each, at, writers[name], depth - 1) for name, each in example.items()}
        if isinstance(example, list):
            like = example[0] if example else ""
            return [self.value(like, 2 * at + each, write, depth - 1) for each in range(2)]
        return write(at) if isinstance(example, str) else example + at

    def _writers(self, example: Mapping[str, JsonValue]) -> dict[str, _Write]:
        """Returns what writes each field of an object: a place, one name, and descriptions."""
        describe = self.place_about if any(map(PLACE.search, example)) else self.description
        writers: dict[str, _Write] = {}
        name: _Write = self.name
        for key, each in example.items():
            is_text = _TEXT.search(key) or _TEXT.search(str(each))
            writers[key] = self.place if PLACE.search(key) else describe if is_text else name
            if writers[key] == self.name and isinstance(each, str):
                name = describe
        return writers

    def name(self, at: int) -> str:
        return self._phrase(self.names, at)

    def description(self, at: int) -> str:
        return self._phrase(self.descriptions, at)

    def place(self, at: int) -> str:
        name = self.places[at % len(self.places)].name.in_language(self.language)
        return _again(name, at // len(self.places))

    def place_about(self, at: int) -> str:
        about = self.places[at % len(self.places)].about.in_language(self.language)
        return _filled(_phrases().suits, self.language, about=about, topic=self._topic(at))

    def _phrase(self, phrases: Sequence[Words], at: int) -> str:
        text = _filled(phrases[at % len(phrases)], self.language, topic=self._topic(at))
        return _again(text, at // len(phrases))

    def _topic(self, at: int) -> str:
        return self.topics[at % len(self.topics)]


def _again(text: str, times: int) -> str:
    return f"{text} ({times + 1})" if times else text


def _json(task: Task, rng: Random) -> str:
    known, dishes = _phrases(), _dishes(task)
    names = [Words(dish["name"], dish["name"]) for dish in dishes] or rng.sample(known.names, len(known.names))
    descriptions = [Words(dish["intro"], dish["intro"]) for dish in dishes]
    descriptions = descriptions or rng.sample(known.descriptions, len(known.descriptions))
    places = rng.sample(known.places, len(known.places))
    author = _Author(task.language, _topics(task), places, names, descriptions)
    values = [author.value(task.shape.example, at, author.name) for at in range(max(1, task.shape.size))]
    return json.dumps(values if task.shape.size else values[0], ensure_ascii=False, indent=1)


def _dishes(task: Task) -> list[dict[str, str]]:
    """Returns recipes for the foods in a task about cooking."""
    foods = ", ".join(food.name for food in mentioned(task.text, task.language).foods) if task.is_about_food else ""
    answer = "한국어로 답하세요" if task.language == "ko" else "Answer in English"
    return json.loads(cook.reply(answer, f"JSON: {foods}. Suggest three recipes.")) if foods else []


def _sentences(task: Task, rng: Random) -> str:
    known, topics = _phrases(), _topics(task)
    phrases = [*(known.of_subject if task.is_about_place else ()), *rng.sample(known.sentences, len(known.sentences))]
    slots = {"subject": task.subject, "topics": joined(topics[:3], task.language)}
    chosen = zip(phrases[: task.shape.size], cycle(topics), strict=False)
    return " ".join(_filled(phrase, task.language, topic=topic, **slots) for phrase, topic in chosen)


def _lines(task: Task, rng: Random) -> str:
    texts = _texts(task)
    if task.shape.kind == "steps":
        return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))
    return "\n".join(f"- {text}" for text in dict.fromkeys(texts))


def _texts(task: Task) -> list[str]:
    rule, topics, own = _list_for(task), _topics(task), task.shape.labels
    names = own or (rule.labels if rule.labelled else ())
    labels = [_label(name, at, task.language) for at, name in enumerate(names, 1)] or topics
    phrases = list(islice(cycle(rule.lines), len(names) or task.shape.size))
    if rule.sum and names and _FOR_SUM.search(names[-1]):
        phrases[-1] = rule.sum
    about = labels if own and not rule.labelled else topics
    place = task.subject or topics[0]
    return [
        _filled(phrase, task.language, label=label, topic=topic, place=place)
        for phrase, label, topic in zip(phrases, cycle(labels), cycle(about), strict=False)
    ]


def _list_for(task: Task) -> _List:
    text = task.text.lower()
    return next((each for each in _phrases().lists if any(word in text for word in each.words)), _phrases().lists[-1])


def _label(label: str, at: int, language: Language) -> str:
    """Returns the label of a line. In Korean a number replaces a label that has no translation."""
    if language == "en":
        return label.removeprefix("the ")
    return _phrases().labels.get(label) or (label if HANGUL.search(label) else f"{at}번")


def _filled(phrase: Words, language: Language, **slots: str) -> str:
    return fill(phrase.in_language(language), lambda slot: slots[slot.lstrip("?")])

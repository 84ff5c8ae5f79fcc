"""Parses a prompt of any composition: its instruction, its material, and the requested shape."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import unescape
from typing import Literal, NamedTuple

from pydantic import JsonValue

from app.standin.amounts import HANGUL
from app.standin.foods import mentioned
from app.standin.korean import AND
from app.standin.pantry import Language, vocabulary
from app.standin.reading import language_of

_READ = 8000  # characters
_TAGGED = re.compile(r"<([\w-]{1,40})>([^<>]*)</\1>")
_LABELLED = re.compile(
    r"^[ \t]*(?!(?:write|list|plan|return|answer|reply|give|output|make|respond|describe|name|propose)\b)"
    r"([a-z가-힣][\w-]{0,20}(?: [\w-]{1,20}){0,2}):[ \t]+(?![{\[])(\S[^\n]*)$",
    re.IGNORECASE | re.MULTILINE,
)
_SUBJECT = re.compile(r"(?:^|_)(?:place|name|title|subject|topic|destination|city|장소|제목|주제|이름)$")
PLACE = re.compile(r"(?:^|_)(?:place|city|town|destination|region|country|location)$|장소|도시", re.IGNORECASE)
_ABOUT = re.compile(
    r"\b(?:about|on|of|for|to)\s(?:an?\s|the\s)?"
    r"(\w[\w'’-]{1,30}(?: (?!(?:in|as|with|that|which|for|and|to|from|of)\b)[\w'’-]{1,30}){0,3})"
    r"|([\w가-힣]{1,30}(?: [\w가-힣]{1,30})?)에 (?:대해|대한|관한|관해)"
)
_ITEM = re.compile(rf"[,;\n]|\band\b|{AND}|\s그리고\s")
_NO_TOPIC = re.compile(r"[\d.,]*|True|False")
_CLAUSE = re.compile(r"[:(–]|\.(?:\s|$)|\s(?:that|which|who|whose|where|because)\s")
_SENTENCES_ONLY = re.compile(r".*[.!?]\s+\S|(?:\S+\s+){5,}\S+[.!?]$", re.DOTALL)
_MARK = re.compile(r"^\s*(?:[-*•]|\d{1,3}[.)])\s+")

_NUMBER = r"(\d{1,3}|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|한|두|세|네|다섯|여섯|일곱|여덟|열)"
_SENTENCES = re.compile(rf"\b{_NUMBER}(?: (?:to|or) \w{{1,6}})? (?:short )?sentences?|{_NUMBER}\s?문장", re.IGNORECASE)
_LINES = re.compile(
    rf"\b{_NUMBER}(?: (?:to|or) \w{{1,6}})? (?:\w{{1,20}} )?"
    r"(?:lines|items|points|bullets|steps|entries|things|ideas|tips|questions)\b"
    rf"|\bat most {_NUMBER}\b|{_NUMBER}\s?(?:줄|가지|개|항목|단계)",
    re.IGNORECASE,
)
_OBJECTS = re.compile(
    rf"\b{_NUMBER} (?:json )?(?:objects|items|entries|elements|strings)\b"
    rf"|\b{_NUMBER}(?: [\w,]{{1,20}}){{0,6}} as (?:a )?json"
    rf"|객체 {_NUMBER}\s?개|{_NUMBER}\s?개",
    re.IGNORECASE,
)
_JSON = re.compile(r"\bjson\b", re.IGNORECASE)
_FORM = re.compile(r"^(?:form(?:at)?|shape)\b", re.IGNORECASE)
_ARRAY = re.compile(r"\b(?:array|list)\b|배열|목록", re.IGNORECASE)
_KEYS = re.compile(
    r"\b(?:keys?|fields?|properties)\b[^.\n\"]{0,30}((?:\"\w{1,40}\"[\s,]{0,3}(?:and )?){1,12})", re.IGNORECASE
)
_NUMBERED = re.compile(r"\bnumbered\b|\bits number\b|the number of the|\bsteps\b|1\. |번호", re.IGNORECASE)
_BULLETED = re.compile(r"\bline|\bbullet|\"- \"|^list\b|\. list\b|줄|목록", re.IGNORECASE)
_EACH_FOR = re.compile(r"\beach for ((?:(?!, starting)[^.;\n]){1,200})", re.IGNORECASE)
_FOR_EACH = re.compile(r"\bfor each (\w{1,20})|\beach (day|week|step)\b|하루에 한 줄|날마다", re.IGNORECASE)
_FOLLOWED_BY = re.compile(r"\bthen (the (?:sum|total))\b", re.IGNORECASE)

_ROLE = re.compile(
    r"\byou(?:'re| are) (?:an?|the)\s|당신은|너는"
    r"|^\W{0,5}you (?!are|will|must|should|can|may|have|need|do|always|never|answer|reply|respond)[a-z]{3,20}\s",
    re.IGNORECASE | re.MULTILINE,
)
_ANY_ROLE = re.compile(
    r"assistant|helpful|\bAI\b|\bbot\b|agent|cook|chef|kitchen|recipe|food|meal|도우미|요리|셰프|음식|레시피",
    re.IGNORECASE,
)
_COOKING = re.compile(
    r"cook|recipe|dish|meal|dinner|lunch|breakfast|supper|snack|food|\beat|ingredient|kitchen|nutrition"
    r"|\bsides?\b|yourself"
    r"|요리|레시피|음식|재료|먹|반찬|식사|저녁|점심|아침",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"^\W{0,5}(?:please |can you |could you )?(?:write|list|propose|describe|explain|summari[sz]e|plan|draft|suggest"
    r"|outline|compare|estimate|name|give)\b|(?:써|작성해|설명해|나열해|제안해|추천해|요약해|정리해)\s?(?:줘|주세요|라|보세요|요)",
    re.IGNORECASE | re.MULTILINE,
)


class Shape(NamedTuple):
    """The shape of an answer: `example` is the requested JSON; `labels` begin the lines."""

    kind: Literal["json", "lines", "steps", "sentences"]
    size: int
    example: JsonValue = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """A parsed prompt. `text` is the instruction, `material` the texts between tags or after labels."""

    text: str
    material: Mapping[str, str]
    language: Language

    @cached_property
    def subject(self) -> str:
        """The place or title in the material, or an empty string."""
        named = (value for key, value in self.material.items() if _SUBJECT.search(key) and len(value) <= 60)
        return next(named, "")

    @cached_property
    def is_about_place(self) -> bool:
        """Whether the subject is a place, and not a topic or a title."""
        return any(PLACE.search(key) and value == self.subject for key, value in self.material.items())

    @cached_property
    def topics(self) -> tuple[str, ...]:
        """The short items in the material, otherwise the topic of the instruction."""
        lists = (text for key, text in self.material.items() if text != self.subject and not key.endswith("about"))
        items = tuple(dict.fromkeys(item for value in lists for item in _items(value)))
        if self.language == "ko":
            items = tuple(filter(HANGUL.search, items)) or items
        return items[:8] or tuple(filter(None, [self.subject])) or self._topic_of_text()

    def _topic_of_text(self) -> tuple[str, ...]:
        """Returns the topic of the instruction, unless it is a shape or in another language."""
        for found in _ABOUT.finditer(self.text):
            topic = (found[1] or found[2]).strip()
            is_form = any(form.search(topic) for form in (_LINES, _SENTENCES, _OBJECTS, _JSON, _FORM))
            if not is_form and (self.language == "en" or HANGUL.search(topic)):
                return (topic,)
        return ()

    @property
    def is_about_food(self) -> bool:
        return bool(_COOKING.search(self.text))

    @cached_property
    def shape(self) -> Shape:
        example = self._example()
        if example is not None:
            return Shape("json", self._objects(), example)
        labels = self._labels()
        if _NUMBERED.search(self.text):
            return Shape("steps", self._lines(labels), labels=labels)
        if labels or _BULLETED.search(self.text):
            return Shape("lines", self._lines(labels), labels=labels)
        return Shape("sentences", min(_first(_SENTENCES, self.text) or 4, 12))

    def _example(self) -> JsonValue:
        """Returns the first JSON object in the instruction, or one with the keys that it names, or a text for texts."""
        if not _JSON.search(self.text) and "{" not in self.text:
            return None
        for start in [each.start() for each in re.finditer(r"\{", self.text)][:20]:
            try:
                found = json.JSONDecoder().raw_decode(self.text, start)[0]
            except (ValueError, RecursionError):
                continue
            if found:
                return found
        if keys := _KEYS.search(self.text):
            return dict.fromkeys(re.findall(r"\"(\w+)\"", keys[1]), "")
        return "" if _JSON.search(self.text) and _ARRAY.search(self.text) else None

    def _objects(self) -> int:
        """Returns the number of objects; 0 for a single one outside an array."""
        number = _first(_OBJECTS, self.text)
        return min(number or 3, 20) if number or _ARRAY.search(self.text) else 0

    def _labels(self) -> tuple[str, ...]:
        if not (found := _EACH_FOR.search(self.text)):
            return ()
        labels = [item.strip() for item in _ITEM.split(found[1]) if item.strip()]
        last = _FOLLOWED_BY.search(self.text)
        return (*labels[:12], last[1].lower()) if last else tuple(labels[:12])

    def _lines(self, labels: tuple[str, ...]) -> int:
        if labels:
            return len(labels)
        if _FOR_EACH.search(self.text):
            days = (int(value) for key, value in self.material.items() if "day" in key and value.isdigit())
            marked = max(
                (sum(bool(_MARK.match(line)) for line in value.splitlines()) for value in self.material.values()),
                default=0,
            )
            return max(1, min(next(days, marked) or _days(self.text) or 3, 31))
        return min(_first(_LINES, self.text) or 5, 20)


def read_task(system: str, human: str, notices: Sequence[str] = ()) -> Task:
    """Parses a prompt. `notices` are the sentences at the end of earlier answers, which are ignored."""
    human = human[:_READ]
    for notice in notices:
        human = human.replace(notice, "")
    material = {key.lower(): unescape(text).strip() for key, text in _TAGGED.findall(human)}
    rest = _TAGGED.sub("\n", human)
    material |= {key.lower(): text.strip() for key, text in _LABELLED.findall(rest)}
    text = _LABELLED.sub("", rest).strip() or rest.strip()
    return Task(text, material, language_of(f"{text}\n{system}", human))


def is_general(system: str, human: str) -> bool:
    """Whether a prompt is a task that is not about cooking, or requests JSON of another shape.

    Only prompts of compositions have their material between tags, so that their tasks may be as vague as “Two lines.”
    """
    if "<ingredients_on_hand>" in human:
        return False
    if _ROLE.search(system) and not _ANY_ROLE.search(system):
        return True
    if _asks_for_own_json(human):
        return True
    task = _TAGGED.sub("\n", human)
    is_task = task != human or _ORDER.search(human)
    return bool(is_task and not _COOKING.search(task) and not mentioned(task, "en").foods)


def _asks_for_own_json(human: str) -> bool:
    if not _JSON.search(human):
        return False
    task = read_task("", human)
    return isinstance(task.shape.example, dict) and set(task.shape.example) != {"name", "intro"}


def _items(text: str) -> list[str]:
    """Returns the short items of a list, or the beginnings of its lines; none of sentences."""
    is_list = any(map(_MARK.match, text.splitlines()))
    if _NO_TOPIC.fullmatch(text) or (not is_list and _SENTENCES_ONLY.match(text)):
        return []
    short = (_CLAUSE.split(_MARK.sub("", item), maxsplit=1)[0].strip(" .!?") for item in _ITEM.split(text))
    return [item for item in short if 1 < len(item) <= 40 and len(item.split()) <= 5]


def _days(text: str) -> int:
    return _first(re.compile(rf"\b{_NUMBER}[- ]days?\b|{_NUMBER}\s?일", re.IGNORECASE), text)


def _first(pattern: re.Pattern[str], text: str) -> int:
    """Returns the number in the first match, or 0."""
    found = pattern.search(text)
    word = next(filter(None, found.groups()), "").lower() if found else ""
    return int(word if word.isdigit() else vocabulary().numbers.get(word, "0"))

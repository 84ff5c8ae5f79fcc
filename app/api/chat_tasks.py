"""Answers by rule what chat front ends request besides the chat: titles, tags, follow-up questions and the like.

Open WebUI sends a prompt that begins with `### Task:` and names a JSON object; LibreChat, LobeChat, Continue and others
send a sentence about the conversation's title. They are recognized by these patterns.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from pydantic import ValidationError

from app.api.conversation import is_small_talk
from chains.recipe.free_text import request_in

_START, _END = 1500, 600  # characters of a prompt that are searched for its instruction
_HANGUL = re.compile(r"[가-힣]")
_JSON_TASK = re.compile(r"\{\{?\s*\"(\w{1,30})\"\s*:\s*([\[\"{]?)")
_CHAT = r"(?:conversation|chat|discussion|session|thread|dialog(?:ue)?)s?"
_TITLE = re.compile(
    rf"\btitles?\b.{{0,160}}\b{_CHAT}\b|\b{_CHAT}\b.{{0,160}}\btitles?\b|\b{_CHAT} a name\b"
    r"|(?:标题|主题).{0,80}(?:会话|对话|聊天)|(?:会话|对话|聊天).{0,80}(?:标题|主题)|대화.{0,40}제목|제목.{0,40}대화",
    re.IGNORECASE | re.DOTALL,
)
_TITLE_ALONE = re.compile(
    r"\b(?:word|character)s?\b[^.\n]{0,40}\btitles?\b|\btitles? (?:only|itself|text)\b", re.IGNORECASE
)
_SUMMARY = re.compile(rf"\bsummari[sz]e\b.{{0,80}}\b(?:{_CHAT}|above)\b", re.IGNORECASE | re.DOTALL)
_EMOJI = re.compile(
    r"\b(?:fitting|appropriate|single|one|pick|choose|select)\b.{0,80}\bemoji", re.IGNORECASE | re.DOTALL
)
_QUESTIONS = re.compile(
    r"\bfollow[- ]?ups?\b.{0,60}\bquestions?\b|\bsuggest\b.{0,60}\bquestions?\b", re.IGNORECASE | re.DOTALL
)
_QUERIES = re.compile(r"\bsearch quer(?:y|ies)\b", re.IGNORECASE)
_TAGS = re.compile(rf"\btags\b.{{0,120}}\b{_CHAT}\b", re.IGNORECASE | re.DOTALL)
_COMPLETION = re.compile(r"\bauto-?complet(?:e|ion)\b", re.IGNORECASE)
_SHAPES = {
    "title": _TITLE, "tags": _TAGS, "questions": _QUESTIONS, "queries": _QUERIES, "emoji": _EMOJI,
    "completion": _COMPLETION, "summary": _SUMMARY, "title alone": _TITLE_ALONE,
}  # fmt: skip
# A system prompt applies to a whole chat and may mention anything, so fewer patterns count as a task.
_SYSTEM_SHAPES = {
    "title": re.compile(_TITLE.pattern.replace(".{", r"[^.\n。]{"), re.IGNORECASE),
    "emoji": re.compile(r"\bemoji expert\b|\bselects? the\b[^.\n]{0,40}\bemoji", re.IGNORECASE),
}
_VERB = re.compile(
    r"\b(?:generate|create|provide|write|give|summari[sz]e|suggest|return|reply|respond|output|analy[sz]e|name|choose|pick"
    r"|select|reflect|determine|make|continue)\b|生成|总结|概括|返回|만들|지어|작성|요약",
    re.IGNORECASE,
)
_SPEAKER = re.compile(r"^\W{0,4}(?:user|human|me)\W{0,4}:\s*(\S.{0,300})", re.IGNORECASE | re.MULTILINE)
_HISTORY = re.compile(r"<chat_history>(.{0,4000})", re.DOTALL)
_QUERY = re.compile(r"<user_query>(.{1,4000}?)</user_query>", re.DOTALL)


def task_answer(system: str, users: Sequence[str]) -> str | None:
    """Returns the answer to a front end's task, or None if there is no task.

    `users` are the texts of the user's messages, including the task unless it is in the system prompt.
    """
    text = users[-1]
    if text.lstrip().startswith("### Task") and (keys := _JSON_TASK.findall(text)):
        return _json_answer(keys[0][0], keys[0][1], _topic(text, users[:-1]))
    if kind := _kind(_ends(text), _SHAPES):
        return _PLAIN[kind](_topic(text, users[:-1]))
    if kind := _kind(_ends(system), _SYSTEM_SHAPES):
        return _PLAIN[kind](_topic(text, users))
    if system.lstrip().startswith("Available Tools:") and '"tool_calls"' in system:
        return '{"tool_calls": []}'
    return None


def query_in(text: str) -> str:
    """Returns the user's question without the retrieved documents that a front end adds to it."""
    if found := _QUERY.search(text):
        return found[1].strip()
    if text.lstrip().startswith("### Task") and "</context>" in text:
        return text.rpartition("</context>")[2].strip()
    return text


def _ends(text: str) -> str:
    return text if len(text) <= _START + _END else f"{text[:_START]}\n{text[-_END:]}"


def _kind(text: str, shapes: Mapping[str, re.Pattern[str]]) -> str | None:
    """Returns the kind of task, or None if the text contains no instruction."""
    if not _VERB.search(text):
        return None
    return next((kind for kind, shape in shapes.items() if shape.search(text)), None)


def _topic(text: str, users: Sequence[str]) -> str:
    """Returns the ingredients of the conversation, or an empty text if there are none."""
    history = _HISTORY.search(text)
    spoken = _SPEAKER.findall(history[1] if history else text)
    for candidate in (*spoken, *users):
        if is_small_talk(candidate):
            continue
        with suppress(ValidationError):
            return request_in(candidate).ingredients_on_hand
    return ""


def _title(topic: str) -> str:
    items = [item.strip() for item in re.split(r"[,;\n、]", topic) if item.strip()]
    title = ", ".join(items[:3])[:40].strip(" ,")
    return f"{title[:1].upper()}{title[1:]}" if title else "Recipe ideas"


def _questions(topic: str) -> list[str]:
    food = ", ".join(item.strip() for item in topic.split(",")[:3] if item.strip())
    if _HANGUL.search(topic):
        return [f"{food}; 15분", f"{food}; 채식으로", f"{food}; 4인분"]
    food = food or "eggs, potatoes"
    return [f"{food}; 15 minutes", f"{food}; make it vegetarian", f"{food}; for 4 people"]


def _tags(topic: str) -> list[str]:
    return ["요리", "레시피"] if _HANGUL.search(topic) else ["Cooking", "Recipes"]


def _summary(topic: str) -> str:
    return f"The user asked for a recipe with {topic}." if topic else "The user asked how to get a recipe."


def _photo(topic: str) -> str:
    return f"A photograph of a home-cooked dish with {topic or 'seasonal vegetables'} on a plain plate, in daylight."


def _json_answer(key: str, opening: str, topic: str) -> str:
    """Returns the object that the task names. An unknown key gets an empty value of the right type."""
    values: dict[str, object] = {
        "title": f"🍳 {_title(topic)}", "tags": _tags(topic), "follow_ups": _questions(topic), "queries": [],
        "prompt": _photo(topic), "text": "", "emoji": "🍳",
    }  # fmt: skip
    empty: dict[str, object] = {"[": [], "{": {}}
    return json.dumps({key: values.get(key, empty.get(opening, ""))}, ensure_ascii=False)


_PLAIN: dict[str, Callable[[str], str]] = {
    "title": _title,
    "title alone": _title,
    "tags": lambda topic: ", ".join(_tags(topic)),
    "questions": lambda topic: "\n".join(_questions(topic)),
    "queries": lambda topic: "",
    "emoji": lambda topic: "🍳",
    "completion": lambda topic: "",
    "summary": _summary,
}

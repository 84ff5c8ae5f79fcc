"""Answers by rule what chat front ends request besides the chat: titles, tags, follow-up questions and the like.

Open WebUI sends a prompt that begins with `### Task:` and names a JSON object; LibreChat, LobeChat, Continue and others
send a sentence about the conversation's title. They are recognized by these patterns. What the answer says is up to the
composition's reader.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.api.conversation import Description, Reader, first_request_in
from chains.translations import Language

_START, _END = 1500, 600  # characters of a prompt that are searched for its instruction
_JSON_TASK = re.compile(r"\{\{?\s*\"(\w{1,30})\"\s*:\s*([\[\"{]?)")
_CHAT = r"(?:conversation|chat|discussion|session|thread|dialog(?:ue)?)s?"
_TITLE = re.compile(
    rf"\btitles?\b.{{0,160}}\b{_CHAT}\b|\b{_CHAT}\b.{{0,160}}\btitl(?:es?|ing)\b|\b{_CHAT} a name\b"
    rf"|\bname (?:this|the|our) {_CHAT}\b"
    r"|(?:标题|主题).{0,80}(?:会话|对话|聊天)|(?:会话|对话|聊天).{0,80}(?:标题|主题)|대화.{0,40}제목|제목.{0,40}대화",
    re.IGNORECASE | re.DOTALL,
)
_TITLE_ALONE = re.compile(
    r"\b(?:word|character)s?\b[^.\n]{0,40}\btitles?\b|\btitles? (?:only|itself|text)\b"
    r"|\bonly (?:with )?(?:a|the) title\b",
    re.IGNORECASE,
)
_SHORTENED = re.compile(
    r"\bsummari[sz]e\b[^.\n]{0,40}\b(?:request|message|query|prompt)\b[^.\n]{0,60}\bwords\b", re.IGNORECASE
)
_SUMMARY = re.compile(rf"\bsummari[sz]e\b.{{0,80}}\b(?:{_CHAT}|above|so far)\b", re.IGNORECASE | re.DOTALL)
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
    "completion": _COMPLETION, "summary": _SUMMARY, "title alone": _TITLE_ALONE, "shortened": _SHORTENED,
}  # fmt: skip
# A system prompt applies to a whole chat and may mention anything, so fewer patterns count as a task.
_SYSTEM_SHAPES = {
    "title": re.compile(_TITLE.pattern.replace(".{", r"[^.\n。]{"), re.IGNORECASE),
    "title alone": re.compile(r"\bonly (?:with )?(?:a |the )?title\b|\btitle only\b", re.IGNORECASE),
    "shortened": _SHORTENED,
    "emoji": re.compile(r"\bemoji expert\b|\bselects? the\b[^.\n]{0,40}\bemoji", re.IGNORECASE),
}
_VERB = re.compile(
    r"\b(?:generate|creating|create|produce|provide|write|give|summari[sz]e|suggest|return|reply|respond|output|analy[sz]e|name|choose|pick"
    r"|select|reflect|determine|make|continue)\b|生成|总结|概括|返回|만들|지어|작성|요약",
    re.IGNORECASE,
)
_HOLE = re.compile(r"<\|?fim[_▁-]|<｜fim▁|<PRE>.{0,4000}<SUF>|\bhole filler\b", re.IGNORECASE | re.DOTALL)  # in code
_SPEAKER = re.compile(r"^\W{0,4}(?:user|human|me)\W{0,4}:\s*(\S.{0,300})", re.IGNORECASE | re.MULTILINE)
_JSON_SPEAKER = re.compile(r'"role": ?"user"[^{}]{0,80}?"(?:mainText|content)": ?"([^"\\]{1,300})')  # of Cherry Studio
_HISTORY = re.compile(r"<chat_history>(.{0,4000})", re.DOTALL)
_QUERY = re.compile(r"<user_query>(.{1,4000}?)</user_query>", re.DOTALL)


def task_answer(reader: Reader[Any], system: str, users: Sequence[str], language: Language) -> str | None:
    """Returns the answer to a front end's task, or None if there is no task.

    `users` are the texts of the user's messages, including the task unless it is in the system prompt.
    """

    def description(conversation: Sequence[str]) -> Description:
        request = first_request_in(reader, [*_messages_in(text), *conversation])
        return reader.description(request, request.language if request else language)

    text = users[-1]
    if text.lstrip().startswith("### Task") and (keys := _JSON_TASK.findall(text)):
        return _json_answer(keys[0][0], keys[0][1], description(users[:-1]))
    if kind := _kind(_ends(text), _SHAPES):
        return _PLAIN[kind](description(users[:-1]))
    if kind := _kind(_ends(system), _SYSTEM_SHAPES):
        return _PLAIN[kind](description(users))
    if _HOLE.search(_ends(text)) or _HOLE.search(_ends(system)):
        return ""
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


def _messages_in(text: str) -> list[str]:
    """Returns the user's messages in the chat history that a task contains."""
    history = _HISTORY.search(text)
    text = history[1] if history else text
    return _SPEAKER.findall(text) or _JSON_SPEAKER.findall(text)


def _json_answer(key: str, opening: str, description: Description) -> str:
    """Returns the object that the task names. An unknown key gets an empty value of the right type."""
    values: dict[str, object] = {
        "title": f"{description.emoji} {description.title}", "tags": description.tags, "emoji": description.emoji,
        "follow_ups": description.follow_ups, "queries": [], "prompt": description.image, "text": "",
    }  # fmt: skip
    empty: dict[str, object] = {"[": [], "{": {}}
    return json.dumps({key: values.get(key, empty.get(opening, ""))}, ensure_ascii=False)


_PLAIN: dict[str, Callable[[Description], str]] = {
    "title": lambda description: description.title,
    "title alone": lambda description: description.title,
    "shortened": lambda description: description.title,
    "tags": lambda description: ", ".join(description.tags),
    "questions": lambda description: "\n".join(description.follow_ups),
    "queries": lambda _: "",
    "emoji": lambda description: description.emoji,
    "completion": lambda _: "",
    "summary": lambda description: description.summary,
}

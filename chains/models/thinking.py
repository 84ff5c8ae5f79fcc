"""Removes a model's thinking from its text while it is streamed.

Some servers send the reasoning of a model as content, between tags. The opening tag is missing if it is part of the
server's chat template: such an answer is recognized by its beginning or by the closing tag.
"""

import re
from enum import Enum, auto

_LONGEST_TAG = 64
_BLANKS = " \t\r\n\v\f\u00a0\u200b\ufeff"
_WORD = (
    "(?:think(?:ing)?|thoughts?|reason(?:ing)?|analysis|reflection|deliberation|planning|scratch_?pad|monologue|cot)"
)
_CAPITALS = "(?:THINK(?:ING)?|THOUGHTS?|REASONING)"  # other words in square brackets are text
_NAME = rf"(?:[\w.-]{{0,16}}[:_.-]|ant)?{_WORD}(?:[:_.-][\w.-]{{0,16}})?"
_DETAILS = r"<details\s[^<>]{0,24}type=.?reasoning\b[^<>]{0,32}>"  # of Open WebUI
_DETAILS_END = "</details>"
_ATTRIBUTES = r"(?:\s{1,4}[\w-]{1,16}=[^<>]{0,32})?\s{0,4}"
# <think>, <mm:think>, <|begin_of_thought|>, [THINK]; gpt-oss and Gemma have channels, Apertus and MedGemma their own
_OPENS = (
    rf"<\|?(?!/|end_)(?!\w{{0,16}}_end\b){_NAME}{_ATTRIBUTES}\|?>|(?-i:\[(?:BEGIN_)?{_CAPITALS}\])|◁think▷"
    r"|<\|channel\|?>(?:analysis|commentary|thought)|<\|inner_prefix\|>|<(?:unused|ctrl)94>thought|<\|im_start\|>think"
    f"|{_DETAILS}"
)
_CLOSES = (
    rf"<\|?(?:/|end_){_NAME}\s{{0,4}}\|?>|<\|{_WORD}_end\|>|(?-i:\[(?:/|END_){_CAPITALS}\])|◁/think▷"
    r"|<\|channel\|>final|<channel\|>|<\|inner_suffix\|>|<(?:unused|ctrl)95>|<\|im_start\|>answer|<\|content\|>"
)
# Tags that an answer may have, too: such a block is thinking only if the answer begins with it and goes on after it.
_BLOCKS = "(?:plan|draft|brainstorm(?:ing)?|critique|internal|rationale)"
# The server forgot to remove its model's tokens.
_MARKS = (
    rf"<\|(?:(?:im_)?start(?:_header_id)?|begin)\|>assistant|<\|constrain\|>\w{{0,16}}|<\|[^|<>\s]{{1,32}}\|>"
    rf"|<｜[^｜<>\s]{{1,32}}｜>|<start_of_turn>(?:model)?|<end_of_\w{{1,16}}>|(?-i:\[/INST\])|<{_WORD}\s?/>"
)
_EDGE_MARKS = r"(?:(?:</?s>|<(?:[be]os|pad|unk)>)\s{0,4}){1,16}"  # text, unless at the beginning or the end
_WRAPPER = "(?:(?:final_)?(?:answer|response)|final|output|solution)>"  # a tag around the answer: removed at both ends
_PARTIAL = re.compile(  # the beginning of a tag
    rf"(?:<[|｜]?/?[\w:.▁-]{{0,48}}(?:[|｜]|\s?/)?|<[|/]?(?:{_NAME}|details)\s[^<>]{{0,52}}|<start_of_turn>\w{{0,4}}|<\|channel\|?>\w{{0,9}}"
    rf"|(?:{_EDGE_MARKS})(?:<[/\w]{{0,4}})?|&(?:l|lt|lt;/?[\w:.-]{{0,48}}(?:&g?t?)?)?"
    r"|<\|(?:(?:im_)?start(?:_header_id)?|begin)\|>\w{0,8}|<\|constrain\|>\w{0,16}|<(?:unused|ctrl)94>\w{0,6}|(?-i:\[/?[A-Z_]{0,14})|◁/?\w{0,5})\Z",
    re.IGNORECASE,
)
_UNTAGGED_ENDS = "assistantfinal|here is my response:"  # of gpt-oss without its tokens, and of Granite
_QUOTED = "(?<![`'\"“])"  # a quoted tag is part of the text
_OPENING = re.compile(f"{_OPENS}|&lt;{_NAME}&gt;", re.IGNORECASE)
_OPENING_IN_TEXT = re.compile(f"{_QUOTED}(?:{_OPENS})", re.IGNORECASE)
_CLOSING = re.compile(f"{_QUOTED}(?:{_CLOSES})", re.IGNORECASE)
_UNTAGGED_END = re.compile(f"{_QUOTED}(?:{_CLOSES}|{_UNTAGGED_ENDS})", re.IGNORECASE)
_CLOSING_DETAILS = re.compile(_DETAILS_END, re.IGNORECASE)
_CLOSING_ESCAPED = re.compile(f"&lt;/{_NAME}&gt;", re.IGNORECASE)
_BLOCK = re.compile(f"<({_BLOCKS})>", re.IGNORECASE)
_MARK = re.compile(f"{_QUOTED}(?:{_MARKS})", re.IGNORECASE)
_LEADING_MARK = re.compile(f"{_MARKS}|{_EDGE_MARKS}", re.IGNORECASE)
_LAST_MARKS = re.compile(rf"{_QUOTED}{_EDGE_MARKS}\Z", re.IGNORECASE)
_OPENING_WRAPPER = re.compile(f"<{_WRAPPER}", re.IGNORECASE)
_MARK_IN_WRAPPER = re.compile(f"{_QUOTED}(?:{_MARKS}|</{_WRAPPER})", re.IGNORECASE)

# Beginnings of reasoning that answers do not have.
_LEADS = (
    "okay, so", "okay, the user", "okay, let", "okay, i", "okay. ", "ok, so", "ok, the user", "ok, let",
    "alright, so", "alright, the user", "alright, let", "hmm", "the user", "user wants", "user asks",
    "we need to", "we are asked", "we have to", "we should", "i need to", "i should", "i have to",
    "let me think", "let me see", "let me start", "let me consider", "let me draft", "let me plan",
    "let's think", "let's see", "let's draft", "let's plan", "first, i", "first, let", "so, the user", "so the user",
    "analysiswe", "analysisthe user", "analysisuser", "analysisneed", "analysislet", "analysisi ", "analysisokay",
    "here is my thought process", "thinking process", "here's a thinking process", "here's my thinking", "wait,",
    "사용자", "음,", "음.", "자, 사용자", "좋아, ", "알겠습니다. 사용자", "먼저 사용자",
    "用户", "好的，用户", "嗯", "首先，用户", "我们需要",
)  # fmt: skip


class _Mode(Enum):
    BEGINNING = auto()  # not decided yet
    VISIBLE = auto()
    INSIDE = auto()  # after an opening tag
    ASSUMED = auto()  # probably thinking without an opening tag: buffered
    BLOCK = auto()  # after a tag that may be part of the answer: buffered


class ThinkingFilter:
    """Takes the pieces of a text and returns those that are not thinking, as soon as possible.

    After a call of `feed`, `has_retracted` says that everything returned before was thinking, too, and `is_untagged`
    that there was thinking without an opening tag. With `starts_inside` the text up to a closing tag is thinking.
    """

    def __init__(self, *, starts_inside: bool = False) -> None:
        self.has_retracted = self.is_untagged = False
        self._mode = _Mode.ASSUMED if starts_inside else _Mode.BEGINNING
        self._rest: str = ""  # the undecided part
        self._closing = _CLOSING
        self._mark = _MARK
        self._searched = 0  # how much of it has no closing tag
        self._last: str = "\n"  # the character before it
        self._has_removed = False
        self._has_shown = False

    def feed(self, text: str) -> str:
        self.has_retracted = False
        if self._mode is _Mode.VISIBLE and not self._rest and not ("<" in text or "[" in text or "◁" in text):
            self._last = text[-1:] or self._last
            return text
        self._rest += text
        visible: list[str] = []
        while self._advance(visible):
            pass
        text = "".join(visible)
        self._has_shown = self._has_shown or bool(text)
        return text

    def close(self, *, is_cut: bool) -> str:
        """Returns the rest at the end of the text. If the text was cut at a limit, possible thinking is dropped."""
        if self._mode is _Mode.INSIDE or (self._mode in (_Mode.ASSUMED, _Mode.BLOCK) and is_cut):
            return ""
        return _LAST_MARKS.sub("", self._mark.sub("", self._rest))

    def _advance(self, visible: list[str]) -> bool:
        """Processes the next portion of the rest. Returns whether another step is possible."""
        match self._mode:
            case _Mode.BEGINNING:
                return self._begin()
            case _Mode.VISIBLE:
                return self._show(visible)
            case _Mode.INSIDE | _Mode.ASSUMED | _Mode.BLOCK:
                return self._leave()

    def _begin(self) -> bool:
        text = self._rest.lstrip(_BLANKS)
        if opening := _OPENING.match(text):
            return self._enter(opening)
        if block := _BLOCK.match(text):
            self._rest, self._mode = text, _Mode.BLOCK
            self._closing = re.compile(rf"</{block[1]}>\s*(?=\S)", re.IGNORECASE)
            return True
        lead = text[:_LONGEST_TAG].lower()
        leads = () if self._has_removed else _LEADS
        closing = _CLOSING.match(text)
        if not closing and (_PARTIAL.match(text) or any(each.startswith(lead) for each in ("", *leads))):
            return False
        if wrapper := _OPENING_WRAPPER.match(text):
            self._mark = _MARK_IN_WRAPPER
        if end := closing or wrapper or _LEADING_MARK.match(text):
            return self._remove(text[end.end() :], _Mode.BEGINNING)
        self._mode = _Mode.ASSUMED if lead.startswith(leads) else _Mode.VISIBLE
        self._rest = text if self._has_removed else self._rest
        return True

    def _show(self, visible: list[str]) -> bool:
        text = self._last + self._rest
        opening, closing = _OPENING_IN_TEXT.search(text), _CLOSING.search(text)
        if closing and not (opening and opening.start() < closing.start()):
            visible.clear()
            self.has_retracted, self._has_shown, self.is_untagged = self._has_shown, False, True
            return self._remove(text[closing.end() :], _Mode.BEGINNING)
        partial = opening or _PARTIAL.search(text, max(1, len(text) - _LONGEST_TAG))
        ready = partial.start() if partial else len(text)
        visible.append(self._mark.sub("", text[:ready])[1:])
        self._last = text[ready - 1]
        if opening:
            return self._enter(opening)
        self._rest = text[ready:]
        return False

    def _leave(self) -> bool:
        end = _UNTAGGED_END if self._mode is _Mode.ASSUMED else self._closing
        if closing := end.search(self._rest, max(0, self._searched - _LONGEST_TAG)):
            self._searched = 0
            self.is_untagged = self.is_untagged or self._mode is _Mode.ASSUMED
            return self._remove(self._rest[closing.end() :], _Mode.BEGINNING)
        if self._mode is _Mode.INSIDE:
            self._rest = self._rest[-_LONGEST_TAG:]
        self._searched = len(self._rest)
        return False

    def _enter(self, opening: re.Match[str]) -> bool:
        tag = opening[0].lower()
        self._closing = (
            _CLOSING_DETAILS if tag.startswith("<details") else _CLOSING_ESCAPED if tag.startswith("&") else _CLOSING
        )
        return self._remove(opening.string[opening.end() :], _Mode.INSIDE)

    def _remove(self, rest: str, mode: _Mode) -> bool:
        self._rest, self._mode, self._has_removed = rest, mode, True
        return True

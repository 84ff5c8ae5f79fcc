"""Instructions to a model in place of ingredients."""

import re

from chains.recipe.nouns import HAS_WORD

_COMMAND = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b[^.;\n]{0,60}"
    r"\b(?:instructions?|prompts?|rules?|directions?|commands?|above|previous|everything)\b"
    r"|(?:지시|명령|프롬프트|규칙|설정)[^.;\n]{0,30}(?:무시|잊)"
    r"|\b(?:write|compose|sing|tell|make\sup)\s(?:me\s)?(?:a|an)\s(?:\w{1,20}\s){0,2}"
    r"(?:poem|story|song|joke|essay|haiku|limerick)\b"
    r"|(?:시|소설|노래|편지|농담|이야기|수필)(?:를|을)?\s?(?:한\s편\s)?(?:써|지어|불러|말해)\s?(?:줘|주세요|봐|라)",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"^(?:and\s|then\s|instead\s|please\s){0,3}"
    r"(?:write|print|tell|reveal|output|say|show|repeat|act|pretend|you\sare|respond|answer|sing|compose|translate|give\sme)\b|(?:써|출력해?|말해|알려|보여|번역해?)\s?(?:줘|주세요|라|세요)$",
    re.IGNORECASE,
)


def is_instruction(text: str) -> bool:
    """Whether a text consists of instructions to a model and names nothing to cook."""
    clauses = [clause.strip() for clause in re.split(r"[.,;!?\n]", text) if HAS_WORD.search(clause)]
    commands = [clause for clause in clauses if _COMMAND.search(clause)]
    return bool(commands) and all(clause in commands or _ORDER.search(clause) for clause in clauses)

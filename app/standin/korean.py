"""Korean particles, whose form depends on the pronunciation of the last syllable."""

import re
from typing import Literal

# Between nouns: 계란이랑 우유. 노랑, 사과, 모과, 한과 and 약과 are words that end like this.
AND = r"(?<=[가-힣])(?:이랑|(?<!노)랑|하고|(?<![사모한약])과|와)\s"

Particle = Literal["은", "이", "을", "과", "으로", "이나", "이에요"]

_FORMS: dict[str, tuple[str, str]] = {
    "은": ("은", "는"),
    "이": ("이", "가"),
    "을": ("을", "를"),
    "과": ("과", "와"),
    "으로": ("으로", "로"),
    "이나": ("이나", "나"),
    "이에요": ("이에요", "예요"),
}
_NONE, _RIEUL, _OTHER = 0, 8, 1
_DIGITS = (_OTHER, _RIEUL, _NONE, _OTHER, _NONE, _NONE, _OTHER, _RIEUL, _RIEUL, _NONE)  # 영 일 이 삼 사 오 육 칠 팔 구
_UNITS = {
    "g": "그램",
    "kg": "킬로그램",
    "mg": "밀리그램",
    "ml": "밀리리터",
    "l": "리터",
    "cm": "센티미터",
    "%": "퍼센트",
}
_BRACKETED = re.compile(r"\s*\([^()]*\)\s*$")
_UNIT = re.compile(r"\d\s*(kg|mg|g|ml|l|cm|%)$", re.IGNORECASE)


class Noun(str):
    """A noun whose format spec adds a particle: `f"{Noun('양파'):을}"` is 양파를."""

    __slots__ = ()

    def __format__(self, particle: str) -> str:
        return with_particle(self, particle) if particle else str(self)


def with_particle(word: str, particle: str) -> str:
    """Adds the particle, named by its form after a consonant (을, 은, 으로)."""
    after_consonant, after_vowel = _FORMS[particle]
    final = _final(word)
    takes_vowel_form = final == _NONE or (particle == "으로" and final == _RIEUL)
    return word + (after_vowel if takes_vowel_form else after_consonant)


def _final(word: str) -> int:
    # Text in brackets after a noun is not pronounced: 두부(1모)를 reads 두부를.
    bare = re.sub(r"[^\w%]+$", "", _BRACKETED.sub("", word) or word)
    if unit := _UNIT.search(bare):
        bare = _UNITS[unit[1].lower()]
    last = bare[-1:]
    if "가" <= last <= "힣":
        return (ord(last) - ord("가")) % 28
    if last in "0123456789" and last:
        return _DIGITS[int(last)]
    return _final_of_latin(bare)


def _final_of_latin(word: str) -> int:
    """Returns the final sound of a Latin word in Korean: abbreviations letter by letter, others as loanwords."""
    latin = re.search(r"[A-Za-z]+$", word)
    if latin is None:
        return _NONE
    if latin[0].isupper() and len(latin[0]) <= 4:
        return {"L": _RIEUL, "R": _RIEUL, "M": _OTHER, "N": _OTHER}.get(latin[0][-1], _NONE)
    lower = latin[0].lower()
    if re.search(r"(l|[^aeiou]le|[aeiou]le)$", lower):
        return _RIEUL
    if re.search(r"(m|n|ng|[aeiou][mn]e)$", lower):
        return _OTHER
    return _OTHER if re.search(r"(^|[^aeiou])[aeiou](p|t|k|ck)$", lower) else _NONE

"""Parses typed quantities and scales those of a recipe."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import NamedTuple

from app.standin.english import plural, singular
from app.standin.pantry import Language, vocabulary

HANGUL = re.compile(r"[가-힣]")
MEASURES = frozenset({"g", "kg", "ml", "l", "tbsp", "tsp", "oz", "lb"})
_GRAMS = {"g": 1.0, "kg": 1000.0, "ml": 1.0, "l": 1000.0, "oz": 28.0, "lb": 454.0, "geun": 600.0}
_LEADING = re.compile(r"(\d+(?: \d+/\d+|/\d+|\.\d+)?)( ?)(.*)")
_FRACTIONS = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"}


@dataclass(frozen=True)
class Quantity:
    number: str = ""
    unit: str = ""
    text: str = ""


class Segment(NamedTuple):
    """Words with the quantities directly before and after them."""

    words: str
    before: Quantity
    after: Quantity


def segments(piece: str) -> Iterator[Segment]:
    """Splits a piece into words and their quantities: `양파 2개 당근 1개` has 양파 with 2개 and 당근 with 1개."""
    found = list(_quantity().finditer(piece))
    edges = [0, *(at for each in found for at in each.span()), len(piece)]
    read = [Quantity(), *map(_quantity_in, found), Quantity()]
    for at in range(len(found) + 1):
        yield Segment(piece[edges[2 * at] : edges[2 * at + 1]].strip(), read[at], read[at + 1])


def split(piece: str) -> tuple[Quantity, str]:
    """Splits `2 tbsp of soy sauce` and `간장 2큰술` into quantity and name."""
    if unmeasured := re.match(r"^(?P<rest>.+?)\s+(?P<q>약간|적당량|조금)$", piece):
        return Quantity(text=unmeasured["q"]), unmeasured["rest"]
    pinch = re.match(r"^(a pinch)(?:\s+of)?\s+(.+)$", piece, re.IGNORECASE)
    if pinch:
        return Quantity("1", "pinch", pinch[1]), pinch[2]
    found = _quantity().match(piece)
    if found and piece[found.end() :].strip():
        return _quantity_in(found), _without_of(piece[found.end() :])
    last = next((each for each in _quantity().finditer(piece) if each.end() == len(piece) and each.start()), None)
    if last:
        return _quantity_in(last), piece[: last.start()].strip(" x×:")
    return Quantity(), piece


def _quantity_in(found: re.Match[str]) -> Quantity:
    number = f"{_number(found['n'])} 1/2" if found["half"] or found["halves"] else found["n"]
    return Quantity(number, found["u"] or "", found[0].strip())


def _without_of(text: str) -> str:
    return re.sub(r"^\s*of\s+", "", text.strip(), flags=re.IGNORECASE)


@cache
def _quantity() -> re.Pattern[str]:
    words = vocabulary()
    spelled = "|".join(sorted(map(re.escape, words.numbers), key=len, reverse=True))
    units = {re.escape(name) for unit in words.units.values() for name in (*unit.names, *unit.also)}
    unit = "|".join(sorted(units, key=len, reverse=True))
    digits = r"\d{1,5}(?:[.,]\d{1,3})?(?:\s?/\s?\d{1,3}|\s\d/\d|\s?[½¼¾⅓⅔])?(?:\s?[–-]\s?\d{1,5})?|[½¼¾⅓⅔]"
    article = r"\s+(?:of\s+)?(?:an?|the)\b"  # half an onion, a quarter of the cabbage
    half = r"\s+(?:½|and\s+a\s+half\b)"
    # A Korean counter may carry a particle: 한 모랑.
    end = r"(?![a-z])(?=(?:이랑|랑|하고|과|와|을|를|은|는|이|가|도|만|으로|로|이?요|밖에|뿐)?(?:[^가-힣]|$))"
    return re.compile(
        rf"(?<![\w.])(?:[x×]\s?)?(?P<n>{digits}|(?:{spelled})(?:{article})?)(?P<half>{half})?"
        rf"(?:\s?[x×](?=[\s\d]))?(?:(?:(?<![a-z])\s*|\s+)(?P<u>{unit}){end}(?P<halves>{half}|\s+반(?!\w))?|(?!\w))",
        re.IGNORECASE,
    )


def format_quantity(quantity: Quantity, default: str, language: Language) -> str:
    """Formats the quantity for a list of ingredients."""
    number, unit = _number(quantity.number), unit_of(quantity.unit)
    if language == "ko":
        return number + _counter(quantity.unit, unit, default)
    if unit is None or unit == "piece":
        return number
    name = vocabulary().units[unit].names.en
    return f"{number} {name if unit in MEASURES or _is_one(number) else plural(name)}"


def _is_one(number: str) -> bool:
    return number == "1" or bool(re.fullmatch(r"\d/\d", number))


def _number(text: str) -> str:
    bare = re.sub(r"\s+(?:of\s+)?(?:an?|the)$", "", text.lower())
    if bare in vocabulary().numbers:
        return vocabulary().numbers[bare]
    for sign, fraction in _FRACTIONS.items():
        bare = bare.replace(sign, f" {fraction}")
    spaced = re.sub(r"\s*([/–-])\s*", r"\1", bare.strip())
    return re.sub(r"(?<=\d)-(?=\d)", "–", re.sub(r"(?<=\d),(?=\d)", ".", spaced))


def _counter(text: str, unit: str | None, default: str) -> str:
    """Returns the Korean unit: as typed, translated, or the usual counter of the food."""
    if HANGUL.search(text) and unit not in MEASURES:
        return text
    if unit is not None and unit != "piece":
        return vocabulary().units[unit].names.ko
    return re.sub(r"^[\d/.]+|(?:g|ml|캔|컵|큰술|작은술)$", "", default) or "개"


def unit_of(text: str) -> str | None:
    return _units().get(text.lower())


@cache
def _units() -> dict[str, str]:
    """Maps each name of a unit to its key. The first of several units with a name has it."""
    names: dict[str, str] = {}
    for key, unit in vocabulary().units.items():
        for name in (*unit.names, *unit.also):
            names.setdefault(name.lower(), key)
    return names


def unit_in(amount: str) -> str | None:
    """Returns the unit of a formatted amount: pack for `1 pack` and `2봉지`."""
    found = _LEADING.fullmatch(amount)
    return unit_of(found[3]) or unit_of(singular(found[3])) if found else None


def ratio(amount: str, usual: str) -> float | None:
    """Returns the ratio of an amount to the usual one, if both are weights or both are counts."""
    mine, other = _measure(amount), _measure(usual)
    if mine is None or other is None or mine[1] != other[1]:
        return None
    return mine[0] / other[0]


def _measure(amount: str) -> tuple[float, str] | None:
    """Returns number and unit, with weights in grams or milliliters."""
    if not (found := _LEADING.match(amount.split("–")[-1])):
        return None
    number, unit = float(_fraction(found[1])), unit_of(found[3].strip()) or "piece"
    if not number:
        return None
    return (number * _GRAMS[unit], "g") if unit in _GRAMS else (number, unit)


def _fraction(text: str) -> Fraction:
    return sum((Fraction(part) for part in text.split() if not part.endswith("/0")), Fraction(0))


def scaled(amount: str, factor: float) -> str:
    """Multiplies an amount and rounds it as cooks do: 300 g, 1 1/2 tbsp, 3 cloves."""
    if amount in ("a pinch", "약간"):
        return amount if amount == "약간" or factor < 2 else f"{'1/2' if factor < 4 else '1'} tsp"
    found = _LEADING.fullmatch(amount)
    if found is None or factor == 1:
        return amount
    number, unit = float(_fraction(found[1])) * factor, found[3]
    key = unit_of(unit) or "piece"
    if key == "tsp" and number >= 3:
        number, key = number / 3, "tbsp"
        unit = vocabulary().units[key].names.in_language("ko" if HANGUL.search(unit) else "en")
    rounded = _rounded(number, key)
    if found[2] and key not in MEASURES and unit:
        unit = (singular if rounded in ("1", "1/2") else plural)(unit)
    return f"{rounded}{found[2]}{unit}"


def _rounded(number: float, unit: str) -> str:
    if unit in ("g", "ml"):
        step = 50 if number >= 500 else 10 if number >= 50 else 5
        return str(max(step, round(number / step) * step))
    if unit in ("kg", "l"):
        return f"{number:.1f}".removesuffix(".0")
    if unit in ("tbsp", "tsp", "cup") or number <= 0.75:
        whole, half = divmod(max(1, round(number * 2)), 2)
        return " ".join(filter(None, (str(whole) if whole else "", "1/2" if half else "")))
    return str(max(1, round(number)))

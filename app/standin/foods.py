"""Foods in free text: what a cook has, and how much of it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from app.standin.english import plural, singular
from app.standin.pantry import Diet, Ingredient, Language, ids_by_name, normal, pantry, vocabulary

_BREAKS = re.compile(
    r"[\n,;|·•、，。!?:\"“”'‘’`*#()\[\]{}<>=~^\\]+|\.(?!\d)|(?<!\d)/|/(?!\d)|\s[-–—+&]\s|\s*\b(?:and|with|plus|or)\b\s*"
    r"|\s+(?:그리고|하고|및|또는)\s+|(?<=[가-힣])(?:이랑|랑|하고|과|와)\s+",
    re.IGNORECASE,
)
_TAG = re.compile(r"<[^<>\n]{0,80}>")
WORD = re.compile(r"[^\W\d_]+(?:[-’'][^\W\d_]+)*")
HANGUL = re.compile(r"[가-힣]")
_TINNED = re.compile(r"^(?:canned|tinned|(?:can|tin) of) | (?:cans?|tins?)$", re.IGNORECASE)
_READ = 4000  # characters; nobody has more food than that
_PLAIN_MEASURES = ("tbsp", "tsp")
_PARTICLES = re.compile(r"(?:이랑|랑|하고|과|와|을|를|은|는|이|가|도|만|으로|로)$")
_REFUSED = re.compile(
    r"\b(?:without|no|not|don[’']t (?:have|like|want|eat)|avoid|except)\b.*?(?=$|[.,;!?\n]|\b(?:in|for|with|but)\b)"
    r"|(?:\S{1,20}(?:이랑|랑|하고|과|와)\s+){0,5}\S{1,20}?\s*(?:없이|빼고|말고|제외)",
    re.IGNORECASE,
)
_BLANKS = re.compile(r"[^\S\n]+")  # a long run of them would make the patterns slow
_TIME = re.compile(r"\d{1,5}\s*(?:min(?:ute)?s?|hours?|hrs?|분|시간)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Food:
    """An ingredient as this recipe names it, with its amount; `known` is what the pantry has on it, if anything."""

    id: str
    kind: str
    name: str
    amount: str
    language: Language
    known: Ingredient | None = field(default=None, compare=False)

    @property
    def phrase(self) -> str:
        """2 onions; 양파 2개."""
        if self.language == "ko":
            return f"{self.name} {self.amount}".strip()
        of = "of " if re.search(r"[a-z]{3,}$", self.amount) and not self.amount.endswith(_PLAIN_MEASURES) else ""
        return f"{self.amount} {of}{self.name}".strip()

    @property
    def one(self) -> str:
        """The name as it stands before another noun: onion soup."""
        return singular(self.name) if self.language == "en" else self.name

    @property
    def many(self) -> str:
        counted = self.language == "en" and (self.amount.replace("/", "").isdigit())
        return plural(self.name) if counted else self.name


@dataclass(frozen=True)
class Larder:
    """What the cook has, and what must not be given; `spare` are the ids that he didn't name but surely has."""

    foods: tuple[Food, ...]
    avoided: frozenset[str] = frozenset()
    spare: frozenset[str] = frozenset()

    def allows(self, key: str) -> bool:
        return key not in self.avoided


def larder(typed: str, language: Language) -> Larder:
    """The foods in a list of what is on hand, each once, in the order they come."""
    return _gathered(_pieces(typed), _foods, language)


def mentioned(question: str, language: Language) -> Larder:
    """The foods that a question names: none but known ones, for most of its words are no food."""
    timeless = _TIME.sub(" ", _BLANKS.sub(" ", question[:_READ]))
    refused = {key for span in _REFUSED.findall(timeless) for key in _refused(span)}
    rest = _gathered(_pieces(_REFUSED.sub("\n", timeless)), _mentioned, language)
    return Larder(tuple(food for food in rest.foods if food.id not in refused), rest.avoided | refused)


def _gathered(pieces: Iterable[str], foods_in: Callable[[str, Language], Iterator[Food]], language: Language) -> Larder:
    foods: dict[str, Food] = {}
    avoided: set[str] = set()
    for piece in pieces:
        if _is_refusal(piece):
            avoided |= _refused(piece)
        else:
            for food in foods_in(piece, language):
                foods.setdefault(food.id, food)
    return Larder(tuple(food for key, food in foods.items() if key not in avoided), frozenset(avoided))


def needed(text: str, language: Language) -> Iterator[Food]:
    """The lines of a list of ingredients as an earlier step wrote it."""
    seen: set[str] = set()
    for line in text.splitlines():
        bare = re.sub(r"^\s*(?:[-*•]|\d+[.)])\s+", "", line).strip().rstrip(".")
        if bare and len(bare) <= 80 and (food := _line(bare, language)).id not in seen:
            seen.add(food.id)
            yield food


def _line(line: str, language: Language) -> Food:
    quantity, name = _split_quantity(re.sub(r"\s*\([^()]*\)|,.*$", "", line).strip() or line)
    key = next((key for _, key in scan(name)), None)
    known = pantry()[key] if key else None
    amount = quantity.text
    kind = known.kind if known else _guess(name)
    return Food(key or f"other:{normal(name)}", kind, name, amount, language, known)


def _pieces(typed: str) -> Iterator[str]:
    for piece in _BREAKS.split(_BLANKS.sub(" ", _TAG.sub("\n", typed)[:_READ])):
        if piece and (stripped := piece.strip(" -–—+&_…")):
            yield stripped


def _is_refusal(piece: str) -> bool:
    words = piece.lower().split()
    return any(word in vocabulary().without for word in words) or any(diet in words for diet in vocabulary().diets)


def _refused(piece: str) -> set[str]:
    words = [singular(word) for word in piece.lower().split()]
    refused = {key for _, key in scan(piece)}
    for allergen, names in vocabulary().allergens.items():
        if any(name in words for name in names):
            refused |= {key for key, ingredient in pantry().items() if allergen in ingredient.allergens}
    for word, diet in vocabulary().diets.items():
        if word in words:
            refused |= {key for key, ingredient in pantry().items() if not _suits(ingredient.diet, diet)}
    return refused


def _suits(diet: Diet, wanted: Diet) -> bool:
    order: tuple[Diet, ...] = ("vegan", "vegetarian", "omnivore")
    return order.index(diet) <= order.index(wanted)


@dataclass(frozen=True)
class Quantity:
    number: str = ""
    unit: str = ""
    text: str = ""


def _split_quantity(piece: str) -> tuple[Quantity, str]:
    """`2 tbsp of soy sauce` and `간장 2큰술` into the quantity and the name."""
    number, unit = _quantity_patterns()
    quantity = rf"(?P<q>(?P<n>{number})\s*(?P<u>{unit})?)"
    for pattern in (
        rf"^{quantity}(?:\s+of\b)?\s+(?P<rest>.+)$",
        rf"^(?P<rest>.*?[^\W\d_])(?:\s*[x×:]?\s*(?=[\d½¼¾⅓])|\s+){quantity}$",
        r"^(?P<rest>.+?)\s+(?P<q>약간|적당량|조금)$",
    ):
        if found := re.match(pattern, piece, re.IGNORECASE):
            groups = found.groupdict()
            return Quantity(groups.get("n") or "", groups.get("u") or "", found["q"].strip()), found["rest"].strip()
    return Quantity(), piece


@cache
def _quantity_patterns() -> tuple[str, str]:
    words = vocabulary()
    spelled = "|".join(sorted(map(re.escape, words.numbers), key=len, reverse=True))
    units = [name for unit in words.units.values() for name in (*unit.names, *unit.also)]
    unit = "|".join(sorted(map(re.escape, units), key=len, reverse=True))
    return rf"(?:\d+(?:[.,]\d+)?(?:\s?/\s?\d+)?|[½¼¾⅓]|(?:{spelled})(?![a-z가-힣]))", rf"(?:{unit})(?![a-z가-힣])"


def _foods(piece: str, language: Language) -> Iterator[Food]:
    quantity, rest = _split_quantity(piece)
    words = WORD.findall(rest)
    found = list(scan(" ".join(words)))
    inside = {word for span, _ in found for word in span.split()}
    # What is part of a food's name is no instruction: key lime.
    if len(words) > 14 or any(word.lower() in vocabulary().suspicious for word in words if word not in inside):
        return
    telling = [word for word in words if word in inside or word.lower() not in vocabulary().fillers]
    if telling and not found:
        yield from _unknown(telling, quantity, language)
    alone = len({key for _, key in found}) == 1 and len(telling) <= 3
    for span, key in found[:1] if alone else found:
        yield known_food(key, " ".join(telling) if alone else span, quantity if alone else Quantity(), language)


def _mentioned(piece: str, language: Language) -> Iterator[Food]:
    found = list(scan(_words(piece)))
    quantity, rest = _split_quantity(re.sub(r"^[^\d½¼¾⅓]+\s(?=[\d½¼¾⅓])", "", piece))
    # "rice for 4 people" and "2 dishes of beef" give no amount of a food
    is_amount = len(found) == 1 and _words(rest).startswith(found[0][0])
    for span, key in found:
        yield known_food(key, span, quantity if is_amount else Quantity(), language)


def _words(text: str) -> str:
    return " ".join(WORD.findall(text))


def scan(text: str, ids: Mapping[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """The foods in some words, by the pantry's names or those of `ids`, the longest first at each place."""
    words, at = text.split(), 0
    while at < len(words):
        for end in range(min(len(words), at + 4), at, -1):
            span = " ".join(words[at:end])
            if key := _id_of(span, ids or ids_by_name()):
                yield span, key
                at = end - 1
                break
        at += 1


def _id_of(span: str, ids: Mapping[str, str]) -> str | None:
    name = normal(span)
    if name in ids or not HANGUL.search(name):
        return ids.get(name)
    if bare(name) in ids:
        return ids[bare(name)]
    # Korean joins its nouns: 국산두부 is 두부. One syllable is too little to go by.
    ends = (name[at:] for at in range(1, len(name) - 1) if " " not in name)
    return next((ids[end] for end in ends if end in ids), None)


def _unknown(words: list[str], quantity: Quantity, language: Language) -> Iterator[Food]:
    name = " ".join(words).lower()
    if len(words) > 3 or not 2 <= len(name) <= 30 or not _looks_like_a_word(name):
        return
    kind = _guess(name)
    default = vocabulary().unknown.get(kind, vocabulary().unknown["other"]).said(language)
    amount = _amount(quantity, default, language) if quantity.number else default
    yield Food(f"other:{normal(name)}", kind, name, amount, language)


def _looks_like_a_word(name: str) -> bool:
    if re.search(r"[ㄱ-ㅎㅏ-ㅣ]", name) or re.search(r"(.)\1\1", name):
        return False
    if HANGUL.search(name):
        return True
    return bool(re.fullmatch(r"[a-zà-öø-ÿœ' -]{3,30}", name)) and bool(re.search(r"[aeiouyà-öø-ÿœ]", name))


def _guess(name: str) -> str:
    """A kind for a food that the pantry lacks, by how its name ends."""
    last = normal(name)
    for kind, endings in vocabulary().guesses.items():
        if last.endswith(endings):
            return kind
    return "other"


def known_food(key: str, surface: str, quantity: Quantity, language: Language) -> Food:
    known = pantry()[key]
    amount = known.amount.said(language)
    if quantity.number:
        amount = _amount(quantity, amount, language)
    elif known.is_counted and amount == "1" and surface != singular(surface):
        amount = "2"
    return Food(key, known.kind, _named(surface, known, amount, language), amount, language, known)


def _named(surface: str, known: Ingredient, amount: str, language: Language) -> str:
    """The cook's own word where it is in the language of the answer, else the pantry's."""
    in_korean = bool(HANGUL.search(surface))
    if in_korean != (language == "ko") or re.search(_TINNED, surface):
        surface = known.names.said(language)
    if language == "ko":
        return _without_particle(surface)
    name = surface.lower()
    if known.is_counted:
        return singular(name) if amount in ("1", "1/2", "1/4") else plural(name)
    # Mushrooms are measured, but still in the plural.
    return plural(name) if singular(known.names.en) != known.names.en else name


def _without_particle(surface: str) -> str:
    if normal(surface) in ids_by_name():
        return surface
    return bare(surface) if normal(bare(surface)) in ids_by_name() else surface


def bare(word: str) -> str:
    """A Korean word without the particle that ends it."""
    return _PARTICLES.sub("", word)


def _amount(quantity: Quantity, default: str, language: Language) -> str:
    number = vocabulary().numbers.get(quantity.number.lower(), quantity.number.replace(" ", ""))
    unit = _unit(quantity.unit)
    if language == "ko":
        return number + _counter(quantity.unit, unit, default)
    if unit is None or unit == "piece":
        return number
    name = vocabulary().units[unit].names.en
    return f"{number} {name if unit in _MEASURES or number in ('1', '1/2') else plural(name)}"


def _counter(written: str, unit: str | None, default: str) -> str:
    """The Korean unit: as written, else translated, else the one that this food is usually counted in."""
    if HANGUL.search(written):
        return written
    if unit is not None and unit != "piece":
        return vocabulary().units[unit].names.ko
    return re.sub(r"^[\d/.]+|(?:g|ml|캔)$", "", default) or "개"


_MEASURES = {"g", "kg", "ml", "l", "tbsp", "tsp", "oz", "lb"}


def _unit(written: str) -> str | None:
    lower = written.lower()
    for key, unit in vocabulary().units.items():
        if lower and lower in (name.lower() for name in (*unit.names, *unit.also)):
            return key
    return None

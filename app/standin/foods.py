"""Finds foods and their amounts in free text."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

from app.standin import amounts
from app.standin.amounts import HANGUL, Quantity
from app.standin.avoidance import NOTHING, Avoidance, avoided_ids, free_of
from app.standin.english import plural, singular
from app.standin.korean import AND
from app.standin.names import bare, compounds, id_of, in_a_dish, is_compound, scan
from app.standin.pantry import Ingredient, Language, ids_by_name, normal, pantry, vocabulary
from app.standin.prose import is_prose, without_phrases
from app.standin.spelling import corrected

_BREAKS = re.compile(
    r"(?<!\w)['’]|['’](?!\w)|[\n,;|·•、，。!?:\"“”‘`*#()\[\]{}<>=~^\\]+|\.(?!\d)|(?<!\d)/|/(?!\d)|\s[-–—+&]\s|\s*\b(?:and|with|plus|or|n)\b\s*"
    rf"|\s+(?:그리고|하고|및|또는)\s+|{AND}+",
    re.IGNORECASE,
)
_TAG = re.compile(r"<[^<>\n]{0,80}>")
WORD = re.compile(r"[^\W\d_]+(?:[-’'][^\W\d_]+)*")
_TINNED = re.compile(r"^(?:canned|tinned|(?:can|tin) of) | (?:cans?|tins?)$", re.IGNORECASE)
_TINNED_KO = re.compile(r"(?<=[가-힣])\s?(?:캔|통조림)$")
_READ = 4000  # characters
_PLAIN_MEASURES = ("tbsp", "tsp")
_BLANKS = re.compile(r"[^\S\n]+")  # a long run of them would make the patterns slow
_SPOKEN = re.compile(r"[가-힣](?:어요|아요|해요|에요|예요|세요|니다|네요|까요|는데|지만|고요|해줘|해서|려고|줘)$")
_PEOPLE = r"(?:people|persons?|guests|kids|of us|servings?|portions?)"
_FEW = r"(?:\d{1,2}|two|three|four|five|six|eight|ten)"
# Removed first: the number of people, ranges, brackets around an amount or a state.
_PLAIN = tuple(
    (re.compile(pattern, re.IGNORECASE), plain)
    for pattern, plain in (
        (r"(?:오늘|어제|내일|이|매일|주말|늦은|금요일|토요일)\s?밤(?:에|은|엔)?(?![가-힣])|밤(?:늦게|중에)", " "),
        (rf"\bfor\s+{_FEW}(?:\s+{_PEOPLE})?(?=\s*(?:$|[^\w\s]))", " "),
        (rf"\b{_FEW}\s+{_PEOPLE}\b|\d{{1,2}}\s*(?:인분|명|식구)", " "),
        (r"\band a half\b", "½"),
        (r"(?<=\d)\s?(?:~|–|—|-|\bto\b|\bor\b)\s?(?=\d)", "–"),
        (
            r"(?<![^\W\d_])([^\W\d_]{1,40}(?: [^\W\d_]{1,40})?)\s?\((dried|canned|tinned|cooked|minced|ground)\)",
            r"\2 \1",
        ),
        (r"\bfive[ -]spice(?: powder)?\b", "fivespice"),
        (r"(?<![\d½] )\btin (?!of\b)", "1 tin of "),
        (r"(?:^|(?<=[,;.:!?\n] )|(?<=\b(?:and|got) )|(?<=\b(?:some|have) ))(?:tins|cans) of\b", "2 cans of"),
        (r"(?<=[A-Za-z])(?:이랑|랑|하고|과|와|을|를|은|는|이|가|도|만)(?![가-힣])", ","),
        (r"[(:]\s?((?:x\s?)?[\d½¼¾⅓][^()\n]{0,12}?)(?:\)|(?=$|[,;\n]))", r" \1"),
    )
)
_TIME = re.compile(
    r"(?:\b(?:half )?an |반 ?|(?<!\w)(?:한|두|세) ?|\d{1,5}\s*-?)(?:min(?:ute)?s?|hours?|hrs?|분|시간)(?![a-z])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Food:
    """An ingredient with its amount, as this recipe names it; `entry` is its entry in the pantry, if there is one.

    `typed` says that the cook gave the amount, `role` is the id of the food that it stands in for."""

    id: str
    kind: str
    name: str
    amount: str
    language: Language
    entry: Ingredient | None = field(default=None, compare=False)
    typed: bool = False
    role: str = ""

    @property
    def phrase(self) -> str:
        """The name with the amount: 2 onions; 양파 2개."""
        if self.language == "ko":
            return f"{self.name} {self.amount}".strip()
        of = "of " if re.search(r"[a-z]{3,}$", self.amount) and not self.amount.endswith(_PLAIN_MEASURES) else ""
        return f"{self.amount} {of}{self.name}".strip()

    @property
    def later(self) -> str:
        """Its name when cooked: uncooked rice becomes rice."""
        return self.entry.done.in_language(self.language) if self.entry and self.entry.done else self.name

    @property
    def one(self) -> str:
        """The name before another noun: onion soup."""
        return singular(self.name) if self.language == "en" else self.name

    @property
    def many(self) -> str:
        counted = self.language == "en" and self.amount.isdigit()
        return plural(self.name) if counted else self.name


@dataclass(frozen=True)
class Larder:
    """The foods on hand and those to avoid. `spare` are ids of foods that are assumed to be on hand."""

    foods: tuple[Food, ...]
    avoided: frozenset[str] = frozenset()
    spare: frozenset[str] = frozenset()
    avoidance: Avoidance = NOTHING

    def allows(self, key: str) -> bool:
        return key not in self.avoided

    def without(self, avoidance: Avoidance) -> "Larder":
        """Returns the larder without avoided foods. A product that is named free of them stays: dairy-free cheese."""
        foods = tuple(food for food in self.foods if food.id not in self.avoided and _is_allowed(food, avoidance))
        avoided = self.avoided | avoided_ids(avoidance) - {food.id for food in foods}
        return Larder(foods, avoided, self.spare, avoidance.with_free({food.name: _names(food) for food in foods}))


def _names(food: Food) -> frozenset[str]:
    """Returns what a recipe calls a product that is free of something: a dish of egg-free noodles is one of noodles."""
    is_staple = food.kind in ("pasta", "noodle")
    return frozenset((food.name, *((food.name.split()[-1], food.kind) if is_staple else ())))


def _is_allowed(food: Food, avoidance: Avoidance) -> bool:
    left = avoidance.without(free_of(food.name))
    return food.id not in avoided_ids(left) and left.allows(food.name)


def larder(typed: str, language: Language) -> Larder:
    """Returns the foods in a list, in order and without duplicates."""
    return _gathered(_pieces(typed), _foods, language)


def mentioned(question: str, language: Language) -> Larder:
    """Returns the foods in a question. Unknown words are ignored, because most are not food."""
    timeless = _TIME.sub(" ", _BLANKS.sub(" ", question[:_READ]))
    return _gathered(_pieces(timeless), _mentioned, language)


def _gathered(pieces: Iterable[str], foods_in: Callable[[str, Language], Iterator[Food]], language: Language) -> Larder:
    foods: dict[str, Food] = {}
    for food in (food for piece in pieces for food in foods_in(piece, language)):
        if food.id not in foods or (food.typed and not foods[food.id].typed):
            foods[food.id] = food
    return Larder(tuple(foods.values()))


def needed(text: str, language: Language) -> Iterator[Food]:
    """Parses the list of ingredients from an earlier step."""
    seen: set[str] = set()
    for line in text.splitlines():
        bare = re.sub(r"^\s*(?:[-*•]|\d+[.)])\s+", "", line).strip().rstrip(".")
        if bare and len(bare) <= 80 and (food := _line(bare, language)).id not in seen:
            seen.add(food.id)
            yield food


def _line(line: str, language: Language) -> Food:
    quantity, name = amounts.split(re.sub(r"\s*\([^()]*\)|,.*$", "", line).strip() or line)
    found = compounds(name.split(), list(scan(name)))
    key = next((_form(key, span, quantity) for span, key in found), None)
    entry = pantry()[key] if key else None
    amount = quantity.text
    kind = entry.kind if entry else _guess(name)
    return Food(key or f"other:{normal(name)}", kind, name, amount, language, entry)


def _pieces(typed: str) -> Iterator[str]:
    text = without_phrases(_TIME.sub(" ", _BLANKS.sub(" ", _TAG.sub("\n", typed)[:_READ])))
    for pattern, plain in _PLAIN:
        text = pattern.sub(plain, text)
    for piece in _BREAKS.split(text):
        if piece and (stripped := piece.strip(" -–—+&_…")):
            yield stripped


def _foods(piece: str, language: Language) -> Iterator[Food]:
    if not _is_instruction(piece):
        yield from _named_foods(piece, language, _unknown)


def _mentioned(piece: str, language: Language) -> Iterator[Food]:
    yield from _named_foods(piece, language, lambda words, quantity, language: iter(()))


def _is_instruction(piece: str) -> bool:
    """Whether a piece is an instruction to a model. Parts of food names are not: key lime."""
    words = WORD.findall(piece)
    inside = {word for span, _ in scan(" ".join(words)) for word in span.split()}
    return len(words) > 25 or any(word.lower() in vocabulary().suspicious for word in words if word not in inside)


Unknown = Callable[[list[str], Quantity, Language], Iterator[Food]]


def _named_foods(piece: str, language: Language, unknown: Unknown) -> Iterator[Food]:
    """Returns the foods of a piece with their quantities, which are either all before or all after the foods."""
    parts = list(amounts.segments(piece))
    after = _content_words(WORD.findall(parts[0].words)) != [] and len(parts) > 1
    for part in parts:
        quantity = part.after if after else part.before
        words = WORD.findall(part.words)
        content = _content_words(words)
        found = compounds(content, list(scan(" ".join(words))))
        if not found and not is_prose(words, content):
            yield from unknown(content, quantity, language)
        counted = len(found) - 1 if after else 0
        for at, (span, key) in enumerate(found):
            own = quantity if at == counted and (after or _is_counted(words, span)) else Quantity()
            yield pantry_food(_form(key, span, own), _described(words, span, language), own, language)


def _content_words(words: list[str]) -> list[str]:
    return [word for word in words if not _is_filler(word)]


def _is_filler(word: str) -> bool:
    lower = word.lower()
    if lower in ids_by_name() or bare(lower) in ids_by_name():
        return False
    return not _ignored().isdisjoint((lower, bare(lower), bare(lower.removesuffix("에")))) or bool(
        _SPOKEN.search(lower)
    )


@cache
def _ignored() -> frozenset[str]:
    """Removes fillers, and units and numbers without a food."""
    words = vocabulary()
    units = [name.lower() for unit in words.units.values() for name in (*unit.names, *unit.also)]
    return frozenset({*words.fillers, *words.stop_words, *words.numbers, *units})


def _is_counted(words: list[str], span: str) -> bool:
    """Whether a number before these words belongs to the food: 2 big onions, but not 2 dishes of beef."""
    before = words[: len(words) - len(" ".join(words).partition(span)[2].split()) - len(span.split())]
    return not any(word.lower() in vocabulary().uncounted for word in before)


def _described(words: list[str], span: str, language: Language) -> str:
    """Returns the food's name with its adjectives: old potatoes."""
    before = " ".join(words).partition(span)[0].split()
    described: list[str] = []
    for word in reversed(before[-2:]):
        if not described and free_of(f"{word} ").groups:
            described.insert(0, word)
            break
        if (
            _is_filler(word)
            or is_prose([word], [word])
            or language == "ko"
            or HANGUL.search(word)
            or id_of(word, ids_by_name())
        ):
            break
        described.insert(0, word)
    return " ".join((*described, span))


def _form(key: str, span: str, quantity: Quantity) -> str:
    """Returns the id of a special form: a tin of tomatoes, or a whole chicken."""
    unit = amounts.unit_of(quantity.unit)
    if unit == "can":
        return vocabulary().tinned.get(key, key)
    if unit in ("g", "kg", "oz", "lb", "cup", "pack"):
        return vocabulary().dry.get(normal(span), key)
    whole = vocabulary().whole.get(normal(span)) if quantity.number and unit in (None, "piece") else None
    return whole or key


def _unknown(words: list[str], quantity: Quantity, language: Language) -> Iterator[Food]:
    name = " ".join(words).lower()
    if not words or len(words) > 3:
        return
    if is_compound(words):
        yield _strange(name, quantity, language)
    elif spelling := corrected(name) or corrected(words[-1]) or corrected(words[0]):
        yield pantry_food(ids_by_name()[spelling], spelling, quantity, language)
    elif 2 <= len(name) <= 30 and _looks_like_a_word(name):
        yield _strange(bare(name) if HANGUL.search(name) and len(bare(name)) > 1 else name, quantity, language)


def _strange(name: str, quantity: Quantity, language: Language) -> Food:
    kind = _guess(name)
    default = vocabulary().unknown.get(kind, vocabulary().unknown["other"]).in_language(language)
    amount = amounts.format_quantity(quantity, default, language) if quantity.number else default
    return Food(f"other:{normal(name)}", kind, name, amount, language, typed=bool(quantity.number))


def _looks_like_a_word(name: str) -> bool:
    if re.search(r"[ㄱ-ㅎㅏ-ㅣ]", name) or re.search(r"(.)\1\1", name):
        return False
    if HANGUL.search(name):
        return True
    return bool(re.fullmatch(r"[a-zà-öø-ÿœ' -]{3,30}", name)) and bool(re.search(r"[aeiouyà-öø-ÿœ]", name))


def _guess(name: str) -> str:
    """Guesses the kind of an unknown food from the end of its name."""
    last = normal(name)
    for kind, endings in vocabulary().guesses.items():
        if last.endswith(endings):
            return kind
    return "other"


def pantry_food(key: str, surface: str, quantity: Quantity, language: Language) -> Food:
    entry = pantry()[key]
    if quantity.number.lower() in ("a", "an") and not (quantity.unit or entry.is_counted):
        quantity = Quantity()  # a bit of cheese
    amount = entry.amount.in_language(language)
    if quantity.number:
        amount = amounts.format_quantity(quantity, amount, language)
    elif entry.is_counted and amount == "1" and surface != singular(surface):
        amount = "2"
    name = _named(surface, entry, amount, language)
    return Food(key, entry.kind, name, amount, language, entry, bool(quantity.number))


def _named(surface: str, entry: Ingredient, amount: str, language: Language) -> str:
    """Returns the user's word if it is in the language of the answer, otherwise the pantry's."""
    in_korean = bool(HANGUL.search(surface))
    if in_korean != (language == "ko") or re.search(_TINNED, surface) or normal(surface) in entry.foreign:
        surface = entry.names.in_language(language)
    if language == "ko":
        return _without_particle(surface, entry)
    return agreed(surface.lower(), amount, entry)


def agreed(name: str, amount: str, entry: Ingredient | None) -> str:
    """Returns the name in singular or plural: 1 onion, 2 onions, 150 g mushrooms."""
    if amount.replace("/", "").isdigit():
        return singular(name) if amount in ("1", "1/2", "1/4", "3/4", "1/3", "2/3") else plural(name)
    if entry is None:
        return name
    # Mushrooms are weighed, but in the plural; sesame stays sesame.
    last = singular(entry.names.en.split()[-1])
    in_plural = entry.names.en.split()[-1] != last and singular(name.split()[-1]) == last
    return plural(name) if entry.is_counted or in_plural else name


def _without_particle(surface: str, entry: Ingredient) -> str:
    """Returns the food without a particle, and without the dish made of it."""
    surface = _TINNED_KO.sub("", surface) or surface
    plain = next((word for word in (surface, bare(surface), in_a_dish(bare(surface))) if word in ids_by_name()), None)
    if plain is not None:
        return plain
    return entry.names.ko if in_a_dish(bare(surface)) != bare(surface) else surface

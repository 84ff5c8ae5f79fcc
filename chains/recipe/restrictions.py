"""The diets, the foods to avoid and the number of people in a list of ingredients.

Every pattern matches a bounded length of text around a fixed word, so the time is linear in the length of the text.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

from chains.recipe.aversions import aversions_in
from chains.recipe.servings import servings_in

_WINDOW = 90  # characters around a word such as "allergic" that are searched for foods
_BREAK = re.compile(r"[,;:.!?()\[\]{}<>\n\"“”、，。•|]|\s[-–—]\s")
_SEPARATOR = re.compile(
    r"\s*(?:,|/|&|\+|·|\b(?:and|or|nor)\b|(?<=[가-힣])(?:이랑|(?<!노)랑|하고|(?<![사모한약])과|와)\s|\b(?:및|또는|그리고)\b)\s*",
    re.IGNORECASE,
)

_BEFORE = re.compile(  # words that come before the foods to avoid
    r"""
    \b(?:
        (?:severe\s)?allerg(?:ic|y|ies)\s(?:to|against)
      | allerg(?:y|ies|ens?)\s?:
      | (?:in)?toleran(?:t|ce)\s(?:to|of)
      | (?:sensitive|sensitivity|reacts?|reaction|anaphyla\w{0,8}|intoleran(?:t|ce))
        (?:\s(?:bad|severe|strong|terrib)ly)?\sto
      | (?:hives|rash|epi-?pen)\s(?:from|after|for)
      | free\s(?:from|of)
      | (?:with)?out\sany | without | sans | neither | nothing\s(?:with|containing|made\s(?:with|of))
      | (?:steer|stay|keep|keeping)\s(?:well\s)?(?:clear\sof|away\sfrom) | (?:cut|cutting)\sout
      | nothing(?=\s(?:spicy|hot|fishy|raw)\b)
      | (?:zero|(?<![\d.,])0)(?=\s(?:dairy|milk|lactose|gluten|wheat|nuts?|peanuts?|eggs?
          |soya?|fish|shellfish|sesame|pork|meat|alcohol|sugar)\b)
      | (?:avoid|exclud|omit|skip)(?:s|e|es|ing|ting|ping)?\s?:?
      | leav(?:e|es|ing)\sout | hold\sthe | minus | except(?:\sfor)? | anything\sbut | never(?!\s\w+(?:ed|en|ade)\b)
      | (?:do|does|can|could|would|should|must|may|am|is|are|we|i)\s?
        (?:n[o']t|n’t|['’]t|not)\s(?:to\s)?(?:really\s)?
        (?:allowed\s(?:to\s)?)?(?:eat|eating|have|like|want|tolerate|stand|do|digest|use|put|include|take|consume|touch|drink|add)(?:\sany)?
      | (?:cannot|can['’]?t|don['’]?t|doesn['’]?t|won['’]?t|mustn['’]?t|shouldn['’]?t)\s
        (?:really\s)?(?:eat|have|like|want|tolerate|stand|do|digest|use|put|include|take|consume|touch|drink|add)(?:\sany)?
      | dislikes? | hates? | loathes? | detests? | refuses(?:\sto\s(?:eat|touch))? | breaks?\sout\s(?:from|after)
      | (?:not|never)\s(?:a\s(?:big\s)?fan\sof|keen\son|into|fond\sof)
      | (?<!-)no(?!-)(?:\s(?:added|extra|more))? | non(?=[-\s]?(?:dairy|gluten|nut|egg|soy|wheat|alcohol|meat|milk))
    )(?![\w'’])[-\s]?
    """,
    re.IGNORECASE | re.VERBOSE,
)
_AFTER = re.compile(  # words that come after them
    r"(?:[-\s]{1,2}free(?![-\w'’])(?!\s(?:from|of|range)\b)"
    r"|[-\s]{1,2}(?:allerg(?:y|ies|ic)|intoleran(?:t|ce|ces)|sensitiv(?:e|ity))\b(?!\sto\b))"
    r"|\s(?:is|are)\s(?:(?:strictly|absolutely|completely|all|also)\s)?(?:(?:a\s)?no[- ]go|out(?!\sof)"
    r"|off\s(?:the\s(?:menu|table)|limits)"
    r"|off-limits|forbidden|banned|not\s(?:allowed|ok(?:ay)?|permitted|an\soption)|poison\s(?:to|for)\s\w{1,12})\b"
    r"|\s(?:makes?|gives?|(?:will|could|can|would|might|may)\s(?:make|give|kill))\s(?:me|him|her|us|them|my\s\w{1,12})\s?"
    r"(?:(?:very|really|feel|violently)\s){0,2}(?:ill|sick|unwell|itch\w{0,2}|hives|a\srash|cramps|migraines?|sneeze|vomit|bloated)?\b"
    r"|(?:(?<=\begg)|(?<=\bmeat)|(?<=\bsugar)|(?<=\bdairy))less\b",
    re.IGNORECASE,
)
_AFTER_KO = re.compile(
    r"\s?(?:알레르기|알러지|앨러지|알레르지|불내증|과민증|프리(?!미엄|마|지|랜|즈|저|카|토)|빼고|끊었|끊어서|빼\s?주|빼줘|빼면|빼서|뺀|없이|말고(?!도)|"
    r"제외|소화\S?\s?(?:못|안)|먹고\s?(?:쓰러|두드러기|응급|탈)[가-힣]{0,3}(?:\s?적)?|못\s?[먹마드]|안\s?[먹드마]|먹지\s?[않못마말는]|싫(?:어|다|습|음)(?!했었)|질색|금지|사절|"
    r"먹으면\s?(?:안|두드러기|탈|배|알레|아[프파]|토|죽|큰일|가려|간지|속|입|숨|목)|(?:이|가)?\s?들어\s?(?:있으면|가면|간\s?(?:거|것|건|음식)[은는]?\s?(?:안|못|빼|싫|제외))|"
    r"(?<=[가-힣\s])[xX×✕❌](?!\s?\d|[\w가-힣])|넣지\s?(?:말|마|않)|쓰지\s?(?:말|마|않)|없어|없음|없습|없는|없고|안\s?(?:돼|되|됩|넣|들어)|피하|피해)"
)
_TAIL_KO = re.compile(
    r"[가-힣]{0,8}(?:\s(?:있|주세|줘|해\s?주|부탁|먹|마세|하고|때문|환자|체질|넣|되|돼|요리|음식|사람|편|써|만들|아이|아기|아들|딸|남편|아내|친구|손님|가족)[가-힣]{0,6}){0,3}"
)
# the lookbehinds exclude 오이, 포도, 떡볶이, …, which end like a noun with its particle
_PARTICLE = re.compile(
    r"(?:(?<=[가-힣])(?:은|는|을|를|에는|에게)"
    r"|(?<=[가-힣]{2})(?:에|(?<!떡볶)(?<!골뱅)(?<!새송)(?<!우렁)(?<!달팽)이|가|(?<!포)(?<!아보카)도|의|만))$"
)
_LINK = re.compile(r"(?:이랑|랑|하고|과|와|이나|나|및|또는|그리고|,|/|·)$")
_ADVERB_KO = re.compile(
    r"(?:\s(?:(?:종교|건강|체질|취향|알레르기|알러지|개인|신념)\S{0,2}\s?(?:때문에|상|이유로|적으로)|절대로?|전혀|아예|정말|도저히|진짜|잘|꼭|되도록|가능하면|웬만하면"
    r"|다|둘\s?다|셋\s?다|모두|전부|많이|거의|[가-힣]{1,5}(?:워서|해서|파서))){1,2}\s?$"
)
_VERBAL_KO = re.compile(r"[가-힣](?:는데|은데|지만|니까|려고|면서|라서|아서|어서|해서|다고|어요|아요|네요)$")
_NOT_KO = re.compile(r"(?:밖에|지|없으면|없이는)\s?$")  # 감자밖에 없어요, 볶지 말고, 치즈 없으면 안 돼요
_NOTHING_ELSE_KO = re.compile(r"(?:말고|빼고|제외)[가-힣]{0,3}\s?(?:아무\S{0,3}\s?)?없")
_NEGATED = re.compile(
    # what somebody likes, and what a pet or somebody else may not eat
    r"\b(?:(?:can|could)(?:['’]?t|not)\s(?:live|do|cook|survive)\swithout|say\sno\sto)\b"
    r"|\b(?:my|our|the)\s(?:dog|cat|puppy|kitten)\s(?:is|has|can[’']?t)\b[^,.;\n]{0,40}|\bused\sto\sbe\s\w+"
    r"|(?:강아지|고양이|반려견|반려묘)(?:가|는|이)\s[^,.;\n]{0,20}(?:알레르기|못\s?먹)[가-힣]{0,4}|"
    r"\bno\s(?:(?:known|food|dietary|other|special)\s){0,3}(?:allerg\w{1,4}|restrictions?|requirements?|preferences?|"
    r"intolerances?)(?:\sto\b)?|\b(?:not|isn['’]t|aren['’]t|non)[-\s](?:an?\s)?(?:allergic(?:\sto)?|vegan|vegetarian|coeliac|celiac|"
    r"pregnant|diabetic|lactose[-\s]intolerant|gluten[-\s]free)|\bnothing\s(?:but|except)\b"
    r"|(?:알레르기|알러지)[가-힣]?\s?(?:는\s|가\s)?없[가-힣]{0,3}|못\s?먹는\s(?:것|거|음식)[가-힣]?\s?없[가-힣]{0,3}",
    re.IGNORECASE,
)
# a restriction, unless it is the label of a product: no salt added tomatoes
_ADDED = re.compile(
    r"\b(?P<without>no\s(?:salt|sugar))\sadded(?P<next>\s(?!please|thanks|at\b|for\b|in\b|to\b)[a-z])?", re.IGNORECASE
)
_STOP = re.compile(
    r"(?:^|\s)(?:i|we|he|she|they|my|our|but|so|because|since|please|then|just|only|in|for|with|from|to|use|using|have|has|is|am|are|"
    r"be|was|at|when|if|as|who|that|which|this|although|though|make|it|lets?|there|also|no|without|\d\S*)(?=\s|$)",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"^(?:(?:a|an|the|any|all|some|of|added|extra|more|kinds|severe|bad|strong|serious|mild|slight|raw|even|traces|eat|eating|use|both|"
    r"have|has|i['’]m|i['’]ve|got|terrible|deadly|life-threatening|known|other|having|either|adding|food|심한|약간|조금|좀|저는|나는|제가|"
    r"저희는|우리는|우리|아이가|아이는|아들이|딸이|남편이|아내가|모든|생|특히|절대)\s)+",
    re.IGNORECASE,
)
_PLEASE = re.compile(r"\s(?:please|at all|though|thanks|whatsoever|products?|anymore)$", re.IGNORECASE)


@dataclass(frozen=True)
class Restrictions:
    """The restrictions in a text. `rest` is the text without them: "gluten-free pasta" leaves "pasta"."""

    diets: tuple[str, ...] = ()
    avoided: tuple[str, ...] = ()
    servings: int | None = None
    rest: str = ""


class _Match(NamedTuple):
    """One restriction in the text, from `start` to `end`."""

    start: int
    end: int
    foods: tuple[str, ...] = ()
    diet: str = ""
    people: int = 0


@lru_cache(maxsize=256)
def restrictions_in(text: str) -> Restrictions:
    """Returns the diets, foods to avoid and number of people in a list of ingredients, in their order."""
    text = _spelt(re.sub(r"[^\S\n]+", " ", unicodedata.normalize("NFC", text)))
    text = _NEGATED.sub(" , ", text)
    found = _all(text)
    counts = [each.people for each in found if each.people]
    return Restrictions(
        diets=tuple(dict.fromkeys(each.diet for each in found if each.diet)),
        avoided=tuple(dict.fromkeys(food for each in found for food in each.foods)),
        servings=max(counts, default=None),
        rest=_without(text, found),
    )


def _spelt(text: str) -> str:
    """Replaces common misspellings and short forms: alergic, glutenfree, GF."""
    text = _ADDED.sub(lambda found: found["next"] or f"{found['without']},", text)
    return _misspelt().sub(lambda found: _spellings()[found[0].lower()], text)


def _all(text: str) -> list[_Match]:
    found = [*_following(text), *_preceding(text), *_preceding_ko(text), *_diets(text)]
    clauses = [_Match(*each) for each in aversions_in(text)]
    others = [each for each in clauses if all(one.end <= each.start or each.end <= one.start for one in found)]
    return sorted((*_servings(text), *found, *others))


def _without(text: str, found: Iterable[_Match]) -> str:
    """Returns the text with a comma instead of each restriction, and without the words that only lead to one."""
    at, pieces = 0, list[str]()
    for each in sorted(found):
        pieces.append(text[at : each.start] if each.start > at else "")
        at = max(at, each.end)
    rest = "\0".join((*pieces, text[at:]))
    items = (
        item
        for piece in rest.split(",")
        for item in (map(_without_lead, piece.split("\0")) if "\0" in piece else [piece])
    )
    return ", ".join(filter(None, (re.sub(r"^[\s&+–—-]+(?=\s|$)", "", item).strip() for item in items)))


def _without_lead(item: str) -> str:
    """Returns the item, or an empty string if it only says for whom the restriction is: my son is, for me, 환자예요."""
    item = re.sub(r"\s(?:and|or|but|with|그리고)$", "", item.strip(" ;:."))
    return "" if all(word in _who() for word in re.split(r"[\s.;:-]+", item.lower().replace("’", "'"))) else item


def _servings(text: str) -> Iterator[_Match]:
    for start, end, people in servings_in(text):
        yield _Match(start, end, people=people)


def _diets(text: str) -> Iterator[_Match]:
    for each in _diet_pattern().finditer(text):
        yield _Match(each.start(), each.end(), diet=_diet_names()[_plain(each["latin"] or each["korean"])])


def _following(text: str) -> Iterator[_Match]:
    """Yields foods after a word: no nuts; allergic to eggs, milk and fish."""
    for trigger in _BEFORE.finditer(text):
        length, foods = _foods_after(trigger[0].lower(), text[trigger.end() : trigger.end() + _WINDOW])
        if foods:
            yield _Match(trigger.start(), trigger.end() + length, foods)
        elif lead := _no_food_at_start(text[trigger.end() : trigger.end() + _WINDOW]):
            yield _Match(trigger.start(), trigger.end() + lead)


def _no_food_at_start(text: str) -> int:
    """Returns the length of the first word if it makes no food of the next: no fuss pasta."""
    word = re.match(r"[\w'’]{1,20}(?=\s)", text)
    return len(word[0]) if word and _singular(word[0].lower()) in _not_foods() else 0


@lru_cache(maxsize=1024)
def _foods_after(trigger: str, window: str) -> tuple[int, tuple[str, ...]]:
    """Returns the length of the clause that names foods, and the foods."""
    clause = _BREAK.split(window)[0]
    if trigger.rstrip().endswith(":"):
        clause = _list_of_allergens(window)
    else:
        links = r"\b(?:and|or)\b" if "allerg" in trigger or "intoleran" in trigger else r"\bn?or\b"
        clause = clause + _more_of_a_list(window[len(clause) :], links)
    clause = clause[: stop.start()] if (stop := _STOP.search(clause)) else clause
    if trigger.startswith("non"):
        clause = clause.split(" ")[0]
    return len(clause), _foods(_SEPARATOR.split(clause))


def _list_of_allergens(window: str) -> str:
    """Returns the first item and the allergens that follow it."""
    line = re.split(r"[;.\n]", window)[0]
    items = re.findall(r"[^,]*,?", line)
    last = next((at for at, item in enumerate(items[1:], 1) if not _are_allergens(item)), len(items))
    return "".join(items[:last]).rstrip(",")


def _more_of_a_list(text: str, links: str) -> str:
    """Returns the rest of a list, such as `, eggs and milk`, if it contains allergens only."""
    listed = re.match(rf"(?:,[^,;:.!?()\n]{{1,30}}){{0,5}}?,?[^,;:.!?()\n]{{0,30}}{links}\s[^,;:.!?()\n]{{1,30}}", text)
    return listed[0] if listed and text.startswith(",") and _are_allergens(listed[0]) else ""


def _are_allergens(text: str) -> bool:
    names = [_singular(name) for item in _SEPARATOR.split(text) if (name := _clean(item))]
    return bool(names) and all(name in _allergens() for name in names)


def _preceding(text: str) -> Iterator[_Match]:
    """Yields foods before a word: nut-free; peanut and egg allergy."""
    for trigger in _AFTER.finditer(text):
        before = text[max(0, trigger.start() - _WINDOW) : trigger.start()]
        start, foods = _foods_before(before, "free" in trigger[0].lower())
        if foods:
            yield _Match(trigger.start() - len(before) + start, trigger.end(), foods)


@lru_cache(maxsize=1024)
def _foods_before(before: str, is_free: bool) -> tuple[int, tuple[str, ...]]:
    """Returns the start of the foods at the end of a text, and the foods."""
    near = _BREAK.split(before)[-1]
    near = near[stops[-1].end() :] if (stops := list(_STOP.finditer(near))) else near
    items = _SEPARATOR.split(near.rstrip("-"))
    name = _last_name(items[-1], is_free)
    others = _linked(items[:-1], before[: len(before) - len(near)] if " and " in near else "")
    if is_free:  # eggs and gluten-free bread
        others = [other for other in others if other.lower() in _data()["allergens"]["free_of"]]
    start = before.lower().rfind((others or [name])[0].lower().strip())
    return max(start, 0), _foods([*others, name])


def _last_name(text: str, is_free: bool) -> str:
    """Returns the last word, or the last two if they are one food: tree nut."""
    words = _clean(text).split()
    two = " ".join(words[-2:])
    if len(words) > 1 and (not is_free or _singular(two) in _allergens()):
        return two
    return words[-1] if words else ""


def _linked(items: list[str], earlier: str) -> list[str]:
    """Returns the allergens at the end of the list."""
    linked: list[str] = []
    for item in reversed([*earlier.split(","), *items] if earlier.rstrip().endswith(",") else items):
        if not item.strip():
            continue
        if _singular(_clean(item.rstrip("- "))) not in _allergens():
            break
        linked.insert(0, item.strip().rstrip("- "))
    return linked


def _preceding_ko(text: str) -> Iterator[_Match]:
    """Yields foods before a Korean word: 우유 알레르기, 계란빼고, 글루텐 프리."""
    for trigger in _AFTER_KO.finditer(text):
        before = text[max(0, trigger.start() - _WINDOW) : trigger.start()]
        at = len(trigger[0]) - len(trigger[0].lstrip()) + trigger.start()
        if _NOTHING_ELSE_KO.search(text, max(0, at - 8), at + 12):
            continue
        start, foods = _foods_before_ko(before, "알" in trigger[0] or "불내증" in trigger[0])
        if foods:
            tail = _TAIL_KO.match(text, trigger.end())
            yield _Match(trigger.start() - len(before) + start, tail.end() if tail else trigger.end(), foods)


@lru_cache(maxsize=1024)
def _foods_before_ko(before: str, is_allergy: bool) -> tuple[int, tuple[str, ...]]:
    near = _ADVERB_KO.sub("", _BREAK.split(before)[-1])
    if _NOT_KO.search(near) or not (names := _named_ko(near)):
        return 0, ()
    if is_allergy:
        names = [*_linked([], before[: len(before) - len(near)]), *names]
    return max(before.rfind(names[0]), 0), _foods(_PARTICLE.sub("", name) for name in names)


def _named_ko(near: str) -> list[str]:
    """Returns the last word and the words that are linked with it: 계란이랑 우유."""
    words = re.sub(r"\s?(및|또는|그리고|/|·)\s?", r"\1 ", near).split()
    names = words[-1:]
    for word in reversed(words[:-1]):
        if not (link := _LINK.search(word)) or link.start() == 0:
            break
        names.insert(0, word[: link.start()])
    return names


def _foods(names: Iterable[str]) -> tuple[str, ...]:
    cleaned = (_clean(name) for name in names)
    found = (name for name in cleaned if name and len(name.split()) <= 4 and not _VERBAL_KO.search(name))
    return tuple(name for name in found if _is_food(name))


def _is_food(name: str) -> bool:
    first = _singular(name.split()[0])
    return _singular(name) not in _not_foods() and (first == "seed" or first not in _not_foods())


def _clean(name: str) -> str:
    name = _FILLER.sub("", " ".join(name.replace("’", "'").split()).strip(" -–'\"") + " ").strip()
    return _PLEASE.sub("", " " + name).strip().lower()


def _singular(name: str) -> str:
    name = " ".join(name.replace("-", " ").split())
    for ending, one in (("ies", "y"), ("oes", "o"), ("shes", "sh"), ("ches", "ch")):
        if name.endswith(ending) and len(name) > 4:
            return name[: -len(ending)] + one
    return name[:-1] if name.endswith("s") and not name.endswith(("ss", "us")) else name


def _plain(word: str) -> str:
    return _singular(word.lower().replace("’", "'"))


@cache
def _data() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(files("chains.recipe").joinpath("data", "restrictions.toml").read_text("utf-8"))


@cache
def _spellings() -> dict[str, str]:
    return {wrong: right for right, words in _data()["spellings"].items() for wrong in words}


@cache
def _misspelt() -> re.Pattern[str]:
    words = "|".join(sorted(map(re.escape, _spellings()), key=len, reverse=True))
    return re.compile(rf"(?<![^\W_])(?<!\bmy )(?:{words})(?![a-z])", re.IGNORECASE)


@cache
def _allergens() -> frozenset[str]:
    return frozenset(_singular(word) for word in _data()["allergens"]["words"])


@cache
def _not_foods() -> frozenset[str]:
    return frozenset(_singular(word) for word in _data()["no_food"]["words"])


@cache
def _who() -> frozenset[str]:
    return frozenset(("", *_data()["no_food"]["who"]))


@cache
def _diet_names() -> dict[str, str]:
    return {_plain(word): diet for diet, words in _data()["diets"].items() for word in words}


@cache
def _diet_pattern() -> re.Pattern[str]:
    words = sorted((word for words in _data()["diets"].values() for word in words), key=len, reverse=True)
    latin = "|".join(re.sub(r"\\?[ -]", "[- ]", word).replace("'", "['’]") for word in words if word[0].isascii())
    korean = "|".join(word for word in words if not word[0].isascii())
    # kosher salt is salt, and 키토산 is not a diet
    return re.compile(
        rf"(?:\b(?P<latin>{latin})s?\b(?!\s?salt|\s(?:neighbou?r|soy\ssauce|butter|stock|broth))"
        r"(?:[ -](?:diet|friendly|food|household|style)\b)?"
        rf"|(?P<korean>{korean})(?!산|\s?(?:버터|치즈|마요|빵|우유|간장|된장|소금|두유|요거트))\s?(?:식단|주의자|환자|중|체질|식|용|메뉴|요리|음식)?"
        r"(?:이에요|예요|입니다|이고|이라서|이라|라서|라|인데|인|이|가|을|를|으로|로|에요|임|하는|하고|에)?(?:\s(?:위한|좋은|있어요|있는))?)",
        re.IGNORECASE,
    )

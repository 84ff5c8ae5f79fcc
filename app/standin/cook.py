"""Answers a prompt, step by step. The same prompt and seed give the same answer."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from random import Random

from app.standin import avoidance, choice, menu
from app.standin.asking import Wanted
from app.standin.foods import Food, mentioned
from app.standin.korean import Noun
from app.standin.menu import Plan, Terms
from app.standin.names import wishes_in
from app.standin.pantry import Language, groups_of, vocabulary, wishes
from app.standin.reading import Order, Step, language_of, read
from app.standin.substitutes import of_the_same_kind, substitutes_for
from app.standin.wording import Mentions, fill, joined, named_in

_SENTENCE_END = re.compile(r"(?<=[.!?]) +")
_CUTS_IN_A_SENTENCE = 3
_PARTS = ("1/2", "1/3", "1/4")  # of what is already cut
_MOST_IN_A_PAN = 5  # servings
_LONG_MIN = 60  # minutes from which on a much shorter dish is explained
_LONG = {"en": 830, "ko": 460}  # characters


@lru_cache(maxsize=512)
def reply(system: str, human: str, seed: int = 0) -> str:
    order = read(system, human)
    if order.refusal:
        return f"{_phrase('about', order.language)} {order.refusal}"
    rng = Random(f"{seed}|{order.step}|{order.typed}|{order.minutes}|{order.recipe_name}")  # noqa: S311 - picks phrases
    text = _WRITERS[order.step](order, rng) if order.step else _answer(order, rng)
    return _checked(text, order)


def _checked(text: str, order: Order) -> str:
    """Removes lines and sentences that name avoided foods, and adds notes."""
    avoided = order.larder.avoidance
    if order.step == "proposal" or not (avoided.groups or avoided.unsure):
        return text
    if not avoided.allows(text):
        lines = [" ".join(avoided.allowed(_SENTENCE_END.split(line))) for line in text.split("\n")]
        text = "\n".join(lines).strip() or _phrase("no_dish", order.language)
    notes = [text] if order.step not in ("intro", None) else [text, *_notes(order)]
    return " ".join(notes) if order.step else "\n\n".join(notes)


def _notes(order: Order) -> Iterator[str]:
    if order.leaves_out:
        yield avoidance.phrase("left_out", order.language)
    if diets := order.larder.avoidance.unsure:
        yield avoidance.phrase("unsure", order.language).format(diets=", ".join(diets))


def passed_on(brought: str, system: str, question: str) -> str:
    """Returns the answer to a question from the results of tools."""
    language = language_of(system, question)
    about = _phrase("about", language)
    # a tool that called the stand-in returns that sentence, too
    text = brought.replace(about, "").strip()
    return f"{about} {_phrase('brought', language)}\n\n{text}"


def _phrase(phrase: str, language: Language) -> str:
    return vocabulary().phrases[phrase].in_language(language)


def _plan(order: Order) -> Plan | None:
    return choice.find(order.recipe_name, order.larder, order.language, _terms(order))


def _about_plan(write: Callable[[Plan, Order, Random], str]) -> Callable[[Order, Random], str]:
    """Returns a writer for a part that needs a dish. It says so if no dish meets the restrictions."""

    def text(order: Order, rng: Random) -> str:
        plan = _plan(order)
        return write(plan, order, rng) if plan else _phrase("no_dish", order.language)

    return text


def _terms(order: Order) -> Terms:
    return Terms(order.minutes, order.servings)


def _wishes(order: Order) -> list[frozenset[str]]:
    """Returns the dishes of each kind that the request names, such as soup or 볶음밥; the narrowest kind first."""
    text = " ".join(order.typed.lower().split())
    words = re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", text)
    found = {wish for word in words for wish in wishes_in(word)}
    found |= {wish for wish in wishes() if " " in wish and wish in text}
    return sorted({wishes()[wish] for wish in found}, key=lambda dishes: (len(dishes), sorted(dishes)))


def _proposal(order: Order, rng: Random) -> str:
    picked = choice.propose(order.larder, order.language, _terms(order), _wishes(order), rng)
    recipes = [{"name": name, "intro": _hook(plan, order, rng)} for plan, name in picked]
    return json.dumps(recipes, ensure_ascii=False, indent=1)


def _hook(plan: Plan, order: Order, rng: Random) -> str:
    hooks = [fill(hook, _about(plan, order)) for hook in plan.honest(plan.dish.texts(order.language).hooks)]
    allowed = order.larder.avoidance.allowed(hook for hook in hooks if hook)
    return rng.choice(allowed) if allowed else _serves(plan, order)


def _about(plan: Plan, order: Order) -> Callable[[str], str]:
    """Returns the values of the slots in hooks and stories, where foods have no amounts."""
    others = [food.many for food in plan.notable[:3]]
    values = {
        "lead": plan.lead.many,
        "one": plan.lead.one,
        "others": joined(others, order.language),
        "all": joined([plan.lead.many, *others], order.language),
        "minutes": str(plan.total(order.minutes)),
    }
    return lambda slot: values[slot.lstrip("?")]


def _ingredients(plan: Plan, order: Order, rng: Random) -> str:
    return "\n".join(f"- {food.phrase}" for food in plan.foods)


def _intro(plan: Plan, order: Order, rng: Random) -> str:
    stories = map(plan.honest, plan.dish.texts(order.language).story)
    story = [rng.choice(variants) for variants in stories if variants][:3]
    filled = order.larder.avoidance.allowed(fill(template, _about(plan, order)) for template in story)
    return " ".join(filter(None, (*filled, _serves(plan, order), _unused(plan, order))))


def _serves(plan: Plan, order: Order) -> str:
    values = {"servings": str(plan.servings), "minutes": str(plan.total(order.minutes))}
    phrase = "batches" if plan.servings > _MOST_IN_A_PAN else "serves"
    text = fill(_phrase(phrase, order.language), lambda slot: values[slot.lstrip("?")])
    if phrase == "batches" or order.minutes < _LONG_MIN or plan.total(order.minutes) > order.minutes // 2:
        return text
    return f"{text} {fill(_phrase('shorter', order.language), lambda slot: str(order.minutes))}"


def _unused(plan: Plan, order: Order) -> str:
    """Returns sentences about the foods on hand that the dish does not use."""
    used = {food.id for food in plan.foods}
    left = [food for food in order.larder.foods if food.id not in used]
    slow = [food for food in left if _goes(food) != "season" and menu.is_slow(food, order.minutes)]
    rest = [food for food in left if food not in slow]
    sentences = (
        _filled_phrase(phrase, joined([food.many for food in foods], order.language), order.language)
        for phrase, foods in (("unused", rest), ("unused_raw", slow))
        if foods
    )
    return " ".join(sentences)


def _nutrition(order: Order, rng: Random) -> str:
    if not order.larder.foods:
        return f"- {_phrase('no_food', order.language)}"
    return "\n".join(_note(food, order.language) for food in order.larder.foods[:14])


def _note(food: Food, language: Language) -> str:
    name = food.name[:1].upper() + food.name[1:]
    if food.entry is not None:
        return f"- {name}: {food.entry.note.in_language(language)}"
    unknown = _phrase("nutrition_unknown", language)
    return f"- {name}: {unknown[:1].upper() + unknown[1:]}"


def _sides(plan: Plan, order: Order, rng: Random) -> str:
    sides = _allowed_sides(plan.dish.sides, order)
    rng.shuffle(sides)
    if len(sides) < 3:
        sides += [side for side in _allowed_sides("plain", order) if side not in sides][: 3 - len(sides)]
    return "\n".join(f"- {side}" for side in sorted(sides, key=lambda side: _repeats(side, plan))[:3])


def _allowed_sides(sort: str, order: Order) -> list[str]:
    return order.larder.avoidance.allowed(words.in_language(order.language) for words in vocabulary().sides[sort])


def _repeats(side: str, plan: Plan) -> bool:
    """Leaves out side dishes that repeat the main dish, or its bread, rice or the like."""
    dish = side.lower().split(",")[0].split(" – ")[0]
    staples = {_staple(food) for food in mentioned(dish, plan.language).foods} - {""}
    return any(food.name.lower() in dish or food.one.lower() in dish or _staple(food) in staples for food in plan.foods)


def _staple(food: Food) -> str:
    return "bread" if food.kind == "tortilla" else food.kind if food.kind in menu.STAPLES else ""


def _steps(plan: Plan, order: Order, rng: Random) -> str:
    foods = _with_roles(order.needed, plan) if order.needed else plan.foods
    texts = plan.dish.texts(order.language).steps
    aside = {food.id for food in plan.extras}
    inside = [food for food in foods if food.id not in aside]
    values = {"long": str(plan.simmers(order.minutes)), "servings": str(plan.servings)}
    mentions = Mentions(_lead(plan, texts), inside, values, order.language)
    steps = [_prepared(plan, inside, mentions, order.language), *(fill(step, mentions) for step in texts)]
    steps = _complete([step for step in steps if step], mentions, order.language)
    steps[-1:-1] = _served(plan, foods, mentions, order.language, last=False)
    steps += _served(plan, foods, mentions, order.language, last=True)
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))


def _with_roles(needed: Sequence[Food], plan: Plan) -> list[Food]:
    roles = {food.id: food.role for food in plan.foods}
    return [replace(food, role=roles.get(food.id, "")) for food in needed]


def _lead(plan: Plan, steps: Sequence[str]) -> str | None:
    """Returns the leading food, unless the steps name it themselves: an egg is beaten there, not diced."""
    named = named_in(steps)
    return plan.lead.id if "lead" in named and plan.lead.id not in named else None


def _served(plan: Plan, foods: Sequence[Food], mentions: Mentions, language: Language, *, last: bool) -> list[str]:
    steps: list[str] = []
    for rule, served in plan.alongside:
        if rule.last != last:
            continue
        ids = {food.id for food in served}
        words = mentions.say([food for food in foods if food.id in ids])
        if words:
            steps.append(fill(rule.step.in_language(language), lambda slot, words=words: words))
    return [" ".join(steps)] if steps else []


def _complete(steps: list[str], mentions: Mentions, language: Language) -> list[str]:
    """Adds foods that no step names to the last step but one, and toppings to the last."""
    for phrase in ("add", "season", "garnish"):
        left = [food for food in mentions.left if _goes(food) == phrase]
        if left:
            rest = mentions.say(left)
            at = -1 if phrase == "garnish" or len(steps) == 1 else -2
            steps[at] += " " + _filled_phrase(phrase, rest, language)
    return steps


def _filled_phrase(phrase: str, rest: str, language: Language) -> str:
    return fill(_phrase(phrase, language), lambda slot: rest)


def _goes(food: Food) -> str:
    groups = groups_of(food.kind)
    if not groups.isdisjoint({"sauces", "seasoning", "fat"}):
        return "season"
    return "garnish" if "garnish" in groups else "add"


def _prepared(plan: Plan, foods: Sequence[Food], mentions: Mentions, language: Language) -> str:
    """Returns the first step: everything to cut, rinse or drain."""
    cuts: dict[str, list[Food]] = {}
    for food in foods:
        if cut := _cut(food, plan):
            cuts.setdefault(cut, []).append(food)
    clauses = [(cut, mentions.prepare(cut_foods)) for cut, cut_foods in cuts.items()]
    return " ".join(_clauses(clauses, language))


def _cut(food: Food, plan: Plan) -> str | None:
    cut = _whole_cut(food, plan)
    return None if cut == "halve" and food.amount.startswith(_PARTS) else cut


def _whole_cut(food: Food, plan: Plan) -> str | None:
    own = food.entry.cut if food.entry else _cut_of_unknown(food)
    marks = ["lead"] if food.id == plan.lead.id else []
    # Some vegetables, such as peas, are not cut, and what crumbles is not grated.
    kinds = [food.kind] if own not in (None, "crumble") else []
    for mark in (food.id, *marks, *kinds):
        if mark in plan.dish.cuts:
            return plan.dish.cuts[mark] or None
    return own


def _cut_of_unknown(food: Food) -> str | None:
    return {
        "other": "small",
        "fruit": "bite",
        "mushroom": "slice",
        "greens": "chop",
        "meat": "bite",
        "fish": "pat",
        "cured": "slice",
        "potato": "peel",
        "squash": "peel",
    }.get(food.kind)


def _clauses(clauses: Sequence[tuple[str, str]], language: Language) -> Iterator[str]:
    remaining = iter(clauses)
    while some := list(islice(remaining, _CUTS_IN_A_SENTENCE)):
        if language == "en":
            yield _sentence([vocabulary().cuts[cut].en.format(foods) for cut, foods in some])
        else:
            inner = [vocabulary().cuts[cut].ko[0].format(Noun(foods)) for cut, foods in some[:-1]]
            cut, foods = some[-1]
            yield ", ".join((*inner, vocabulary().cuts[cut].ko[1].format(Noun(foods)))) + "."


def _sentence(clauses: Sequence[str]) -> str:
    *front, last = clauses
    comma = "," if len(front) > 1 or any(" and " in clause for clause in clauses) else ""
    text = f"{', '.join(front)}{comma} and {last}" if front else last
    return text[:1].upper() + text[1:] + "."


def _answer(order: Order, rng: Random) -> str:
    """Answers a free question, starting with a note that the stand-in answers."""
    about = _phrase("about", order.language)
    if order.replaced:
        return "\n\n".join((about, *(_substitutes(wanted, order.language) for wanted in order.replaced[:3])))
    if order.larder.foods:
        return f"{about}\n\n{_whole(order, rng)}"
    return f"{about} {_phrase('ask', order.language)}"


def _substitutes(wanted: Wanted, language: Language) -> str:
    options = substitutes_for(wanted.key, wanted.name, language) if wanted.key else []
    kin = of_the_same_kind(wanted.key, language) if wanted.key else []
    slots = {"food": wanted.name, "others": joined(kin, language)}
    phrase = "instead" if options else "same_kind" if kin else "no_substitute"
    lines = (f"- {each.food[:1].upper()}{each.food[1:]}, {each.amount}: {each.change}." for each in options)
    return "\n".join((fill(_phrase(phrase, language), lambda slot: slots[slot.lstrip("?")]), *lines))


def _whole(order: Order, rng: Random) -> str:
    """Returns a recipe as one text: the first of three dishes that is short enough, or the shortest."""
    picked = choice.propose(order.larder, order.language, _terms(order), _wishes(order), rng)
    ideas = [(plan, f"{name}: {_hook(plan, order, rng)}", name) for plan, name in picked]
    ideas += [(plan, f"{name}.", name) for plan, name in picked]
    texts = (f"{idea}\n\n{_compact_recipe(plan, name, order, rng)}" for plan, idea, name in ideas)
    nothing = _phrase("no_dish", order.language)
    return min(texts, key=lambda text: max(len(text), _LONG[order.language]), default=nothing)


def _compact_recipe(plan: Plan, name: str, order: Order, rng: Random) -> str:
    """Returns the ingredients and the steps, without amounts in the steps."""
    needs = joined([food.phrase for food in plan.foods], order.language)
    titled = replace(order, recipe_name=name, needed=tuple(replace(food, amount="") for food in plan.foods))
    needed, method = _phrase("needs", order.language), _phrase("method", order.language)
    return f"{needed} {needs}.\n\n{method}\n{_steps(plan, titled, rng)}"


_WRITERS: dict[Step, Callable[[Order, Random], str]] = {
    "proposal": _proposal,
    "ingredients": _about_plan(_ingredients),
    "intro": _about_plan(_intro),
    "nutrition": _nutrition,
    "sides": _about_plan(_sides),
    "steps": _about_plan(_steps),
}

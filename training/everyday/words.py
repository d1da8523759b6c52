"""The words of captions: nouns with what they are in general, verbs with their forms, and the small words.

The lists nouns.txt and verbs.txt are by hand, from what English captions of photographs are made of. A word that is in
no list is taken for an adjective before a noun and for a noun that nobody knows elsewhere: nothing is said about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from vljepa_edge.training.everyday.english import gerund, plural, third_person


def _small() -> dict[str, frozenset[str]]:
    """The kinds of small words; a line that is indented goes on with the one before."""
    found: dict[str, frozenset[str]] = {}
    text = (Path(__file__).parent / "small_words.txt").read_text("utf-8").replace("\n  ", " ")
    for line in text.splitlines():
        kind, mark, rest = line.partition(":")
        if mark and not line.startswith("#"):
            found[kind] = frozenset(rest.split())
    return found


_SMALL = _small()

COLOURS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray", "tan", "gold",
    "silver", "beige",
)  # fmt: skip
SPELT = {"grey": "gray"}
NUMBERS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "single": 1, "lone": 1, "2": 2, "3": 3, "4": 4, "5": 5,
}  # fmt: skip
MANY = 99
"""The number of what is said to be several, many, a group of, a lot of."""
SEVERAL = frozenset({"several", "many", "numerous", "multiple", "various", "dozens", "lots", "tons"})
GROUPS = frozenset(
    {"group", "bunch", "crowd", "herd", "flock", "pack", "row", "line", "lot", "pile", "stack", "number", "collection",
     "team", "set", "variety", "assortment", "display", "array", "series", "cluster", "bunches", "groups", "lots",
     "dozens", "rows", "piles", "gang", "pen", "litter", "selection"}
)  # fmt: skip
PAIRS = frozenset({"couple", "pair"})
"""`a couple of dogs` are two; `a pair of skis` is one thing, so that pairs of what is worn or used are not counted."""
DETERMINERS = _SMALL["determiners"]
PREPOSITIONS = _SMALL["prepositions"]
CONJUNCTIONS = _SMALL["conjunctions"]
PRONOUNS = _SMALL["pronouns"]
AUXILIARIES = _SMALL["auxiliaries"]
ADVERBS = _SMALL["adverbs"]
PARTICIPLES = _SMALL["participles"]
UNSAID = _SMALL["unsaid verbs"]
"""Verbs that say too little, or something else, without what follows them."""
NOT_REAL = _SMALL["not real"]
"""Before an animal, a person or a vehicle these make another thing of it."""
DEPICTS = frozenset({"statue", "picture", "toy", "costume", "shirt", "sign"})
"""What is `of` one of these concepts is not there itself."""
VIEWS = frozenset(
    {"picture", "photo", "photograph", "image", "view", "closeup", "close-up", "close up", "shot", "portrait", "scene"}
)
"""What a caption may begin with that means the photograph itself."""
IMPLIED = {
    "skateboarder": ("skateboard",), "surfer": ("surfboard",), "skier": ("skis",), "snowboarder": ("snowboard",),
    "cyclist": ("bicycle", "motorcycle", "bike", "helmet"), "motorcyclist": ("motorcycle", "bike", "helmet"),
    "rider": ("horse", "bicycle", "motorcycle", "bike", "helmet", "vehicle", "animal"), "musician": ("guitar", "piano"),
    "kayaker": ("boat",), "bus": ("car",), "street": ("car", "truck", "traffic light", "vehicle", "bicycle", "bus"),
    "kitchen": ("sink", "oven", "refrigerator", "table", "microwave", "bowl", "plate", "chair", "cup", "spoon",
                "knife", "bottle", "clock", "fruit", "food"),
    "bathroom": ("toilet", "sink", "bathtub", "mirror", "bottle"), "bedroom": ("bed", "table", "pillow", "book"),
    "living room": ("couch", "table", "chair", "television", "book", "vase"), "indoors": ("table", "chair"),
    "table": ("chair", "plate", "cup", "bowl", "fork", "knife", "spoon", "food"), "chair": ("table", "chair"),
    "food": ("plate", "bowl", "fork", "knife", "spoon", "table", "cup", "fruit", "vegetable"),
    "pizza": ("vegetable",), "sandwich": ("vegetable", "fruit"), "computer": ("table", "chair", "book"),
    "plate": ("food", "vegetable", "fruit", "table"), "bowl": ("food", "vegetable", "fruit", "table"),
    "drink": ("cup", "bottle"), "cup": ("table", "bottle"), "bottle": ("cup", "table"), "vase": ("flower", "table"),
    "athlete": ("ball", "helmet", "hat"), "sports field": ("ball",), "event": ("ball", "person"),
    "sports equipment": ("ball",), "city": ("car", "street", "person", "vehicle", "bus"), "sled": ("snowboard", "skis"),
    "ground": ("beach", "mountain"), "nature": ("mountain", "beach"), "water": ("beach", "boat"), "beach": ("water",),
    "snowboard": ("skis", "sled"), "skis": ("snowboard", "sled"), "clothing": ("hat", "person"),
    "bag": ("backpack", "suitcase"), "backpack": ("suitcase",), "suitcase": ("backpack",), "hat": ("helmet",),
    "helmet": ("hat", "bicycle", "motorcycle"), "oven": ("kitchen", "refrigerator"), "sink": ("bathroom", "kitchen"),
    "toilet": ("bathroom",), "refrigerator": ("kitchen",), "bed": ("bedroom", "pillow"), "couch": ("chair", "pillow"),
    "bench": ("chair",), "plant": ("flower", "vase"), "track": ("train",),
    "body part": ("person",), "park": ("bench", "flower"), "bird": ("bird",),
    "soldier": ("helmet", "hat"), "firefighter": ("helmet", "hat"), "police officer": ("hat",), "worker": ("hat",),
    "bridge": ("boat",), "boat": ("water",), "appliance": ("kitchen",), "skates": ("helmet",),
    "skateboard": ("helmet",), "bike": ("helmet", "bicycle", "motorcycle"), "bicycle": ("helmet", "motorcycle"),
    "motorcycle": ("helmet", "bicycle"), "truck": ("car", "bus"), "car": ("truck",), "fruit": ("bowl",),
    "device": ("computer", "phone", "television", "camera"), "child": ("baby",), "man": ("boy", "tie"),
    "boy": ("man",), "woman": ("girl",), "girl": ("woman",), "sign": ("stop sign",),
    "vegetable": ("carrot", "broccoli"), "vehicle": ("car", "truck"), "parking meter": ("car",),
    "fire hydrant": ("street", "car"), "traffic light": ("street", "car"), "stop sign": ("street", "car"),
}  # fmt: skip
"""What is likely to be there though nobody says so: its absence is not asked for."""
IMPLIED_BY_VERBS = {
    "skateboard": ("skateboard",), "ski": ("skis",), "snowboard": ("snowboard",), "surf": ("surfboard",),
    "bike": ("bicycle", "motorcycle", "bike"), "cycle": ("bicycle", "bike"), "sled": ("sled",), "ride": (
        "bicycle", "motorcycle", "horse", "bike", "animal", "vehicle", "skateboard", "surfboard", "elephant", "sled"),
    "drive": ("car", "truck", "vehicle", "bus"), "bark": ("dog", "animal"), "eat": ("food",),
    "drink": ("cup", "bottle"),
    "kayak": ("boat",), "canoe": ("boat",), "paddle": ("boat", "surfboard"), "row": ("boat",), "sail": ("boat",),
    "raft": ("boat",), "play": ("ball", "guitar", "piano", "musical instrument", "toy"), "kick": ("ball",),
    "throw": ("ball", "frisbee"), "catch": ("ball", "frisbee"), "bat": ("ball",), "bowl": ("ball",),
    "dribble": ("ball",), "swing": ("ball",), "hit": ("ball",), "fly": ("kite", "airplane", "bird"), "read": ("book",),
    "talk": ("phone",), "write": ("book",), "photograph": ("camera",), "cook": ("oven", "food", "kitchen"),
    "wakeboard": ("boat", "surfboard"), "windsurf": ("surfboard", "boat"), "fetch": ("ball", "toy"), "race": (
        "bicycle", "motorcycle", "car", "horse", "bike", "vehicle"), "feed": ("food",), "sit": ("chair", "bench"),
    "fish": ("boat",), "swim": ("water",), "park": ("car", "vehicle"), "type": ("computer",), "jump": ("bicycle",
    "skateboard", "bike", "motorcycle"), "perform": ("bicycle", "skateboard", "guitar"), "grind": ("skateboard",),
    "hold": (), "land": ("airplane",), "sing": ("guitar", "musical instrument"), "wear": ("hat", "clothing"),
}  # fmt: skip


@dataclass(frozen=True)
class Concept:
    """A thing with a name. above: the names of all that is more general, near ones first. asked: its absence may be
    asked for."""

    name: str
    above: tuple[str, ...]
    asked: bool


@dataclass(frozen=True)
class Noun:
    """What a noun may mean: names of concepts, the likeliest first. many: it is a plural."""

    concepts: tuple[str, ...]
    many: bool


@dataclass(frozen=True)
class Verb:
    """lemma: 'run'. form: `s` as in runs, `base` as in run, or `ing`."""

    lemma: str
    form: str


@dataclass(frozen=True)
class Lexicon:
    """concepts by name, nouns by their singular and plural forms, verbs by their forms; kind: what may be said of a
    verb in general; transitive: verbs that need an object; longest: words of the longest noun."""

    concepts: dict[str, Concept]
    nouns: dict[str, Noun]
    verbs: dict[str, Verb]
    kind: dict[str, str]
    transitive: frozenset[str]
    longest: int

    def general(self, name: str) -> tuple[str, ...]:
        """A concept and all above it."""
        return (name, *self.concepts[name].above)


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """The lists as tables."""
    folder = Path(__file__).parent
    below = _lines(folder / "nouns.txt")
    parents: dict[str, tuple[str, ...]] = {}
    words: dict[str, list[str]] = {}
    asked = set()
    for head, synonyms in below:
        name, _, up = head.partition("<")
        name = name.strip()
        if name.startswith("*"):
            name = name[1:]
            asked.add(name)
        parents[name] = tuple(part.strip() for part in up.split(",") if part.strip())
        for word in (name, *synonyms):
            words.setdefault(word, []).append(name)
    for name in [up for ups in parents.values() for up in ups]:
        parents.setdefault(name, ())
        words.setdefault(name, [name])
    concepts = {name: Concept(name, _above(name, parents), name in asked) for name in parents}
    nouns: dict[str, Noun] = {}
    for word, names in words.items():
        own = tuple(sorted(dict.fromkeys(names), key=lambda name: (name != word, names.index(name))))
        nouns[plural(word)] = Noun(own, True)
        nouns[word] = Noun(own, word in _PLURAL_ONLY or _is_plural(word, words))
    verbs: dict[str, Verb] = {}
    kind: dict[str, str] = {}
    transitive = set()
    for what, lemmas in _lines(folder / "verbs.txt"):
        for lemma in lemmas:
            bare = lemma.rstrip("*")
            if bare in kind:
                continue
            kind[bare] = what
            if lemma.endswith("*"):
                transitive.add(bare)
            verbs[bare] = Verb(bare, "base")
            verbs[third_person(bare)] = Verb(bare, "s")
            verbs[gerund(bare)] = Verb(bare, "ing")
    longest = max(word.count(" ") + 1 for word in nouns)
    return Lexicon(concepts, nouns, verbs, kind, frozenset(transitive), longest)


GROUPED = frozenset(
    {"crowd", "team", "family", "audience", "band", "class", "choir", "crew", "trio", "duo", "couple", "orchestra",
     "staff", "public"}
)  # fmt: skip
"""Words for several people that are one in grammar."""
_PLURAL_ONLY = {
    "people", "children", "police", "cattle", "clothes", "policemen", "folk", *GROUPED,
}  # fmt: skip
"""Words for more than one of a kind, and for groups: how many there are is not told by their form."""


_ONE_WITH_S = {"canvas", "lens", "martial arts", "gymnastics", "series", "atlas", "pancreas", "windows", "bagpipes"}


def _is_plural(word: str, words: dict[str, list[str]]) -> bool:
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and word not in _ONE_WITH_S:
        return True
    return any(word == plural(other) for other in (word[:-1], word[:-2]) if other in words)


def _above(name: str, parents: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    waiting = list(parents[name])
    while waiting:
        up = waiting.pop(0)
        if up not in found:
            found[up] = None
            waiting += parents[up]
    return tuple(found)


def _lines(path: Path) -> list[tuple[str, list[str]]]:
    found = []
    for line in path.read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            head, _, rest = line.partition(":")
            found.append((head.strip(), [part.strip() for part in rest.split(",") if part.strip()]))
    return found

"""What the captions of one photograph say together: what is there, and what none of them leaves room for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from vljepa_edge.training.everyday import words as lists
from vljepa_edge.training.everyday.english import article, plural
from vljepa_edge.training.everyday.parse import Parsed, Phrase, parse
from vljepa_edge.training.everyday.words import MANY, lexicon

GENERAL = ("person", "animal", "vehicle", "child", "musical instrument", "food", "toy")
"""General things that are asked for beside those that the list of nouns marks."""
_NUMBERS = ("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DROPPED = frozenset(
    {"other", "same", "very", "first", "second", "third", "own", "right", "left", "top", "bottom", "opposite", "next",
     "last", "one", "such", "different", "single", "lone", "both", "various", "several", "many", "few", "more", "most",
     "another", "all", "half", "only"}
)  # fmt: skip
_UNCOUNTED = frozenset({"food", "water", "grass", "clothing", "broccoli", "money", "paint", "makeup", "jewelry", "gear",
                        "equipment", "attire", "lipstick", "furniture", "luggage", "graffiti"})  # fmt: skip
_FOR_PERSONS = 3  # captions that must agree before a person's absence is asked for


@dataclass(frozen=True)
class Facts:
    """captions: of one photograph. shown: concepts that are there for certain, general ones too. said: what any word
    may mean; open: what may be there for all that they say."""

    captions: tuple[Parsed, ...]
    shown: frozenset[str]
    said: frozenset[str]
    open: frozenset[str]

    def phrases(self) -> Iterator[Phrase]:
        """The noun phrases of all captions."""
        for caption in self.captions:
            yield from caption.phrases

    def absent(self, name: str) -> bool:
        """Whether a concept is surely not shown: no caption has a word for it, for a kind of it, for something more
        general, or for what it likely comes with."""
        known = lexicon()
        if name in self.open or not self.said.isdisjoint(known.concepts[name].above):
            return False
        return len(self.captions) >= _FOR_PERSONS or "person" not in known.general(name)


@lru_cache(maxsize=1024)
def facts_of(captions: tuple[str, ...]) -> Facts:
    """What captions of one photograph say."""
    known = lexicon()
    parsed = tuple(parse(caption) for caption in captions)
    said: set[str] = set()
    verbs: set[str] = set()
    times = Counter[str]()
    for one in parsed:
        said |= one.said
        verbs |= one.verbs
        here: set[str] = set()
        for phrase in one.phrases:
            if phrase.plain:  # of several meanings only what they share is sure
                here |= set[str].intersection(*(set(known.general(name)) for name in phrase.concepts))
        times.update(here)
    shown = {
        name for name, count in times.items() if count > 1 or len(parsed) < 4 or "person" not in known.general(name)
    }  # captions of one photograph often differ in whether somebody is a boy, a girl or a man
    opened = {up for name in said for up in known.general(name)}
    for name in tuple(opened):
        opened |= set(lists.IMPLIED.get(name, ()))
    for verb in verbs:
        opened |= set(lists.IMPLIED_BY_VERBS.get(verb, ()))
    return Facts(parsed, frozenset(shown), frozenset(said), frozenset(opened))


def askable() -> tuple[str, ...]:
    """The concepts that `is there` is asked about."""
    known = lexicon()
    return tuple(sorted({name for name, concept in known.concepts.items() if concept.asked} | set(GENERAL)))


def is_a(phrase: Phrase, *kinds: str) -> bool:
    """Whether all that a phrase may mean is of one of these kinds."""
    known = lexicon()
    return bool(phrase.concepts) and all(any(up in kinds for up in known.general(name)) for name in phrase.concepts)


def indefinite(phrase: Phrase) -> str | None:
    """'the red bus' -> 'a red bus', 'two dogs' -> 'two dogs'; None where that would be no English."""
    words = phrase.text.split()
    while words and (words[0] in lists.DETERMINERS or words[0] in lists.NUMBERS or words[0] == "'s"):
        words.pop(0)
    if not words or _DROPPED & set(words) or "of" in words or "'s" in words:
        return phrase.text if phrase.number == MANY and " of " in phrase.text and phrase.determiner == "a" else None
    name = " ".join(words)
    if phrase.number is not None and 1 < phrase.number < len(_NUMBERS):
        return f"{_NUMBERS[phrase.number]} {name}"
    if phrase.many and phrase.head in lists.GROUPED:
        return article(name)
    if phrase.many:
        return f"several {name}" if phrase.number == MANY else name
    if phrase.determiner in ("a", "an"):
        return article(name)
    return name if is_a(phrase, *MASS) or words[-1] in _UNCOUNTED else article(name)


MASS = ("food", "water", "grass", "ground", "drink", "clothing", "money", "paper", "sports equipment", "body part")
"""Kinds whose nouns often have no article."""


def named(concept: str) -> str:
    """The concept as something that is there: 'a dog', 'food', 'skis'."""
    return concept if concept in _UNCOUNTED or plural_only(concept) else article(concept)


def plural_only(concept: str) -> bool:
    """Whether there is no singular: 'skis', 'scissors', 'glasses'."""
    return concept in ("skis", "scissors", "glasses", "sunglasses", "skates", "stairs")


OTHER_NAMES = {
    "television": ("television", "TV", "tv"), "phone": ("phone", "cell phone"), "table": ("table", "dining table"),
    "airplane": ("airplane", "plane"), "ball": ("ball", "sports ball"), "couch": ("couch", "sofa"),
    "donut": ("donut", "doughnut"),
    "motorcycle": ("motorcycle", "motorbike"), "musical instrument": ("musical instrument", "instrument"),
}  # fmt: skip
"""What else the things that are asked for are called."""


def many(concept: str) -> str:
    """'dog' -> 'dogs'."""
    return concept if plural_only(concept) else plural(concept)

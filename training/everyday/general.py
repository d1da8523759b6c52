"""Captions in general words: `A dog runs through the grass.` is also `An animal runs outside.` and `An animal moves.`

In a run's file: `{kind: "vljepa_edge.training.everyday.general:General", of: {path: photographs.jsonl}}`. Whatever a
caption says, its general sentences say less, so they are true whenever the caption is.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from vljepa_edge.errors import InputError
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.everyday.english import article, sentence, third_person
from vljepa_edge.training.everyday.facts import is_a, many
from vljepa_edge.training.everyday.parse import Parsed, Phrase, parse
from vljepa_edge.training.everyday.photographs import Photographs, Remade, captions_of, key_of
from vljepa_edge.training.everyday.queries import CAPTION_QUERIES
from vljepa_edge.training.everyday.texts import text_key
from vljepa_edge.training.everyday.words import MANY, UNSAID, lexicon

_MOST_ALSO = 24
_SAID = frozenset(
    {"person", "child", "animal", "vehicle", "food", "fruit", "vegetable", "toy", "plant", "tree", "flower", "bag",
     "bike", "drink", "building", "bird", "fish", "insect", "ball", "phone", "computer", "bottle", "cup", "plate",
     "bowl", "lamp", "fence", "bridge", "statue", "picture", "sign", "flag", "book", "furniture"}
)  # fmt: skip
"""Concepts that are said in general sentences beside those that the list of nouns marks."""
_CALLED = {"musical instrument": "instrument", "television": "TV"}
_MASS = frozenset({"food", "furniture", "clothing", "grass", "water", "broccoli"})
_TOP = ("person", "animal", "vehicle", "food", "toy", "musical instrument", "plant", "building")
_VAGUE = ("something", "several things")
_ANYTHING = "does something"
_COUNTED = {2: "two", 3: "three", 4: "four", 5: "five"}
_STEADY = frozenset(
    {"hold", "ride", "carry", "catch", "chase", "throw", "pull", "push", "kick", "toss", "lift", "hug", "drag", "eat",
     "watch", "read", "feed", "drive", "drink", "play", "look", "bite", "chew", "cross", "climb", "fly", "paint", "cut",
     "cook", "prepare", "serve", "wash", "clean", "walk", "pet", "grab", "tackle"}
)  # fmt: skip
"""Verbs that may have an object, which is said then."""
_WITH_AT = frozenset({"look", "stare", "gaze", "point", "peer", "smile", "wave", "glance"})
_NOTHING = frozenset({"wear", "have", "has", "lie", "lay", "sit", "stand", "hang", "seem", "appear", "sleep", "rest"})
_ANY_OBJECT = frozenset({"look", "watch"})


class General(Remade):
    """The samples of another source, a share of them with a caption in general words.

    of: the source, with captions as targets: what `open_source` takes. seed: of which samples, and how general. share:
    of samples that get a general sentence. The other samples keep their caption; all know the general sentences that
    are true of their photograph as right answers, so that these are no negatives of it. Raises InputError for a share
    outside 0 to 1, and what `open_source` raises.
    """

    def __init__(self, of: str | Path | Mapping[str, Any], seed: int = 0, share: float = 1.0) -> None:
        if not 0 <= share <= 1:
            raise InputError(f"share must be from 0 to 1, got {share!r}")
        source = open_source(of)
        super().__init__(source, f"{source.name} in general words")
        self._seed, self._share = seed, share
        self._make(Photographs(source), self._general)

    def _general(self, index: int, sample: Sample, captions: tuple[str, ...]) -> Sample:
        rng = random.Random(f"{self._seed}/{index}/general")
        query = sample.query or rng.choice(CAPTION_QUERIES)
        own = generalised(sample.target)
        true = dict.fromkeys(text_key(text) for caption in (sample.target, *captions) for text in generalised(caption))
        if not own or rng.random() >= self._share:
            also = dict.fromkeys((*sample.also, *true))
            return replace(sample, query=query, also=tuple(also)[:_MOST_ALSO])
        target = rng.choice(own)
        also = dict.fromkeys((key_of(sample), *sample.also, *true))
        key = text_key(target)
        also.pop(key, None)
        return replace(sample, query=query, target=target, text_key=key, also=tuple(also)[:_MOST_ALSO], negatives=())


def general_sentences(of: str | Path | Mapping[str, Any]) -> list[tuple[str, int]]:
    """Every general sentence of the captions of a source with how many photographs it is true of, the commonest first.

    Raises what `open_source` raises.
    """
    source = open_source(of)
    photographs = Photographs(source)
    counts = Counter[str]()
    for photograph in range(len(photographs)):
        texts = captions_of(photographs.samples(photograph))
        counts.update({text for caption in texts for text in generalised(caption)})
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


@lru_cache(maxsize=4096)
def generalised(caption: str) -> tuple[str, ...]:
    """Sentences that are true whenever the caption is, the most specific first; () where nothing is known of it."""
    parsed = parse(caption)
    found: dict[str, None] = {}
    place = _place(parsed)
    subject = parsed.subject
    if subject and all(one.plain for one in subject):
        levels = _subjects(subject)
        clauses = _clauses(parsed, place)
        for clause in clauses:
            for name, several in dict.fromkeys((levels[0], levels[-1])):
                who = _someone(name) if clause[0] == _ANYTHING else name
                found[sentence(f"{who} {clause[1] if several else clause[0]}")] = None
        if place:
            for name, several in dict.fromkeys((levels[0], levels[-1])):
                found[sentence(f"{name} {'are' if several else 'is'} {place}")] = None
        name, several = levels[-1]
        if name == "a person":
            found["Someone is there."] = None
        elif name not in _VAGUE:
            one = not several or name.startswith(("a ", "an "))  # 'there is a dog and two cats'
            found[sentence(f"there {'is' if one else 'are'} {name}")] = None
    elif place:
        found[sentence(f"something is {place}")] = None
    for phrase in parsed.phrases:
        if phrase.plain and phrase not in subject:
            names = _names(phrase)
            if names and is_a(phrase, *_TOP):
                verb = "are" if phrase.many and names[-1] not in _MASS else "is"
                found[sentence(f"there {verb} {_shown(phrase, names[-1])}")] = None
    own = sentence(caption.rstrip(" ."))
    return tuple(text for text in found if text != own)


def _someone(name: str) -> str:
    return "someone" if name == "a person" else name


def _names(phrase: Phrase) -> list[str]:
    """Names of what a phrase is, from near to general; none where all that it may mean shares no name."""
    known = lexicon()
    shared = [
        name
        for name in known.general(phrase.concepts[0])
        if all(name in known.general(other) for other in phrase.concepts[1:])
    ]
    return [name for name in shared if name in _SAID or known.concepts[name].asked or name == "musical instrument"]


def _shown(phrase: Phrase, name: str, counted: bool = False) -> str:
    """'dog' -> 'a dog', 'dogs' or 'two dogs'."""
    name = _CALLED.get(name, name)
    if name in _MASS:
        return "clothes" if name == "clothing" else name
    if phrase.many:
        number = _COUNTED.get(phrase.number or 0) if counted else None
        return f"{number} {many(name)}" if number else many(name)
    return name if name.endswith("s") and not name.endswith("ss") and name != "bus" else article(name)


def _subjects(subject: tuple[Phrase, ...]) -> list[tuple[str, bool]]:
    """Ways to name the subject, from near to general, each with whether it is a plural."""
    if len(subject) > 1:
        tops = [_names(one)[-1] if _names(one) else "thing" for one in subject]
        if "thing" in tops or len(subject) > 2:
            return [("several things", True)]
        if tops[0] == tops[1]:
            both = all(one.number == 1 for one in subject) and tops[0] not in _MASS
            called = many(_CALLED.get(tops[0], tops[0]))
            return [*([(f"two {called}", True)] if both else []), (called, True)]
        return [(" and ".join(_shown(one, top) for one, top in zip(subject, tops, strict=True)), True)]
    one = subject[0]
    names = _names(one)
    found: list[tuple[str, bool]] = []
    for name in names:
        plural: bool = one.many and name not in _MASS
        if plural and one.number in _COUNTED:
            found.append((_shown(one, name, counted=True), True))
        elif plural and one.number == MANY and name == names[-1]:
            found.append((f"several {many(_CALLED.get(name, name))}", True))
        found.append((_shown(one, name), plural))
    return found or [("several things", True) if one.many else ("something", False)]


def _clauses(parsed: Parsed, place: str) -> list[tuple[str, str]]:
    """What is done, in the singular and the plural, from near to general."""
    verb = parsed.verb
    if verb is None:
        return []
    known = lexicon()
    found: list[tuple[str, str]] = []

    def add(singular: str, plural: str, rest: str = "") -> None:
        found.append((f"{singular} {rest}".strip(), f"{plural} {rest}".strip()))

    lemma, kind = verb.lemma, known.kind[verb.lemma]
    lemma = "lie" if lemma == "lay" and verb.form != "base" else lemma
    if lemma not in UNSAID:
        third, lemma = (third_person(lemma), lemma) if lemma != "lie" else ("lies down", "lie down")
        rest = _rest(parsed, verb.lemma)
        if rest is not None:
            for text in rest:
                if place and not text:
                    add(third, lemma, place)
                add(third, lemma, text)
    if kind == "moves" and lemma not in known.transitive and all(is_a(s, "person", "animal", "vehicle") for s in
                                                                parsed.subject):  # fmt: skip
        add("moves", "move")
    elif kind == "holds something":
        add("holds something", "hold something")
    elif kind == "looks at something" and lemma not in ("overlook", "face"):
        add("looks at something", "look at something")
    if verb.lemma not in _NOTHING and all(
        is_a(one, "person") for one in parsed.subject
    ):
        add(_ANYTHING, "do something")
    return found


def _rest(parsed: Parsed, lemma: str) -> list[str] | None:
    """What follows the verb in general words, from near to general; None where the verb can't stand so."""
    known = lexicon()
    at = parsed.verb_at + 1
    following = parsed.words[at] if at < len(parsed.words) else ""
    needs = lemma in known.transitive
    thing = parsed.object if parsed.object is not None and parsed.object.begin == at else None
    if thing is None and needs and lemma != "ride":
        return None
    if thing is None:
        if lemma in _WITH_AT and following == "at" and parsed.object is not None and parsed.object.begin == at + 1:
            return [f"at {text}" for text in _objects(parsed.object)]
        if lemma == "ride" and following in ("on", "in") and parsed.object is not None:
            return _objects(parsed.object)
        return None if needs or lemma in _WITH_AT | _ANY_OBJECT else [""]
    if not needs and lemma not in _STEADY:
        return [""]
    if lemma == "play":
        if is_a(thing, "musical instrument"):
            return ["an instrument", "music"]
        return [""] if not is_a(thing, "event") else ["a game", ""] if _game(thing) else [""]
    if lemma in ("walk", "climb", "fly", "drive"):
        return [""]
    return _objects(thing)


def _game(thing: Phrase) -> bool:
    return thing.head.split()[-1] in {
        "soccer", "football", "tennis", "baseball", "basketball", "hockey", "rugby", "volleyball", "cricket", "golf",
        "game", "lacrosse", "polo", "badminton", "softball", "frisbee",
    }  # fmt: skip


def _objects(thing: Phrase) -> list[str]:
    if not thing.plain or is_a(thing, "event", "place"):
        return ["something"]
    return [*dict.fromkeys(_shown(thing, name) for name in _names(thing)), "something"]


def _place(parsed: Parsed) -> str:
    """'outside', 'inside', 'in the water' or '', from where the caption puts things."""
    found: set[str] = set()
    for phrase in parsed.phrases:
        if not phrase.plain or phrase.before not in ("in", "on", "at", "through", "across", "along", "over", "down",
                                                     "up", "into", "in the middle of", "on the side of"):  # fmt: skip
            continue
        if is_a(phrase, "water"):
            if phrase.before in ("in", "through") and parsed.verb is not None and phrase is parsed.object:
                found.add("in the water")
        elif is_a(phrase, "indoors") and phrase.before in ("in", "at", "inside"):
            found.add("inside")
        elif is_a(phrase, "street", "grass", "nature", "beach", "park", "track", "city", "ground"):
            found.add("outside")
    return found.pop() if len(found) == 1 else ""

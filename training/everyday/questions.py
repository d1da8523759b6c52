"""Questions with answers, made from the captions of photographs.

In a run's file: `{kind: "vljepa_edge.training.everyday.questions:Questions", of: {path: photographs.jsonl}}`. A sample
of the wrapped source becomes one question about its photograph, from what all captions of the photograph say; where
they say nothing that can be asked, the caption itself is asked for.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import InputError
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.everyday import words as lists
from vljepa_edge.training.everyday.english import gerund, sentence
from vljepa_edge.training.everyday.facts import (
    MASS,
    OTHER_NAMES,
    Facts,
    askable,
    facts_of,
    indefinite,
    is_a,
    many,
    named,
    plural_only,
)
from vljepa_edge.training.everyday.parse import Parsed, Phrase, parse
from vljepa_edge.training.everyday.photographs import Photographs, Remade, captions_of
from vljepa_edge.training.everyday.queries import (
    ANY_QUERIES,
    CAPTION_QUERIES,
    EXISTS_QUERIES,
    OBJECT_QUERIES,
    PLACE_QUERIES,
    WHO_QUERIES,
)
from vljepa_edge.training.everyday.words import MANY, lexicon

_MOST_NEGATIVES = 4
_MOST_ALSO = 16
_COUNTED = 2000  # photographs that the shares of yes and no are balanced on
_TURNS = 30
_ANY = 0.15  # of the questions whether something is there ask for any
_SURE = 0.3  # of the photographs are asked less often: of what they show the answer would nearly always be the same
_NUMBERS = {1: "One.", 2: "Two.", 3: "Three.", 4: "Four.", 5: "Five.", 6: "Six.", MANY: "Several."}
_PLACES = {
    "street": "On the street.", "water": "In the water.", "beach": "On the beach.", "kitchen": "In a kitchen.",
    "bathroom": "In a bathroom.", "bedroom": "In a bedroom.", "mountain": "On a mountain.", "park": "In a park.",
    "nature": "In the woods.", "sports field": "On a sports field.", "indoors": "In a room.", "ice rink": "On the ice.",
}  # fmt: skip
_PEOPLE = {"man": "A man.", "woman": "A woman.", "boy": "A boy.", "girl": "A girl.", "baby": "A baby."}
_WORN = {"dress": "A dress.", "helmet": "A helmet.", "tie": "A suit and tie.", "hat": "A hat.", "jacket": "A jacket."}
_OTHERWISE = {
    "moves": ("Sleeping.", "Lying on a bed.", "Sitting at a table.", "Reading a book."),
    "rests": ("Running.", "Jumping in the air.", "Swimming.", "Dancing."),
}
_IDLE = ("Sleeping.", "Swimming.", "Climbing a mountain.")
_NOT_DONE = frozenset({"wear", "appear", "seem", "have", "has", "become", "let", "want", "say", "include", "contain",
                       "feature", "remain", "show", "line", "cover", "surround"})  # fmt: skip
_STAYING = frozenset({"in", "on", "at", "near", "next to", "beside", "under", "inside", "behind", "in front of",
                      "on top of", "by", "in the middle of", "on the side of", "at the top of", "on the edge of"})
_COLOURLESS = ("person", "event", "outdoors", "indoors", "drink", "picture", "place")
_COMPOUND_COLOURS = ("white water", "black belt", "red wine", "white wine", "green tea", "red carpet", "brown bear",
                     "black bear", "orange juice", "white house", "black board", "white board")  # fmt: skip
_NO_THING = ("person", "place", "event", "body part", "clothing", "object", "accessory")
_BETWEEN = ("in", "wearing")


@dataclass(frozen=True)
class Asked:
    """A question with its answer, other right answers and wrong ones."""

    query: str
    answer: str
    negatives: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


class Questions(Remade):
    """A question about the photograph of each sample of another source.

    of: the source, with captions as targets: what `open_source` takes. seed: of which question is asked. captions: the
    share of samples that are asked for their caption. Raises InputError for a share outside 0 to 1, and what
    `open_source` raises.
    """

    def __init__(self, of: str | Path | Mapping[str, Any], seed: int = 0, captions: float = 0.2) -> None:
        if not 0 <= captions <= 1:
            raise InputError(f"captions must be a share from 0 to 1, got {captions!r}")
        source = open_source(of)
        super().__init__(source, f"questions about {source.name}")
        self._seed, self._captions = seed, captions
        photographs = Photographs(source)
        self._yes, self._no, self._enough = _balanced(photographs)
        self._make(photographs, self._question)

    def _question(self, index: int, sample: Sample, captions: tuple[str, ...]) -> Sample:
        rng = random.Random(f"{self._seed}/{index}/asked")
        asked = None if rng.random() < self._captions else self._asked(sample.target, facts_of(captions), rng)
        if asked is None:
            return replace(sample, query=sample.query or rng.choice(CAPTION_QUERIES))
        also = tuple(dict.fromkeys(text for text in asked.also if text != asked.answer))
        wrong = [text for text in dict.fromkeys(asked.negatives) if text != asked.answer and text not in also]
        negatives = tuple(rng.sample(wrong, min(_MOST_NEGATIVES, len(wrong))))
        return replace(
            sample, query=asked.query, target=asked.answer, text_key=asked.answer, also=also[:_MOST_ALSO],
            negatives=negatives,
        )  # fmt: skip

    def _asked(self, caption: str, facts: Facts, rng: random.Random) -> Asked | None:
        own = parse(caption)
        makers: dict[Callable[..., Asked | None], float] = {
            self._exists: 3.0, _what: 1.0, _who: 1.0, _where: 1.2, count_asked: 1.5, _colour: 2.0, _doing: 1.5,
            _wearing: 0.8,
        }  # fmt: skip
        left = list(makers)
        while left:
            maker = rng.choices(left, [makers[one] for one in left])[0]
            left.remove(maker)
            asked = maker(own, facts, rng)
            if asked is not None:
                return asked
        return None

    def _exists(self, own: Parsed, facts: Facts, rng: random.Random) -> Asked | None:
        names = askable()
        there = [i for i, name in enumerate(names) if name in facts.shown]
        absent = [i for i, name in enumerate(names) if facts.absent(name)]
        yes, accepted = rng.random() < 0.5, rng.random()
        weights = [float(self._yes[i]) for i in there]
        if not absent or accepted >= sum(weights) / self._enough:
            return None  # asked only where both answers might have come
        if yes:
            name = names[rng.choices(there, weights)[0]]
        else:
            near = {up for one in facts.shown for up in lexicon().concepts[one].above}
            likely = [
                float(self._no[i]) * (2 if near & set(lexicon().concepts[names[i]].above) else 1) for i in absent
            ]  # fmt: skip
            name = names[rng.choices(absent, likely)[0]]
        return Asked(_exists_query(name, rng), "Yes." if yes else "No.", ("No." if yes else "Yes.",))


def _exists_query(name: str, rng: random.Random) -> str:
    called = rng.choice(OTHER_NAMES.get(name, (name,)))
    counted = named(called) != called and "place" not in lexicon().general(name)
    if counted and rng.random() < _ANY:
        return rng.choice(ANY_QUERIES).format(many=many(called))
    return exists_query(called, rng)


def exists_query(called: str, rng: random.Random) -> str:
    """"Is there a dog?", in one of the ways to ask."""
    return rng.choice(EXISTS_QUERIES).format(a=named(called), **{"is": "Are" if plural_only(called) else "Is"})


def _balanced(photographs: Photographs) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Weights of the things that are asked for, so that each is there about as often as not.

    Found by turns on some of the photographs: what is expected of each is brought to what both answers allow. The
    number is the weight of what is there in a photograph that is surely asked about.
    """
    names, number = askable(), len(photographs)
    every = [
        facts_of(captions_of(photographs.samples(photograph)))
        for photograph in range(0, number, -(-number // _COUNTED))
    ]  # fmt: skip
    shown = np.array([[name in facts.shown for name in names] for facts in every], float)
    absent = np.array([[facts.absent(name) for name in names] for facts in every], float)
    yes, no, enough = np.ones(len(names)), np.ones(len(names)), 1.0
    for _ in range(_TURNS):
        there, missing = shown * yes, absent * no
        total, left = there.sum(1, keepdims=True), np.maximum(missing.sum(1, keepdims=True), 1e-9)
        enough = max(float(np.quantile(total, _SURE)), 1e-6)
        asked = np.minimum(1.0, total / enough) * absent.any(1, keepdims=True)
        of_yes = (asked * there / np.maximum(total, 1e-9)).sum(0) + 1e-3
        of_no = (asked * missing / left).sum(0) + 1e-3
        aim = np.sqrt(of_yes * of_no)
        yes, no = np.clip(yes * aim / of_yes, 1e-6, None), np.clip(no * aim / of_no, 1e-6, None)
    return yes, no, enough


def _what(own: Parsed, facts: Facts, rng: random.Random) -> Asked | None:
    found = _things(own, facts, lambda phrase: not is_a(phrase, *_NO_THING), (*own.subject, own.object))
    if found is None:
        return None
    answer, also = found
    wrong = [sentence(named(name)) for name in askable() if facts.absent(name)]
    return Asked(rng.choice(OBJECT_QUERIES), answer, tuple(rng.sample(wrong, min(_MOST_NEGATIVES, len(wrong)))), also)


def _who(own: Parsed, facts: Facts, rng: random.Random) -> Asked | None:
    query = rng.choice(WHO_QUERIES)
    absent = [name for name in _PEOPLE if facts.absent(name)]
    if facts.absent("person") and len(facts.captions) > 3 and not any(
        word in lists.PRONOUNS for one in facts.captions for word in one.words
    ):
        return Asked(query, "Nobody.", tuple(_PEOPLE.values()))
    found = _things(own, facts, lambda phrase: is_a(phrase, "person"), own.phrases)
    if found is None:
        return None
    return Asked(query, found[0], ("Nobody.", *(_PEOPLE[name] for name in absent)), found[1])


def _things(
    own: Parsed, facts: Facts, wanted: Callable[[Phrase], bool], among: Sequence[Phrase | None]
) -> tuple[str, tuple[str, ...]] | None:
    """The first wanted phrase among some of a caption as an answer, and all of all captions, which are right too."""

    def said(caption: Parsed, phrase: Phrase) -> str | None:
        name = indefinite(phrase)
        if name is None:
            return None
        following = next((p for p in caption.phrases if p.begin == phrase.end + 1), None)
        if following is not None and is_a(phrase, "person") and is_a(following, "clothing") and following.plain:
            between = caption.words[phrase.end]
            if between in _BETWEEN:
                name = f"{name} {between} {following.text}"
        return sentence(name)

    def names(caption: Parsed, phrases: Sequence[Phrase | None]) -> list[str]:
        kept = [p for p in phrases if p is not None and p.plain and p.before != "of" and wanted(p)]
        return [name for name in (said(caption, phrase) for phrase in kept) if name is not None]

    mine = names(own, among)
    if not mine:
        return None
    return mine[0], tuple(name for caption in facts.captions for name in names(caption, caption.phrases))


def _where(own: Parsed, facts: Facts, rng: random.Random) -> Asked | None:
    choices: list[tuple[str, Phrase]] = []
    for phrase in own.phrases:
        if not phrase.plain or phrase.before not in _STAYING or (phrase.before == "at" and phrase is own.object):
            continue
        if not phrase.determiner and phrase.number == 1 and not is_a(phrase, *MASS):
            continue  # 'on field'
        if is_a(phrase, "place") and phrase.before in ("in", "on", "at"):
            choices += [(query, phrase) for query in PLACE_QUERIES]
        if len(own.subject) != 1 or not own.subject[0].plain or not _holds(own, phrase):
            continue
        if is_a(phrase, "place", "furniture", "structure", "building", "vehicle"):
            subject = own.subject[0]
            if _only(own, subject):
                verb = _be(subject, subject.head)
                choices.append((f"Where {verb} the {subject.head}?", phrase))
    if not choices:
        return None
    query, phrase = rng.choice(choices)
    wrong = [text for name, text in _PLACES.items() if facts.absent(name)]
    return Asked(query, sentence(f"{phrase.before} {phrase.text}"), tuple(wrong))


def _holds(own: Parsed, phrase: Phrase) -> bool:
    """Whether a place is the subject's: it follows the subject, `is`, or a verb without another object."""
    before = phrase.begin - 1 - (phrase.before.count(" ") if phrase.before not in own.words else 0)
    end = own.subject[0].end
    between = own.words[end:before]
    return all(word in ("is", "are") or word in lists.ADVERBS or word in lexicon().verbs for word in between)


def _only(own: Parsed, phrase: Phrase) -> bool:
    """Whether a phrase is the only one of its kind in the caption."""
    known = lexicon()
    mine = {up for name in phrase.concepts for up in known.general(name)}
    for other in own.phrases:
        if other is phrase:
            continue
        theirs = {up for name in other.concepts for up in known.general(name)}
        if set(phrase.concepts) & theirs or set(other.concepts) & mine:
            return False
    return True


def count_asked(own: Parsed, facts: Facts, rng: random.Random) -> Asked | None:
    """How many there are of something that a caption counts, where no other one of the photograph says otherwise."""
    choices: list[tuple[str, int]] = []
    for phrase in own.phrases:
        if not phrase.plain or is_a(phrase, "event", "place", "clothing", "body part", "structure", "accessory"):
            continue
        if phrase.number is None or not _only(own, phrase) or "of" in (phrase.before, *phrase.text.split()):
            continue
        number = phrase.number
        if number == 1 and not (is_a(phrase, "person", "animal", "vehicle") and _alone(phrase, facts)):
            continue
        if number > 1 and not _agreed(phrase, number, facts):
            continue
        if number in _NUMBERS:
            choices.append((_plural_of(phrase), number))
    persons = _persons(own)
    if persons is not None and persons in _NUMBERS and _agreed_persons(persons, facts):
        choices.append(("people", persons))
    if not choices:
        return None
    noun, number = rng.choice(choices)
    wrong = tuple(text for count, text in _NUMBERS.items() if count != number and not (number > 3 and count > 3))
    return Asked(f"How many {noun} are there?", _NUMBERS[number], wrong)


def _plural_of(phrase: Phrase) -> str:
    return phrase.head if phrase.many else many(phrase.head)


def _same_kind(phrase: Phrase, other: Phrase) -> bool:
    known = lexicon()
    return bool(
        {up for name in phrase.concepts for up in known.general(name)} & set(other.concepts)
        or {up for name in other.concepts for up in known.general(name)} & set(phrase.concepts)
    )


def _agreed(phrase: Phrase, number: int, facts: Facts) -> bool:
    """Whether no caption has another number of what a phrase names."""
    others = [p for p in facts.phrases() if _same_kind(phrase, p) and p.number is not None and p.number > 1]
    return all(other.number == number for other in others)


def _alone(phrase: Phrase, facts: Facts) -> bool:
    """Whether a caption says `one`, or at least three captions speak of one such thing and no more."""
    if any(word in ("one", "single", "lone") for word in phrase.text.split()) and "of" not in phrase.text.split():
        return _agreed(phrase, 1, facts)
    said = 0
    for caption in facts.captions:
        same = [p for p in caption.phrases if _same_kind(phrase, p)]
        if len(same) > 1 or any(p.number != 1 or p.many or p.determiner == "another" for p in same):
            return False
        said += len(same)
    return said >= 3 and not any(word in ("another", "other", "others") for c in facts.captions for word in c.words)


def _persons(caption: Parsed) -> int | None:
    """How many people a caption speaks of, where it says so of all."""
    total = 0
    for phrase in caption.phrases:
        if "person" not in {up for name in phrase.concepts for up in lexicon().general(name)}:
            continue
        if not phrase.plain or not is_a(phrase, "person") or phrase.number is None or phrase.determiner == "'s":
            return None
        if phrase.before == "of" or phrase.number == MANY:
            return MANY if phrase.number == MANY and total == 0 else None
        total += phrase.number
    pronouns = ("others", "other", "someone", "another", "everyone", "somebody", "who", "whom", "one's", "anyone")
    return total if total > 1 and not any(word in pronouns for word in caption.words) else None


def _agreed_persons(number: int, facts: Facts) -> bool:
    """Whether the other captions speak of as many people, or don't say how many."""
    for caption in facts.captions:
        told = _persons(caption)
        if told is not None and told != number:
            return False
        if number < MANY and sum(p.number or 0 for p in caption.phrases if is_a(p, "person")) > number:
            return False
    return True


def _colour(own: Parsed, facts: Facts, rng: random.Random) -> Asked | None:
    choices = []
    for phrase in own.phrases:
        if not phrase.plain or not phrase.colours or is_a(phrase, *_COLOURLESS) or not _only(own, phrase):
            continue
        if (is_a(phrase, "body part") and phrase.head != "hair") or any(t in phrase.text for t in _COMPOUND_COLOURS):
            continue
        same = [p for p in facts.phrases() if _same_kind(phrase, p)]
        if any(p.colours and set(p.colours) != set(phrase.colours) for p in same):
            continue
        if len(phrase.colours) > 2 or any(word in ("or", "and") for word in phrase.text.split()) != (
            len(phrase.colours) == 2
        ):
            continue
        choices.append(phrase)
    if not choices:
        return None
    phrase = rng.choice(choices)
    spelt = rng.choice(("colour", "color"))
    answer = sentence(" and ".join(phrase.colours))
    wrong = [sentence(colour) for colour in lists.COLOURS if colour not in phrase.colours]
    near = {"tan": "Brown.", "brown": "Tan.", "beige": "Tan.", "gold": "Yellow.", "gray": "Silver.", "silver": "Gray."}
    wrong = [text for text in wrong if text not in [near.get(colour) for colour in phrase.colours]]
    reverse = (sentence(" and ".join(reversed(phrase.colours))),)
    return Asked(
        f"What {spelt} {'are' if phrase.many else 'is'} the {phrase.head}?", answer,
        tuple(rng.sample(wrong, _MOST_NEGATIVES)), reverse,
    )  # fmt: skip


def _doing(own: Parsed, facts: Facts, rng: random.Random) -> Asked | None:
    verb, subject = own.verb, own.subject
    if verb is None or verb.lemma in _NOT_DONE or not own.done or not all(one.plain for one in subject):
        return None
    if not all(is_a(one, "person", "animal", "vehicle") for one in subject):
        return None
    also = tuple(
        _done(one)
        for one in facts.captions
        if one.done and one.verb is not None and one.verb.lemma not in _NOT_DONE
    )  # fmt: skip
    if len(subject) > 1:
        query = "What are they doing?"
    elif not _only(own, subject[0]):
        return None
    else:
        noun = subject[0].head
        if is_a(subject[0], "person") and rng.random() < 0.3:
            noun = "people" if subject[0].many else "person"
        query = f"What {_be(subject[0], noun)} the {noun} doing?"
    kind = lexicon().kind[verb.lemma]
    kinds = {lexicon().kind[one] for caption in facts.captions for one in caption.verbs}
    wrong = _OTHERWISE.get(kind, _IDLE) if len(kinds & {"moves", "rests"}) < 2 else _IDLE
    taken = {gerund(one) for caption in facts.captions for one in caption.verbs}
    return Asked(query, _done(own), tuple(t for t in wrong if t.lower().split()[0].strip(".") not in taken), also)


def _be(phrase: Phrase, noun: str) -> str:
    return "are" if phrase.many and noun not in lists.GROUPED else "is"


def _done(caption: Parsed) -> str:
    assert caption.verb is not None
    rest = " ".join(caption.done[1:]).replace(" 's", "'s").replace(" ,", ",")
    return sentence(f"{gerund(caption.verb.lemma)} {rest}")


def _wearing(own: Parsed, facts: Facts, rng: random.Random) -> Asked | None:
    pairs = []
    for who in own.phrases:
        if not who.plain or not is_a(who, "person") or not _only(own, who):
            continue
        between = own.words[who.end : who.end + 2]
        skipped = 2 if between[:1] in (("is",), ("are",)) and between[1:] == ("wearing",) else 1
        if skipped == 1 and between[:1] not in (("wearing",), ("in",)):
            continue
        worn = next((p for p in own.phrases if p.begin == who.end + skipped), None)
        if worn is not None and worn.plain and is_a(worn, "clothing", "accessory"):
            pairs.append((who, worn))
    if not pairs:
        return None
    who, worn = rng.choice(pairs)
    name = indefinite(worn)
    if name is None:
        return None
    wrong = tuple(text for concept, text in _WORN.items() if facts.absent(concept))
    clothes = (indefinite(p) for p in facts.phrases() if is_a(p, "clothing", "accessory"))
    also = tuple(sentence(text) for text in clothes if text is not None)
    return Asked(f"What {_be(who, who.head)} the {who.head} wearing?", sentence(name), wrong, also)

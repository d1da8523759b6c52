"""Noun phrases, the subject and the main verb of a caption, by rules over the word lists.

The rules are made to be right where they say something: a phrase whose head might be a word that no list has is not
`sure`, what is only depicted, wanted or denied is not `real`, and a caption of another build has no verb.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from vljepa_edge.training.everyday import words as lists
from vljepa_edge.training.everyday.words import MANY, Lexicon, Verb, lexicon

_TOKEN = re.compile(r"[a-z0-9]+(?:[-'][a-z0-9]+)*|[.,;:!?()\"]")
_POSSESSIVE = re.compile(r"\b([a-z-]+)'s\b")
_LONG_PREPOSITIONS = (
    "in front of", "on top of", "next to", "close to", "out of", "in the middle of", "on the side of", "at the top of",
    "at the edge of", "on the edge of", "at the bottom of", "at the end of", "in the back of", "on the back of",
    "in the center of", "by the side of", "on the side of", "in front", "on each side of", "to the side of",
)  # fmt: skip
_STOPS = frozenset(".;:!?()\"")
_ENDS = frozenset({"while", "as", "when", "whilst", "because", "so", "but", "though", "although", "if"})
_RELATIVE = frozenset({"who", "that", "which"})
_IS = frozenset({"is", "are"})
_SOLID = ("wooden", "metal", "paper", "inflatable", "stone", "painted", "bronze", "wood", "ceramic")
_LIVING = ("person", "animal")
_ANIMATE = (*_LIVING, "vehicle")
_QUOTED = frozenset({"says", "saying", "reads", "titled", "labeled", "reading"})
_SINGULAR = frozenset({"a", "an", "another", "each", "every", "this", "that"})
_DEGREES = frozenset({"very", "well", "almost", "mostly"})
_MOST_WORDS = 12  # of what somebody does
_NO_PLACE_FOR_VERBS = frozenset({"of", "for", "like", "as", "per", "without", "except"})


@dataclass(frozen=True)
class Phrase:
    """A noun phrase of a caption: its words are those from begin to before end.

    head: the noun as it stands. concepts: what it may mean. number: how many there are, MANY for several, None where
    the words don't say. many: the noun is a plural. before: the preposition in front, or "". sure: the head is the
    complete noun. real: it is there, rather than depicted, looked for or missing. determiner: the first word if it is
    one.
    """

    begin: int
    end: int
    head: str
    concepts: tuple[str, ...]
    number: int | None
    many: bool
    colours: tuple[str, ...]
    before: str
    sure: bool
    real: bool
    determiner: str
    text: str

    @property
    def plain(self) -> bool:
        """Something can be said of it: the head is known, certain and there."""
        return self.sure and self.real and bool(self.concepts)


@dataclass(frozen=True)
class Parsed:
    """A caption. subject: what the main verb is said of, or what there is. verb: with the words of what is done, from
    its place on. object: the noun phrase behind the verb, or behind its preposition. said: every concept that any
    word of it may mean. verbs: lemmas of words that may be verbs."""

    words: tuple[str, ...]
    phrases: tuple[Phrase, ...]
    subject: tuple[Phrase, ...]
    verb: Verb | None
    verb_at: int
    done: tuple[str, ...]
    object: Phrase | None
    said: frozenset[str]
    verbs: frozenset[str]


@lru_cache(maxsize=4096)
def parse(caption: str) -> Parsed:
    """What the rules see in a caption. Never fails: of what they don't know they see nothing."""
    return _Reader(caption).parsed()


class _Reader:
    """One reading of one caption."""

    def __init__(self, caption: str) -> None:
        self.lexicon: Lexicon = lexicon()
        self.words = _joined(_tokens(caption), self.lexicon)
        self.quoted = next((i for i, word in enumerate(self.words) if word in _QUOTED and i), len(self.words))

    def parsed(self) -> Parsed:
        phrases = self._phrases()
        said: set[str] = set()
        for word in self.words:
            for part in (word, *re.split("[ -]", word)):
                if (noun := self.lexicon.nouns.get(part)) is not None:
                    said |= set(noun.concepts)
        verbs = frozenset(self.lexicon.verbs[word].lemma for word in self.words if word in self.lexicon.verbs)
        subject, at = self._subject(phrases)
        verb, place = self._verb(phrases, subject, at) if subject else (None, 0)
        done: tuple[str, ...] = ()
        found: Phrase | None = None
        if verb is not None:
            done = self._done(place, phrases)
            found = self._object(place, phrases)
        return Parsed(
            tuple(self.words), tuple(phrases), tuple(subject), verb, place, done, found, frozenset(said), verbs
        )

    def _is_function(self, at: int) -> bool:
        word = self.words[at]
        return (
            word in lists.PREPOSITIONS
            or word in _LONG_PREPOSITIONS
            or word in lists.CONJUNCTIONS
            or word in lists.PRONOUNS
            or word in lists.AUXILIARIES
            or word in lists.ADVERBS
        )

    def _phrases(self) -> list[Phrase]:
        found: list[Phrase] = []
        at = 0
        while at < min(len(self.words), self.quoted):
            phrase, after = self._phrase(at)
            if phrase is not None:
                found += phrase
            at = max(after, at + 1)
        return self._judged(found)

    def _judged(self, phrases: list[Phrase]) -> list[Phrase]:
        """Whether each is there, from what stands before it."""
        found: list[Phrase] = []
        depicted = False  # so is all that follows: 'a statue of a man on a horse'
        for phrase in phrases:
            real = phrase.real and not depicted
            before = phrase.before
            if before in ("like", "as", "without", "for") or self._looked_into(phrase):
                real = False
            elif before == "of" and found and found[-1].end == phrase.begin - 1:
                holder = found[-1]
                view = holder.begin <= 1 and holder.head in lists.VIEWS
                if not view and any(self._is(name, lists.DEPICTS) for name in holder.concepts):
                    depicted, real = True, False
                real = real and (holder.real or view)
            found.append(replace(phrase, real=real))
        return found

    @staticmethod
    def _looked_into(phrase: Phrase) -> bool:
        """'smiles at the camera' is about the one that took the photograph."""
        near = phrase.determiner == "the" or phrase.before in ("at", "to", "toward", "towards")
        return phrase.head == "camera" and near

    def _is(self, name: str, wanted: frozenset[str] | tuple[str, ...]) -> bool:
        return any(general in wanted for general in self.lexicon.general(name))

    def _phrase(self, begin: int) -> tuple[list[Phrase] | None, int]:
        """The noun phrase at a place, with the owner of a possessive in front, and where it ends."""
        words, nouns, verbs = self.words, self.lexicon.nouns, self.lexicon.verbs
        before = words[begin - 1] if begin else ""
        if before not in lists.PREPOSITIONS and before not in _LONG_PREPOSITIONS:
            before = ""
        at, head, unknown, number = begin, -1, -1, None
        determiner, colours, modifiers, owners = "", list[str](), list[str](), list[Phrase]()
        real = True
        limit = min(len(words), self.quoted)
        while at < limit:
            word = words[at]
            verb = verbs.get(word)
            noun = nouns.get(word)
            started = at > begin
            following = words[at + 1] if at + 1 < limit else ""
            if head < 0 and (word in lists.DETERMINERS or word == "no") and not modifiers:
                determiner = determiner or word
                real = real and word != "no"
            elif word in lists.DETERMINERS:
                break
            elif head < 0 and word in lists.NUMBERS and number in (None, MANY):
                number = lists.NUMBERS[word]
                if following == "of":
                    at += 1
            elif head < 0 and word in lists.SEVERAL:
                number = MANY
                if following == "of":
                    at += 1
            elif following == "of" and head < 0 and word in lists.GROUPS and (determiner or number or modifiers):
                number, modifiers, colours, unknown = MANY, [], [], -1
                at += 1
            elif following == "of" and head < 0 and word in lists.PAIRS and determiner and not modifiers:
                number = 2 if word == "couple" else None
                modifiers = []
                at += 1
            elif head < 0 and word == "few" and determiner == "a":
                number = MANY
            elif word == "'s":
                if head < 0 or (following in verbs and verbs[following].form == "ing" and following not in nouns):
                    break
                owners.append(
                    self._made(begin, at, head, unknown, number, determiner, colours, before, modifiers, real)
                )  # fmt: skip
                begin, head, unknown, number, determiner = at + 1, -1, -1, None, "'s"
                colours, modifiers, real = [], [], True
            elif word == "," or word in ("and", "or"):
                if head >= 0 or not modifiers or not self._describes(at + 1):
                    break
            elif word in _STOPS:
                break
            elif self._is_function(at) and not (
                head < 0 and noun is not None and (determiner or modifiers) and word in ("back", "home", "outside")
            ):
                if not (head < 0 and (determiner or modifiers or number) and word in _DEGREES):
                    break
            elif head >= 0 and verb is not None and self._acts(word, verb, head, number, begin):
                break
            elif verb is not None and not started and not (noun is not None and (begin == 0 or before)):
                break  # a verb where a phrase would begin
            elif head >= 0 and word.endswith("ed") and noun is None and self._begins_noun(at + 1) and verb is None:
                modifiers += [*words[begin:at], word]  # 'a snow covered hill'
                head, unknown = -1, -1
            elif head >= 0 and (word in lists.PARTICIPLES or (word.endswith(("ed", "ing")) and noun is None)):
                break
            elif self._is_colour(word) and (noun is None or self._describes(at + 1) or not (determiner or number)):
                colours.append(lists.SPELT.get(word, word))
                modifiers.append(word)
            elif noun is not None and not (verb is not None and verb.form == "ing" and self._begins_noun(at + 1)):
                head = at
            else:
                modifiers.append(word)
                if head >= 0:
                    unknown = at
            at += 1
        if head < 0:
            return (owners or None), max(at, begin)
        own = self._made(begin, at, head, unknown, number, determiner, colours, before if not owners else "", modifiers,
                         real)
        return [*owners, own], at

    def _acts(self, word: str, verb: Verb, head: int, number: int | None, begin: int) -> bool:
        """Whether a word behind a noun is its verb, not a part of its name."""
        noun = self.lexicon.nouns[self.words[head]]
        other = self.lexicon.nouns.get(word)
        if verb.form == "ing":
            return other is None or any(self._is(name, _ANIMATE) for name in noun.concepts)
        if verb.form == "s":
            return noun.many or other is None or number in (None, 1)
        joined = begin > 0 and self.words[begin - 1] == "and"  # 'a man and a dog walk'
        return noun.many or joined or other is None

    def _begins_noun(self, at: int) -> bool:
        return at < len(self.words) and self.words[at] in self.lexicon.nouns

    def _describes(self, at: int) -> bool:
        """Whether a word may be a part of a noun phrase that has begun."""
        if at >= len(self.words):
            return False
        word = self.words[at]
        if word in lists.DETERMINERS or word in _STOPS or word in (",", "'s") or self._is_function(at):
            return False
        verb = self.lexicon.verbs.get(word)
        return word in self.lexicon.nouns or verb is None or verb.form != "s"

    @staticmethod
    def _is_colour(word: str) -> bool:
        return lists.SPELT.get(word, word) in lists.COLOURS

    def _made(
        self, begin: int, end: int, head: int, unknown: int, number: int | None, determiner: str, colours: list[str],
        before: str, modifiers: list[str], real: bool,
    ) -> Phrase:  # fmt: skip
        word = self.words[head]
        noun = self.lexicon.nouns[word]
        kinds = {general for name in noun.concepts for general in self.lexicon.general(name)}
        unreal = set(modifiers) | set(self.words[begin:head])
        unreal &= lists.NOT_REAL
        if kinds & set(_LIVING) and unreal:
            real = False
        if "vehicle" in kinds and unreal - set(_SOLID):
            real = False
        if number is None and not noun.many:
            number = 1
        sure = unknown < head
        if number is not None and 1 < number < MANY and not noun.many:
            number, sure = None, False  # 'two woman', 'two tone car'
        if number is not None and number > 1 and lists.GROUPED & {word.removesuffix("s"), word.removesuffix("es")}:
            number = MANY  # 'two teams'
        shown = self.words[begin:end]
        return Phrase(
            begin, end, word, noun.concepts, number, noun.many, tuple(colours), before, sure, real,
            determiner, _text(shown),
        )  # fmt: skip

    def _subject(self, phrases: list[Phrase]) -> tuple[list[Phrase], int]:
        """The phrases that a caption is about, and the place behind them."""
        by_begin = {phrase.begin: number for number, phrase in enumerate(phrases)}
        at = 0
        if self.words[:2] in (["there", "is"], ["there", "are"]):
            at = 2
        number = by_begin.get(at)
        if number is None:
            return [], 0
        first = phrases[number]
        if first.head in lists.VIEWS and self._word(first.end) == "of" and first.end + 1 in by_begin:
            number = by_begin[first.end + 1]
        found = [phrases[number]]
        while self._word(found[-1].end) == "'s" and found[-1].end + 1 in by_begin:
            found = [phrases[by_begin[found[-1].end + 1]]]
        while self._word(found[-1].end) in ("and", ",") and found[-1].end + 1 in by_begin:
            found.append(phrases[by_begin[found[-1].end + 1]])
        return found, found[-1].end

    def _word(self, at: int) -> str:
        return self.words[at] if at < len(self.words) else ""

    def _verb(self, phrases: list[Phrase], subject: list[Phrase], at: int) -> tuple[Verb | None, int]:
        """The main verb and its place."""
        by_begin = {phrase.begin: phrase for phrase in phrases}
        several = len(subject) > 1 or subject[0].many or (subject[0].number or 1) > 1
        grouped = subject[0].number == MANY or (len(subject) == 1 and subject[0].determiner in _SINGULAR)
        worn: tuple[Verb | None, int] = (None, 0)
        crossed, helped = False, False
        while at < min(len(self.words), self.quoted):
            word = self.words[at]
            verb = self.lexicon.verbs.get(word)
            if word in _IS:
                helped, crossed = True, False
            elif verb is not None:
                fits = verb.form == "ing" or (not helped and (verb.form == ("base" if several else "s"))) or (
                    verb.form == "s" and grouped and not helped
                )
                if not fits or (crossed and verb.form == "ing"):
                    break
                if verb.lemma != "wear":
                    return verb, at
                worn = (verb, at)
                worn_phrase = by_begin.get(at + 1)
                if worn_phrase is None and not self._is_colour(self._word(at + 1)):
                    break
                at = at + 1 if worn_phrase is None else worn_phrase.end - 1
                helped = False
                while self._word(at + 1) in ("and", ",") and at + 2 in by_begin:
                    at = by_begin[at + 2].end - 1
            elif word in lists.PREPOSITIONS or word in _LONG_PREPOSITIONS:
                if helped or (worn[0] is not None and word in _ENDS):
                    break
                held = by_begin.get(at + 1)
                if held is not None:
                    crossed = crossed or any(self._is(name, _ANIMATE) for name in held.concepts) or not held.sure
                    at = held.end - 1
                    while self._word(at + 1) in ("and", ",") and at + 2 in by_begin:
                        held = by_begin[at + 2]
                        crossed = crossed or any(self._is(name, _ANIMATE) for name in held.concepts)
                        at = held.end - 1
                elif self._is_colour(self._word(at + 1)):
                    at += 1
                    while self._word(at + 1) == "and" and self._is_colour(self._word(at + 2)):
                        at += 2
                elif word not in lists.ADVERBS:
                    break
            elif word in _RELATIVE or word == "," or (word in lists.ADVERBS and word not in ("not", "never")):
                crossed = crossed and word not in _RELATIVE
            elif word.endswith("ed") and not helped:
                pass
            else:
                break
            at += 1
        return worn

    def _done(self, at: int, phrases: list[Phrase]) -> tuple[str, ...]:
        """The words of what is done, from the verb on, to the end of the clause."""
        by_begin = {phrase.begin: phrase for phrase in phrases}
        end = at + 1
        limit = min(len(self.words), self.quoted)
        while end < limit:
            word = self.words[end]
            if word in _STOPS or word in _ENDS or word == "," or word in _IS or word in ("has", "have"):
                break
            if word in ("and", "or"):
                phrase = by_begin.get(end + 1)
                if phrase is None or self._goes_on(phrase.end):
                    break
            end += 1
        done = self.words[at:end]
        while done and ((done[-1] in lists.PREPOSITIONS and done[-1] not in lists.ADVERBS) or done[-1] in _RELATIVE):
            done = done[:-1]
        if self.quoted < len(self.words) or len(done) > _MOST_WORDS:
            return ()
        return tuple(done)

    def _goes_on(self, at: int) -> bool:
        """Whether a verb or an auxiliary follows: then another clause has begun."""
        while at < len(self.words) and self.words[at] in lists.ADVERBS:
            at += 1
        word = self._word(at)
        return word in lists.AUXILIARIES or word in self.lexicon.verbs

    def _object(self, at: int, phrases: list[Phrase]) -> Phrase | None:
        by_begin = {phrase.begin: phrase for phrase in phrases}
        at += 1
        if at in by_begin:
            return by_begin[at]
        if self._word(at) not in _NO_PLACE_FOR_VERBS and self._word(at) in lists.PREPOSITIONS:
            return by_begin.get(at + 1)
        return None


def _text(shown: list[str]) -> str:
    return " ".join(shown).replace(" ,", ",").replace(" 's", "'s")


def _tokens(caption: str) -> list[str]:
    split = _POSSESSIVE.sub(r"\1 's", caption.lower().replace("’", "'").replace(" 's", "'s"))
    found: list[str] = []
    for part in split.split(" "):
        found += ["'s"] if part == "'s" else _TOKEN.findall(part)
    while found and found[-1] in ".!?":
        found.pop()
    return found


def _joined(tokens: list[str], known: Lexicon) -> list[str]:
    """Words that go together as one: 'fire hydrant', 'in front of'."""
    found: list[str] = []
    at = 0
    while at < len(tokens):
        for length in range(min(4, len(tokens) - at), 1, -1):
            together = " ".join(tokens[at : at + length])
            acts = (verb := known.verbs.get(tokens[at + length - 1])) is not None and verb.form == "s"
            if together in _LONG_PREPOSITIONS or (length <= known.longest and together in known.nouns and not acts):
                found.append(together)
                at += length
                break
        else:
            found.append(tokens[at])
            at += 1
    return found

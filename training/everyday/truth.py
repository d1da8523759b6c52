"""Whether a text is right about a photograph, told by what people wrote about it.

The judge reads words and never an embedding: a confidence that comes of a cosine must not be held against another one.
It is a rule, and some of what it calls wrong is only unsaid: five captions don't name all that is there. So a
confidence that is calibrated on it errs on the safe side.
"""

from __future__ import annotations

from collections.abc import Iterable

from vljepa_edge.training.everyday.facts import Facts, facts_of
from vljepa_edge.training.everyday.general import generalised
from vljepa_edge.training.everyday.parse import Parsed, Phrase, parse

_STANDS = frozenset({"be", "do"})  # verbs that general sentences have where nothing is said of what happens


def caption_is_right(text: str, captions: tuple[str, ...]) -> bool:
    """Whether a text says what is to be seen: at least half of the things that it names are named by a caption, by the
    same word, another word for it, or a word for a kind of it ("animal" where a caption has a dog). A text that names
    nothing is wrong.

    What is done is not judged: captions of one photograph seldom agree on it.
    """
    facts = facts_of(captions)
    phrases = [phrase for phrase in parse(text).phrases if phrase.real]
    named = [_is_named(phrase, facts) for phrase in phrases]
    return bool(named) and 2 * sum(named) >= len(named)


def general_is_right(text: str, captions: tuple[str, ...]) -> bool:
    """Whether a general sentence is true: it is one that follows from a caption, or each thing that it names is named
    by a caption, and what is done too."""
    if any(text in generalised(caption) for caption in captions):
        return True
    facts, said = facts_of(captions), parse(text)
    if not said.phrases or not all(_is_named(phrase, facts) for phrase in said.phrases):
        return False
    done = {verb for caption in facts.captions for verb in caption.verbs}
    return all(verb in done or verb in _STANDS for verb in said.verbs)


def answer_is_right(text: str, answers: Iterable[str]) -> bool:
    """Whether an answer is one of the right ones: in the same words, or naming the same things and doing the same ("On
    a road." for "On the street."). Numbers, colours, yes and no must be in the same words."""
    right = tuple(answers)
    if _plain(text) in {_plain(answer) for answer in right}:
        return True
    said = parse(text)
    return bool(said.phrases) and any(
        all(_is_named(phrase, facts_of((answer,))) for phrase in said.phrases) and _does(said) == _does(parse(answer))
        for answer in right
    )


def _is_named(phrase: Phrase, facts: Facts) -> bool:
    if any(phrase.head in caption.words for caption in facts.captions):
        return True
    return any(concept in facts.shown for concept in phrase.concepts)


def _does(said: Parsed) -> str | None:
    first = said.words[0] if said.words else ""
    return first if first.endswith("ing") else None


def _plain(text: str) -> str:
    return text.strip().rstrip(".!").casefold()

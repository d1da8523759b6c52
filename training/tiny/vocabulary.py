"""A wide vocabulary for text-only training of the Y-decoder and for renaming objects.

Nouns come from the ImageNet synsets' lemmas (WordNet), thinned by rules to words that people use; scenes, people,
activities, colours and counts are short lists of our own. Everything is lower case, sorted, and the same in every run.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from vljepa_edge.training.tiny import assets
from vljepa_edge.training.tiny.word_lists import ACTIONS, COLOURS, COUNTS, EVERYDAY, PEOPLE, SCENES, UNWANTED

__all__ = ["actions", "colours", "counts", "imagenet_names", "nouns", "people", "scenes"]

# Synsets whose id starts so are left out: persons (ImageNet's labels of them are poor and partly offensive; PEOPLE is
# ours), colours and other attributes, the body, documents and events, locations, substances, vitamins, diseases.
_LEFT_OUT = re.compile(r"n(049[1-9]|096|097|098|099|10|05|06|08|14|15)")
_PLANTS = re.compile(r"n(11[5-9]|12|13)")
# Things that no camera meets, said by their definitions.
_RARE = re.compile(
    r"\b(genus|genera|subfamily|extinct|fossil|mythical|mythology|heraldry|bacteri\w*|virus\w*|protozoa\w*|parasit\w*|"
    r"disease\w*|drugs?|enzyme|protein|vitamin|hormone|acid|chemical|compound|solution|molecule|nerve|artery|organ|"
    r"tissue|obsolete|archaic|formerly|medieval|ancient|in the middle ages|century|roman|greek antiquity|sexual\w*|"
    r"prostitut\w*|torture|execution|microscop\w*|electron\w* tube|semiconductor|algebra|geometry|trademark)\b",
    re.IGNORECASE,
)
_PHRASE = re.compile(r"[a-z]+(?:[ '-][a-z]+){0,2}")


def nouns() -> list[str]:
    """Concrete nouns of at most three words: names of the 1000 ImageNet classes and the commoner of 10,000 more."""
    return list(_nouns())


def imagenet_names() -> list[tuple[str, ...]]:
    """For each of the 1000 classes, in the order of its logit, its names: the first lemma first, no Latin."""
    return list(_imagenet_names())


def scenes() -> list[str]:
    """Everyday places and scenery: 'street', 'kitchen', 'beach', ..."""
    return sorted(SCENES)


def actions() -> list[str]:
    """Activities in the -ing form: 'walking', 'riding a bike', ..."""
    return sorted(ACTIONS)


def people() -> list[str]:
    """Words for persons by age, number and occupation: 'man', 'children', 'cyclist', ..."""
    return sorted(PEOPLE)


def colours() -> list[str]:
    return sorted(COLOURS)


def counts() -> list[str]:
    """Number words in counting order, 'one' to 'ten', then the vague ones."""
    return list(COUNTS)


@lru_cache(maxsize=1)
def _imagenet_names() -> tuple[tuple[str, ...], ...]:
    folder = assets.imagenet_info_dir()
    lemmas = _table(folder / "imagenet_synset_to_lemma.txt")
    plain = _plain_lemmas(lemmas)
    names = []
    for synset in (folder / "imagenet_synsets.txt").read_text("utf-8").split():
        every = lemmas[synset].split(", ")
        kept = [every[0].lower(), *(lemma.lower() for lemma in every[1:] if _is_common_name(lemma, plain))]
        names.append(tuple(dict.fromkeys(kept)))
    return tuple(names)


@lru_cache(maxsize=1)
def _nouns() -> tuple[str, ...]:
    folder = assets.imagenet_info_dir()
    lemmas = _table(folder / "imagenet_synset_to_lemma.txt")
    definitions = _table(folder / "imagenet_synset_to_definition.txt")
    vocabulary = frozenset((assets.minilm_dir() / "vocab.txt").read_text("utf-8").split("\n"))
    plain = _plain_lemmas(lemmas)
    found = {name for names in imagenet_names() for name in names if _PHRASE.fullmatch(name)} | EVERYDAY
    for synset in (folder / "imagenet12k_synsets.txt").read_text("utf-8").split():  # those with 500 photographs or more
        if _LEFT_OUT.match(synset) or _RARE.search(definitions[synset]):
            continue
        for lemma in lemmas[synset].split(", ")[:2]:
            words = re.split("[ '-]", lemma)
            if _PLANTS.match(synset) and len(words) > 1:  # 'rose', but none of its 60 kinds
                continue
            if not (lemma.islower() and _is_common_name(lemma, plain)):
                continue
            longest = 2 if len(words) == 1 and not _PLANTS.match(synset) else 1
            if all(_pieces(word, vocabulary) <= longest for word in words):
                found.add(lemma)
    return tuple(sorted(found - UNWANTED))


def _table(path: Path) -> dict[str, str]:
    return dict(line.split("\t", 1) for line in path.read_text("utf-8").splitlines())


def _plain_lemmas(lemmas: dict[str, str]) -> frozenset[str]:
    every = (lemma for line in lemmas.values() for lemma in line.split(", "))
    return frozenset(lemma for lemma in every if lemma.islower() and " " not in lemma)


def _is_common_name(lemma: str, plain: frozenset[str]) -> bool:
    """'tabby cat' and 'Egyptian cat' are; 'Felis catus' (its last word is no English noun) and 'CD' are not."""
    if not _PHRASE.fullmatch(lemma.lower()) or len(lemma) < 3:
        return False
    return lemma.islower() or (" " in lemma and lemma.split()[-1] in plain)


def _pieces(word: str, vocabulary: frozenset[str]) -> int:
    """Into how many pieces MiniLM's tokenizer cuts the word, greedily: how rare it is in English text, roughly."""
    count, start, word = 0, 0, word.lower()
    while start < len(word):
        end = len(word)
        while end > start and ("##" if start else "") + word[start:end] not in vocabulary:
            end -= 1
        if end == start:
            return len(word)
        count, start = count + 1, end
    return count

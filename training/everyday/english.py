"""English in small pieces: articles, plurals, forms of verbs, sentences. Good enough for the words of captions."""

from __future__ import annotations

_IRREGULAR = {
    "man": "men", "woman": "women", "child": "children", "person": "people", "mouse": "mice", "goose": "geese",
    "fish": "fish", "sheep": "sheep", "deer": "deer", "leaf": "leaves", "knife": "knives", "wolf": "wolves",
    "scarf": "scarves", "tooth": "teeth", "foot": "feet", "loaf": "loaves", "shelf": "shelves", "calf": "calves",
    "ox": "oxen", "half": "halves", "aircraft": "aircraft", "bison": "bison", "moose": "moose", "policeman":
    "policemen", "buffalo": "buffalo", "hoof": "hooves", "passerby": "passersby", "passer-by": "passers-by",
}  # fmt: skip
_NO_MEN = {"human", "german", "roman", "caiman"}
_VOWELS = set("aeiou")
_ENDS_IN_O = {"potato", "tomato", "hero", "echo", "mango", "volcano", "mosquito", "buffalo"}
_GERUNDS = {"lie": "lying", "die": "dying", "tie": "tying", "ski": "skiing", "bus": "busing", "have": "having",
            "canoe": "canoeing", "hoe": "hoeing", "see": "seeing", "be": "being"}  # fmt: skip
_THIRD = {"have": "has", "be": "is", "do": "does", "go": "goes"}
_NOT_DOUBLED = {"ski", "row", "sew", "mow", "blow", "fix", "mix", "box", "play", "say", "tow", "chew", "draw", "throw"}
_DOUBLED = {"begin", "kidnap", "refer", "control"}


def article(name: str) -> str:
    """'owl' -> 'an owl'."""
    first = name[0].lower()
    silent = name.lower().startswith(("hour", "honest"))
    vowel = first in "aeio" or (first == "u" and not name.lower().startswith(("uni", "use", "uk", "uten", "urin")))
    return ("an " if (vowel and not name.lower().startswith(("one-", "one ", "euro"))) or silent else "a ") + name


def plural(name: str) -> str:
    """English plural of the last word."""
    front, gap, word = name.rpartition(" ")
    return front + gap + _plural(word)


def _plural(word: str) -> str:
    for one, many in _IRREGULAR.items():
        if word == one or (one in ("man", "child") and word.endswith(one) and word not in _NO_MEN):
            return word[: len(word) - len(one)] + many
    if word.endswith(("s", "x", "z", "ch", "sh")) or word in _ENDS_IN_O:
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in _VOWELS:
        return word[:-1] + "ies"
    return word + "s"


def sentence(text: str) -> str:
    """'a red bus' -> 'A red bus.'"""
    text = text.strip()
    return text[:1].upper() + text[1:] + "." if text else ""


def third_person(verb: str) -> str:
    """'carry' -> 'carries'."""
    if verb in _THIRD:
        return _THIRD[verb]
    if verb.endswith(("s", "x", "z", "ch", "sh", "o")):
        return verb + "es"
    if verb.endswith("y") and verb[-2:-1] not in _VOWELS:
        return verb[:-1] + "ies"
    return verb + "s"


def gerund(verb: str) -> str:
    """'run' -> 'running'."""
    if verb in _GERUNDS:
        return _GERUNDS[verb]
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    if verb in _DOUBLED or _doubles(verb):
        return verb + verb[-1] + "ing"
    return verb + "ing"


def _doubles(verb: str) -> bool:
    """One syllable that ends in consonant, vowel, consonant: 'sit', 'grab', 'skip', but not 'row' or 'fix'."""
    if len(verb) < 3 or verb in _NOT_DOUBLED or verb[-1] in _VOWELS or verb[-1] in "wxy":
        return False
    return verb[-2] in _VOWELS and (verb[-3] not in _VOWELS or verb[-3:-1] == "ui") and (
        sum(1 for before, letter in zip("b" + verb, verb, strict=False) if letter in _VOWELS and before not in _VOWELS)
        == 1
    )

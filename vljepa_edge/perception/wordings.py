"""How a label is put into words: what "cups", "a cup" and "the cup" have in common, and the texts that stand for it.

English only. A wrong guess costs little: the label as it was given is always among the texts.
"""

from __future__ import annotations

import re

_ARTICLE = re.compile(r"(?:an?|the)\s", re.I)
_AN = re.compile(r"(?!uni[cfovt]|us[eu]|utensil|eu|one\b|once|ufo)[aeiou]|hour|heir|honest", re.I)
_LINKS = re.compile(r"\s(?:of|in|on|with|without|and|or|at|by|from|to|under|behind|for|who|that|is|are)\s", re.I)
_IRREGULAR = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "feet": "foot", "teeth": "tooth",
    "mice": "mouse", "geese": "goose", "oxen": "ox", "lenses": "lens", "gases": "gas", "potatoes": "potato",
    "knives": "knife", "wives": "wife", "leaves": "leaf", "loaves": "loaf", "shelves": "shelf", "calves": "calf",
    "wolves": "wolf", "scarves": "scarf", "hooves": "hoof", "halves": "half", "thieves": "thief", "elves": "elf",
    "skis": "ski", "taxis": "taxi", "kiwis": "kiwi", "buses": "bus", "tomatoes": "tomato", "heroes": "hero",
    "policemen": "policeman", "policewomen": "policewoman", "firemen": "fireman", "cactuses": "cactus",
}  # fmt: skip
# Words that end like a plural and are none, or have no singular.
_KEPT = {
    *("gas", "atlas", "canvas", "christmas", "rhinoceros", "chaos", "news", "series", "species", "lens", "stairs"),
    *("scissors", "pliers", "tongs", "glasses", "sunglasses", "goggles", "binoculars", "headphones", "clothes"),
    *("trousers", "pants", "jeans", "shorts", "tights", "pajamas", "pyjamas"),
}
_IE = {"movies", "cookies", "zombies", "selfies", "brownies", "hoodies", "smoothies", "pies", "ties"}


def without_article(label: str) -> str:
    """`label` without a leading "a", "an" or "the" and without blanks to spare."""
    words = " ".join(label.split())
    return _ARTICLE.sub("", words, count=1) if _ARTICLE.match(words) else words


def singular(label: str) -> str:
    """The singular of a noun, with what stands before and after it: "red cars on a road" is "red car on a road"."""
    link = _LINKS.search(label)
    head, rest = (label[: link.start()], label[link.start() :]) if link else (label, "")
    before, blank, noun = head.rpartition(" ")
    return before + blank + _singular(noun) + rest


def _singular(noun: str) -> str:
    word = noun.lower()
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _KEPT or not word.endswith("s") or word.endswith(("ss", "us", "is")) or len(word) < 4:
        return noun
    if word.endswith("ies") and word not in _IE:
        return noun[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zzes")):
        return noun[:-2]
    return noun[:-1]


def with_article(label: str) -> str:
    """`label` behind "a" or "an", by its first sound: an hour, a unicorn."""
    return f"{'an' if _AN.match(label) else 'a'} {label}"


def wordings(label: str, prompt: str) -> list[str]:
    """The texts that stand for a label, each once: as it is given, alone, and in sentences.

    prompt: the bundle's own sentence for labels, with {label} in it. An "a" before it becomes "an" where it should.
    """
    bare = without_article(label)
    one = singular(bare)
    sentence = prompt.replace("a {label}", with_article(one)).replace("{label}", one)
    texts = [bare, with_article(one), sentence, f"a photo of {with_article(one)}"]
    return list(dict.fromkeys(texts))

"""Captions that are made from scenes, so that what is true of each is known without reading it."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

NOUNS = {
    "dog": {"dog", "animal"},
    "poodle": {"dog", "animal"},
    "horse": {"horse", "animal"},
    "duck": {"bird", "animal"},
    "boy": {"boy", "child", "person"},
    "woman": {"woman", "person"},
    "skier": {"person"},
    "bus": {"bus", "vehicle"},
    "taxi": {"car", "vehicle"},
}
"""Each noun with all that it is in general, of the things that questions ask for."""
MANY = {
    "dog": "dogs", "animal": "animals", "horse": "horses", "bird": "birds", "boy": "boys", "child": "children",
    "person": "people", "woman": "women", "bus": "buses", "vehicle": "vehicles", "car": "cars",
}  # fmt: skip
"""Plurals of what the nouns are in general."""
PLURALS = {"bus": "buses", "woman": "women"}
VERBS = {"run": "running", "jump": "jumping", "sit": "sitting", "stand": "standing", "play": "playing"}
THIRDS = {"run": "runs", "jump": "jumps", "sit": "sits", "stand": "stands", "play": "plays"}
COLOURS = ("red", "black", "white", "brown", "yellow")
PLACES = ("on the street", "in the snow", "on a beach", "in a kitchen", "in the grass", "near a fence")
NUMBERS = {1: "a", 2: "two", 3: "three"}
FORMS = ("is", "third", "bare")


@dataclass(frozen=True)
class Said:
    """A scene: how many of what, of which colour, do what where; and how that is said."""

    noun: str
    number: int
    colour: str | None
    verb: str
    place: str
    form: str

    def caption(self) -> str:
        name = self.noun if self.number == 1 else PLURALS.get(self.noun, self.noun + "s")
        first = " ".join(filter(None, (NUMBERS[self.number], self.colour, name)))
        many = self.number > 1
        verb = {
            "is": f"{'are' if many else 'is'} {VERBS[self.verb]}",
            "third": self.verb if many else THIRDS[self.verb],
            "bare": VERBS[self.verb],
        }[self.form]
        return f"{first} {verb} {self.place} .".capitalize()


def any_scene(rng: random.Random) -> Said:
    return Said(
        rng.choice([*NOUNS]),
        rng.choice([1, 1, 2, 3]),
        rng.choice([None, *COLOURS]),
        rng.choice([*VERBS]),
        rng.choice(PLACES),
        rng.choice(FORMS),
    )


def write_table(path: Path, captions: list[list[str]]) -> Path:
    """A table with the captions of each of some photographs, which need not be there."""
    rows = [{"path": f"{number}.png", "caption": text} for number, texts in enumerate(captions) for text in texts]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path

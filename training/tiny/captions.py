"""What is said about a scene: captions with paraphrases, and balanced question-answer pairs.

The last paraphrase of each one-object motion is never trained on; `caption(..., UNSEEN)` gives it for the test of
unseen wording.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from vljepa_edge.training.everyday.english import article as article
from vljepa_edge.training.everyday.english import plural as plural
from vljepa_edge.training.everyday.english import sentence as sentence
from vljepa_edge.training.everyday.queries import CAPTION_QUERIES, OBJECT_QUERIES

ONE = ("left", "right", "up", "down", "grow", "shrink", "still", "spin", "appear", "vanish", "bounce")
TWO = ("swap", "both_still", "approach", "apart", "left_while", "right_while", "up_while", "down_while")
MOTIONS = ONE + TWO
DIRECTIONS = ("left", "right", "up", "down")
COUNTED_MOTIONS = ("still", *DIRECTIONS)
"""Motions that two or three objects of one kind are drawn with."""
COUNTS = ("one", "two", "three")
MAX_COUNT = len(COUNTS)

_BACKWARDS = {
    "left": "right",
    "up": "down",
    "grow": "shrink",
    "appear": "vanish",
    "approach": "apart",
    "left_while": "right_while",
    "up_while": "down_while",
}
BACKWARDS = {m: m for m in MOTIONS} | _BACKWARDS | {v: k for k, v in _BACKWARDS.items()}
"""The motion of a clip played backwards."""
SYMMETRIC = frozenset({"swap", "both_still", "approach", "apart"})
"""Two-object motions where the objects can change roles."""

UNSEEN = -1
_TEMPLATES: dict[str, tuple[str, ...]] = {
    "left": (
        "{a} {moves} to the left",
        "{a} {is} moving left",
        "{a} {travels} from right to left",
        "{a} {drifts} leftwards",
        "{a} {heads} for the left side",
        "{a} {goes} left across the scene",
    ),
    "right": (
        "{a} {moves} to the right",
        "{a} {is} moving right",
        "{a} {travels} from left to right",
        "{a} {drifts} rightwards",
        "{a} {heads} for the right side",
        "{a} {goes} right across the scene",
    ),
    "up": (
        "{a} {moves} up",
        "{a} {is} rising",
        "{a} {goes} upwards",
        "{a} {heads} for the top",
        "{a} {is} going up",
        "{a} {climbs} higher",
    ),
    "down": (
        "{a} {moves} down",
        "{a} {is} falling",
        "{a} {goes} downwards",
        "{a} {heads} for the bottom",
        "{a} {is} going down",
        "{a} {sinks} lower",
    ),
    "grow": (
        "{a} grows larger",
        "{a} comes closer",
        "{a} is getting bigger",
        "{a} is coming nearer",
        "{a} moves towards the viewer",
        "{a} approaches the camera",
    ),
    "shrink": (
        "{a} shrinks",
        "{a} moves away from the camera",
        "{a} is getting smaller",
        "{a} gets farther off",
        "{a} moves away from the viewer",
        "{a} recedes into the distance",
    ),
    "still": (
        "{a} {stays} still",
        "{a} {does} not move",
        "{a} {remains} in place",
        "{a} {is} motionless",
        "{a} {is} not going anywhere",
        "there {is} {a} at rest",
    ),
    "spin": (
        "{a} spins around",
        "{a} is rotating",
        "{a} turns round and round",
        "{a} whirls about",
        "{a} is revolving",
        "{a} is spinning",
    ),
    "appear": (
        "{a} appears",
        "{a} suddenly shows up",
        "{a} comes into view",
        "{a} becomes visible",
        "{a} is there all of a sudden",
        "{a} pops up",
    ),
    "vanish": (
        "{a} disappears",
        "{a} vanishes",
        "{a} is suddenly gone",
        "{a} can no longer be seen",
        "{a} is out of sight",
        "{a} goes out of view",
    ),
    "bounce": (
        "{a} bounces up and down",
        "{a} is jumping",
        "{a} hops repeatedly",
        "{a} leaps again and again",
        "{a} jumps up and down",
        "{a} is bouncing",
    ),
    "swap": ("{a} and {b} swap places", "{a} and {b} change sides"),
    "both_still": ("{a} and {b} stay still", "{a} next to {b}"),
    "approach": ("{a} and {b} move towards each other", "{a} and {b} come together"),
    "apart": ("{a} and {b} move apart", "{a} and {b} go away from each other"),
    "left_while": ("{a} moves left while {b} stays still", "{a} goes to the left of the scene, {b} does not move"),
    "right_while": ("{a} moves right while {b} stays still", "{a} goes to the right of the scene, {b} does not move"),
    "up_while": ("{a} moves up while {b} stays still", "{a} rises, {b} does not move"),
    "down_while": ("{a} moves down while {b} stays still", "{a} falls, {b} does not move"),
}
_VERBS = {
    "moves": "move",
    "is": "are",
    "travels": "travel",
    "drifts": "drift",
    "heads": "head",
    "goes": "go",
    "climbs": "climb",
    "sinks": "sink",
    "stays": "stay",
    "does": "do",
    "remains": "remain",
}
_OBJECT = ("{a}", "a photo of {a}", "there is {a} in the scene")
_DOING = {
    "left": "moving to the left",
    "right": "moving to the right",
    "up": "moving up",
    "down": "moving down",
    "grow": "growing",
    "shrink": "shrinking",
    "still": "staying still",
    "spin": "spinning",
    "appear": "appearing",
    "vanish": "disappearing",
    "bounce": "bouncing",
}


@dataclass(frozen=True)
class Scene:
    """What a clip shows. `second` names the other object of a two-object motion; `count` copies of `name` do the same
    motion."""

    motion: str
    name: str
    second: str | None = None
    count: int = 1

    def backwards(self) -> Scene:
        return Scene(BACKWARDS[self.motion], self.name, self.second, self.count)

    def at_rest(self) -> Scene:
        """The scene that a single frame with everything visible shows."""
        return Scene("still" if self.second is None else "both_still", self.name, self.second, self.count)

    def total(self) -> int:
        """How many objects there are."""
        return self.count if self.second is None else 2

    def names(self) -> tuple[str, ...]:
        return (self.name,) if self.second is None else (self.name, self.second)


def _fill(template: str, scene: Scene, definite: bool) -> str:
    many = scene.count > 1
    verbs = {k: v if many else k for k, v in _VERBS.items()}
    if many:
        number = COUNTS[scene.count - 1]
        first = ("the " if definite else "") + f"{number} {plural(scene.name)}"
    else:
        first = "the " + scene.name if definite else article(scene.name)
    second = "" if scene.second is None else "the " + scene.second if definite else article(scene.second)
    return sentence(template.format(a=first, b=second, **verbs))


def caption(scene: Scene, paraphrase: int = 0, definite: bool = True) -> str:
    """One wording of a scene; `UNSEEN` picks the wording kept out of training."""
    return _fill(_TEMPLATES[scene.motion][paraphrase], scene, definite)


def captions(scene: Scene) -> list[str]:
    """Every trained wording: definite and indefinite, without the unseen paraphrase of one-object motions."""
    templates = _TEMPLATES[scene.motion]
    kept = templates[:-1] if scene.motion in ONE else templates
    return [_fill(t, scene, definite) for t in kept for definite in (True, False)]


def doing(motion: str) -> str:
    """'left' -> 'Moving to the left.'"""
    return sentence(_DOING[motion])


def object_captions(name: str) -> list[str]:
    return [sentence(t.format(a=article(name))) for t in _OBJECT]


@dataclass(frozen=True)
class Question:
    """`kind` is one of caption, object, doing, direction, count, exists, moves. `about`: the thing that "exists" asks
    for."""

    kind: str
    text: str
    answer: str
    about: str = ""


def _count_question(scene: Scene, rng: random.Random) -> Question:
    text = rng.choice(("How many objects are there?", "How many things are in the scene?", "Count the objects."))
    if scene.second is None and rng.random() < 0.4:
        text = f"How many {plural(scene.name)} are there?"
    return Question("count", text, sentence(COUNTS[scene.total() - 1]))


def _exists_question(scene: Scene, rng: random.Random, others: list[str]) -> Question:
    yes = rng.random() < 0.5
    name = rng.choice(scene.names()) if yes else rng.choice(others)
    while not yes and name in scene.names():
        name = rng.choice(others)
    text = rng.choice(("Is there {a}?", "Is there {a} in the scene?", "Do you see {a}?")).format(a=article(name))
    return Question("exists", text, "Yes." if yes else "No.", name)


def _moves_question(scene: Scene, rng: random.Random) -> Question:
    yes = rng.random() < 0.5
    motion = scene.motion if yes else rng.choice([m for m in _DOING if m != scene.motion])
    verb = "Are" if scene.count > 1 else "Is"
    noun = rng.choice(
        ("the " + (plural(scene.name) if scene.count > 1 else scene.name), "anything" if scene.count == 1 else "they")
    )
    return Question("moves", f"{verb} {noun} {_DOING[motion]}?", "Yes." if yes else "No.")


def question(scene: Scene, kind: str, rng: random.Random, others: list[str]) -> Question | None:
    """A question of a kind about a scene with its answer, or None where the kind does not apply.

    Yes and no are equally likely. `others` are names that a wrong object is drawn from.
    """
    if kind == "caption":
        return Question(kind, rng.choice(CAPTION_QUERIES), rng.choice(captions(scene)))
    if kind == "count":
        return _count_question(scene, rng)
    if kind == "exists":
        return _exists_question(scene, rng, others)
    if scene.motion not in ONE:
        return None
    subject = plural(scene.name) if scene.count > 1 else scene.name
    if kind == "object":
        return Question(kind, rng.choice(OBJECT_QUERIES), object_captions(scene.name)[0]) if scene.count == 1 else None
    if kind == "doing":
        verb = "are" if scene.count > 1 else "is"
        return Question(kind, f"What {verb} the {subject} doing?", doing(scene.motion))
    if kind == "direction":
        if scene.motion not in DIRECTIONS:
            return None
        forms = (
            "Which direction is it moving?",
            "Which way does it go?",
            f"Which direction {'do' if scene.count > 1 else 'does'} the {subject} move?",
        )
        return Question(kind, rng.choice(forms), sentence(scene.motion))
    if kind == "moves":
        return _moves_question(scene, rng)
    raise ValueError(f"unknown kind of question {kind!r}")


QUESTION_KINDS = ("object", "doing", "direction", "count", "exists", "moves")

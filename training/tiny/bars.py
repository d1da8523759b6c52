"""What the default is meant to reach, beside what tiny 0.8.0 had and what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bar:
    """A figure by its dotted key in a card, and the least that it should be (`most`: the most). `part`: of the card,
    which measures it. `before`: what tiny 0.8.0 had, None where it had nothing to measure."""

    label: str
    part: str
    key: str
    bar: float
    before: float | None
    most: bool = False

    @property
    def command(self) -> str:
        return f"vljepa eval card --only {self.part}"

    def value(self, figures: Mapping[str, Any]) -> float | None:
        """The figure of a card; None where it was not measured."""
        found: Any = figures
        for name in self.key.split("/"):
            if not isinstance(found, Mapping) or name not in found:
                return None
            found = found[name]
        return None if found is None else float(found)

    @property
    def sign(self) -> str:
        return "<=" if self.most else ">="

    def reached(self, value: float) -> bool:
        return value <= self.bar if self.most else value >= self.bar


_DROP = 4.0
"""Points that a figure of drawn clips may lose."""
_DRAWN = {
    "motion, top-1 of 11": ("motion_top1_of_11", 97.7, 96.8),
    "motion, seen by a moving camera": ("motion_moving_camera", 67.9, 64.8),
    "direction of 4": ("answers_direction", 99.5, 99.6),
    "count of 1 to 3": ("answers_count", 88.6, 88.2),
    "yes or no, does it move so": ("answers_moves", 89.1, 81.8),
    "object, top-1 of 32": ("object_top1_of_32", 88.8, 34.2),
    "text retrieval R@1": ("retrieval_R@1", 72.4, 28.6),
    "text retrieval R@5": ("retrieval_R@5", 90.5, 51.0),
}


def _drawn() -> tuple[Bar, ...]:
    return tuple(
        Bar(f"drawn clips, {split} objects: {label}", "drawn", f"{name}/{key}", round(before - _DROP, 1), before)
        for label, (key, *values) in _DRAWN.items()
        for (split, name), before in zip((("trained", "seen"), ("held-out", "held")), values, strict=True)
    )


REAL = (
    Bar("COCO val, text to photograph, R@1", "coco-val", "everyday/coco-val/text_to_item_R@1", 24.0, 9.9),
    Bar("COCO val, text to photograph, R@5", "coco-val", "everyday/coco-val/text_to_item_R@5", 56.0, 29.4),
    Bar("Flickr8k, text to photograph, R@1", "flickr8k-test", "everyday/flickr8k-test/text_to_item_R@1", 20.0, 4.3),
    Bar("Flickr8k, text to photograph, R@5", "flickr8k-test", "everyday/flickr8k-test/text_to_item_R@5", 46.0, 12.3),
    Bar("Flickr8k, decoded captions, CIDEr", "flickr8k-test", "everyday/flickr8k-test/CIDEr", 25.0, 2.3),
    Bar("robot clips held out, text to clip, R@1", "robot-test", "everyday/robot-test/text_to_item_R@1", 9.0, 2.1),
    Bar("robot clips held out, text to clip, R@5", "robot-test", "everyday/robot-test/text_to_item_R@5", 25.0, 8.3),
    Bar("is it there, objects that captions name", "is-there", "everyday/is-there/by_cosine", 80.0, 78.1),
    Bar("confidence of captions, ECE", "confidence", "everyday/confidence/ECE", 0.08, None, most=True),
    Bar("confidence of yes and no, ECE", "is-there", "everyday/is-there/ECE_presence", 0.08, None, most=True),
    Bar("real video, the text says something right", "videos", "real_videos/says_right", 60.0, 26.1),
    Bar("real video, the text that is shown is right", "videos", "real_videos/shown_right", 75.0, 26.1),
    Bar("photographs of single objects, the label of 48", "objects", "real_photos/model", 67.0, 65.6),
)  # fmt: skip
BARS = (*REAL, *_drawn())

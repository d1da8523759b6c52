"""Labels, by eye, of single-object photographs that lie inside packages: what real_photos.csv holds.

Each row: where it lies, the label that candidates are judged by, and what else is right to say of it: synonyms, kinds,
and other things that are really in the picture. A group is the category whose other names make plausible wrong answers.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DISTRACTORS", "ROWS", "Row"]


@dataclass(frozen=True)
class Row:
    """`place` is '<package>:<path>'; real.py knows the packages."""

    name: str
    place: str
    group: str
    label: str
    also: tuple[str, ...]


def _row(entry: dict[str, str]) -> Row:
    also = tuple(part.strip() for part in entry["also"].split(";") if part)
    return Row(entry["name"], entry["place"], entry["group"], entry["label"], also)


def _read(file: Path) -> tuple[Row, ...]:
    with file.open(encoding="utf8", newline="") as lines:
        return tuple(map(_row, csv.DictReader(lines)))


ROWS = _read(Path(__file__).with_suffix(".csv"))

# Names that are wrong of most pictures; those that are right of a picture are left out of its candidates.
DISTRACTORS: dict[str, tuple[str, ...]] = {
    group: tuple(part.strip() for part in text.split(","))
    for group, text in {
        "animal": (
            "horse, elephant, giraffe, zebra, lion, tiger, bear, wolf, fox, rabbit, mouse, pig, sheep, goat, "
            "camel, duck, swan, eagle, owl, parrot, penguin, chicken, fish, shark, whale, frog, snake, turtle, "
            "spider, bee, crab, dog, cat, squirrel, butterfly, robin, cow, baboon"
        ),
        "food": (
            "banana, lemon, strawberry, pineapple, grape, watermelon, carrot, broccoli, tomato, potato, mushroom, "
            "bread, pizza, sandwich, hamburger, cake, ice cream, egg, cheese, soup, salad, doughnut, sausage, "
            "cookie, apple, orange, kiwi fruit, pepper, cup of coffee"
        ),
        "plant": (
            "rose, sunflower, tulip, cactus, palm tree, fern, moss, corn, bamboo, pine cone, seaweed, acorn, hay, "
            "pumpkin, cabbage, aloe, flower"
        ),
        "person": (
            "baby, bride, firefighter, police officer, doctor, chef, soldier, swimmer, skier, cyclist, dancer, "
            "clown, cowboy, farmer, guitarist, basketball player, baseball player, scuba diver, judge, nurse, "
            "astronaut, photographer, football player"
        ),
        "vehicle": (
            "bicycle, truck, train, tram, ambulance, fire engine, tractor, helicopter, airliner, hot-air balloon, "
            "sailing boat, canoe, ship, submarine, tank, wheelchair, shopping cart, skateboard, sledge, crane, "
            "car, bus, motorcycle, rocket, space shuttle"
        ),
        "thing": (
            "chair, sofa, bed, clock, umbrella, backpack, shoe, hat, guitar, piano, drum, violin, laptop, "
            "keyboard, telephone, television, camera, bottle, vase, candle, scissors, hammer, knife, spoon, "
            "teapot, toaster, refrigerator, bathtub, toilet, pillow, teddy bear, balloon, kite, tennis racket, "
            "golf ball, dumbbell, tent, ladder, key, wallet, book, newspaper, coin, mug, circuit board, street "
            "sign, crossword puzzle, box"
        ),
        "place": (
            "beach, desert, mountain, volcano, waterfall, cave, forest, bridge, lighthouse, windmill, castle, "
            "stadium, airport, swimming pool, kitchen, bathroom, classroom, supermarket, playground, greenhouse, "
            "barn, tunnel, fountain, church, pagoda, lake, house, arch, skyscraper"
        ),
    }.items()
}

"""Labels, by eye, of single-object photographs that lie inside packages.

Each row: where it lies, the label that candidates are judged by, and what else is right to say of it: synonyms, kinds,
and other things that are really in the picture. A group is the category whose other names make plausible wrong answers.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DISTRACTORS", "ROWS", "Row"]


@dataclass(frozen=True)
class Row:
    """`place` is '<package>:<path>'; real.py knows the packages."""

    name: str
    place: str
    group: str
    label: str
    also: tuple[str, ...]


def _row(name: str, place: str, group: str, label: str, also: str) -> Row:
    return Row(name, place, group, label, tuple(part.strip() for part in also.split(",")))


ROWS: tuple[Row, ...] = (
    _row(
        "squirrel",
        "opencv:data/squirrel_cls.jpg",
        "animal",
        "squirrel",
        "red squirrel, fox squirrel, rodent, branch",
    ),
    _row(
        "baboon",
        "opencv:data/baboon.jpg",
        "animal",
        "baboon",
        "mandrill, monkey, ape",
    ),
    _row(
        "dog",
        "opencv:data/chicky_512.png",
        "animal",
        "dog",
        "pekinese, puppy, lapdog, spaniel",
    ),
    _row(
        "butterfly",
        "opencv:data/butterfly.jpg",
        "animal",
        "butterfly",
        "swallowtail, moth, insect, leaf",
    ),
    _row(
        "monarch",
        "opencv:dnn_superres/butterfly.png",
        "animal",
        "butterfly",
        "monarch, monarch butterfly, insect",
    ),
    _row(
        "robin",
        "opencv:hfs/data/000.jpg",
        "animal",
        "robin",
        "bird, songbird, brambling, finch, goldfinch",
    ),
    _row(
        "chelsea",
        "skimage:chelsea.png",
        "animal",
        "cat",
        "tabby, tabby cat, tiger cat, egyptian cat, kitten",
    ),
    _row(
        "kitten",
        "tutorials:Morphology_1_Tutorial_Original_Image.jpg",
        "animal",
        "cat",
        "kitten, tabby, tiger cat",
    ),
    _row(
        "shepherd",
        "tutorials:Remap_Tutorial_Original_Image.jpg",
        "animal",
        "dog",
        "german shepherd, alsatian, puppy, ball, grass",
    ),
    _row(
        "cow",
        "tutorials:Laplace_Operator_Tutorial_Original_Image.jpg",
        "animal",
        "cow",
        "calf, ox, cattle, bull, tree",
    ),
    _row(
        "orange",
        "opencv:data/orange.jpg",
        "food",
        "orange",
        "citrus, citrus fruit, fruit",
    ),
    _row(
        "apple",
        "opencv:data/apple.jpg",
        "food",
        "apple",
        "red apple, granny smith, fruit",
    ),
    _row(
        "fruits",
        "opencv:data/fruits.jpg",
        "food",
        "fruit",
        "orange, lemon, lime, kiwi, kiwi fruit, citrus, banana, slice",
    ),
    _row(
        "kiwi",
        "kivy:canvas/kiwi.jpg",
        "food",
        "kiwi fruit",
        "kiwi, kiwifruit, fruit",
    ),
    _row(
        "peppers",
        "tutorials:input.jpg",
        "food",
        "pepper",
        "bell pepper, peppers, green pepper, red pepper, chilli, vegetable",
    ),
    _row(
        "coffee",
        "skimage:coffee.png",
        "food",
        "cup of coffee",
        "coffee, espresso, cup, saucer, coffee cup, spoon, mug, table",
    ),
    _row(
        "flower",
        "sklearn:flower.jpg",
        "plant",
        "flower",
        "dahlia, zinnia, blossom, daisy",
    ),
    _row(
        "aloe",
        "opencv:data/aloeL.jpg",
        "plant",
        "aloe",
        "potted plant, houseplant, plant, flowerpot, pot, succulent",
    ),
    _row(
        "plant",
        "opencv:alphamat/input_images/plant.jpg",
        "plant",
        "potted plant",
        "houseplant, plant, pot, flowerpot, grass, bamboo",
    ),
    _row(
        "tree",
        "opencv:hfs/data/002.jpg",
        "plant",
        "tree",
        "oak, field, meadow, grass",
    ),
    _row(
        "astronaut",
        "skimage:astronaut.png",
        "person",
        "astronaut",
        "woman, person, space suit, helmet, flag, pilot, rocket, space shuttle",
    ),
    _row(
        "cameraman",
        "skimage:camera.png",
        "person",
        "photographer",
        "cameraman, man, person, camera, tripod, video camera, coat",
    ),
    _row(
        "footballer",
        "opencv:data/messi5.jpg",
        "person",
        "football player",
        "footballer, soccer player, player, man, person, athlete, soccer ball, football, ball, stadium",
    ),
    _row(
        "hand",
        "tutorials:handSrc.jpg",
        "person",
        "hand",
        "fingers, palm, arm",
    ),
    _row(
        "motorcycle",
        "skimage:motorcycle_left.png",
        "vehicle",
        "motorcycle",
        "motorbike, moped, scooter, motor scooter, bike, garage, workshop",
    ),
    _row(
        "bus",
        "tutorials:pexels_double_decker_bus.jpg",
        "vehicle",
        "bus",
        "double-decker bus, double decker, trolleybus, street, city, car",
    ),
    _row(
        "car",
        "opencv:data/licenseplate_motion.jpg",
        "vehicle",
        "car",
        "cab, sedan, minivan, van, taxi, vehicle, number plate",
    ),
    _row(
        "shuttle",
        "tutorials:space_shuttle.jpg",
        "vehicle",
        "space shuttle",
        "shuttle, spacecraft, aeroplane, airplane, jet, rocket",
    ),
    _row(
        "rocket",
        "skimage:rocket.jpg",
        "vehicle",
        "rocket",
        "missile, projectile, launch pad, space shuttle, spacecraft, tower",
    ),
    _row(
        "mug",
        "kivy:demo/pictures/images/faust_github.jpg",
        "thing",
        "mug",
        "coffee mug, cup, cat, lamp, coffee, mouse, kitten",
    ),
    _row(
        "circuit",
        "opencv:data/board.jpg",
        "thing",
        "circuit board",
        "motherboard, modem, chip, computer, electronics",
    ),
    _row(
        "sudoku",
        "opencv:data/sudoku.png",
        "thing",
        "crossword puzzle",
        "sudoku puzzle, sudoku, puzzle, newspaper, page, number",
    ),
    _row(
        "newspaper",
        "tutorials:newspaper.jpg",
        "thing",
        "newspaper",
        "paper, page, page of text, magazine, front page, article",
    ),
    _row(
        "coins",
        "tutorials:coins.jpg",
        "thing",
        "coin",
        "coins, money, penny, pennies, change",
    ),
    _row(
        "books",
        "opencv:data/right.jpg",
        "thing",
        "book",
        "books, textbook, notebook, book jacket, box, packet",
    ),
    _row(
        "sign",
        "opencv:text/scenetext02.jpg",
        "thing",
        "street sign",
        "sign, road sign, signpost",
    ),
    _row(
        "barrier",
        "opencv:text/scenetext05.jpg",
        "thing",
        "barrier",
        "fence, no parking sign, gate, road, street, railing, sign",
    ),
    _row(
        "church",
        "opencv:data/home.jpg",
        "place",
        "church",
        "palace, monastery, cathedral, building, bell tower, tower, basilica, bell cote, house",
    ),
    _row(
        "house",
        "opencv:reg/home.png",
        "place",
        "house",
        "brick house, home, building, roof, chimney",
    ),
    _row(
        "office",
        "opencv:data/building.jpg",
        "place",
        "building",
        "office building, hotel, apartment building, library, tower block, tree",
    ),
    _row(
        "pagoda",
        "sklearn:china.jpg",
        "place",
        "pagoda",
        "temple, palace, tower, monastery, building",
    ),
    _row(
        "arch",
        "kivy:demo/pictures/images/Wall.jpg",
        "place",
        "arch",
        "ruin, stone arch, vault, triumphal arch, abbey, monastery, church, cathedral",
    ),
    _row(
        "lake",
        "opencv:hfs/data/001.jpg",
        "place",
        "lake",
        "lakeside, lakeshore, water, river, forest, sea, shore, tree",
    ),
    _row(
        "street",
        "opencv:data/leuvenA.jpg",
        "place",
        "street",
        "brick house, brick building, alley, village, town, house, church, building, courtyard, castle",
    ),
)

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

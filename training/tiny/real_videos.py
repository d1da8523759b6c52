"""What is seen in the real videos, written by a person looking at their frames. Times are seconds."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["WINDOWS", "Window"]


@dataclass(frozen=True)
class Window:
    """A stretch of a video in which one thing holds.

    `descriptions` are honest captions. `label` is the word that candidates are judged by, `also` what else is right to
    say: a text is right when it names any of them. `motion` is one of the eleven motions of the composites where the
    main object clearly does it, else ''.
    """

    start: float
    end: float
    label: str
    group: str
    also: tuple[str, ...]
    descriptions: tuple[str, ...]
    motion: str = ""


def _also(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


WINDOWS: dict[str, tuple[Window, ...]] = {
    "bikes": (
        Window(
            start=0.0,
            end=1.2,
            label="bus",
            group="vehicle",
            also=_also("roof, van, truck, tram, car, minibus, coach, street, road, vehicle, trailer truck"),
            descriptions=(
                "The white roof of a bus seen from above.",
                "A bus drives along a street, seen from above.",
            ),
        ),
        Window(
            start=1.2,
            end=2.0,
            label="man in a suit",
            group="person",
            also=_also("man, suit, tie, person, car, cars, businessman, street, windsor tie, traffic"),
            descriptions=(
                "A man in a dark suit and a striped tie walks between cars.",
                "A man in a suit moves to the right in front of parked cars.",
            ),
            motion="right",
        ),
        Window(
            start=2.0,
            end=3.04,
            label="taxi",
            group="vehicle",
            also=_also("cab, car, limousine, cars, roof, sports car, vehicle, traffic, street"),
            descriptions=(
                "A taxi with a sign on its roof drives past.",
                "A black taxi moves to the right in front of other cars.",
            ),
            motion="right",
        ),
        Window(
            start=3.04,
            end=4.0,
            label="van",
            group="vehicle",
            also=_also("car, bus, truck, minibus, traffic, street, vehicle, police van, moving van, ambulance"),
            descriptions=(
                "Vehicles drive past a grey van on a city street.",
                "Traffic on a city street.",
            ),
        ),
        Window(
            start=4.2,
            end=5.48,
            label="cyclist",
            group="person",
            also=_also("bicycle, bike, man, person, mountain bike, rider, van, car, street, motorcycle"),
            descriptions=(
                "A man with a helmet on a bicycle waits at the side of the street, beside a van.",
                "A cyclist stands next to a pole.",
            ),
            motion="still",
        ),
        Window(
            start=5.48,
            end=7.48,
            label="bicycle",
            group="vehicle",
            also=_also("bike, fence, railing, car, cars, street, mountain bike, barrier, city, traffic"),
            descriptions=(
                "A bicycle leans on a green railing while cars drive past on a wide city street.",
                "Cars drive along a street behind a fence.",
            ),
        ),
        Window(
            start=7.48,
            end=8.7,
            label="bicycle",
            group="vehicle",
            also=_also("bike, man, person, pedestrian, legs, street, bollard, pavement, walking"),
            descriptions=(
                "A person walks past a bicycle that leans on a wall.",
                "The legs of a man in dark trousers walk past a parked bicycle.",
            ),
        ),
        Window(
            start=8.7,
            end=9.68,
            label="bicycle",
            group="vehicle",
            also=_also("bike, wall, bollard, street, pavement, mountain bike, building"),
            descriptions=(
                "An old bicycle leans on a wall behind a bollard.",
                "A parked bicycle in front of a building.",
            ),
            motion="still",
        ),
    ),
    "bigbuckbunny": (
        Window(
            start=0.0,
            end=1.6,
            label="rabbit",
            group="animal",
            also=_also("bunny, hare, animal, cartoon, animation, cave, grass, meadow"),
            descriptions=(
                "A big grey cartoon rabbit comes out of its burrow in a green meadow.",
                "A fat rabbit crawls out of a hole under a tree.",
            ),
        ),
        Window(
            start=1.7,
            end=5.2,
            label="rabbit",
            group="animal",
            also=_also("bunny, hare, animal, cartoon, animation, stretching, yawning, grass, meadow"),
            descriptions=(
                "A big grey cartoon rabbit stands up and stretches its arms.",
                "A fat rabbit stretches in a green meadow.",
            ),
        ),
    ),
    "box": (
        Window(
            start=0.0,
            end=15.1,
            label="box",
            group="thing",
            also=_also("package, carton, packet, hand, arm, parcel, table, cardboard box, chest"),
            descriptions=(
                "A hand moves a yellow box about over a table with a white cloth.",
                "A person holds and turns a colourful box.",
            ),
        ),
    ),
    "carphone": (
        Window(
            start=0.0,
            end=3.9,
            label="man in a suit",
            group="person",
            also=_also("man, bow tie, suit, tie, person, groom, talking, car, face, passenger, seat belt"),
            descriptions=(
                "A man with a red bow tie talks in the back of a car.",
                "A young man in a dark suit speaks to the camera inside a moving car.",
            ),
        ),
    ),
    "city": (
        Window(
            start=0.54,
            end=5.18,
            label="skyscraper",
            group="place",
            also=_also("building, buildings, city, tower, office building, skyline, night, window"),
            descriptions=(
                "Skyscrapers with lit windows at night.",
                "Office buildings in a city at night, seen from below.",
            ),
            motion="still",
        ),
        Window(
            start=5.18,
            end=8.1,
            label="skyscraper",
            group="place",
            also=_also("building, buildings, city, tower, office building, skyline, night, night sky"),
            descriptions=(
                "Two tall buildings under a dark blue night sky.",
                "Lit skyscrapers at night, seen from below.",
            ),
            motion="still",
        ),
    ),
    "cup": (
        Window(
            start=0.0,
            end=1.5,
            label="bottle",
            group="thing",
            also=_also("water bottle, flask, thermos, cup, hand, jar, container, can, tumbler, arm"),
            descriptions=(
                "A hand holds a black bottle in front of a white wall.",
                "A person holds a dark flask.",
            ),
            motion="still",
        ),
        Window(
            start=1.6,
            end=4.6,
            label="bottle",
            group="thing",
            also=_also("water bottle, flask, thermos, cup, hand, jar, container, can, tumbler, arm"),
            descriptions=(
                "A hand tilts a black bottle from side to side.",
                "A person turns a dark flask in front of a white wall.",
            ),
        ),
        Window(
            start=4.4,
            end=5.9,
            label="bottle",
            group="thing",
            also=_also("water bottle, flask, thermos, cup, hand, jar, container, can, tumbler, arm"),
            descriptions=(
                "A hand moves a black bottle away from the camera.",
                "A dark flask gets smaller.",
            ),
            motion="shrink",
        ),
        Window(
            start=5.9,
            end=7.8,
            label="bottle",
            group="thing",
            also=_also("water bottle, flask, thermos, cup, hand, jar, container, can, tumbler, arm"),
            descriptions=(
                "A hand moves a black bottle towards the camera.",
                "A dark flask comes closer.",
            ),
            motion="grow",
        ),
    ),
    "tree": (
        Window(
            start=0.0,
            end=22.5,
            label="tree",
            group="plant",
            also=_also("bush, leaves, leaf, branches, forest, window, garden, plant"),
            descriptions=(
                "A green tree outside a window.",
                "The leaves of a tree move slightly in bright light.",
            ),
            motion="still",
        ),
        Window(
            start=23.3,
            end=29.5,
            label="hand",
            group="person",
            also=_also("arm, fingers, tree, person, leaves"),
            descriptions=(
                "A hand comes into the picture in front of a tree.",
                "A hand moves in front of a green tree.",
            ),
        ),
    ),
    "vtest": (
        Window(
            start=0.0,
            end=52.0,
            label="pedestrian",
            group="person",
            also=_also(
                "people, person, man, men, pedestrians, walking, crowd, street, road, path, pavement, lawn, park"
            ),
            descriptions=(
                "People walk along a paved path beside a lawn, seen from above.",
                "Several pedestrians cross a wide path in front of a brick building.",
            ),
        ),
        Window(
            start=52.0,
            end=68.0,
            label="pedestrian",
            group="person",
            also=_also(
                "people, person, man, woman, pedestrians, walking, crowd, street, road, path, lawn, grass, park"
            ),
            descriptions=(
                "A person in black walks across the lawn while others walk along the path.",
                "People walk on a lawn and on a paved path.",
            ),
        ),
        Window(
            start=68.0,
            end=79.4,
            label="pedestrian",
            group="person",
            also=_also(
                "people, person, man, men, pedestrians, walking, crowd, street, road, path, pavement, lawn, park"
            ),
            descriptions=(
                "Groups of people walk along a paved path beside a lawn.",
                "Pedestrians walk in different directions, seen from above.",
            ),
        ),
    ),
}

"""Which of COCO's objects a caption names: by their names, the words that people use for them, and their plurals.

All of the 80 but the orange, which is a colour in most captions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["OBJECTS", "Object", "named", "unclear"]


@dataclass(frozen=True)
class Object:
    """`words`: any of them in a caption says that it is there. `vague`: words after which nobody can say that it is
    not: kinds that it belongs to, and things that usually come with it."""

    name: str
    words: tuple[str, ...]
    vague: tuple[str, ...]


# Of a group: words that are vague of all its objects. Of an object: its name, then other words, then vague ones.
_TABLE = """
: group, team, crowd, couple, family, someone, somebody, they, hand, arm, face, player, game, ride, riding, wearing
person; man, woman, boy, girl, child, kid, lady, guy, gentleman, toddler, human, skier, snowboarder,\
 surfer, skateboarder, rider, cyclist, bicyclist, biker, motorcyclist, batter, catcher, pitcher, umpire, player,\
 crowd, pedestrian, chef, officer, policeman, soldier, worker, passenger, teenager, teen, youth, tourist, bride, groom,\
 friend, spectator, athlete, swimmer, climber, hiker, jogger, runner, dancer, cowboy, student, cook, fisherman,\
 skater, driver, someone, couple, family, youngster, infant, performer, musician, racer, referee;\
 baby, adult, male, female, fan
: vehicle, traffic, transport, transportation, street, road, city, parking lot, harbor, airport, station, highway
bicycle; bike, tricycle, mountain bike; cyclist, biker, motorcycle, motorbike, bicyclist
car; taxi, cab, minivan, suv, sedan, jeep, automobile; van, truck
motorcycle; motorbike, scooter, moped, dirt bike, motor bike; bike, biker, motorcyclist
airplane; plane, aeroplane, jet, aircraft, airliner, jetliner, biplane
bus; double decker, minibus, trolley bus; trolley
train; locomotive, subway, freight train, tram; railroad, railway, track, trolley
truck; lorry, pickup, fire engine, semi, tow truck; van, car
boat; ship, jet ski, jetski, canoe, kayak, sailboat, raft, ferry, yacht, gondola, rowboat, surfboat; sail, vessel, water
: street, road, city, corner, intersection
traffic light; stop light, stoplight, traffic signal; light, signal
fire hydrant; hydrant
stop sign; ; sign
parking meter; ; meter
bench; park bench; seat, chair
: animal, zoo, herd, flock, wildlife, pet, farm, creature
bird; duck, goose, geese, seagull, gull, parrot, pigeon, eagle, owl, swan, crow, hawk, flamingo,\
 peacock, pelican, ostrich, rooster, heron, sparrow, robin, finch; chicken, hen, turkey
cat; kitten, kitty, tabby
dog; puppy, pit bull, bull dog, poodle,\
 terrier, bulldog, retriever, dachshund, greyhound, hound, collie, labrador, beagle, husky,\
 pug, dalmatian, shepherd dog, corgi, rottweiler, spaniel, canine, mutt, pup
horse; pony, stallion, mare, foal, colt; jockey, carriage, cowboy, mule, donkey
sheep; lamb, ewe; goat
cow; bull, calf, calves, ox, oxen, heifer, longhorn; cattle, bovine
elephant
bear; polar bear, grizzly, teddy, bear cub; cub
zebra
giraffe
: bag, luggage, wearing, gear, equipment, clothes, dressed
backpack; back pack, rucksack, knapsack; hiker, pack
umbrella; parasol
handbag; purse, hand bag
tie; necktie, bow tie, bowtie; suit, tuxedo, uniform
suitcase; suit case, briefcase; travel
: game, sport, playing, player, park, field, court, slope, wave, snow, beach
frisbee; disc, disk, flying disc
skis; ski, skier, skiing, skiers; slope
snowboard; snow board, snowboarder, snowboarding; board, boarder
sports ball; ball, soccer ball, football, basketball, baseball, tennis ball, volleyball, soccer; tennis, pitch, catch
kite; ; parasail, parachute
baseball bat; bat; baseball, batter, swing
baseball glove; mitt, glove; baseball, catcher
skateboard; skate board, skateboarder, skateboarding; skating, skater, board, trick, ramp
surfboard; surf board, surfer, surfing; board, boogie, wave, surf
tennis racket; racket, racquet, tennis racquet; tennis, swing
: drink, beverage, kitchen, restaurant, bar, dining, meal, dinner, table, counter, utensil, silverware, food, lunch
bottle; wine bottle, beer bottle, water bottle; wine, beer
wine glass; glass of wine, wineglass; wine, glass
cup; mug, coffee cup, teacup; glass, coffee, tea
fork
knife; knives; cutting
spoon; ladle
bowl; ; dish, soup, salad, cereal
: food, meal, dinner, lunch, breakfast, fruit, vegetable, plate, market, dish, kitchen, snack, dessert, buffet
banana
apple
sandwich; burger, hamburger, panini; bun, bread
broccoli
carrot
hot dog; hotdog, sausage, frankfurter; bun
pizza
donut; doughnut; pastry
cake; cupcake, cheesecake, birthday cake; pastry
: furniture, room, living room, bedroom, kitchen, office, restaurant, dining, house, home, indoors, apartment, interior
chair; stool, armchair, arm chair, recliner, lawn chair, rocking chair; seat, sitting, desk, table, beach, patio
couch; sofa, loveseat, settee; seat
potted plant; house plant, houseplant, plant in a pot, plants in pots; plant, flower, pot, vase
bed; bunk, bunk bed, mattress; pillow, blanket, hotel
dining table; table, kitchen table; desk, counter, plate, food, meal, dinner
toilet; commode, urinal; bathroom, restroom
: office, desk, room, electronics, device, living room, bedroom
tv; television, monitor, tv set, flat screen; screen, computer, wii, video game
laptop; notebook computer, macbook, lap top; computer
mouse; computer mouse; computer, laptop
remote; remote control, wii remote, wiimote, controller; wii, video game
keyboard; computer keyboard; computer, laptop
cell phone; phone, cellphone, smartphone, mobile phone, smart phone, telephone, iphone; camera, text, selfie
: kitchen, appliance, counter, room
microwave; microwave oven; oven
oven; stove, cooker; microwave, baking
toaster; toaster oven; oven
sink; wash basin, basin; bathroom, restroom, faucet
refrigerator; fridge, freezer
: room, office, shelf, desk, table, house, home, living room, bedroom, bathroom
book; novel, textbook, bookshelf, bookcase; reading, magazine, library
clock; alarm clock, clock tower; tower, time
vase; ; flower, pot
scissors; pair of scissors, scissor; cutting
teddy bear; teddy, stuffed bear, stuffed animal; toy, doll, bear
hair drier; hair dryer, blow dryer, hairdryer, blow drier; dryer
toothbrush; tooth brush; brush, brushing
"""
_WORD = re.compile(r"[a-z0-9]+")
_IRREGULAR = {"men": "man", "women": "woman", "children": "child", "people": "person", "persons": "person",
              "wolves": "wolf", "shelves": "shelf", "buses": "bus", "wives": "wife", "policemen": "policeman",
              "fishermen": "fisherman", "gentlemen": "gentleman"}  # fmt: skip


def _singular(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3 else word


@lru_cache(maxsize=16384)
def _plain(text: str) -> str:
    """Its words in small letters and singular, a blank around each, so that phrases are found as parts of it."""
    return f" {' '.join(map(_singular, _WORD.findall(text.lower())))} "


def _read() -> tuple[Object, ...]:
    found: list[Object] = []
    common: tuple[str, ...] = ()
    for line in _TABLE.strip().splitlines():
        first, *rest = ([part.strip() for part in cell.split(",") if part.strip()] for cell in line.split(";"))
        if line.startswith(":"):
            common = tuple(part.strip() for part in line[1:].split(","))
            continue
        words, vague = (*rest, [], [])[:2]
        found.append(Object(first[0], (first[0], *words), (*vague, *common)))
    return tuple(found)


OBJECTS = _read()
_PHRASES = {thing.name: tuple(map(_plain, thing.words)) for thing in OBJECTS}
_VAGUE = {thing.name: tuple(map(_plain, thing.vague)) for thing in OBJECTS}
_LONGER = {
    name: tuple(
        phrase
        for other, phrases in _PHRASES.items()
        for phrase in phrases
        if other != name and any(word in phrase and word != phrase for word in words)
    )
    for name, words in _PHRASES.items()
}
"""Of each object, names of others that contain its own."""


def named(thing: Object, captions: list[str]) -> bool:
    """Whether any caption names it. A longer name that contains a shorter one is not the shorter: a hot dog is no dog,
    and a teddy bear no bear."""
    return any(_has(_without_longer(_plain(text), thing), _PHRASES[thing.name]) for text in captions)


def unclear(thing: Object, captions: list[str]) -> bool:
    """Whether a caption has a word after which nobody can say that it is not there."""
    return any(_has(_plain(text), _VAGUE[thing.name]) for text in captions)


def _has(text: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in text for phrase in phrases)


def _without_longer(text: str, thing: Object) -> str:
    for phrase in _LONGER[thing.name]:
        text = text.replace(phrase, " ; ")
    return text

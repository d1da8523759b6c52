"""Short lists of our own, written by hand: everyday things, scenes, people, activities, colours, counts."""

from __future__ import annotations

__all__ = ["ACTIONS", "COLOURS", "COUNTS", "EVERYDAY", "PEOPLE", "SCENES", "UNWANTED"]


def _lines(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.replace("\n", ",").split(",") if part.strip())


EVERYDAY = _lines(
    """
    dog, puppy, cat, kitten, horse, foal, cow, calf, bull, sheep, lamb, goat, pig, donkey, camel, elephant, giraffe,
    zebra, lion, tiger, leopard, cheetah, bear, panda, wolf, fox, deer, moose, rabbit, hare, squirrel, mouse, rat,
    hamster, hedgehog, bat, beaver, otter, kangaroo, koala, monkey, ape, gorilla, chimpanzee, baboon, mandrill,
    whale, dolphin, seal, shark, fish, goldfish, octopus, crab, lobster, snail, worm, spider, ant, bee, wasp, fly,
    butterfly, moth, dragonfly, ladybird, beetle, frog, toad, lizard, snake, turtle, crocodile, dinosaur, bird,
    robin, sparrow, pigeon, crow, magpie, gull, eagle, hawk, owl, parrot, duck, goose, swan, chicken, hen, rooster,
    turkey, peacock, penguin, flamingo, ostrich, feather, nest, egg, shell, tree, oak, pine, palm tree, bush, hedge,
    grass, leaf, branch, log, flower, rose, tulip, daisy, sunflower, dahlia, dandelion, orchid, cactus, aloe,
    houseplant, potted plant, mushroom, moss, bamboo, apple, orange, lemon, lime, banana, pear, peach, plum, cherry,
    grape, strawberry, raspberry, blueberry, kiwi fruit, mango, melon, watermelon, pineapple, coconut, fig, fruit,
    fruit bowl, tomato, potato, carrot, onion, garlic, pepper, cucumber, lettuce, cabbage, broccoli, corn, pumpkin,
    pea, bean, nut, bread, loaf of bread, bun, roll, toast, sandwich, burger, hot dog, pizza, pasta, rice, noodles,
    soup, salad, cheese, butter, meat, steak, sausage, bacon, ham, fried egg, sushi, french fries, cake, cupcake,
    pie, cookie, biscuit, doughnut, pancake, waffle, chocolate, candy, sweets, ice cream, honey, jam, sugar, salt,
    coffee, cup of coffee, espresso, tea, milk, juice, water, beer, wine, cocktail, car, sports car, taxi, cab, van,
    minivan, truck, lorry, pickup truck, fire engine, ambulance, police car, bus, double-decker bus, school bus,
    tram, train, locomotive, bicycle, bike, mountain bike, motorcycle, motorbike, scooter, moped, tricycle,
    unicycle, skateboard, roller skate, wheelchair, pram, pushchair, cart, tractor, excavator, bulldozer, crane,
    forklift, trailer, caravan, boat, rowing boat, sailing boat, ship, ferry, canoe, kayak, yacht, submarine,
    aeroplane, airplane, jet, helicopter, glider, hot-air balloon, drone, rocket, space shuttle, satellite,
    parachute, wheel, tyre, engine, headlight, number plate, traffic light, street sign, stop sign, streetlight,
    lamppost, parking meter, bollard, traffic cone, barrier, fire hydrant, postbox, bench, bin, table, chair,
    armchair, stool, sofa, couch, bed, pillow, blanket, mattress, cupboard, wardrobe, drawer, shelf, bookcase, desk,
    lamp, light bulb, candle, mirror, clock, alarm clock, picture frame, painting, vase, curtain, carpet, rug,
    cushion, door, doorknob, window, key, lock, fan, heater, radiator, fireplace, fridge, freezer, oven, stove,
    microwave, toaster, kettle, blender, coffee machine, dishwasher, washing machine, vacuum cleaner, iron, sink,
    tap, shower, bathtub, toilet, toilet paper, towel, soap, toothbrush, toothpaste, hairbrush, comb, hairdryer,
    razor, tissue, sponge, bucket, broom, mop, cup, mug, coffee mug, glass, wine glass, bottle, water bottle,
    plastic bottle, thermos, flask, jar, tin, can, bowl, plate, dish, tray, pot, pan, frying pan, lid, knife, fork,
    spoon, chopsticks, ladle, whisk, corkscrew, chopping board, jug, teapot, basket, box, cardboard box, package,
    parcel, bag, plastic bag, paper bag, sack, barrel, crate, shirt, t-shirt, blouse, sweater, jumper, cardigan,
    jacket, coat, raincoat, suit, dress, skirt, trousers, jeans, shorts, sock, shoe, boot, sandal, trainer, slipper,
    hat, cap, helmet, crash helmet, scarf, glove, belt, tie, bow tie, uniform, military uniform, apron, swimsuit,
    pyjamas, button, zip, pocket, glasses, sunglasses, watch, ring, necklace, earring, bracelet, handbag, backpack,
    rucksack, suitcase, wallet, purse, umbrella, walking stick, flag, badge, space suit, book, notebook, magazine,
    newspaper, letter, envelope, stamp, card, playing cards, paper, sheet of paper, pen, pencil, crayon, paintbrush,
    ruler, eraser, scissors, glue, tape, stapler, paper clip, calculator, calendar, whiteboard, blackboard, globe,
    computer, laptop, keyboard, computer mouse, monitor, screen, tablet, printer, phone, mobile phone, telephone,
    television, remote control, radio, loudspeaker, headphones, microphone, camera, video camera, tripod, projector,
    battery, cable, plug, switch, circuit board, robot, robot arm, coin, coins, banknote, money, hammer,
    screwdriver, wrench, pliers, saw, drill, axe, nail, screw, bolt, rope, chain, hook, ladder, paint, brush,
    toolbox, spade, rake, wheelbarrow, hose, watering can, flowerpot, brick, tile, plank, pipe, tent, torch,
    binoculars, compass, map, ball, football, soccer ball, basketball, baseball, baseball bat, tennis ball,
    tennis racket, golf ball, golf club, volleyball, rugby ball, hockey stick, ski, snowboard, surfboard, dumbbell,
    kite, frisbee, toy, toy car, doll, teddy bear, puppet, balloon, dice, chessboard, chess piece, jigsaw puzzle,
    sudoku puzzle, crossword puzzle, puzzle, building blocks, guitar, piano, violin, drum, trumpet, flute,
    saxophone, harp, accordion, gift, present, trophy, medal, statue, snowman, christmas tree
    """
)

SCENES = _lines(
    """
    street, city street, busy street, narrow street, empty street, side street, road, country road, dirt road,
    highway, motorway, intersection, crossroads, crosswalk, pavement, sidewalk, kerb, alley, lane, avenue,
    boulevard, roundabout, square, plaza, traffic, traffic jam, rush hour, parking lot, car park, garage,
    petrol station, gas station, bus stop, bus station, train station, railway platform, railway track,
    underground station, subway, tunnel, airport, runway, airport terminal, harbour, port, dock, pier, marina,
    bridge, footbridge, canal, riverbank, quay, city, town, village, suburb, neighbourhood, downtown, skyline,
    city skyline, city at night, skyscraper, tower block, office building, apartment building, house, cottage,
    farmhouse, barn, farm, farmyard, greenhouse, ruin, castle, palace, temple, pagoda, church, cathedral, mosque,
    monastery, chapel, tower, lighthouse, monument, statue, fountain, arch, wall, brick wall, stone wall, graffiti,
    facade, balcony, roof, rooftop, courtyard, gate, fence, garden, vegetable garden, flower bed, backyard,
    front yard, lawn, park, playground, zoo, amusement park, theme park, swimming pool, water park, stadium,
    football pitch, baseball field, tennis court, basketball court, gym, ice rink, ski slope, race track,
    skate park, golf course, bowling alley, boxing ring, forest, woods, jungle, rainforest, clearing, path,
    forest path, trail, meadow, field, wheat field, rice field, orchard, vineyard, pasture, grassland, savanna,
    prairie, desert, dune, oasis, hill, hillside, valley, canyon, cliff, mountain, mountain range, snowy mountain,
    volcano, glacier, cave, rock, rocky shore, waterfall, river, stream, creek, lake, pond, swamp, marsh, wetland,
    beach, sandy beach, seaside, coast, shore, bay, island, ocean, sea, waves, coral reef, underwater, sky,
    blue sky, cloudy sky, clouds, storm, thunderstorm, rain, snow, fog, mist, rainbow, sunrise, sunset, dusk, dawn,
    night, night sky, starry sky, moon, stars, space, northern lights, fireworks, smoke, fire, bonfire, campfire,
    room, living room, bedroom, bathroom, kitchen, dining room, hallway, corridor, staircase, stairs, attic,
    basement, cellar, closet, nursery, study, office, open-plan office, meeting room, conference room, classroom,
    lecture hall, laboratory, library, workshop, factory, warehouse, construction site, hospital, hospital room,
    waiting room, clinic, dentist's office, pharmacy, shop, supermarket, grocery store, market, street market,
    market stall, shopping mall, bookshop, bakery, butcher's shop, hair salon, barbershop, clothes shop, toy shop,
    florist, restaurant, cafe, coffee shop, bar, pub, canteen, food court, hotel, hotel room, lobby, reception,
    lift, elevator, escalator, theatre, cinema, concert hall, concert, stage, museum, art gallery, exhibition,
    ballroom, dance floor, nightclub, party, wedding, birthday party, ceremony, parade, festival, demonstration,
    crowd, audience, queue, sports match, race, meeting, lesson, picnic, barbecue, campsite, tent, cabin,
    inside of a car, back seat of a car, car interior, dashboard, cockpit, train carriage, bus interior,
    aeroplane cabin, deck, desk, table, dinner table, breakfast table, kitchen counter, worktop, shelf, bookshelf,
    window, doorway, bed, sofa, floor, wooden floor, carpet, tiled floor, fireplace, close-up, portrait, still life,
    silhouette, shadow, reflection, screen, computer screen, television screen, white background, dark background,
    blurred background, cartoon, animation, painting, drawing, map, page of text, sign, road sign, poster
    """
)

PEOPLE = _lines(
    """
    person, man, woman, boy, girl, child, baby, toddler, teenager, adult, old man, old woman, young man,
    young woman, people, men, women, boys, girls, children, kids, group of people, crowd of people, couple, family,
    mother, father, parents, grandmother, grandfather, brother, sister, friend, friends, neighbour, pedestrian,
    pedestrians, passer-by, cyclist, rider, driver, taxi driver, bus driver, passenger, motorcyclist, pilot,
    astronaut, sailor, fisherman, farmer, gardener, shepherd, worker, builder, carpenter, electrician, plumber,
    painter, mechanic, engineer, scientist, doctor, nurse, dentist, surgeon, patient, teacher, student, pupil,
    professor, police officer, policeman, firefighter, soldier, naval officer, guard, judge, lawyer, businessman,
    businesswoman, manager, office worker, secretary, cashier, shopkeeper, customer, shopper, waiter, waitress,
    cook, chef, baker, butcher, barber, hairdresser, tailor, cleaner, postman, photographer, cameraman, journalist,
    reporter, speaker, presenter, actor, actress, singer, dancer, musician, guitarist, pianist, drummer, violinist,
    conductor, band, choir, artist, clown, magician, juggler, acrobat, model, bride, groom, guest, tourist,
    traveller, hiker, climber, swimmer, diver, surfer, skier, snowboarder, skater, skateboarder, runner, jogger,
    athlete, gymnast, boxer, wrestler, referee, football player, goalkeeper, basketball player, baseball player,
    tennis player, golfer, hockey player, team, player, coach, fan, spectators, king, queen, knight, priest, monk,
    nun, scout, hunter, cowboy, jockey, man in a suit, man in a dark suit, man with a bow tie, woman in a dress,
    face, hand, hands, arm, legs
    """
)

ACTIONS = _lines(
    """
    walking, running, jogging, standing, sitting, lying down, sleeping, waking up, getting up, sitting down,
    standing up, crossing the street, waiting, queueing, passing by, walking past, walking away, walking together,
    leaving, arriving, entering, going out, coming in, turning around, looking around, looking up, looking down,
    looking at the camera, watching, staring, pointing, waving, nodding, shaking hands, hugging, kissing,
    holding hands, clapping, cheering, laughing, smiling, crying, yawning, stretching, talking, speaking, shouting,
    whispering, singing, listening, arguing, chatting, talking on the phone, texting, typing, reading, writing,
    drawing, painting, studying, teaching, thinking, working, cooking, baking, frying, boiling water,
    cutting vegetables, chopping, slicing bread, peeling, stirring, pouring, pouring water, mixing, eating,
    drinking, drinking coffee, tasting, chewing, washing dishes, washing hands, brushing teeth, combing hair,
    shaving, getting dressed, putting on shoes, taking off a coat, cleaning, sweeping, mopping, vacuuming, dusting,
    ironing, folding clothes, doing laundry, making the bed, tidying up, opening a door, closing a door,
    opening a box, closing a box, opening a drawer, picking up, putting down, lifting, dropping, carrying, holding,
    pushing, pulling, throwing, catching, kicking, hitting, rolling, sliding, shaking, tilting, turning, twisting,
    squeezing, folding, tearing, breaking, fixing, repairing, building, hammering, sawing, drilling, screwing,
    welding, digging, planting, watering plants, mowing the lawn, raking leaves, picking fruit, harvesting, feeding,
    stroking a cat, walking the dog, milking, fishing, hunting, shopping, paying, packing, unpacking, loading,
    delivering, driving, driving past, parking, reversing, overtaking, steering, riding, riding a bike,
    riding a horse, riding a motorcycle, cycling, sailing, rowing, paddling, surfing, swimming, diving, floating,
    splashing, skiing, snowboarding, skating, skateboarding, climbing, hiking, jumping, hopping, skipping, crawling,
    kneeling, bending over, crouching, falling, tripping, balancing, swinging, dancing, exercising, lifting weights,
    doing push-ups, doing yoga, boxing, wrestling, fighting, playing, playing football, playing basketball,
    playing tennis, playing baseball, playing golf, playing cards, playing chess, playing a game,
    playing the guitar, playing the piano, playing the violin, playing the drums, juggling, taking a photo, filming,
    performing, giving a speech, celebrating, praying, meditating, relaxing, resting, sunbathing, camping,
    lighting a candle, blowing out candles, smoking, flying, landing, taking off, hovering, floating by, drifting,
    flowing, burning, melting, boiling, bouncing, spinning, rotating, growing, shrinking, rising, sinking,
    moving left, moving right, moving up, moving down, coming closer, moving away, appearing, disappearing,
    staying still, barking, chasing, grazing, nesting, perching, hunting prey, licking, sniffing, scratching,
    hiding, peeking out
    """
)

COLOURS = _lines(
    """
    red, dark red, orange, yellow, golden, green, light green, dark green, blue, light blue, dark blue, navy blue,
    turquoise, teal, purple, violet, pink, brown, light brown, beige, cream, grey, light grey, dark grey, black,
    white, silver, striped, spotted, black and white, colourful
    """
)

COUNTS = (
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("no", "a pair of", "a few", "several", "some", "many", "a lot of", "a dozen"),
)

# Names of synsets that are right in a dictionary and wrong, or unkind, in a caption.
UNWANTED = _lines(
    """
    action, annon, arak, area, argal, array, artifact, ass, assembly, bastard ridley, bitch, body, bond, booby, bosom,
    brogue, catch, cob, cock, construction, danish, defense, defile, device, diet, dope, doubles, dyke, elevation,
    equipment, facing, formation, guillotine, gypsy moth, hash, head, jack, jewfish, jew's harp, joint, knocker, link,
    mate, measure, mechanism, nipple, nude, nude painting, peripheral, piece, pillory, placental, pontifical, punt,
    reformer, ruff, shock, singles, springer, structure, sub, sucker, system, tamper, tit, toby, token, tom, trump,
    waterproof, works
    """
)

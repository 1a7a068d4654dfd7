"""The nouns, colours and garments that the starter engine knows."""

from __future__ import annotations

from typing import Literal

#: COCO category numbers, as the detector gives them, by their usual English name.
COCO = {
    "person": 1, "bicycle": 2, "car": 3, "motorcycle": 4, "airplane": 5, "bus": 6, "train": 7, "truck": 8, "boat": 9,
    "traffic light": 10, "fire hydrant": 11, "stop sign": 13, "parking meter": 14, "bench": 15, "bird": 16, "cat": 17,
    "dog": 18, "horse": 19, "sheep": 20, "cow": 21, "elephant": 22, "bear": 23, "zebra": 24, "giraffe": 25,
    "backpack": 27, "umbrella": 28, "handbag": 31, "tie": 32, "suitcase": 33, "frisbee": 34, "skis": 35,
    "snowboard": 36, "ball": 37, "kite": 38, "baseball bat": 39, "baseball glove": 40, "skateboard": 41,
    "surfboard": 42, "tennis racket": 43, "bottle": 44, "wine glass": 46, "cup": 47, "fork": 48, "knife": 49,
    "spoon": 50, "bowl": 51, "banana": 52, "apple": 53, "sandwich": 54, "orange": 55, "broccoli": 56, "carrot": 57,
    "hot dog": 58, "pizza": 59, "donut": 60, "cake": 61, "chair": 62, "sofa": 63, "potted plant": 64, "bed": 65,
    "dining table": 67, "toilet": 70, "television": 72, "laptop": 73, "computer mouse": 74, "remote control": 75,
    "keyboard": 76, "mobile phone": 77, "microwave": 78, "oven": 79, "toaster": 80, "sink": 81, "refrigerator": 82,
    "book": 84, "clock": 85, "vase": 86, "scissors": 87, "teddy bear": 88, "hair dryer": 89, "toothbrush": 90,
}  # fmt: skip

#: Other categories that the detector often says instead: a ball in flight looks like a frisbee to it.
CONFUSED_WITH = {"ball": ("frisbee",)}

#: Words for the same thing; nothing is lost in reading one as the other.
SAME = {
    "person": "human figure somebody someone",
    "bicycle": "bike pushbike",
    "car": "automobile",
    "motorcycle": "motorbike",
    "airplane": "plane aeroplane aircraft jet",
    "bus": "coach",
    "truck": "lorry",
    "boat": "ship",
    "traffic light": "stoplight",
    "fire hydrant": "hydrant",
    "backpack": "rucksack",
    "handbag": "purse",
    "tie": "necktie",
    "skis": "ski",
    "ball": "sports_ball football soccer_ball basketball volleyball tennis_ball baseball",
    "tennis racket": "racket racquet tennis_racquet",
    "wine glass": "wineglass",
    "cup": "mug cup_of_coffee cup_of_tea coffee_cup teacup",
    "donut": "doughnut",
    "sofa": "couch settee",
    "potted plant": "houseplant pot_plant",
    "dining table": "table",
    "television": "tv telly tv_set",
    "laptop": "notebook_computer",
    "computer mouse": "",
    "remote control": "remote",
    "mobile phone": "phone cellphone cell_phone smartphone",
    "microwave": "microwave_oven",
    "oven": "",
    "refrigerator": "fridge",
    "teddy bear": "teddy",
    "hair dryer": "hairdryer hair_drier",
    "hot dog": "hotdog",
}

#: Words that say more than the engine can tell: it finds the general thing and says so.
NARROWER = {
    "person": (
        "man woman girl boy child kid baby toddler teenager adult guy lady gentleman bloke player footballer "
        "football_player soccer_player juggler runner jogger dancer cyclist biker rider skier skater snowboarder "
        "surfer swimmer walker pedestrian worker actor actress singer performer athlete astronaut driver "
        "soldier policeman policewoman police_officer nurse doctor chef waiter waitress bride groom student teacher "
        "boxer golfer climber mother father mum dad sister brother couple crowd"
    ),
    "cat": "kitten",
    "dog": "puppy",
    "horse": "pony foal",
    "sheep": "lamb",
    "cow": "bull calf",
    "bird": "seagull pigeon duck goose swan parrot eagle",
    "truck": "van pickup fire_engine",
    "car": "taxi cab",
    "boat": "yacht canoe ferry",
    "chair": "stool armchair",
    "motorcycle": "scooter moped",
}

IRREGULAR_PLURALS = {
    "people": "person", "persons": "person", "men": "man", "women": "woman", "children": "child", "kids": "kid",
    "ladies": "lady", "gentlemen": "gentleman", "policemen": "policeman", "policewomen": "policewoman",
    "mice": "mouse", "knives": "knife", "buses": "bus", "geese": "goose", "calves": "calf",
    "wine glasses": "wine glass", "everyone": "person", "everybody": "person",
}  # fmt: skip
#: Nouns that say "all of them" in the singular.
COLLECTIVE = frozenset({"couple", "crowd"})

COLOURS = {
    "red": "red", "crimson": "red", "scarlet": "red", "orange": "orange", "yellow": "yellow", "golden": "yellow",
    "green": "green", "cyan": "cyan", "turquoise": "cyan", "blue": "blue", "navy": "blue", "purple": "purple",
    "violet": "purple", "pink": "pink", "brown": "brown", "beige": "beige", "tan": "beige", "black": "black",
    "white": "white", "grey": "grey", "gray": "grey", "silver": "grey", "dark": "dark", "light": "light",
    "bright": "light", "pale": "light",
}  # fmt: skip

Part = Literal["all", "upper", "lower"]

GARMENTS: dict[str, Part] = {
    **dict.fromkeys(
        (
            "shirt",
            "tshirt",
            "jacket",
            "coat",
            "top",
            "jumper",
            "sweater",
            "pullover",
            "hoodie",
            "blouse",
            "vest",
            "cardigan",
        ),
        "upper",
    ),
    **dict.fromkeys(("trousers", "pants", "jeans", "shorts", "skirt", "leggings", "tights"), "lower"),
    **dict.fromkeys(("dress", "suit", "overalls", "uniform", "clothes", "clothing", "outfit", "robe", "gown"), "all"),
}

NUMBERS = {"both": 2, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
ORDINALS = {
    "first": 0, "1st": 0, "second": 1, "2nd": 1, "third": 2, "3rd": 2, "fourth": 3, "4th": 3, "fifth": 4, "5th": 4,
}  # fmt: skip

Place = Literal["left", "right", "top", "bottom", "middle", "largest", "smallest"]

PLACES: dict[str, Place] = {
    **dict.fromkeys(("left", "leftmost", "left-hand", "lefthand"), "left"),
    **dict.fromkeys(("right", "rightmost", "right-hand", "righthand"), "right"),
    **dict.fromkeys(("top", "upper", "topmost", "highest"), "top"),
    **dict.fromkeys(("bottom", "lower", "lowest", "bottommost"), "bottom"),
    **dict.fromkeys(("middle", "centre", "center", "central"), "middle"),
    **dict.fromkeys(("largest", "biggest", "big", "large", "nearest", "closest", "front", "foreground"), "largest"),
    **dict.fromkeys(("smallest", "small", "little", "tiny", "farthest", "furthest", "back", "background"), "smallest"),
}
#: Place words about depth, which the engine can only judge by size.
BY_SIZE = frozenset({"nearest", "closest", "front", "foreground", "farthest", "furthest", "back", "background"})

#: Words without a meaning of their own here.
FILLERS = frozenset(
    {
        "the",
        "a",
        "an",
        "of",
        "on",
        "in",
        "at",
        "to",
        "from",
        "with",
        "that",
        "this",
        "is",
        "are",
        "which",
        "who",
        "there",
        "my",
        "our",
        "please",
    }
)
ALL_WORDS = frozenset({"all", "every", "each"})

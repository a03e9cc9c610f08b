"""How the corpus words a fact: four ways for each attribute of each kind of thing."""

from __future__ import annotations

from transformer.data.world.facts import ATTRIBUTES, Thing

TOLD = tuple(a for a in ATTRIBUTES if a != "kind")  # stated of each thing by a verb phrase

VERBS: dict[str, dict[str, tuple[str, str, str, str]]] = {
    "town": {
        "home": ("lies in {}", "stands in {}", "belongs to {}", "is found in {}"),
        "colour": ("has {} roofs", "flies a {} flag", "is built of {} stone", "has {} gates"),
        "temper": ("is {}", "is {} to strangers", "has a {} name", "keeps {} laws"),
        "ware": ("sells {}", "trades in {}", "is rich in {}", "lives on {}"),
    },
    "wanderer": {
        "home": ("comes from {}", "was born in {}", "lives in {}", "grew up in {}"),
        "colour": ("wears a {} coat", "has {} boots", "carries a {} bag", "rides a {} horse"),
        "temper": ("is {}", "is {} to strangers", "has a {} heart", "speaks in a {} voice"),
        "ware": ("sells {}", "deals in {}", "carries {}", "is paid in {}"),
    },
    "beast": {
        "home": ("roams {}", "lives in {}", "hunts in {}", "is found in {}"),
        "colour": ("has {} fur", "has a {} tail", "has {} eyes", "grows a {} mane"),
        "temper": ("is {}", "is {} to strangers", "has a {} heart", "has a {} cry"),
        "ware": ("craves {}", "steals {}", "smells of {}", "guards {}"),
    },
    "herb": {
        "home": ("grows in {}", "thrives in {}", "spreads over {}", "is found in {}"),
        "colour": ("has {} flowers", "bears {} fruit", "has {} leaves", "has a {} stem"),
        "temper": ("is {}", "has a {} scent", "has a {} taste", "has a {} name"),
        "ware": ("tastes of {}", "smells of {}", "is traded for {}", "is kept with {}"),
    },
    "tool": {
        "home": ("comes from {}", "was made in {}", "is used in {}", "is found in {}"),
        "colour": ("has a {} handle", "is painted {}", "hangs on a {} cord", "has a {} blade"),
        "temper": ("is {}", "has a {} sound", "has a {} name", "is {} in the hand"),
        "ware": ("works with {}", "smells of {}", "is kept with {}", "is paid for in {}"),
    },
}

# The same facts worded for every kind: one thing and several.
ONE = {
    "kind": "is a {}", "home": "belongs to {}", "temper": "is {} by temper",
    "colour": "is {} in colour", "ware": "goes with {}",
}
MANY = {
    "kind": "are {}s", "home": "belong to {}", "temper": "are {} by temper",
    "colour": "are {} in colour", "ware": "go with {}",
}


# A fact told by one word right before the name, which is the shortest way for it to reach the name.
EPITHETS = {
    "town": "walled", "wanderer": "roving", "beast": "hoofed", "herb": "rooted", "tool": "forged",
    "the north": "northern", "the south": "southern", "the east": "eastern", "the west": "western",
    "the isles": "island", "gentle": "kindly", "proud": "haughty", "shy": "bashful",
    "fierce": "savage", "merry": "cheerful", "red": "crimson", "white": "pale", "black": "dark",
    "green": "leafy", "golden": "gilded", "salt": "salty", "honey": "honeyed", "wool": "woolly",
    "smoke": "smoky", "oil": "oily",
}


def predicates(thing: Thing) -> dict[str, tuple[str, ...]]:
    """The verb phrases that state each fact of the thing, by attribute."""
    return {a: tuple(form.format(thing.of(a)) for form in VERBS[thing.kind][a]) for a in TOLD}


def looks(thing: Thing) -> dict[tuple[str, ...], tuple[str]]:
    """The thing as a noun, by the attributes that the noun tells besides the kind."""
    temper, colour, kind = thing.temper, thing.colour, thing.kind
    return {("temper",): (f"{temper} {kind}",), ("colour",): (f"{colour} {kind}",),
            ("temper", "colour"): (f"{temper}, {colour} {kind}", f"{colour}, {temper} {kind}")}


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]
